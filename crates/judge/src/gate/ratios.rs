//! What a gate asks of a test.

use crate::JudgeError;
use crate::anytime::{
    EProcess, Guardrail, MeanBets, RateRatio, ScoreStratum, Stratum, TailRatio, TailStratum, Trials,
};

/// A test that is an average of likelihood ratios, one per size of effect.
pub trait Ratios: EProcess {
    /// Adds an interval and returns by how much each ln L grew.
    ///
    /// # Errors
    /// Input that cannot be right; nothing is added.
    fn grow(&mut self, observation: &Self::Observation) -> Result<Vec<f64>, JudgeError>;

    /// Canary requests in an interval.
    fn requests(observation: &Self::Observation) -> u64;

    /// Weights change: nothing gathered under the old ones is pooled with what comes.
    fn new_weights(&mut self) {}

    /// B11: divides the log evidence by a design effect.
    ///
    /// # Errors
    /// One that is not finite.
    fn temper(&mut self, deff: f64) -> Result<(), JudgeError>;

    /// Adds evidence gathered on other requests.
    ///
    /// # Errors
    /// A test of something else.
    fn merge(&mut self, other: &Self) -> Result<(), JudgeError>;
}

fn grown<'a>(after: impl Iterator<Item = &'a f64>, before: impl Iterator<Item = &'a f64>) -> Vec<f64> {
    after.zip(before).map(|(after, before)| after - before).collect()
}

impl Ratios for RateRatio {
    fn grow(&mut self, stratum: &Stratum) -> Result<Vec<f64>, JudgeError> {
        let before = self.mark();
        self.update(*stratum)?;
        Ok(grown(self.mark().iter(), before.iter()))
    }

    fn requests(stratum: &Stratum) -> u64 {
        stratum.n1
    }

    fn temper(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.set_design_effect(deff)
    }

    fn merge(&mut self, other: &Self) -> Result<(), JudgeError> {
        Self::merge(self, other)
    }
}

impl Ratios for TailRatio {
    fn grow(&mut self, interval: &TailStratum) -> Result<Vec<f64>, JudgeError> {
        let before = self.mark();
        self.update(interval)?;
        Ok(grown(self.mark().iter().flatten(), before.iter().flatten()))
    }

    fn requests(interval: &TailStratum) -> u64 {
        interval.canary.values().fold(0, |sum, n| sum.saturating_add(*n))
    }

    fn temper(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.set_design_effect(deff)
    }

    fn merge(&mut self, other: &Self) -> Result<(), JudgeError> {
        Self::merge(self, other)
    }
}

impl Ratios for Guardrail {
    fn grow(&mut self, trials: &Trials) -> Result<Vec<f64>, JudgeError> {
        self.update(*trials)?;
        Ok(self.increments(trials))
    }

    fn requests(trials: &Trials) -> u64 {
        trials.n
    }

    fn temper(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.set_design_effect(deff)
    }

    fn merge(&mut self, other: &Self) -> Result<(), JudgeError> {
        Self::merge(self, other)
    }
}

impl Ratios for MeanBets {
    fn grow(&mut self, scores: &ScoreStratum) -> Result<Vec<f64>, JudgeError> {
        let before = self.mark();
        self.update(scores)?;
        Ok(grown(self.mark().iter(), before.iter()))
    }

    fn requests(scores: &ScoreStratum) -> u64 {
        scores.n1
    }

    fn new_weights(&mut self) {
        self.drop_gathered();
    }

    fn temper(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.set_design_effect(deff)
    }

    fn merge(&mut self, other: &Self) -> Result<(), JudgeError> {
        Self::merge(self, other)
    }
}
