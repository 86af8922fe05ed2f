//! The Mann-Whitney U test: does one sample tend to larger values?
//!
//! Mann & Whitney, "On a test of whether one of two random variables is stochastically larger than the other",
//! Annals of Mathematical Statistics 18, 1947.

use super::Alternative;
use super::sample::{merged, sorted};
use crate::JudgeError;
use crate::anytime::Bins;
use crate::error::sample;

/// How the p-value is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The permutation law of U without ties. With ties U is rounded down, which is conservative.
    Exact,
    /// Normal approximation with tie correction.
    Asymptotic {
        /// Move U by 1/2 towards its mean.
        continuity: bool,
    },
    /// Exact if there are no ties and one sample has at most 8 values, else asymptotic with continuity.
    Auto,
}

/// Result of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MannWhitney {
    /// U of the first sample: number of pairs with x > y plus half the number of ties.
    pub u1: f64,
    /// p-value.
    pub p: f64,
    /// Common-language effect size u1/(n m): P(x > y) + P(x = y)/2.
    pub effect: f64,
    /// Whether the exact law was used.
    pub exact: bool,
}

/// Largest n times m for which the exact law is computed.
const EXACT_PAIRS: f64 = 40_000.0;

/// Mann-Whitney U of `x` against `y`.
///
/// Asymptotic: mean nm/2, variance nm/12 ((N+1) - sum(t^3 - t)/(N(N-1))) over groups of t tied values.
///
/// # Errors
/// An empty sample, a value not finite, all values tied (asymptotic: [`JudgeError::Constant`]), or more than
/// 40 000 pairs with `Method::Exact`.
pub fn mann_whitney_u(
    x: &[f64],
    y: &[f64],
    alternative: Alternative,
    method: Method,
) -> Result<MannWhitney, JudgeError> {
    let x = sorted(sample("x", x)?);
    let y = sorted(sample("y", y)?);
    let (twice_u, ties) = twice_u_and_ties(&x, &y);
    let pairs = x.len() as f64 * y.len() as f64;
    let exact = match method {
        Method::Exact => true,
        Method::Asymptotic { .. } => false,
        Method::Auto => ties == 0.0 && x.len().min(y.len()) <= 8 && pairs <= EXACT_PAIRS,
    };
    let u1 = twice_u / 2.0;
    let p = if exact {
        if pairs > EXACT_PAIRS {
            return Err(JudgeError::TooLarge { what: "n x m", got: pairs, limit: EXACT_PAIRS });
        }
        exact_p(u1, x.len(), y.len(), alternative)
    } else {
        let continuity = !matches!(method, Method::Asymptotic { continuity: false });
        asymptotic_p(u1, x.len() as f64, y.len() as f64, ties, alternative, continuity)?
    };
    Ok(MannWhitney { u1, p, effect: u1 / pairs, exact })
}

/// The same test on merged histograms (values in one bin are tied), normal approximation with continuity.
///
/// # Errors
/// An empty histogram, or all counts in one bin.
pub fn mann_whitney_bins(
    canary: &Bins,
    stable: &Bins,
    alternative: Alternative,
) -> Result<MannWhitney, JudgeError> {
    let (n, m, edges) = merged(canary, stable)?;
    let (mut u1, mut ties, mut below) = (0.0, 0.0, 0.0);
    for edge in edges {
        let of = |bins: &Bins| bins.get(&edge).map_or(0.0, |c| *c as f64);
        let (a, b) = (of(canary), of(stable));
        u1 += a * (below + 0.5 * b);
        below += b;
        let t = a + b;
        ties += t * t * t - t;
    }
    let p = asymptotic_p(u1, n, m, ties, alternative, true)?;
    Ok(MannWhitney { u1, p, effect: u1 / (n * m), exact: false })
}

/// Twice U of x, and the sum of t^3 - t over tied groups, from sorted samples.
fn twice_u_and_ties(x: &[f64], y: &[f64]) -> (f64, f64) {
    let (mut i, mut j, mut twice_u, mut ties) = (0, 0, 0.0, 0.0);
    while let Some(value) = [x.get(i), y.get(j)].into_iter().flatten().copied().reduce(f64::min) {
        let run = |list: &[f64], from: usize| list.iter().skip(from).take_while(|v| **v == value).count();
        let (a, b) = (run(x, i), run(y, j));
        twice_u += a as f64 * (2 * j + b) as f64;
        let t = (a + b) as f64;
        ties += t * t * t - t;
        i += a;
        j += b;
    }
    (twice_u, ties)
}

fn asymptotic_p(
    u1: f64,
    n: f64,
    m: f64,
    ties: f64,
    alternative: Alternative,
    continuity: bool,
) -> Result<f64, JudgeError> {
    let all = n + m;
    let variance = n * m / 12.0 * ((all + 1.0) - ties / (all * (all - 1.0)));
    if variance.is_nan() || variance <= 0.0 {
        return Err(JudgeError::Constant { what: "x and y together" });
    }
    let u = match alternative {
        Alternative::TwoSided => u1.max(n * m - u1),
        Alternative::Greater => u1,
        Alternative::Less => n * m - u1,
    };
    let shift = if continuity { 0.5 } else { 0.0 };
    let z = (u - n * m / 2.0 - shift) / variance.sqrt();
    let p = Alternative::Greater.normal_p(z);
    Ok(if alternative == Alternative::TwoSided { (2.0 * p).min(1.0) } else { p })
}

fn exact_p(u1: f64, n: usize, m: usize, alternative: Alternative) -> f64 {
    let law = u_law(n, m);
    let pairs = (n * m) as f64;
    let reach = |u: f64| law.iter().skip(u.floor() as usize).sum::<f64>().min(1.0);
    match alternative {
        Alternative::Greater => reach(u1),
        Alternative::Less => reach(pairs - u1),
        Alternative::TwoSided => (2.0 * reach(u1.max(pairs - u1))).min(1.0),
    }
}

/// P(U = u) for u = 0 ... nm without ties, by
/// P(n,m,u) = n/(n+m) P(n-1,m,u-m) + m/(n+m) P(n,m-1,u): the largest of all is an x or a y.
pub(crate) fn u_law(n: usize, m: usize) -> Vec<f64> {
    // Row over 0..=m for the current n; U <= n*j in column j.
    let mut row: Vec<Vec<f64>> = vec![vec![1.0]; m + 1];
    for i in 1..=n {
        let mut next: Vec<Vec<f64>> = Vec::with_capacity(m + 1);
        next.push(vec![1.0]);
        for (j, above) in row.iter().enumerate().skip(1) {
            let (a, b) = (i as f64 / (i + j) as f64, j as f64 / (i + j) as f64);
            let mut law = vec![0.0; i * j + 1];
            for (slot, p) in law.iter_mut().skip(j).zip(above) {
                *slot += a * p;
            }
            for (slot, p) in law.iter_mut().zip(next.last().map_or(&[][..], Vec::as_slice)) {
                *slot += b * p;
            }
            next.push(law);
        }
        row = next;
    }
    row.pop().unwrap_or_default()
}
