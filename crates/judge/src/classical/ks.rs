//! The two-sample Kolmogorov-Smirnov test: do two samples come from one distribution?
//!
//! Exact law by lattice paths: Hodges, "The significance probability of the Smirnov two-sample test", Arkiv foer
//! Matematik 3, 1958. Ties are ignored by the exact law, which is then conservative.

use super::Alternative;
use super::kolmogorov::kolmogorov_sf;
use super::sample::{merged, sorted};
use crate::JudgeError;
use crate::anytime::Bins;
use crate::error::sample;

/// How the p-value is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KsMethod {
    /// Count lattice paths.
    Exact,
    /// Two-sided: the one-sample law at the effective size nm/(n+m), rounded half to even; one-sided: Hodges' expansion (5.3).
    Asymptotic,
}

/// Result of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ks {
    /// The statistic: the largest difference of the two distribution functions in the direction tested.
    pub d: f64,
    /// p-value.
    pub p: f64,
}

/// Largest n times m for which paths are counted.
const EXACT_PAIRS: f64 = 1e8;

/// Kolmogorov-Smirnov test of `x` against `y`.
///
/// `Greater`: the distribution function of x lies above y's somewhere (x tends to be SMALLER); `Less`: below.
///
/// # Errors
/// An empty sample, a value not finite, or more than 1e8 pairs with the exact method.
pub fn ks_2samp(x: &[f64], y: &[f64], alternative: Alternative, method: KsMethod) -> Result<Ks, JudgeError> {
    let x = sorted(sample("x", x)?);
    let y = sorted(sample("y", y)?);
    let (n, m) = (x.len(), y.len());
    let (mut i, mut j, mut above, mut below) = (0usize, 0usize, 0i128, 0i128);
    while let Some(value) = [x.get(i), y.get(j)].into_iter().flatten().copied().reduce(f64::min) {
        i += x.iter().skip(i).take_while(|v| **v == value).count();
        j += y.iter().skip(j).take_while(|v| **v == value).count();
        // n m (F_x - F_y), in whole numbers.
        let gap = i as i128 * m as i128 - j as i128 * n as i128;
        above = above.max(gap);
        below = below.max(-gap);
    }
    let reach = match alternative {
        Alternative::TwoSided => above.max(below),
        Alternative::Greater => above,
        Alternative::Less => below,
    };
    let pairs = n as f64 * m as f64;
    let d = reach as f64 / pairs;
    let p = match method {
        KsMethod::Exact if pairs > EXACT_PAIRS => {
            return Err(JudgeError::TooLarge { what: "n x m", got: pairs, limit: EXACT_PAIRS });
        }
        KsMethod::Exact => exact_p(n, m, reach, alternative),
        KsMethod::Asymptotic => asymptotic_p(n as f64, m as f64, d, alternative),
    };
    Ok(Ks { d, p })
}

/// The same test on merged histograms, asymptotic. Within a bin nothing can be seen, so it is conservative.
///
/// # Errors
/// An empty histogram.
pub fn ks_bins(canary: &Bins, stable: &Bins, alternative: Alternative) -> Result<Ks, JudgeError> {
    let (n, m, edges) = merged(canary, stable)?;
    let (mut a, mut b, mut above, mut below) = (0.0, 0.0, 0f64, 0f64);
    for edge in edges {
        a += canary.get(&edge).map_or(0.0, |c| *c as f64);
        b += stable.get(&edge).map_or(0.0, |c| *c as f64);
        above = above.max(a / n - b / m);
        below = below.max(b / m - a / n);
    }
    let d = match alternative {
        Alternative::TwoSided => above.max(below),
        Alternative::Greater => above,
        Alternative::Less => below,
    };
    Ok(Ks { d, p: asymptotic_p(n, m, d, alternative) })
}

/// P(a random path from (0,0) to (n,m) ever reaches i m - j n >= reach), by following the path's law and
/// absorbing what reaches the line; two-sided with the absolute value.
fn exact_p(n: usize, m: usize, reach: i128, alternative: Alternative) -> f64 {
    if reach <= 0 {
        return 1.0;
    }
    let outside = |i: usize, j: usize| {
        let gap = i as i128 * m as i128 - j as i128 * n as i128;
        match alternative {
            Alternative::TwoSided => gap.abs() >= reach,
            Alternative::Greater => gap >= reach,
            Alternative::Less => -gap >= reach,
        }
    };
    // column[j] = P(the path passes (i, j) without having been absorbed)
    let mut column = vec![0.0; m + 1];
    let mut absorbed = 0.0;
    for i in 0..=n {
        let mut from_below = 0.0; // mass that steps up from (i, j-1)
        for (j, mass) in column.iter_mut().enumerate() {
            // `mass` still holds what stepped right from (i-1, j).
            let mut here = if i == 0 && j == 0 { 1.0 } else { *mass + from_below };
            if outside(i, j) {
                absorbed += here;
                here = 0.0;
            }
            let left = (n - i + m - j) as f64;
            let (right, up) =
                if left > 0.0 { ((n - i) as f64 / left, (m - j) as f64 / left) } else { (0.0, 0.0) };
            *mass = here * right;
            from_below = here * up;
        }
    }
    absorbed.clamp(0.0, 1.0)
}

fn asymptotic_p(n: f64, m: f64, d: f64, alternative: Alternative) -> f64 {
    let effective = n * m / (n + m);
    if alternative == Alternative::TwoSided {
        // Half to even, as the reference implementation rounds.
        return kolmogorov_sf(effective.round_ties_even().max(1.0), d);
    }
    let (large, small) = (n.max(m), n.min(m));
    let z = effective.sqrt() * d;
    let skew = 2.0 * z * (large + 2.0 * small) / (large * small * (large + small)).sqrt() / 3.0;
    (-2.0 * z * z - skew).exp().clamp(0.0, 1.0)
}
