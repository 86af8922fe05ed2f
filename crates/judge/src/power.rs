//! Power and sample sizes for one look at the end.
//!
//! Tests that may be looked at all the time need more: plan two to three times the size given here
//! ([`crate::plan`] does).

use crate::JudgeError;
use crate::error::{finite, fraction, positive};
use crate::special::{ln_gamma, normal_cdf, normal_quantile, student_quantile};

/// One- or two-sided question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Sided {
    /// Only one direction matters.
    One,
    /// Both do.
    Two,
}

impl Sided {
    fn tail(self, alpha: f64) -> f64 {
        if self == Self::Two { alpha / 2.0 } else { alpha }
    }
}

/// Observations of the first arm needed to tell p1 from p2, not rounded; the second arm has `ratio` times as many.
///
/// n1 = (z_a sqrt(pb (1-pb)(1 + 1/k)) + z_b sqrt(p1 q1 + p2 q2/k))^2 / (p1 - p2)^2, pb = (p1 + k p2)/(1 + k).
/// Fleiss, "Statistical Methods for Rates and Proportions", 1981, without continuity correction.
///
/// # Errors
/// A rate, `alpha` or `power` outside (0, 1), `ratio` not above 0, or p1 = p2.
pub fn sample_size_two_proportions(
    p1: f64,
    p2: f64,
    alpha: f64,
    power: f64,
    ratio: f64,
    sided: Sided,
) -> Result<f64, JudgeError> {
    for (what, value) in [("p1", p1), ("p2", p2), ("alpha", alpha), ("power", power)] {
        fraction(what, value)?;
    }
    positive("ratio", ratio)?;
    if p1 == p2 {
        return Err(JudgeError::Constant { what: "p1 and p2" });
    }
    let pooled = (p1 + ratio * p2) / (1.0 + ratio);
    let za = -normal_quantile(sided.tail(alpha));
    let zb = normal_quantile(power);
    let null = (pooled * (1.0 - pooled) * (1.0 + 1.0 / ratio)).sqrt();
    let alternative = (p1 * (1.0 - p1) + p2 * (1.0 - p2) / ratio).sqrt();
    Ok(((za * null + zb * alternative) / (p1 - p2)).powi(2))
}

/// Power of the pooled t-test at effect size d = difference/standard deviation, arms `n1` and `ratio` x `n1`.
///
/// Noncentral t with n1 + n2 - 2 degrees of freedom and noncentrality d sqrt(n1 n2/(n1 + n2)).
/// Two-sided power counts rejections on both sides.
///
/// # Errors
/// `effect_size` not finite, `alpha` outside (0, 1), `ratio` not above 0, or n1 + n2 not above 2.
pub fn power_two_means(
    effect_size: f64,
    alpha: f64,
    n1: f64,
    ratio: f64,
    sided: Sided,
) -> Result<f64, JudgeError> {
    finite("effect_size", effect_size)?;
    fraction("alpha", alpha)?;
    positive("n1", n1)?;
    positive("ratio", ratio)?;
    let n2 = n1 * ratio;
    let df = n1 + n2 - 2.0;
    if df <= 0.0 {
        return Err(JudgeError::OutOfRange { what: "n1 + n2", got: n1 + n2, rule: "above 2" });
    }
    let noncentrality = effect_size * (n1 * n2 / (n1 + n2)).sqrt();
    let critical = -student_quantile(sided.tail(alpha), df);
    let upper = noncentral_t_sf(critical, df, noncentrality);
    Ok(match sided {
        Sided::One => upper,
        Sided::Two => upper + noncentral_t_sf(critical, df, -noncentrality),
    })
}

/// Observations of the first arm so that [`power_two_means`] reaches `power`, not rounded.
///
/// # Errors
/// As [`power_two_means`]; `effect_size` 0; or more than 1e12 observations needed.
pub fn sample_size_two_means(
    effect_size: f64,
    alpha: f64,
    power: f64,
    ratio: f64,
    sided: Sided,
) -> Result<f64, JudgeError> {
    fraction("power", power)?;
    positive("|effect_size|", effect_size.abs())?;
    let reached = |n: f64| power_two_means(effect_size.abs(), alpha, n, ratio, sided);
    let mut lo = 2.0 / (1.0 + positive("ratio", ratio)?) + 1e-6;
    let mut hi = 4.0f64.max(2.0 * lo);
    if reached(lo)? >= power {
        return Ok(lo);
    }
    while reached(hi)? < power {
        (lo, hi) = (hi, 2.0 * hi);
        if hi > 1e12 {
            return Err(JudgeError::TooLarge { what: "sample size", got: hi, limit: 1e12 });
        }
    }
    for _ in 0..80 {
        let mid = 0.5 * (lo + hi);
        if reached(mid)? < power { lo = mid } else { hi = mid }
    }
    Ok(0.5 * (lo + hi))
}

/// P(T > t) for noncentral t, by integrating Phi(delta - t s) over s = sqrt(chi-square/df); `statrs` has no
/// noncentral t. Simpson's rule over 14 standard deviations of s, error below 1e-9 (checked in the tests).
fn noncentral_t_sf(t: f64, df: f64, delta: f64) -> f64 {
    let spread = 14.0 / (2.0 * df).sqrt();
    let (from, to) = ((1.0 - spread).max(0.0), 1.0 + spread);
    let constant = 2f64.ln() + 0.5 * df * (0.5 * df).ln() - ln_gamma(0.5 * df);
    let f = |s: f64| {
        if s <= 0.0 {
            return if df > 1.0 { 0.0 } else { constant.exp() * normal_cdf(delta) };
        }
        (constant + (df - 1.0) * s.ln() - 0.5 * df * s * s).exp() * normal_cdf(delta - t * s)
    };
    let steps = 2000;
    let h = (to - from) / f64::from(steps);
    let sum: f64 = (0..=steps)
        .map(|i| {
            let weight = if i == 0 || i == steps { 1.0 } else { 2.0 + 2.0 * f64::from(i % 2) };
            weight * f(from + h * f64::from(i))
        })
        .sum();
    (sum * h / 3.0).clamp(0.0, 1.0)
}

/// The classical rule of thumb per arm: 2 ((z_a + z_b)/d)^2, one-sided alpha, d in standard deviations.
///
/// # Errors
/// `effect_size` 0 or not finite, `alpha` or `power` outside (0, 1).
pub fn sample_size_rule_of_thumb(
    effect_size: f64,
    alpha: f64,
    power: f64,
    sided: Sided,
) -> Result<f64, JudgeError> {
    positive("|effect_size|", effect_size.abs())?;
    fraction("alpha", alpha)?;
    fraction("power", power)?;
    let z = normal_quantile(power) - normal_quantile(sided.tail(alpha));
    Ok(2.0 * (z / effect_size).powi(2))
}

/// Canary observations needed to prove p1 < r p0 (fixed look, one-sided) when the truth is p1 = p0 = `rate`
/// and stable has `ratio` times as many; with a margin r below 1, to prove p1 > r p0.
///
/// From the difference p1 - r p0 with its variance (p q + r^2 p q / k)/n:
/// n = (z_a + z_b)^2 (q/p)(1 + r^2/k)/(r - 1)^2. (Treating (r - 1) p0 as a known margin would drop the r^2 and
/// come out 2 to 6 % smaller at k = 19.)
///
/// # Errors
/// `rate`, `alpha` or `power` outside (0, 1), `margin` 1 or not above 0, or `ratio` not above 0.
pub fn sample_size_no_harm(
    rate: f64,
    margin: f64,
    alpha: f64,
    power: f64,
    ratio: f64,
) -> Result<f64, JudgeError> {
    for (what, value) in [("rate", rate), ("alpha", alpha), ("power", power)] {
        fraction(what, value)?;
    }
    positive("ratio", ratio)?;
    if positive("margin", margin)? == 1.0 {
        return Err(JudgeError::OutOfRange { what: "margin", got: margin, rule: "above or below 1" });
    }
    let z = normal_quantile(power) - normal_quantile(alpha);
    Ok(z * z * (1.0 - rate) / rate * (1.0 + margin * margin / ratio) / (margin - 1.0).powi(2))
}
