//! The law of the one-sample Kolmogorov statistic at finite n, which the asymptotic two-sample test uses.
//!
//! Which method where follows Simard & L'Ecuyer, "Computing the two-sided Kolmogorov-Smirnov distribution",
//! Journal of Statistical Software 39(11), 2011: matrix powers (Marsaglia, Tsang, Wang, JSS 8(18), 2003) for
//! small n, the expansion of Pelz & Good (JRSS-B 38, 1976) for large n, twice the one-sided tail (Miller, 1956)
//! far out.

use crate::special::ln_gamma;
use std::f64::consts::PI;

/// P(D_n >= d) for `n` >= 1 (a whole number).
pub fn kolmogorov_sf(n: f64, d: f64) -> f64 {
    if d.is_nan() || n.is_nan() {
        return f64::NAN;
    }
    if d <= 0.5 / n {
        return 1.0;
    }
    if d >= 1.0 {
        return 0.0;
    }
    let nd2 = n * d * d;
    if nd2 > 4.0 {
        return (2.0 * one_sided_sf(n, d)).min(1.0);
    }
    let small = n <= 140.0 || (n <= 1e5 && n * d.powf(1.5) <= 1.4);
    let cdf = if small { matrix_cdf(n, d) } else { pelz_good_cdf(n, d) };
    (1.0 - cdf).clamp(0.0, 1.0)
}

/// Smirnov's exact one-sided tail: d sum_j C(n,j) (j/n + d)^(j-1) (1 - d - j/n)^(n-j).
fn one_sided_sf(n: f64, d: f64) -> f64 {
    let last = (n * (1.0 - d)).floor() as u64;
    let term = |j: u64| {
        let j = j as f64;
        let (up, down) = (j / n + d, 1.0 - d - j / n);
        let choose = ln_gamma(n + 1.0) - ln_gamma(j + 1.0) - ln_gamma(n - j + 1.0);
        let tail = if n == j { 0.0 } else { (n - j) * down.max(0.0).ln() };
        (choose + (j - 1.0) * up.ln() + tail).exp()
    };
    d * (0..=last).map(term).sum::<f64>()
}

/// Marsaglia, Tsang & Wang: the middle entry of H^n n!/n^n.
#[expect(clippy::indexing_slicing, reason = "matrix algebra on indices bounded by the matrix size")]
fn matrix_cdf(n: f64, d: f64) -> f64 {
    let k = (n * d).floor() as usize + 1;
    let size = 2 * k - 1;
    let h = k as f64 - n * d;
    let mut base = vec![vec![0.0; size]; size];
    for (i, row) in base.iter_mut().enumerate() {
        for (j, cell) in row.iter_mut().enumerate() {
            *cell = if i + 1 >= j { 1.0 } else { 0.0 };
        }
    }
    for (i, row) in base.iter_mut().enumerate() {
        row[0] -= h.powi(i as i32 + 1);
    }
    for (i, cell) in base[size - 1].iter_mut().enumerate() {
        *cell -= h.powi((size - i) as i32);
    }
    if 2.0 * h - 1.0 > 0.0 {
        base[size - 1][0] += (2.0 * h - 1.0).powi(size as i32);
    }
    for (i, row) in base.iter_mut().enumerate() {
        for (j, cell) in row.iter_mut().enumerate() {
            for g in 1..=(i + 1).saturating_sub(j) {
                *cell /= g as f64;
            }
        }
    }
    // Power by squaring, keeping decimal exponents apart against overflow.
    let mut result: Option<(Vec<Vec<f64>>, i32)> = None;
    let mut power = (base, 0);
    let mut left = n as u64;
    while left > 0 {
        if left & 1 == 1 {
            result = Some(match result {
                None => power.clone(),
                Some((r, e)) => rescale(multiply(&r, &power.0), e + power.1, k - 1),
            });
        }
        left >>= 1;
        if left > 0 {
            power = rescale(multiply(&power.0, &power.0), 2 * power.1, k - 1);
        }
    }
    let Some((matrix, exponent)) = result else { return 1.0 };
    let ln = matrix[k - 1][k - 1].ln() + f64::from(exponent) * 10f64.ln() + ln_gamma(n + 1.0) - n * n.ln();
    ln.exp().min(1.0)
}

#[expect(clippy::indexing_slicing, reason = "square matrices of one size")]
fn multiply(a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let size = a.len();
    let mut out = vec![vec![0.0; size]; size];
    for (row, target) in a.iter().zip(&mut out) {
        for (l, &factor) in row.iter().enumerate() {
            if factor != 0.0 {
                for (cell, value) in target.iter_mut().zip(&b[l]) {
                    *cell += factor * value;
                }
            }
        }
    }
    out
}

#[expect(clippy::indexing_slicing, reason = "the middle of a square matrix")]
fn rescale(mut matrix: Vec<Vec<f64>>, mut exponent: i32, middle: usize) -> (Vec<Vec<f64>>, i32) {
    if matrix[middle][middle] > 1e140 {
        matrix.iter_mut().flatten().for_each(|v| *v *= 1e-140);
        exponent += 140;
    }
    (matrix, exponent)
}

/// Pelz & Good's expansion to the order n^(-3/2), z = sqrt(n) d.
fn pelz_good_cdf(n: f64, d: f64) -> f64 {
    let z = n.sqrt() * d;
    let (z2, pi2) = (z * z, PI * PI);
    let (z4, z6, z8) = (z2 * z2, z2 * z2 * z2, z2 * z2 * z2 * z2);
    let root = (PI / 2.0).sqrt();
    let (mut k0, mut k1, mut k2, mut k3) = (0.0, 0.0, 0.0, 0.0);
    for k in 0..40 {
        let half = f64::from(k) + 0.5;
        let (h2, weight) = (half * half, (-pi2 * half * half / (2.0 * z2)).exp());
        let (h4, h6) = (h2 * h2, h2 * h2 * h2);
        k0 += weight;
        // Terms for half and -half are equal: counted twice.
        k1 += 2.0 * (pi2 * h2 - z2) * weight;
        k2 += 2.0
            * ((6.0 * z6 + 2.0 * z4) + pi2 * (2.0 * z4 - 5.0 * z2) * h2 + pi2 * pi2 * (1.0 - 2.0 * z2) * h4)
            * weight;
        k3 += 2.0
            * (pi2 * pi2 * pi2 * h6 * (5.0 - 30.0 * z2)
                + pi2 * pi2 * h4 * (-60.0 * z2 + 212.0 * z4)
                + pi2 * h2 * (135.0 * z4 - 96.0 * z6)
                - (30.0 * z6 + 90.0 * z8))
            * weight;
    }
    let (mut k2b, mut k3b) = (0.0, 0.0);
    for k in 1..40 {
        let full = f64::from(k);
        let (f2, weight) = (full * full, (-pi2 * full * full / (2.0 * z2)).exp());
        k2b += 2.0 * pi2 * f2 * weight;
        k3b += 2.0 * (-pi2 * pi2 * f2 * f2 + 3.0 * pi2 * f2 * z2) * weight;
    }
    let k0 = k0 * (2.0 * PI).sqrt() / z;
    let k1 = k1 * root / (6.0 * z4);
    let k2 = k2 * root / (72.0 * z6 * z) - k2b * root / (36.0 * z2 * z);
    let k3 = k3 * root / (6480.0 * z8 * z2) + k3b * root / (216.0 * z6);
    k0 + k1 / n.sqrt() + k2 / n + k3 / (n * n.sqrt())
}

#[cfg(test)]
mod tests {
    use super::{matrix_cdf, one_sided_sf, pelz_good_cdf};

    /// The expansion's error falls at least as n^-2, that is by 16 when n grows by 4: all its terms are right.
    #[test]
    fn expansion_converges_to_the_exact_law() {
        for z in [0.6f64, 0.8, 1.0, 1.3, 1.6] {
            let error = |n: f64| {
                let d = z / n.sqrt();
                (matrix_cdf(n, d) - pelz_good_cdf(n, d)).abs()
            };
            let (coarse, fine) = (error(160.0), error(640.0));
            assert!(coarse < 5e-6 && fine < 4e-7, "z {z}: {coarse} {fine}");
            assert!(coarse < 1e-7 || coarse > 12.0 * fine, "z {z}: {coarse} {fine}");
        }
    }

    #[test]
    fn the_tail_is_twice_the_one_sided_one() {
        for n in [60.0f64, 500.0] {
            let d = 2.0 / n.sqrt();
            assert!((1.0 - matrix_cdf(n, d) - 2.0 * one_sided_sf(n, d)).abs() < 1e-10);
        }
    }
}
