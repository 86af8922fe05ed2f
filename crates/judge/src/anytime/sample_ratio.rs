//! B2: does traffic arrive in the shares it was configured to (sample-ratio mismatch)?
//!
//! The Dirichlet-multinomial Bayes factor against fixed shares theta0: with counts k and prior a,
//! ln M = lnB(a + k) - lnB(a) - sum k_i ln theta0_i, lnB(v) = sum lnGamma(v_i) - lnGamma(sum v).
//! Lindon & Malek, "Anytime-Valid Inference for Multinomial Count Data", NeurIPS 2022.
//! Valid while the shares are constant: start anew at each change of weight. A finding here means "stop
//! judging", for every other test assumes the split is what it should be.

use super::EProcess;
use crate::JudgeError;
use crate::error::{fraction, positive};
use crate::special::ln_gamma;

/// ln of the Dirichlet-multinomial Bayes factor of `counts` against the shares `theta0`.
///
/// # Errors
/// Lengths that differ, fewer than two categories, a prior not above 0, shares outside (0, 1) or not summing
/// to 1 within 1e-6.
pub fn dirichlet_multinomial_log_e(counts: &[u64], prior: &[f64], theta0: &[f64]) -> Result<f64, JudgeError> {
    check(prior, theta0)?;
    if counts.len() != theta0.len() {
        return Err(JudgeError::Mismatch { what: "counts and shares" });
    }
    let k = |i: &u64| *i as f64;
    let all: f64 = counts.iter().map(k).sum();
    let a: f64 = prior.iter().sum();
    let terms = counts.iter().zip(prior).zip(theta0).map(|((count, &alpha), &theta)| {
        ln_gamma(alpha + k(count)) - ln_gamma(alpha) - k(count) * theta.ln()
    });
    Ok(terms.sum::<f64>() + ln_gamma(a) - ln_gamma(a + all))
}

fn check(prior: &[f64], theta0: &[f64]) -> Result<(), JudgeError> {
    if theta0.len() < 2 {
        return Err(JudgeError::TooFew { what: "shares", got: theta0.len() as u64, need: 2 });
    }
    if prior.len() != theta0.len() {
        return Err(JudgeError::Mismatch { what: "prior and shares" });
    }
    for &alpha in prior {
        positive("prior", alpha)?;
    }
    for &theta in theta0 {
        fraction("share", theta)?;
    }
    let sum: f64 = theta0.iter().sum();
    if (sum - 1.0).abs() > 1e-6 {
        return Err(JudgeError::OutOfRange { what: "shares", got: sum, rule: "summing to 1" });
    }
    Ok(())
}

/// The sample-ratio guard of one weight setting.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SampleRatio {
    shares: Vec<f64>,
    prior: Vec<f64>,
    counts: Vec<u64>,
    max_log_e: f64,
}

impl SampleRatio {
    /// A guard for arms with the given configured shares, e.g. `[0.95, 0.05]`.
    ///
    /// `concentration` c sets the prior to c times the shares: 100 looks for small deviations, 20 for large.
    ///
    /// # Errors
    /// As [`dirichlet_multinomial_log_e`].
    pub fn new(shares: &[f64], concentration: f64) -> Result<Self, JudgeError> {
        positive("concentration", concentration)?;
        let prior: Vec<f64> = shares.iter().map(|s| s * concentration).collect();
        check(&prior, shares)?;
        let counts = vec![0; shares.len()];
        Ok(Self { shares: shares.to_vec(), prior, counts, max_log_e: 0.0 })
    }

    /// Adds one interval's assigned counts, in the order of the shares.
    ///
    /// # Errors
    /// A different number of arms; the state is then unchanged.
    pub fn update(&mut self, counts: &[u64]) -> Result<(), JudgeError> {
        if counts.len() != self.counts.len() {
            return Err(JudgeError::Mismatch { what: "counts and shares" });
        }
        for (mine, more) in self.counts.iter_mut().zip(counts) {
            *mine = mine.saturating_add(*more);
        }
        self.max_log_e = self.max_log_e.max(self.log_e());
        Ok(())
    }

    /// The configured shares.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// Counts so far.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }
}

impl EProcess for SampleRatio {
    type Observation = Vec<u64>;
    type Mark = Vec<u64>;

    fn observe(&mut self, observation: &Vec<u64>) -> Result<(), JudgeError> {
        self.update(observation)
    }

    fn log_e(&self) -> f64 {
        // The shares were checked on construction, so the Err arm (no evidence) cannot be reached.
        dirichlet_multinomial_log_e(&self.counts, &self.prior, &self.shares).unwrap_or(0.0)
    }

    fn max_log_e(&self) -> f64 {
        self.max_log_e
    }

    fn mark(&self) -> Vec<u64> {
        self.counts.clone()
    }

    fn log_e_since(&self, mark: &Vec<u64>) -> f64 {
        let since: Vec<u64> =
            self.counts.iter().zip(mark).map(|(now, then)| now.saturating_sub(*then)).collect();
        dirichlet_multinomial_log_e(&since, &self.prior, &self.shares).unwrap_or(0.0)
    }
}
