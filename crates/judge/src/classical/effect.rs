//! Effect sizes: how large a difference is, whatever its p-value.

use super::sample::{Moments, moments};
use super::{Alternative, Method, mann_whitney_u};
use crate::JudgeError;

/// Cohen's d: difference of means over the pooled standard deviation (Cohen, "Statistical Power Analysis for
/// the Behavioral Sciences", 1988). Without unit; positive when x is larger.
///
/// # Errors
/// Fewer than three values together or none in an arm, a value not finite, or no spread at all.
pub fn cohens_d(x: &[f64], y: &[f64]) -> Result<f64, JudgeError> {
    d_from(&moments(x)?, &moments(y)?)
}

fn d_from(x: &Moments, y: &Moments) -> Result<f64, JudgeError> {
    let freedom = (x.n + y.n) as f64 - 2.0;
    if freedom < 1.0 {
        return Err(JudgeError::TooFew { what: "x and y together", got: x.n + y.n, need: 3 });
    }
    let pooled = ((x.n as f64 - 1.0) * x.variance + (y.n as f64 - 1.0) * y.variance) / freedom;
    if pooled <= 0.0 {
        return Err(JudgeError::Constant { what: "x and y, each" });
    }
    Ok((x.mean - y.mean) / pooled.sqrt())
}

/// Hedges' g: Cohen's d times 1 - 3/(4 (n+m) - 9), nearly unbiased in small samples (Hedges, 1981).
///
/// # Errors
/// As [`cohens_d`].
pub fn hedges_g(x: &[f64], y: &[f64]) -> Result<f64, JudgeError> {
    let all = (x.len() + y.len()) as f64;
    Ok(cohens_d(x, y)? * (1.0 - 3.0 / (4.0 * all - 9.0)))
}

/// Common-language effect size P(x > y) + P(x = y)/2 (McGraw & Wong, 1992), from 0 to 1; 0.5 is no effect.
///
/// # Errors
/// An empty sample or a value not finite.
pub fn common_language(x: &[f64], y: &[f64]) -> Result<f64, JudgeError> {
    let asymptotic = Method::Asymptotic { continuity: true };
    match mann_whitney_u(x, y, Alternative::TwoSided, asymptotic) {
        Ok(result) => Ok(result.effect),
        Err(JudgeError::Constant { .. }) => Ok(0.5),
        Err(other) => Err(other),
    }
}
