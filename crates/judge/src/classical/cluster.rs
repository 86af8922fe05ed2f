//! Means of clustered observations: requests of the same user, or of the same random group of users.
//!
//! Users are hashed into groups; a group's total is one observation. The variance between groups is right
//! whatever the correlation within users (random-group estimator: Wolter, "Introduction to Variance
//! Estimation", 1985; cluster-robust variance: Liang & Zeger, Biometrika 1986).

use super::Alternative;
use crate::JudgeError;
use crate::error::{finite, not_negative};
use crate::special::{student_cdf, student_quantile};

/// Sums of one group in one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GroupSums {
    /// Observations.
    pub n: u64,
    /// Sum.
    pub sum: f64,
    /// Sum of squares; needed for the design effect only.
    pub squares: f64,
}

/// Mean of one arm with its cluster-robust standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClusteredMean {
    /// Observations.
    pub n: u64,
    /// Groups with observations.
    pub groups: u64,
    /// Mean per observation.
    pub mean: f64,
    /// Cluster-robust standard error of the mean.
    pub standard_error: f64,
    /// Variance relative to independent observations; 1 when there is no spread within the sums given.
    pub design_effect: f64,
}

/// Ratio estimator over groups: mean = sum/n, variance = G/(G-1) sum (s_g - mean n_g)^2 / n^2.
///
/// # Errors
/// Fewer than two groups with observations, sums not finite, or negative squares.
pub fn clustered_mean(groups: &[GroupSums]) -> Result<ClusteredMean, JudgeError> {
    for group in groups {
        finite("group sum", group.sum)?;
        not_negative("group squares", group.squares)?;
    }
    let used: Vec<&GroupSums> = groups.iter().filter(|g| g.n > 0).collect();
    if used.len() < 2 {
        return Err(JudgeError::TooFew { what: "groups", got: used.len() as u64, need: 2 });
    }
    let count = used.len() as f64;
    let total = used.iter().map(|g| g.n).fold(0u64, u64::saturating_add);
    let n = total as f64;
    let mean = used.iter().map(|g| g.sum).sum::<f64>() / n;
    let between: f64 = used.iter().map(|g| (g.sum - mean * g.n as f64).powi(2)).sum();
    let variance = finite("variance", count / (count - 1.0) * between / (n * n))?;
    let squares: f64 = used.iter().map(|g| g.squares).sum();
    let plain = (squares / n - mean * mean).max(0.0) / n;
    let design_effect = if plain > 0.0 { variance / plain } else { 1.0 };
    let standard_error = variance.sqrt();
    Ok(ClusteredMean { n: total, groups: used.len() as u64, mean, standard_error, design_effect })
}

/// Difference of two clustered means.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClusteredDifference {
    /// mean(canary) - mean(stable).
    pub difference: f64,
    /// The statistic.
    pub t: f64,
    /// Welch-Satterthwaite degrees of freedom over groups.
    pub df: f64,
    /// p-value.
    pub p: f64,
    /// Two-sided 95 % interval of the difference.
    pub ci95: (f64, f64),
    /// The larger of the two arms' design effects.
    pub design_effect: f64,
}

/// Compares canary with stable, groups as independent observations.
///
/// # Errors
/// As [`clustered_mean`], or no variance between groups in either arm.
pub fn clustered_difference(
    canary: &[GroupSums],
    stable: &[GroupSums],
    alternative: Alternative,
) -> Result<ClusteredDifference, JudgeError> {
    let (x, y) = (clustered_mean(canary)?, clustered_mean(stable)?);
    let (a, b) = (x.standard_error.powi(2), y.standard_error.powi(2));
    let error = (a + b).sqrt();
    if error <= 0.0 {
        return Err(JudgeError::Constant { what: "group means" });
    }
    let difference = x.mean - y.mean;
    let t = difference / error;
    let df = (a + b).powi(2) / (a * a / (x.groups as f64 - 1.0) + b * b / (y.groups as f64 - 1.0));
    let p = match alternative {
        Alternative::TwoSided => (2.0 * student_cdf(-t.abs(), df)).min(1.0),
        Alternative::Less => student_cdf(t, df),
        Alternative::Greater => student_cdf(-t, df),
    };
    let radius = student_quantile(0.975, df) * error;
    let ci95 = (difference - radius, difference + radius);
    let design_effect = x.design_effect.max(y.design_effect);
    Ok(ClusteredDifference { difference, t, df, p, ci95, design_effect })
}
