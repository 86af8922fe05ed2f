//! A gate on the mean of a score against stable's: confidence, similarity, accuracy measured as a number.

use super::{Answers, Gate, Proof, Span, Watch};
use crate::JudgeError;
use crate::anytime::{Claim, MEAN_SIZES, MeanBets, Scale, ScoreStratum};
use crate::classical::Margin;

/// What a gate on a mean asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRules {
    /// The range of scores and which way they are good.
    pub scale: Scale,
    /// Harm begins where the canary's mean is worse by this.
    pub harm: Margin,
    /// No harm is proven where it is worse by less than this.
    pub margin: Margin,
    /// Does harm begin beyond the margin?
    pub late: bool,
}

/// Compares mean scores (B9 from sums).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ScoreGate {
    harm: Watch<MeanBets>,
    beyond: Option<Watch<MeanBets>>,
    proof: Proof<MeanBets>,
}

impl ScoreGate {
    /// A gate by its rules.
    ///
    /// # Errors
    /// A range without width or negative margins.
    pub fn new(rules: ScoreRules) -> Result<Self, JudgeError> {
        let bets = |claim, margin| MeanBets::against_stable(claim, rules.scale, margin);
        let watch = |margin| Watch::even(bets(Claim::Harm, margin)?, MEAN_SIZES.len());
        Ok(Self {
            harm: watch(rules.harm)?,
            beyond: rules.late.then(|| watch(rules.margin)).transpose()?,
            proof: Proof::new(bets(Claim::NoHarm, rules.margin)?),
        })
    }

    /// Adds one interval of constant weights, all sidecars summed.
    ///
    /// # Errors
    /// Sums that no scores in the range can have.
    pub fn observe(&mut self, both: &ScoreStratum, span: Span) -> Result<(), JudgeError> {
        self.harm.observe(both, span.ms)?;
        if let Some(beyond) = &mut self.beyond {
            beyond.observe(both, span.ms)?;
        }
        if span.of_stage { self.proof.observe(both) } else { Ok(()) }
    }

    /// Adds what another gate by the same rules saw of other requests.
    ///
    /// # Errors
    /// Other rules.
    pub fn merge(&mut self, other: &Self) -> Result<(), JudgeError> {
        self.harm.merge(&other.harm)?;
        self.proof.merge(&other.proof)?;
        if let (Some(mine), Some(theirs)) = (&mut self.beyond, &other.beyond) {
            mine.merge(theirs)?;
        }
        Ok(())
    }
}

impl Gate for ScoreGate {
    fn begin_stage(&mut self) {
        self.harm.begin_stage();
        self.beyond.iter_mut().for_each(Watch::begin_stage);
        self.proof.begin_stage();
    }

    fn begin_proof(&mut self) {
        self.proof.begin_again();
    }

    fn review(&mut self, height: f64) -> bool {
        self.proof.review(height)
    }

    fn new_weights(&mut self) {
        self.harm.new_weights();
        self.beyond.iter_mut().for_each(Watch::new_weights);
        self.proof.new_weights();
    }

    fn forget(&mut self) {
        self.harm.forget();
        self.beyond.iter_mut().for_each(Watch::forget);
    }

    fn set_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.proof.set_design_effect(deff)?;
        self.harm.set_design_effect(deff);
        self.beyond.iter_mut().for_each(|beyond| beyond.set_design_effect(deff));
        Ok(())
    }

    fn is_calm(&self) -> bool {
        self.harm.is_calm()
    }

    fn answers(&self) -> Answers {
        Answers {
            harm: self.harm.log_e(),
            beyond: self.beyond.as_ref().map(Watch::log_e),
            no_harm: self.proof.log_e(),
        }
    }
}
