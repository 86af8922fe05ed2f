//! The shift between two samples (Hodges-Lehmann) with its interval, by inverting the Mann-Whitney test.
//!
//! Hodges & Lehmann, "Estimates of location based on rank tests", Annals of Mathematical Statistics 34, 1963;
//! exact interval: Bauer, "Constructing confidence sets using rank statistics", JASA 67, 1972.

use super::mann_whitney::u_law;
use super::sample::sorted;
use crate::JudgeError;
use crate::error::{fraction, sample};
use crate::special::normal_quantile;

/// Estimate and interval of the shift x - y, in the unit of the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Shift {
    /// The shift.
    pub estimate: f64,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

/// How the interval is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ShiftRoot {
    /// Order statistics of all n m differences with the exact law of U; the estimate is their median.
    Exact,
    /// Roots of the tie-corrected z of x - mu against y, by Brent's method to 1e-9: the ends with continuity
    /// correction, the estimate without, as R does.
    Asymptotic,
    /// The same to another absolute tolerance and with the estimate corrected too: Kayenta's form, at 1e-4. Its estimate
    /// is searched for from both ends whatever the signs there: where rounding breaks a tie at an end, the search goes on
    /// without a bracket, and ends where it ends.
    Brent(f64),
}

/// Largest n times m for the exact interval.
const EXACT_PAIRS: f64 = 40_000.0;

/// Hodges-Lehmann shift of `x` against `y` with a two-sided interval of level `conf_level`.
///
/// # Errors
/// An empty sample, a value not finite, `conf_level` outside (0, 1), more than 40 000 pairs (exact), or a z that
/// cannot be computed because all values are tied at a shift that is looked at (asymptotic).
pub fn hodges_lehmann_ci(
    x: &[f64],
    y: &[f64],
    conf_level: f64,
    method: ShiftRoot,
) -> Result<Shift, JudgeError> {
    fraction("conf_level", conf_level)?;
    let x = sorted(sample("x", x)?);
    let y = sorted(sample("y", y)?);
    let alpha = 1.0 - conf_level;
    match method {
        ShiftRoot::Exact => exact(&x, &y, alpha),
        ShiftRoot::Asymptotic => asymptotic(&x, &y, alpha, 1e-9, Estimate::Bracketed),
        ShiftRoot::Brent(tolerance) => asymptotic(&x, &y, alpha, tolerance, Estimate::FromTheEnds),
    }
}

fn exact(x: &[f64], y: &[f64], alpha: f64) -> Result<Shift, JudgeError> {
    let pairs = x.len() * y.len();
    if pairs as f64 > EXACT_PAIRS {
        return Err(JudgeError::TooLarge { what: "n x m", got: pairs as f64, limit: EXACT_PAIRS });
    }
    let differences = sorted(&x.iter().flat_map(|a| y.iter().map(move |b| a - b)).collect::<Vec<_>>());
    // The smallest q with P(U <= q) >= alpha/2, at least 1; the room is R's, for rounding in the sums.
    let target = alpha / 2.0 - 10.0 * f64::EPSILON;
    let mut sum = 0.0;
    let reached = u_law(x.len(), y.len()).iter().position(|p| {
        sum += p;
        sum >= target
    });
    let q = reached.unwrap_or(0).max(1);
    let at = |rank: usize| differences.get(rank - 1).copied().ok_or(JudgeError::Empty { what: "x" });
    let middle = (at(pairs.div_ceil(2))? + at(pairs / 2 + 1)?) / 2.0;
    Ok(Shift { estimate: middle, lo: at(q)?, hi: at(pairs - q + 1)? })
}

/// z(mu): the tie-corrected standard score of the rank sum of x - mu against y, with `continuity` moved by 1/2
/// towards 0. Both samples sorted. `None` when all values are tied, where the variance is 0.
pub fn shift_score(x: &[f64], y: &[f64], mu: f64, continuity: bool) -> Option<f64> {
    let (n, m) = (x.len() as f64, y.len() as f64);
    let (mut i, mut j, mut u, mut ties) = (0usize, 0usize, 0.0, 0.0);
    loop {
        let (a, b) = (x.get(i).map(|v| v - mu), y.get(j).copied());
        let value = match (a, b) {
            (Some(a), Some(b)) => a.min(b),
            (Some(v), None) | (None, Some(v)) => v,
            (None, None) => break,
        };
        let a = x.iter().skip(i).take_while(|v| **v - mu == value).count();
        let b = y.iter().skip(j).take_while(|v| **v == value).count();
        u += a as f64 * (j as f64 + 0.5 * b as f64);
        let t = (a + b) as f64;
        ties += t * t * t - t;
        i += a;
        j += b;
    }
    let all = n + m;
    let variance = n * m / 12.0 * ((all + 1.0) - ties / (all * (all - 1.0)));
    let d = u - n * m / 2.0;
    let correction = if d == 0.0 || !continuity { 0.0 } else { 0.5 * d.signum() };
    (variance > 0.0).then(|| (d - correction) / variance.sqrt())
}

/// How the estimate is searched for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Estimate {
    /// Without continuity correction; an end of the wrong sign is the estimate.
    Bracketed,
    /// With it; only an end that is itself the root ends the search.
    FromTheEnds,
}

fn asymptotic(
    x: &[f64],
    y: &[f64],
    alpha: f64,
    tolerance: f64,
    estimate: Estimate,
) -> Result<Shift, JudgeError> {
    let (Some(&x0), Some(&x1), Some(&y0), Some(&y1)) = (x.first(), x.last(), y.first(), y.last()) else {
        return Err(JudgeError::Empty { what: "x" });
    };
    let (from, to) = (x0 - y1, x1 - y0);
    let z = -normal_quantile(alpha / 2.0);
    let score = |mu: f64, target: f64, continuity: bool| {
        let score = shift_score(x, y, mu, continuity).map(|s| s - target);
        score.ok_or(JudgeError::Constant { what: "x and y together" })
    };
    let solve = |target: f64, continuity: bool| {
        let f = |mu: f64| score(mu, target, continuity);
        let (a, b) = (f(from)?, f(to)?);
        // z falls as mu grows; without a change of sign the end itself is the bound.
        if a <= 0.0 {
            Ok(from)
        } else if b >= 0.0 {
            Ok(to)
        } else {
            brent(from, a, to, b, tolerance, f)
        }
    };
    let from_the_ends = || {
        let f = |mu: f64| score(mu, 0.0, true);
        let (a, b) = (f(from)?, f(to)?);
        if a == 0.0 { Ok(from) } else { brent(from, a, to, b, tolerance, f) }
    };
    let (lo, hi) = (solve(z, true)?, solve(-z, true)?);
    let estimate = match estimate {
        Estimate::Bracketed => solve(0.0, false)?,
        Estimate::FromTheEnds => from_the_ends()?,
    };
    Ok(Shift { estimate, lo, hi })
}

/// Brent's root finder with absolute tolerance, in the form R uses (Brent, "Algorithms for Minimization
/// without Derivatives", 1973, chapter 4). It finds a root where `fa > 0 > fb`; with equal signs it walks on from the
/// smaller one, as Kayenta's does.
fn brent(
    mut a: f64,
    mut fa: f64,
    mut b: f64,
    mut fb: f64,
    tolerance: f64,
    f: impl Fn(f64) -> Result<f64, JudgeError>,
) -> Result<f64, JudgeError> {
    let (mut c, mut fc) = (a, fa);
    if fb == 0.0 {
        return Ok(b);
    }
    for _ in 0..=1000 {
        let last_step = b - a;
        if fc.abs() < fb.abs() {
            (a, b, c) = (b, c, b);
            (fa, fb, fc) = (fb, fc, fb);
        }
        let least = 2.0 * f64::EPSILON * b.abs() + 0.5 * tolerance;
        let width = c - b;
        let mut step = 0.5 * width;
        if step.abs() <= least || fb == 0.0 {
            return Ok(b);
        }
        if last_step.abs() >= least && fa.abs() > fb.abs() {
            let s = fb / fa;
            let (mut p, mut q) = if a == c {
                (width * s, 1.0 - s)
            } else {
                let (t, r) = (fa / fc, fb / fc);
                (s * (width * t * (t - r) - (b - a) * (r - 1.0)), (t - 1.0) * (r - 1.0) * (s - 1.0))
            };
            if p > 0.0 {
                q = -q
            } else {
                p = -p
            }
            if p < 0.75 * width * q - 0.5 * (least * q).abs() && p < (0.5 * last_step * q).abs() {
                step = p / q;
            }
        }
        if step.abs() < least {
            step = if step > 0.0 { least } else { -least };
        }
        (a, fa) = (b, fb);
        b += step;
        fb = f(b)?;
        if (fb > 0.0 && fc > 0.0) || (fb < 0.0 && fc < 0.0) {
            (c, fc) = (a, fa);
        }
    }
    Ok(b)
}
