//! Do both arms hold the same people? Shares of segments in each arm, and of the arms in the traffic.
//!
//! A comparison of arms assumes that only chance tells their users apart. Where an arm holds more of one segment than
//! the other, the difference between the arms may be the segments' (Simpson's paradox), and where the canary holds more
//! or less of the traffic than it was sent, requests were lost on the way and the rest is a selection. Both are reasons
//! not to judge, rather than to roll back. For one look; [`crate::anytime::SampleRatio`] watches all the time.

use crate::JudgeError;
use crate::classical::Alternative;
use crate::error::fraction;
use crate::multiplicity::{Adjust, adjust_p};
use crate::special::chi_square_sf;

/// Below this expected count a segment is added to the other small ones (Cochran, 1954).
const EXPECTED: f64 = 5.0;

/// How evenly segments lie in both arms.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Balance {
    /// Pearson's statistic of arm by segment.
    pub chi_square: f64,
    /// Its degrees of freedom; 0 where fewer than two segments are large enough to compare.
    pub df: u64,
    /// p-value; 1 without degrees of freedom.
    pub p: f64,
    /// For each segment, the p-value that its share differs between the arms, Holm-adjusted over the segments; `None`
    /// where it is too small for one.
    pub p_segments: Vec<Option<f64>>,
}

/// Tests whether segments lie evenly in both arms; `counts` holds canary and stable of each segment.
///
/// Pearson's chi-square test of independence; each segment by its adjusted residual (Haberman, 1973).
///
/// # Errors
/// No segment, or an arm without any count.
pub fn balance(counts: &[[u64; 2]]) -> Result<Balance, JudgeError> {
    let sum = |arm: usize| counts.iter().filter_map(|c| c.get(arm)).map(|n| *n as f64).sum::<f64>();
    let (n1, n0) = (sum(0), sum(1));
    if n1 == 0.0 || n0 == 0.0 {
        return Err(JudgeError::Empty { what: "arm" });
    }
    let all = n1 + n0;
    let of = |c: &[u64; 2]| (c[0] as f64, c[0] as f64 + c[1] as f64);
    let expected = |n: f64| n * n1.min(n0) / all;
    let mut rows: Vec<(f64, f64)> = counts.iter().map(of).filter(|(_, n)| expected(*n) >= EXPECTED).collect();
    let rest: (f64, f64) = counts
        .iter()
        .map(of)
        .filter(|(_, n)| expected(*n) < EXPECTED)
        .fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    if expected(rest.1) >= EXPECTED {
        rows.push(rest);
    }
    let (share, other) = (n1 / all, n0 / all);
    let chi_square: f64 = rows
        .iter()
        .map(|(k, n)| {
            let gap = k - n * share;
            gap * gap / (n * share * other)
        })
        .sum();
    let df = rows.len().saturating_sub(1) as u64;
    let (chi_square, p) =
        if df == 0 { (0.0, 1.0) } else { (chi_square, chi_square_sf(chi_square, df as f64)) };
    Ok(Balance { chi_square, df, p, p_segments: segments(counts, share, all)? })
}

fn segments(counts: &[[u64; 2]], share: f64, all: f64) -> Result<Vec<Option<f64>>, JudgeError> {
    let p: Vec<Option<f64>> = counts
        .iter()
        .map(|c| {
            let (k, n) = (c[0] as f64, c[0] as f64 + c[1] as f64);
            let expected = n * share.min(1.0 - share);
            let variance = n * share * (1.0 - share) * (1.0 - n / all);
            (expected >= EXPECTED && variance > 0.0)
                .then(|| Alternative::TwoSided.normal_p((k - n * share) / variance.sqrt()))
        })
        .collect();
    holm(p)
}

/// The p-value that the canary's share of the traffic is not `share`, for each segment, Holm-adjusted; `None` where it
/// is too small for one (normal approximation, expected count of either arm at least 5).
///
/// # Errors
/// `share` outside (0, 1).
pub fn share_mismatch(counts: &[[u64; 2]], share: f64) -> Result<Vec<Option<f64>>, JudgeError> {
    fraction("share", share)?;
    let p = counts
        .iter()
        .map(|c| {
            let (k, n) = (c[0] as f64, c[0] as f64 + c[1] as f64);
            (n * share.min(1.0 - share) >= EXPECTED)
                .then(|| Alternative::TwoSided.normal_p((k - n * share) / (n * share * (1.0 - share)).sqrt()))
        })
        .collect();
    holm(p)
}

fn holm(p: Vec<Option<f64>>) -> Result<Vec<Option<f64>>, JudgeError> {
    let known: Vec<f64> = p.iter().copied().flatten().collect();
    if known.is_empty() {
        return Ok(p);
    }
    let mut adjusted = adjust_p(&known, Adjust::Holm)?.into_iter();
    Ok(p.into_iter().map(|p| p.and_then(|_| adjusted.next())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(counts: &[[u64; 2]], chi_square: f64, df: u64, p: f64) {
        let got = balance(counts).unwrap();
        assert!((got.chi_square - chi_square).abs() < 1e-6 * chi_square.max(1.0), "{got:?}");
        assert!(got.df == df && (got.p / p - 1.0).abs() < 1e-6, "{got:?}");
    }

    #[test]
    fn known_tables() {
        // By hand; p = exp(-x/2) at two degrees of freedom, erfc(sqrt(x/2)) at one.
        check(&[[10, 20], [20, 20], [30, 20]], 5.333_333_333, 2, 0.069_483_451_2);
        check(&[[50, 950], [100, 900]], 18.018_018_018, 1, 2.188_239_933_6e-5);
        // Equal shares, at any size of the arms.
        check(&[[100, 1_900], [50, 950]], 0.0, 1, 1.0);
        // Small segments are taken together; one alone has nothing to be compared with.
        check(&[[1, 3], [100, 100]], 0.0, 0, 1.0);
        let pooled = balance(&[[100, 100], [3, 3], [3, 3], [0, 2]]).unwrap();
        assert!(pooled.df == 1 && pooled.p_segments[1].is_none(), "{pooled:?}");
    }

    #[test]
    fn the_odd_segment_is_named() {
        let got = balance(&[[500, 9_500], [500, 9_500], [300, 2_000]]).unwrap();
        assert!(got.p < 1e-6, "{got:?}");
        assert!(got.p_segments[2].unwrap() < 1e-6, "{got:?}");
        assert!(balance(&[[0, 5]]).is_err() && balance(&[]).is_err());
    }

    #[test]
    fn a_share_is_kept_or_not() {
        let p = share_mismatch(&[[500, 9_500], [400, 9_600], [0, 30]], 0.05).unwrap();
        assert!(p[0].unwrap() > 0.9 && p[1].unwrap() < 1e-4 && p[2].is_none(), "{p:?}");
        assert!(share_mismatch(&[[1, 1]], 1.0).is_err());
    }
}
