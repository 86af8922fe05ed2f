//! A gate on an event rate against stable's: errors, timeouts, wrong answers, lost conversions.

use std::f64::consts::LN_2;

use super::{Answers, Gate, Proof, Span, Watch, either};
use crate::JudgeError;
use crate::anytime::{GUARDRAIL_SIZES, Guardrail, HARM_PRIOR, LATE_HARM_PRIOR, RateRatio, Stratum, Trials};

/// What a rate gate asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateRules {
    /// Harm begins above this many times stable's rate (1: any increase) ...
    pub harm: f64,
    /// ... plus this much, as a share of requests.
    pub harm_points: f64,
    /// No harm is proven below this many times stable's rate ...
    pub margin: f64,
    /// ... plus this much.
    pub margin_points: f64,
    /// A rate below this is no harm, whatever stable's is; 0: any may be.
    pub ignore_below: f64,
    /// A rate below this is good in any case; 0: none is.
    pub pass_below: f64,
}

/// Compares the canary's event rate with stable's (B1, with the one-arm guardrail for the absolute rates).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RateGate {
    harm: Watch<RateRatio>,
    worth: Option<Watch<Guardrail>>,
    beyond: Option<Watch<RateRatio>>,
    proof: Proof<RateRatio>,
    good: Option<Proof<Guardrail>>,
}

impl RateGate {
    /// A gate by its rules.
    ///
    /// # Errors
    /// Ratios not above 0, points negative, or absolute rates of 1 and more.
    pub fn new(rules: RateRules) -> Result<Self, JudgeError> {
        let watch = |ratio: f64, points: f64| {
            Watch::new(RateRatio::harm_beyond(ratio, points)?, &HARM_PRIOR, &LATE_HARM_PRIOR)
        };
        let RateRules { harm, harm_points, margin, margin_points, ignore_below, pass_below } = rules;
        let late = harm > margin || harm_points > margin_points;
        Ok(Self {
            harm: watch(harm, harm_points)?,
            worth: (ignore_below > 0.0)
                .then(|| Watch::even(Guardrail::harm(ignore_below)?, GUARDRAIL_SIZES))
                .transpose()?,
            beyond: late.then(|| watch(margin, margin_points)).transpose()?,
            proof: Proof::new(RateRatio::no_harm_within(margin, margin_points)?),
            good: (pass_below > 0.0).then(|| Guardrail::no_harm(pass_below).map(Proof::new)).transpose()?,
        })
    }

    /// Adds one interval of constant weights, all sidecars summed.
    ///
    /// # Errors
    /// More events than requests.
    pub fn observe(&mut self, both: Stratum, span: Span) -> Result<(), JudgeError> {
        let canary = Trials { n: both.n1, k: both.k1 };
        self.harm.observe(&both, span.ms)?;
        if let Some(worth) = &mut self.worth {
            worth.observe(&canary, span.ms)?;
        }
        if let Some(beyond) = &mut self.beyond {
            beyond.observe(&both, span.ms)?;
        }
        if span.of_stage {
            self.proof.observe(&both)?;
            if let Some(good) = &mut self.good {
                good.observe(&canary)?;
            }
        }
        Ok(())
    }

    /// Adds what another gate by the same rules saw of other requests.
    ///
    /// # Errors
    /// Other rules.
    pub fn merge(&mut self, other: &Self) -> Result<(), JudgeError> {
        self.harm.merge(&other.harm)?;
        self.proof.merge(&other.proof)?;
        if let (Some(mine), Some(theirs)) = (&mut self.worth, &other.worth) {
            mine.merge(theirs)?;
        }
        if let (Some(mine), Some(theirs)) = (&mut self.beyond, &other.beyond) {
            mine.merge(theirs)?;
        }
        if let (Some(mine), Some(theirs)) = (&mut self.good, &other.good) {
            mine.merge(theirs)?;
        }
        Ok(())
    }
}

impl Gate for RateGate {
    fn begin_stage(&mut self) {
        self.harm.begin_stage();
        self.worth.iter_mut().for_each(Watch::begin_stage);
        self.beyond.iter_mut().for_each(Watch::begin_stage);
        self.proof.begin_stage();
        self.good.iter_mut().for_each(Proof::begin_stage);
    }

    fn begin_proof(&mut self) {
        self.proof.begin_again();
        self.good.iter_mut().for_each(Proof::begin_again);
    }

    fn review(&mut self, height: f64) -> bool {
        let Some(good) = &mut self.good else { return self.proof.review(height) };
        // One of the two is enough, and by itself has to be twice as large.
        let height = height + LN_2;
        self.proof.review(height) | good.review(height)
    }

    fn forget(&mut self) {
        self.harm.forget();
        self.worth.iter_mut().for_each(Watch::forget);
        self.beyond.iter_mut().for_each(Watch::forget);
    }

    fn set_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.proof.set_design_effect(deff)?;
        if let Some(good) = &mut self.good {
            good.set_design_effect(deff)?;
        }
        self.harm.set_design_effect(deff);
        self.worth.iter_mut().for_each(|worth| worth.set_design_effect(deff));
        self.beyond.iter_mut().for_each(|beyond| beyond.set_design_effect(deff));
        Ok(())
    }

    fn is_calm(&self) -> bool {
        self.harm.is_calm()
    }

    fn answers(&self) -> Answers {
        let harm = self.harm.log_e();
        let no_harm = self.proof.log_e();
        Answers {
            // Both must be proven, so the weaker counts.
            harm: self.worth.as_ref().map_or(harm, |worth| harm.min(worth.log_e())),
            beyond: self.beyond.as_ref().map(Watch::log_e),
            no_harm: self.good.as_ref().map_or(no_harm, |good| either(no_harm, good.log_e())),
        }
    }
}
