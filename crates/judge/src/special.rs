//! The few special functions the tests need, in log space where tails matter.
//!
//! `statrs` gives Student's t with the incomplete beta behind it. Written here: sums of exponentials, ln Gamma,
//! and the normal distribution function, because `statrs`' erfc is good to about 1e-12 only (Phi^-1(0.975)
//! came out wrong in the 11th digit) and underflows in the far tail, where ln Phi is needed.

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::function::erf::erfc_inv;
use statrs::function::gamma::checked_gamma_ur;
use std::f64::consts::{PI, SQRT_2};

/// ln(sum of exp(x)), without overflow; -infinity for an empty list.
pub fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return top;
    }
    top + values.map(|v| (v - top).exp()).sum::<f64>().ln()
}

/// Phi(x), the standard normal distribution function, to about 15 digits, also in the lower tail.
///
/// Near 0: 1/2 + phi(x)(x + x^3/3 + x^5/15 + ...) (Marsaglia, "Evaluating the normal distribution", JSS 2004);
/// further out: Laplace's continued fraction for the tail.
pub fn normal_cdf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x.abs() > 2.5 {
        let tail = ln_tail(x.abs()).exp();
        return if x > 0.0 { 1.0 - tail } else { tail };
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > 1e-17 {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}

/// ln P(Z > t) for t > 2.5: phi(t) / (t + 1/(t + 2/(t + 3/(t + ...)))) (Abramowitz & Stegun, Handbook of
/// Mathematical Functions, 1964, 26.2.14). The number of terms needed falls with t.
fn ln_tail(t: f64) -> f64 {
    let terms = if t > 6.0 { 60 } else { 300 };
    let tail = (1..=terms).rev().fold(t, |tail, k| t + f64::from(k) / tail);
    -0.5 * t * t - 0.5 * (2.0 * PI).ln() - tail.ln()
}

/// ln Phi(x), accurate in both tails.
pub fn ln_normal_cdf(x: f64) -> f64 {
    if x > 2.5 {
        (-ln_tail(x).exp()).ln_1p()
    } else if x < -2.5 {
        ln_tail(-x)
    } else {
        normal_cdf(x).ln()
    }
}

/// The standard normal quantile: the z with Phi(z) = p, for 0 < p < 1.
///
/// Newton's method from `statrs`' rational approximation.
pub fn normal_quantile(p: f64) -> f64 {
    let mut z = -SQRT_2 * erfc_inv(2.0 * p);
    for _ in 0..2 {
        let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
        if density > 0.0 && z.is_finite() {
            // In the upper half measure from above, where 1 - Phi keeps its digits.
            let miss = if z > 0.0 { (1.0 - p) - normal_cdf(-z) } else { normal_cdf(z) - p };
            z -= miss / density;
        }
    }
    z
}

/// Student's t distribution function with `df` > 0 degrees of freedom.
pub fn student_cdf(t: f64, df: f64) -> f64 {
    StudentsT::new(0.0, 1.0, df).map_or(f64::NAN, |law| law.cdf(t))
}

/// Student's t quantile, 0 < p < 1, with `df` > 0 degrees of freedom.
///
/// By bisection on [`student_cdf`]: `statrs`' inverse is off by 40 % of p far out (df 0.7, p 1e-6).
pub fn student_quantile(p: f64, df: f64) -> f64 {
    if !(p > 0.0 && p < 1.0 && df > 0.0) {
        return f64::NAN;
    }
    let tail = p.min(1.0 - p);
    let mut hi = 1.0;
    while student_cdf(-hi, df) > tail && hi < 1e300 {
        hi *= 2.0;
    }
    let mut lo = if hi > 1.0 { hi / 2.0 } else { 0.0 };
    while hi - lo > 1e-15 * hi {
        let mid = 0.5 * (lo + hi);
        if mid <= lo || mid >= hi {
            break;
        }
        if student_cdf(-mid, df) > tail { lo = mid } else { hi = mid }
    }
    let t = 0.5 * (lo + hi);
    if p < 0.5 { -t } else { t }
}

/// P(X > x) of the chi-square law with `df` > 0 degrees of freedom; 1 for x <= 0, NaN for a NaN.
pub fn chi_square_sf(x: f64, df: f64) -> f64 {
    if x <= 0.0 { 1.0 } else { checked_gamma_ur(df / 2.0, x / 2.0).unwrap_or(f64::NAN) }
}

/// ln Gamma(x) for x > 0, to a few units of the last digit: Stirling's series from 10 on (Abramowitz & Stegun
/// 6.1.41), below it by Gamma(x + 1) = x Gamma(x). NaN for x <= 0.
pub fn ln_gamma(x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return f64::NAN;
    }
    let (mut x, mut product) = (x, 1.0);
    while x < 10.0 {
        product *= x;
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series = (1.0 / 12.0
        - y * (1.0 / 360.0
            - y * (1.0 / 1260.0 - y * (1.0 / 1680.0 - y * (1.0 / 1188.0 - y * 691.0 / 360_360.0)))))
        / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * PI).ln() + series - f64::ln(product)
}
