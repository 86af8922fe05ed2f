//! Distances between two binned distributions, and between two vectors. For display; not tests.

use crate::JudgeError;
use crate::error::{fraction, not_negative, sample};

fn shares(what: &'static str, counts: &[f64]) -> Result<Vec<f64>, JudgeError> {
    for &count in sample(what, counts)? {
        not_negative(what, count)?;
    }
    let sum = crate::error::positive(what, counts.iter().sum())?;
    Ok(counts.iter().map(|c| c / sum).collect())
}

/// Population stability index: sum of (a - e) ln(a/e) over bins, shares floored at `eps` and not renormalised.
///
/// Rules of thumb (0.1 small, 0.2 large) are for display only: under equal distributions PSI is about
/// (1/n + 1/m) chi-square(bins - 1), see [`psi_null`].
///
/// # Errors
/// Lengths that differ, no bins, negative counts or none at all, `eps` outside (0, 1).
pub fn psi(expected: &[f64], actual: &[f64], eps: f64) -> Result<f64, JudgeError> {
    fraction("eps", eps)?;
    if expected.len() != actual.len() {
        return Err(JudgeError::Mismatch { what: "expected and actual" });
    }
    let (e, a) = (shares("expected", expected)?, shares("actual", actual)?);
    Ok(e.iter().zip(&a).map(|(e, a)| (e.max(eps), a.max(eps))).map(|(e, a)| (a - e) * (a / e).ln()).sum())
}

/// Mean of PSI when both samples, of sizes n and m, come from one distribution: (1/n + 1/m)(bins - 1).
///
/// # Errors
/// `n` or `m` 0.
pub fn psi_null(n: u64, m: u64, bins: usize) -> Result<f64, JudgeError> {
    if n == 0 || m == 0 {
        return Err(JudgeError::Empty { what: "sample" });
    }
    Ok((1.0 / n as f64 + 1.0 / m as f64) * bins.saturating_sub(1) as f64)
}

/// Jensen-Shannon divergence and its square root, the distance.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct JensenShannon {
    /// H(m) - (H(p) + H(q))/2, m the mean of both; from 0 to ln 2 / ln base.
    pub divergence: f64,
    /// Its square root, a metric.
    pub distance: f64,
}

/// Jensen-Shannon divergence of counts `p` and `q` in logarithms of `base` (2: bits).
/// Lin, "Divergence measures based on the Shannon entropy", 1991.
///
/// # Errors
/// Lengths that differ, no bins, negative counts or none at all, `base` not above 1.
pub fn js_divergence(p: &[f64], q: &[f64], base: f64) -> Result<JensenShannon, JudgeError> {
    if crate::error::finite("base", base)? <= 1.0 {
        return Err(JudgeError::OutOfRange { what: "base", got: base, rule: "above 1" });
    }
    if p.len() != q.len() {
        return Err(JudgeError::Mismatch { what: "p and q" });
    }
    let (p, q) = (shares("p", p)?, shares("q", q)?);
    let part = |a: f64, m: f64| if a > 0.0 { a * (a / m).ln() } else { 0.0 };
    let sum: f64 = p
        .iter()
        .zip(&q)
        .map(|(a, b)| (a, b, 0.5 * (a + b)))
        .map(|(a, b, m)| 0.5 * (part(*a, m) + part(*b, m)))
        .sum();
    let divergence = (sum / base.ln()).max(0.0);
    Ok(JensenShannon { divergence, distance: divergence.sqrt() })
}

/// Cosine of the angle between two vectors, from -1 to 1.
///
/// # Errors
/// Lengths that differ, empty vectors, a value not finite, or a vector of length 0.
pub fn cosine_similarity(a: &[f64], b: &[f64]) -> Result<f64, JudgeError> {
    if a.len() != b.len() {
        return Err(JudgeError::Mismatch { what: "a and b" });
    }
    // Scaled by the largest entry, so that squares neither overflow nor vanish.
    let scaled = |what: &'static str, v: &[f64]| -> Result<Vec<f64>, JudgeError> {
        let top = sample(what, v)?.iter().fold(0f64, |t, x| t.max(x.abs()));
        if top == 0.0 {
            return Err(JudgeError::Constant { what });
        }
        Ok(v.iter().map(|x| x / top).collect())
    };
    let (a, b) = (scaled("a", a)?, scaled("b", b)?);
    let dot: f64 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    Ok((dot / (norm(&a) * norm(&b))).clamp(-1.0, 1.0))
}
