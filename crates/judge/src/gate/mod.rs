//! Gates: what decides in a run. Each watches for harm through the whole run (roll back) and gathers proof of no harm
//! beyond its margin in each stage (advance); between the two it may find that the canary lies beyond the margin
//! without being harmful. "Nothing found yet" never passes.
//!
//! A gate is a plain value: fed interval by interval, compared, stored, restored, merged. It answers in ln e-values;
//! who asks chooses the levels and words the answer. Which counts belong to which gate is not its business either.

mod fixed;
mod limit;
mod proof;
mod rate;
mod ratios;
mod score;
mod split;
mod tail;
mod watch;

pub use fixed::{FixedRules, fixed_finding};
pub use limit::{Limits, RateLimit, ScoreLimit};
pub use proof::Proof;
pub use rate::{RateGate, RateRules};
pub use ratios::Ratios;
pub use score::{ScoreGate, ScoreRules};
pub use split::split_finding;
pub use tail::{TailGate, TailRules};
pub use watch::Watch;

use crate::JudgeError;
use crate::anytime::average;

/// How an interval was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// How long it lasted, in milliseconds.
    pub ms: u64,
    /// Does it belong to the present stage, whole? Only then it is proof.
    pub of_stage: bool,
}

/// What a gate has to say, as ln e-values: each is at most ln(1/alpha) with probability 1 - alpha, at all looks
/// together, while its claim is false.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answers {
    /// For "the canary does harm", over the whole run.
    pub harm: f64,
    /// For "the canary is beyond the margin", where harm begins later; `None`: it begins at the margin.
    pub beyond: Option<f64>,
    /// For "the canary is within the margin", of this stage.
    pub no_harm: f64,
}

/// What all gates can do, whatever they eat.
pub trait Gate {
    /// A stage begins: proof starts at nothing, and harm may well begin.
    fn begin_stage(&mut self);

    /// Weights change: nothing gathered under the old ones is pooled with what comes.
    fn new_weights(&mut self) {}

    /// Proof starts at nothing, and what was seen of harm stays.
    fn begin_proof(&mut self);

    /// Looks again at what was proven: see [`Proof::review`]. Says whether anything is proven no more.
    fn review(&mut self, height: f64) -> bool;

    /// A named person set the evidence of harm so far aside.
    fn forget(&mut self);

    /// B11: divides evidence by the design effect `deff` (values below 1 count as 1).
    ///
    /// # Errors
    /// One that is not finite.
    fn set_design_effect(&mut self, deff: f64) -> Result<(), JudgeError>;

    /// Does nothing look like harm at this moment? What was counted since this was last so is what an alarm is about.
    fn is_calm(&self) -> bool;

    /// The answers now.
    fn answers(&self) -> Answers;
}

/// ln of the plain average of two e-values: an e-value for what both claim.
pub(crate) fn either(a: f64, b: f64) -> f64 {
    average(&[(1.0, a), (1.0, b)]).unwrap_or(0.0)
}

/// As a judge writes numbers.
fn significant(value: f64) -> String {
    notation::significant(value, 3)
}

fn percent(rate: f64) -> String {
    format!("{} %", significant(100.0 * rate))
}
