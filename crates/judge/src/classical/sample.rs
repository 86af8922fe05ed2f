//! Moments and quantiles of a sample.

use crate::JudgeError;
use crate::anytime::Bins;
use crate::error::{finite, not_negative, sample};

/// Number, mean and unbiased variance.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Moments {
    /// Observations.
    pub n: u64,
    /// Mean, in the unit of the sample.
    pub mean: f64,
    /// Variance with divisor n - 1; 0 for a single observation.
    pub variance: f64,
}

impl Moments {
    /// Moments from merged sums: number, sum, sum of squares.
    ///
    /// # Errors
    /// No observation, sums not finite, or a negative sum of squares.
    pub fn from_sums(n: u64, sum: f64, squares: f64) -> Result<Self, JudgeError> {
        if n == 0 {
            return Err(JudgeError::Empty { what: "sums" });
        }
        finite("sum", sum)?;
        not_negative("sum of squares", squares)?;
        let mean = sum / n as f64;
        let spread = (squares - sum * mean).max(0.0);
        let variance = if n < 2 { 0.0 } else { spread / (n as f64 - 1.0) };
        Ok(Self { n, mean, variance: finite("variance", variance)? })
    }
}

/// How many observations either histogram holds, and the bins that either has, ascending.
///
/// # Errors
/// An empty histogram.
pub(super) fn merged(canary: &Bins, stable: &Bins) -> Result<(f64, f64, Vec<i32>), JudgeError> {
    let total = |bins: &Bins| bins.values().map(|c| *c as f64).sum::<f64>();
    let (n, m) = (total(canary), total(stable));
    if n == 0.0 || m == 0.0 {
        return Err(JudgeError::Empty { what: "histogram" });
    }
    let mut bins: Vec<i32> = canary.keys().chain(stable.keys()).copied().collect();
    bins.sort_unstable();
    bins.dedup();
    Ok((n, m, bins))
}

/// Moments of raw values, by two passes.
///
/// # Errors
/// An empty sample, a value not finite, or values so large that the variance overflows.
pub fn moments(values: &[f64]) -> Result<Moments, JudgeError> {
    let values = sample("sample", values)?;
    let n = values.len() as f64;
    let mean = finite("mean", values.iter().map(|v| v / n).sum())?;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let variance = if values.len() < 2 { 0.0 } else { squares / (n - 1.0) };
    Ok(Moments { n: values.len() as u64, mean, variance: finite("variance", variance)? })
}

/// Are all values the same, but for what rounding leaves (1e-12 of the largest)?
pub fn is_constant(values: &[f64]) -> bool {
    let (lo, hi) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
    values.is_empty() || hi - lo <= 1e-12 * lo.abs().max(hi.abs())
}

/// The quantile of order `p` in [0, 1] with linear interpolation between order statistics
/// (type 7 of Hyndman & Fan, "Sample quantiles in statistical packages", 1996).
///
/// # Errors
/// An empty sample, a value not finite, or `p` outside [0, 1].
pub fn quantile(values: &[f64], p: f64) -> Result<f64, JudgeError> {
    let mut sorted = sample("sample", values)?.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile_sorted(&sorted, p)
}

pub(crate) fn quantile_sorted(sorted: &[f64], p: f64) -> Result<f64, JudgeError> {
    if !(0.0..=1.0).contains(&p) {
        return Err(JudgeError::OutOfRange { what: "p", got: p, rule: "from 0 to 1" });
    }
    let place = p * (sorted.len().max(1) - 1) as f64;
    let below = place.floor() as usize;
    match (sorted.get(below), sorted.get(below + 1)) {
        (Some(&a), Some(&b)) => Ok(a + (b - a) * (place - below as f64)),
        (Some(&a), None) => Ok(a),
        _ => Err(JudgeError::Empty { what: "sample" }),
    }
}

/// A sorted copy.
pub(crate) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut out = values.to_vec();
    out.sort_by(f64::total_cmp);
    out
}
