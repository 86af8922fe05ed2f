//! Tests that may be looked at every second and stopped at any moment.
//!
//! An *e-process* is a quantity M >= 0, starting at 1, whose expectation is at most 1 at every stopping
//! time while the null hypothesis holds. By Ville's inequality the chance that it ever reaches 1/alpha is
//! then at most alpha, so one may act the first time M >= 1/alpha, however often one looked before.
//! Everything is kept as ln M. States are plain values: clone, compare, store, restore; a restored state
//! goes on exactly where it stopped, so a restart of the program spends no evidence twice.
//!
//! Each test answers one of two claims ([`Claim`]): *the canary does harm* (roll back) or *the canary does
//! no harm beyond the margin* (advance).

mod asymptotic;
mod betting;
mod combine;
mod dkw;
mod drift;
mod guardrail;
mod mean_bets;
mod normal_mixture;
mod quantile;
mod rate_ratio;
mod ratio_sequence;
mod sample_ratio;
mod tail_ratio;
mod temper;

pub use asymptotic::{RatioSums, asymptotic_radius, asymptotic_rho2, ratio_difference};
pub use betting::{BettingSnapshot, BoundedMeans};
pub use combine::{AlphaSplit, average, e_bh};
pub use dkw::{Order, StochasticOrder, hr_dkw_radius, quantile_radius};
pub use drift::{BucketDrift, BucketStratum};
pub(crate) use guardrail::SIZES as GUARDRAIL_SIZES;
pub use guardrail::{Guardrail, Trials};
pub(crate) use mean_bets::PARTS as MEAN_SIZES;
pub use mean_bets::{MeanBets, Scale};
pub use normal_mixture::{Better, NormalMixture, ScoreStratum, normal_mixture_log_e, normal_mixture_radius};
pub use quantile::QuantileRatio;
pub use rate_ratio::{HARM_FACTORS, HARM_PRIOR, LATE_HARM_PRIOR, RateRatio, Stratum, rate_ratio_increment};
pub use ratio_sequence::RatioSequence;
pub use sample_ratio::{SampleRatio, dirichlet_multinomial_log_e};
pub use tail_ratio::{Bins, TailRatio, TailStratum, quantile_bin};
pub use temper::{DesignEffect, Group};

use crate::JudgeError;

/// The claim a test gathers evidence for (its alternative hypothesis).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Claim {
    /// The canary is worse than the margin allows: evidence to roll back.
    Harm,
    /// The canary is not worse than the margin allows: evidence to advance.
    NoHarm,
}

/// A test fed interval by interval. See the module for what its numbers mean.
pub trait EProcess {
    /// What one interval brings.
    type Observation;
    /// What must be remembered to measure evidence gathered after a moment.
    type Mark: Clone + PartialEq + std::fmt::Debug;

    /// Adds one interval.
    ///
    /// # Errors
    /// Input that cannot be right; the state is then unchanged.
    fn observe(&mut self, observation: &Self::Observation) -> Result<(), JudgeError>;

    /// ln M now.
    fn log_e(&self) -> f64;

    /// The largest ln M at any moment so far, at least 0.
    fn max_log_e(&self) -> f64;

    /// Remembers this moment.
    fn mark(&self) -> Self::Mark;

    /// ln M of the same test begun at `mark`.
    fn log_e_since(&self, mark: &Self::Mark) -> f64;

    /// The p-value valid at every look: min(1, 1 / max M).
    fn p_value(&self) -> f64 {
        p_value(self.max_log_e())
    }
}

/// The p-value that belongs to a largest ln M so far: min(1, 1/M).
pub fn p_value(max_log_e: f64) -> f64 {
    (-max_log_e.max(0.0)).exp()
}

/// ln(1/alpha): the height at which a test of level `alpha` fires.
///
/// # Errors
/// `alpha` outside (0, 1).
pub fn threshold(alpha: f64) -> Result<f64, JudgeError> {
    Ok(-crate::error::fraction("alpha", alpha)?.ln())
}

/// `count` points from ln `from` to ln `to`, equally spaced, as exp.
pub(crate) fn geometric(from: f64, to: f64, count: usize) -> Vec<f64> {
    let (a, b) = (from.ln(), to.ln());
    let step = (b - a) / (count.max(2) - 1) as f64;
    (0..count).map(|i| (a + step * i as f64).exp()).collect()
}
