//! B12: many gates, one rollout.
//!
//! A weighted average of e-values is an e-value whatever their dependence (Vovk & Wang, "E-values:
//! calibration, combination and applications", Annals of Statistics 2021). e-BH controls the false discovery
//! rate under any dependence (Wang & Ramdas, "False discovery rate control with e-values", JRSS-B 2022).

use crate::JudgeError;
use crate::error::{fraction, not_negative};
use crate::special::log_sum_exp;

/// ln of the weighted average of e-values given as (weight, ln e). Weights are scaled to sum to 1.
///
/// # Errors
/// No entry, a negative weight, all weights 0, or an ln e that is NaN or +infinity.
pub fn average(weighted: &[(f64, f64)]) -> Result<f64, JudgeError> {
    if weighted.is_empty() {
        return Err(JudgeError::Empty { what: "e-values" });
    }
    for (index, &(weight, log_e)) in weighted.iter().enumerate() {
        not_negative("weight", weight)?;
        if log_e.is_nan() || log_e == f64::INFINITY {
            return Err(JudgeError::NotFinite { what: "log e-value", index });
        }
    }
    let sum: f64 = weighted.iter().map(|(weight, _)| weight).sum();
    crate::error::positive("sum of weights", sum)?;
    let used = weighted.iter().filter(|(weight, _)| *weight > 0.0);
    Ok(log_sum_exp(used.map(|(weight, log_e)| (weight / sum).ln() + log_e)))
}

/// e-BH: indices (ascending) of the e-values rejected at false discovery rate `alpha`:
/// the k* largest, k* = max{k : k e_(k) / K >= 1/alpha}. Infinite e-values are allowed.
///
/// # Errors
/// `alpha` outside (0, 1), or an e-value that is NaN or negative.
pub fn e_bh(e: &[f64], alpha: f64) -> Result<Vec<usize>, JudgeError> {
    fraction("alpha", alpha)?;
    if let Some(index) = e.iter().position(|v| v.is_nan()) {
        return Err(JudgeError::NotFinite { what: "e", index });
    }
    if let Some(&got) = e.iter().find(|v| **v < 0.0) {
        return Err(JudgeError::OutOfRange { what: "e", got, rule: "0 or more" });
    }
    let mut order: Vec<(usize, f64)> = e.iter().copied().enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let all = e.len() as f64;
    let reached = |rank: usize, value: f64| (rank + 1) as f64 * value / all >= 1.0 / alpha;
    let kept = order.iter().enumerate().rev().find(|(rank, (_, v))| reached(*rank, *v));
    let count = kept.map_or(0, |(rank, _)| rank + 1);
    let mut rejected: Vec<usize> = order.iter().take(count).map(|(index, _)| *index).collect();
    rejected.sort_unstable();
    Ok(rejected)
}

/// The error budget of one rollout, divided over its gates and guardrails by weight.
///
/// A gate fires at e >= 1 / (its share); the sum of the shares is `alpha`, so the chance that a healthy canary
/// is ever rolled back by any of them is at most `alpha` (weighted Bonferroni over e-processes). Absolute
/// guardrails that are limits, not comparisons, may be left out of the split and are then not corrected.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AlphaSplit {
    alpha: f64,
    shares: Vec<f64>,
}

impl AlphaSplit {
    /// Splits `alpha` (e.g. 0.05) in proportion to `weights`; critical gates deserve larger weights.
    ///
    /// # Errors
    /// `alpha` outside (0, 1), no weight, a negative weight, or all weights 0.
    pub fn new(alpha: f64, weights: &[f64]) -> Result<Self, JudgeError> {
        fraction("alpha", alpha)?;
        if weights.is_empty() {
            return Err(JudgeError::Empty { what: "weights" });
        }
        for &weight in weights {
            not_negative("weight", weight)?;
        }
        let sum: f64 = weights.iter().sum();
        crate::error::positive("sum of weights", sum)?;
        Ok(Self { alpha, shares: weights.iter().map(|w| w / sum).collect() })
    }

    /// Splits `alpha` between guardrails and gates: guardrails together get `guardrail_share` of it, evenly,
    /// and gates the rest, evenly. Order of the result: guardrails first. An empty side leaves all to the other.
    ///
    /// # Errors
    /// `guardrail_share` outside (0, 1), or neither guardrails nor gates.
    pub fn guardrails_and_gates(
        alpha: f64,
        guardrail_share: f64,
        guardrails: usize,
        gates: usize,
    ) -> Result<Self, JudgeError> {
        fraction("guardrail_share", guardrail_share)?;
        let mut weights = vec![guardrail_share / guardrails.max(1) as f64; guardrails];
        weights.extend(vec![(1.0 - guardrail_share) / gates.max(1) as f64; gates]);
        Self::new(alpha, &weights)
    }

    /// The alpha of gate `index`; `None` beyond the last.
    pub fn alpha_of(&self, index: usize) -> Option<f64> {
        self.shares.get(index).map(|share| share * self.alpha)
    }

    /// Gates that fire: ln e at or above ln(1/share). `log_e` in the order of the weights.
    ///
    /// # Errors
    /// A different number of values than weights, or a NaN.
    pub fn fired(&self, log_e: &[f64]) -> Result<Vec<usize>, JudgeError> {
        self.check(log_e)?;
        let reached = |(share, value): (&f64, &f64)| *share > 0.0 && *value >= -(share * self.alpha).ln();
        Ok((0..)
            .zip(self.shares.iter().zip(log_e))
            .filter_map(|(index, pair)| reached(pair).then_some(index))
            .collect())
    }

    /// Whether the rollout as a whole fires: the weighted average of all e-values reaches 1/alpha. At least as
    /// powerful as waiting for one gate alone, and valid under any dependence.
    ///
    /// # Errors
    /// As [`AlphaSplit::fired`].
    pub fn fires(&self, log_e: &[f64]) -> Result<bool, JudgeError> {
        self.check(log_e)?;
        let weighted: Vec<(f64, f64)> = self.shares.iter().copied().zip(log_e.iter().copied()).collect();
        Ok(average(&weighted)? >= -self.alpha.ln())
    }

    fn check(&self, log_e: &[f64]) -> Result<(), JudgeError> {
        if log_e.len() != self.shares.len() {
            return Err(JudgeError::Mismatch { what: "e-values and weights" });
        }
        match log_e.iter().position(|v| v.is_nan()) {
            Some(index) => Err(JudgeError::NotFinite { what: "log e-value", index }),
            None => Ok(()),
        }
    }
}
