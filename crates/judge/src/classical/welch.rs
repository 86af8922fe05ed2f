//! Welch's t-test for two means with unequal variances.
//!
//! Welch, "The generalization of 'Student's' problem when several different population variances are
//! involved", Biometrika 34, 1947.

use super::Alternative;
use super::sample::{Moments, moments};
use crate::JudgeError;
use crate::error::sample_of;
use crate::special::{student_cdf, student_quantile};

/// Result of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WelchT {
    /// The statistic.
    pub t: f64,
    /// Welch-Satterthwaite degrees of freedom.
    pub df: f64,
    /// p-value.
    pub p: f64,
    /// mean(x) - mean(y), in the unit of the samples.
    pub difference: f64,
    /// Two-sided 95 % interval of the difference, whatever the alternative.
    pub ci95: (f64, f64),
}

/// Welch's t of `x` against `y`.
///
/// # Errors
/// Fewer than two values in a sample, a value not finite, or both samples constant.
pub fn welch_t(x: &[f64], y: &[f64], alternative: Alternative) -> Result<WelchT, JudgeError> {
    let x = moments(sample_of("x", x, 2)?)?;
    let y = moments(sample_of("y", y, 2)?)?;
    welch_t_from(&x, &y, alternative)
}

/// The same from moments, e.g. of merged sums.
///
/// # Errors
/// Fewer than two observations in an arm, or no variance in either.
pub fn welch_t_from(x: &Moments, y: &Moments, alternative: Alternative) -> Result<WelchT, JudgeError> {
    for (what, m) in [("x", x), ("y", y)] {
        if m.n < 2 {
            return Err(JudgeError::TooFew { what, got: m.n, need: 2 });
        }
    }
    let (a, b) = (x.variance / x.n as f64, y.variance / y.n as f64);
    let error = (a + b).sqrt();
    if error.is_nan() || error <= 0.0 {
        return Err(JudgeError::Constant { what: "x and y, each" });
    }
    let difference = x.mean - y.mean;
    let t = difference / error;
    let df = (a + b).powi(2) / (a * a / (x.n as f64 - 1.0) + b * b / (y.n as f64 - 1.0));
    let p = match alternative {
        Alternative::TwoSided => (2.0 * student_cdf(-t.abs(), df)).min(1.0),
        Alternative::Less => student_cdf(t, df),
        Alternative::Greater => student_cdf(-t, df),
    };
    let radius = student_quantile(0.975, df) * error;
    Ok(WelchT { t, df, p, difference, ci95: (difference - radius, difference + radius) })
}
