//! Non-inferiority: is the canary proven not worse than stable by more than a margin?
//!
//! H0: mu_canary <= mu_stable - delta (higher is better) or >= mu_stable + delta (lower is better); the claim
//! passes when H0 is rejected. The stable sample is shifted by the margin and compared one-sided.
//! Wellek, "Testing Statistical Hypotheses of Equivalence and Noninferiority", 2010.

use super::rates::{events, rates_p};
use super::{
    Alternative, Method, bootstrap_mean_diff_ci, cohens_d, is_constant, mann_whitney_u, moments, welch_t,
};
use crate::JudgeError;
use crate::anytime::Better;
use crate::error::{fraction, not_negative, sample_of};

/// How much worse is still acceptable.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Margin {
    /// In the unit of the metric.
    Absolute(f64),
    /// As a fraction of |mean of the stable sample|.
    Relative(f64),
}

/// The test that compares.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Test {
    /// Mann-Whitney U, exact for small samples without ties.
    MannWhitney,
    /// Welch's t.
    WelchT,
    /// The exact test of two rates, of values that are 0 or 1: [`super::rates_p`].
    Rates,
    /// Percentile bootstrap of the difference of means: passes when the interval of level 1 - 2 alpha lies
    /// on the good side of the margin; gives no p-value.
    Bootstrap {
        /// Number of resamples.
        resamples: u32,
        /// Seed, part of the report.
        seed: u64,
    },
}

/// Result of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NonInferiority {
    /// Whether non-inferiority is proven at level alpha.
    pub passed: bool,
    /// One-sided p-value; `None` for the bootstrap, which decides by its interval.
    pub p: Option<f64>,
    /// mean(canary) - mean(stable).
    pub difference: f64,
    /// The margin in the unit of the metric, at least 0.
    pub margin: f64,
    /// Cohen's d; `None` when neither sample has spread.
    pub effect: Option<f64>,
}

/// Tests non-inferiority of `canary` against `stable` at level `alpha`.
///
/// # Errors
/// Fewer than two values in a sample, a value not finite, a negative margin, `alpha` outside (0, 1), no spread in
/// both samples (but for rates), or a rate's value that is neither 0 nor 1.
pub fn non_inferiority(
    canary: &[f64],
    stable: &[f64],
    better: Better,
    margin: Margin,
    alpha: f64,
    test: Test,
) -> Result<NonInferiority, JudgeError> {
    let (canary, stable) = (sample_of("canary", canary, 2)?, sample_of("stable", stable, 2)?);
    fraction("alpha", alpha)?;
    let (mean1, mean0) = (moments(canary)?.mean, moments(stable)?.mean);
    let asked = margin;
    let margin = match asked {
        Margin::Absolute(value) => not_negative("margin", value)?,
        Margin::Relative(share) => (mean0 * not_negative("margin", share)?).abs(),
    };
    let (alternative, shift) = match better {
        Better::Higher => (Alternative::Greater, -margin),
        Better::Lower => (Alternative::Less, margin),
    };
    let shifted: Vec<f64> = stable.iter().map(|v| v + shift).collect();
    let (passed, p) = match test {
        Test::MannWhitney => {
            let p = mann_whitney_u(canary, &shifted, alternative, Method::Auto)?.p;
            (p < alpha, Some(p))
        }
        Test::WelchT => {
            let p = welch_t(canary, &shifted, alternative)?.p;
            (p < alpha, Some(p))
        }
        Test::Rates => {
            let p = rates_p(events("canary", canary)?, events("stable", stable)?, better, asked)?;
            (p < alpha, Some(p))
        }
        Test::Bootstrap { resamples, seed } => {
            let level = 1.0 - 2.0 * fraction("alpha", alpha)?.min(0.499);
            let (lo, hi) = bootstrap_mean_diff_ci(canary, &shifted, level, resamples, seed)?;
            (if better == Better::Higher { lo > 0.0 } else { hi < 0.0 }, None)
        }
    };
    let spread = !(is_constant(canary) && is_constant(stable));
    let effect = cohens_d(canary, stable).ok().filter(|_| spread);
    Ok(NonInferiority { passed, p, difference: mean1 - mean0, margin, effect })
}
