//! How a gate uses a test to prove that there is no harm: anew in each stage.

use super::Ratios;
use crate::JudgeError;
use crate::anytime::{Bins, EProcess, TailRatio, Trials};

/// Gathers proof, stage by stage.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(
        serialize = "P: serde::Serialize, P::Mark: serde::Serialize",
        deserialize = "P: serde::Deserialize<'de>, P::Mark: serde::Deserialize<'de>"
    ))
)]
pub struct Proof<P: EProcess> {
    process: P,
    stage: P::Mark,
    /// ln of the highest e-value since the mark, as far as it was looked at.
    #[cfg_attr(feature = "serde", serde(default))]
    highest: f64,
}

impl<P: Ratios> Proof<P> {
    /// Proof by `process`, which has seen nothing yet.
    pub fn new(process: P) -> Self {
        let stage = process.mark();
        Self { process, stage, highest: 0.0 }
    }

    /// The test itself.
    pub const fn process(&self) -> &P {
        &self.process
    }

    /// Adds an interval of the stage.
    ///
    /// # Errors
    /// Input that cannot be right; nothing is added.
    pub fn observe(&mut self, observation: &P::Observation) -> Result<(), JudgeError> {
        self.process.observe(observation)
    }

    /// What was gathered counts no more; what was learnt (edges, means) stays.
    pub fn begin_stage(&mut self) {
        self.new_weights();
        self.begin_again();
    }

    /// What was gathered counts no more, under the same weights.
    pub fn begin_again(&mut self) {
        self.stage = self.process.mark();
        self.highest = 0.0;
    }

    /// Looks again at what was proven at `height` (ln of an e-value). When the evidence has since fallen by as much from
    /// its highest, what came since speaks against it as strongly as a proof speaks for it: it counts no more, and proof
    /// begins anew. Says whether it did.
    ///
    /// A long good time does not outweigh a bad end, then. Only what was proven once begins anew, so a false proof is no
    /// more likely than the first one is.
    pub fn review(&mut self, height: f64) -> bool {
        let log_e = self.log_e();
        self.highest = self.highest.max(log_e);
        let fallen = self.highest >= height && log_e <= self.highest - height;
        if fallen {
            self.begin_again();
        }
        fallen
    }

    /// Weights change.
    pub fn new_weights(&mut self) {
        self.process.new_weights();
    }

    /// B11.
    ///
    /// # Errors
    /// A design effect that is not finite.
    pub fn set_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.process.temper(deff)
    }

    /// Adds what was gathered on other requests of the same stage.
    ///
    /// # Errors
    /// Proof of something else.
    pub fn merge(&mut self, other: &Self) -> Result<(), JudgeError>
    where
        P::Mark: Sum,
    {
        self.process.merge(&other.process)?;
        self.stage.add(&other.stage);
        Ok(())
    }

    /// ln of the e-value of this stage.
    pub fn log_e(&self) -> f64 {
        self.process.log_e_since(&self.stage)
    }
}

impl Proof<TailRatio> {
    /// Stable's times outside the stage: no proof, and still what the next interval is held against.
    pub fn learn(&mut self, stable: &Bins) {
        self.process.learn(stable);
    }
}

/// Marks of two processes, added up.
pub trait Sum {
    /// Adds the other's.
    fn add(&mut self, other: &Self);
}

impl Sum for Vec<f64> {
    fn add(&mut self, other: &Self) {
        self.iter_mut().zip(other).for_each(|(mine, theirs)| *mine += theirs);
    }
}

impl Sum for Vec<Vec<f64>> {
    fn add(&mut self, other: &Self) {
        self.iter_mut().zip(other).for_each(|(mine, theirs)| mine.add(theirs));
    }
}

impl Sum for Trials {
    fn add(&mut self, other: &Self) {
        self.n = self.n.saturating_add(other.n);
        self.k = self.k.saturating_add(other.k);
    }
}
