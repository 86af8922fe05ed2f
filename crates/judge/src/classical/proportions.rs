//! Two proportions: the z-test, and Fisher's exact test for small counts.

use super::Alternative;
use crate::JudgeError;
use crate::special::ln_gamma;

/// Result of the z-test.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProportionZ {
    /// The statistic.
    pub z: f64,
    /// p-value.
    pub p: f64,
    /// Whether any expected count is below 5, where Fisher's test should be preferred (Cochran, 1954).
    pub small: bool,
}

/// Two-proportion z-test of k1/n1 against k2/n2.
///
/// Pooled: (p1 - p2)/sqrt(p(1-p)(1/n1 + 1/n2)), p the common rate; else each arm's own variance.
///
/// # Errors
/// No trials, more events than trials, or no variance (no events, or only events).
pub fn two_proportion_z(
    k1: u64,
    n1: u64,
    k2: u64,
    n2: u64,
    alternative: Alternative,
    pooled: bool,
) -> Result<ProportionZ, JudgeError> {
    for (arm, k, n) in [("canary", k1, n1), ("stable", k2, n2)] {
        if n == 0 {
            return Err(JudgeError::Empty { what: "trials" });
        }
        if k > n {
            return Err(JudgeError::EventsExceedTrials { arm, events: k, trials: n });
        }
    }
    let (a, b) = (n1 as f64, n2 as f64);
    let (p1, p2) = (k1 as f64 / a, k2 as f64 / b);
    let p = (k1 as f64 + k2 as f64) / (a + b);
    let variance =
        if pooled { p * (1.0 - p) * (1.0 / a + 1.0 / b) } else { p1 * (1.0 - p1) / a + p2 * (1.0 - p2) / b };
    if variance <= 0.0 {
        return Err(JudgeError::Constant { what: "events" });
    }
    let z = (p1 - p2) / variance.sqrt();
    let small = a.min(b) * p.min(1.0 - p) < 5.0;
    Ok(ProportionZ { z, p: alternative.normal_p(z), small })
}

/// Fisher's exact test of the table [[a, b], [c, d]]; returns the p-value.
///
/// `Greater`: a is larger than its margins suggest. Two-sided: the sum over tables no more probable than the
/// one observed, with room 1e-7 relative for rounding. Fisher, "The logic of inductive inference", 1935.
///
/// # Errors
/// More than 1e7 possible tables, or counts whose sum exceeds 2^53.
pub fn fisher_exact(table: [[u64; 2]; 2], alternative: Alternative) -> Result<f64, JudgeError> {
    let [[a, b], [c, d]] = table;
    let total = [a, b, c, d].iter().map(|v| *v as f64).sum::<f64>();
    if total > (1u64 << 53) as f64 {
        return Err(JudgeError::TooLarge { what: "table", got: total, limit: 2f64.powi(53) });
    }
    let (row, other, column) = (a + b, c + d, a + c);
    let (lowest, highest) = (column.saturating_sub(other), row.min(column));
    if highest - lowest > 10_000_000 {
        let got = (highest - lowest) as f64;
        return Err(JudgeError::TooLarge { what: "number of possible tables", got, limit: 1e7 });
    }
    // Probabilities relative to the observed table, by the ratio of neighbours: no cancellation of ln Gamma.
    let ratio_up = |x: u64| {
        ((row - x) as f64 * (column - x) as f64)
            / ((x + 1) as f64 * (other as f64 - column as f64 + x as f64 + 1.0))
    };
    let walk = |from: u64, to: u64, up: bool| {
        let mut weights = Vec::new();
        let (mut x, mut weight) = (from, 1.0);
        while x != to {
            weight *= if up { ratio_up(x) } else { 1.0 / ratio_up(x - 1) };
            x = if up { x + 1 } else { x - 1 };
            weights.push(weight);
        }
        weights
    };
    let (up, down) = (walk(a, highest, true), walk(a, lowest, false));
    let observed = ln_probability(a, row, other, column);
    if !up.iter().chain(&down).all(|w| w.is_finite()) {
        // The observed table is so unlikely that neighbours overflow: go by ln Gamma alone.
        return Ok(by_logarithms(a, row, other, column, lowest..=highest, observed, alternative));
    }
    let all = 1.0 + up.iter().sum::<f64>() + down.iter().sum::<f64>();
    let sum = match alternative {
        Alternative::Greater => 1.0 + up.iter().sum::<f64>(),
        Alternative::Less => 1.0 + down.iter().sum::<f64>(),
        Alternative::TwoSided => 1.0 + up.iter().chain(&down).filter(|w| **w <= 1.0 + 1e-7).sum::<f64>(),
    };
    Ok((sum / all).min(1.0))
}

fn ln_probability(x: u64, row: u64, other: u64, column: u64) -> f64 {
    let choose =
        |n: u64, k: u64| ln_gamma(n as f64 + 1.0) - ln_gamma(k as f64 + 1.0) - ln_gamma((n - k) as f64 + 1.0);
    choose(row, x) + choose(other, column - x) - choose(row + other, column)
}

fn by_logarithms(
    a: u64,
    row: u64,
    other: u64,
    column: u64,
    range: std::ops::RangeInclusive<u64>,
    observed: f64,
    alternative: Alternative,
) -> f64 {
    let counted = |x: u64, ln: f64| match alternative {
        Alternative::Greater => x >= a,
        Alternative::Less => x <= a,
        Alternative::TwoSided => ln <= observed + 1e-7,
    };
    range
        .map(|x| (x, ln_probability(x, row, other, column)))
        .filter(|(x, ln)| counted(*x, *ln))
        .map(|(_, ln)| ln.exp())
        .sum::<f64>()
        .min(1.0)
}
