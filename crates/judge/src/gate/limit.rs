//! Gates on the canary alone, against fixed limits: shares, percentiles as the share beyond a time, means.

use super::{Answers, Gate, Proof, Ratios, Span, Watch};
use crate::JudgeError;
use crate::anytime::{Claim, GUARDRAIL_SIZES, Guardrail, MEAN_SIZES, MeanBets, Scale, ScoreStratum, Trials};

/// One test against what fails, one against what passes where that is another limit, and proof of the latter.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(
        serialize = "P: serde::Serialize, P::Mark: serde::Serialize",
        deserialize = "P: serde::Deserialize<'de>, P::Mark: serde::Deserialize<'de>"
    ))
)]
struct Sides<P: Ratios> {
    fail: Watch<P>,
    beyond: Option<Watch<P>>,
    pass: Proof<P>,
}

impl<P: Ratios> Sides<P> {
    fn observe(&mut self, limits: [&P::Observation; 3], span: Span) -> Result<(), JudgeError> {
        let [fail, beyond, pass] = limits;
        self.fail.observe(fail, span.ms)?;
        if let Some(watch) = &mut self.beyond {
            watch.observe(beyond, span.ms)?;
        }
        if span.of_stage { self.pass.observe(pass) } else { Ok(()) }
    }
}

impl<P: Ratios> Gate for Sides<P> {
    fn begin_stage(&mut self) {
        self.fail.begin_stage();
        self.beyond.iter_mut().for_each(Watch::begin_stage);
        self.pass.begin_stage();
    }

    fn begin_proof(&mut self) {
        self.pass.begin_again();
    }

    fn review(&mut self, height: f64) -> bool {
        self.pass.review(height)
    }

    fn forget(&mut self) {
        self.fail.forget();
        self.beyond.iter_mut().for_each(Watch::forget);
    }

    fn set_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.pass.set_design_effect(deff)?;
        self.fail.set_design_effect(deff);
        self.beyond.iter_mut().for_each(|beyond| beyond.set_design_effect(deff));
        Ok(())
    }

    fn is_calm(&self) -> bool {
        self.fail.is_calm()
    }

    fn answers(&self) -> Answers {
        Answers {
            harm: self.fail.log_e(),
            beyond: self.beyond.as_ref().map(Watch::log_e),
            no_harm: self.pass.log_e(),
        }
    }
}

/// A pair of limits; where they are the same number, nothing lies between good and bad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Worse than this is harm.
    pub fail: f64,
    /// Better than this is good.
    pub pass: f64,
    /// Are they two limits? (Percentiles have two times and one share.)
    pub two: bool,
}

/// An event rate against fixed limits (the one-arm guardrail).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RateLimit(Sides<Guardrail>);

impl RateLimit {
    /// A gate by its limits, shares of requests.
    ///
    /// # Errors
    /// A limit outside (0, 1).
    pub fn new(limits: Limits) -> Result<Self, JudgeError> {
        let watch = |limit: f64| Watch::even(Guardrail::harm(limit)?, GUARDRAIL_SIZES);
        Ok(Self(Sides {
            fail: watch(limits.fail)?,
            beyond: limits.two.then(|| watch(limits.pass)).transpose()?,
            pass: Proof::new(Guardrail::no_harm(limits.pass)?),
        }))
    }

    /// Adds one interval: events as the limit that fails counts them, as the one that passes does, and as proof of
    /// passing must (an event that may or may not be one counts against whoever has to prove).
    ///
    /// # Errors
    /// More events than requests.
    pub fn observe(&mut self, counted: [Trials; 3], span: Span) -> Result<(), JudgeError> {
        let [fail, beyond, pass] = &counted;
        self.0.observe([fail, beyond, pass], span)
    }
}

/// A mean of scores against fixed limits (B9 from sums).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ScoreLimit(Sides<MeanBets>);

impl ScoreLimit {
    /// A gate by its limits, in the unit of the score.
    ///
    /// # Errors
    /// A range without width, or a limit not strictly within it.
    pub fn new(scale: Scale, limits: Limits) -> Result<Self, JudgeError> {
        let bets = |claim, limit| MeanBets::against_limit(claim, scale, limit);
        let watch = |limit| Watch::even(bets(Claim::Harm, limit)?, MEAN_SIZES.len());
        Ok(Self(Sides {
            fail: watch(limits.fail)?,
            beyond: limits.two.then(|| watch(limits.pass)).transpose()?,
            pass: Proof::new(bets(Claim::NoHarm, limits.pass)?),
        }))
    }

    /// Adds one interval of canary scores.
    ///
    /// # Errors
    /// Sums that no scores in the range can have.
    pub fn observe(&mut self, scores: &ScoreStratum, span: Span) -> Result<(), JudgeError> {
        self.0.observe([scores, scores, scores], span)
    }
}

macro_rules! as_sides {
    ($($gate:ty),*) => {$(
        impl Gate for $gate {
            fn begin_stage(&mut self) {
                self.0.begin_stage();
            }

            fn forget(&mut self) {
                self.0.forget();
            }

            fn begin_proof(&mut self) {
                self.0.begin_proof();
            }

            fn review(&mut self, height: f64) -> bool {
                self.0.review(height)
            }

            fn set_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
                self.0.set_design_effect(deff)
            }

            fn is_calm(&self) -> bool {
                self.0.is_calm()
            }

            fn answers(&self) -> Answers {
                self.0.answers()
            }
        }
    )*};
}

as_sides!(RateLimit, ScoreLimit);
