//! Percentile bootstrap interval of a difference of means.
//!
//! Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979. The seed is an
//! argument and part of the report, so that a verdict can be replayed.

use super::sample::{quantile_sorted, sorted};
use crate::JudgeError;
use crate::error::{finite, fraction, sample_of};
use crate::random::SplitMix64;

/// Interval of mean(x) - mean(y) by resampling each arm with replacement `resamples` times.
///
/// # Errors
/// Fewer than two values in a sample, a value not finite, `conf_level` outside (0, 1), or fewer than 100 or
/// more than 1e6 resamples.
pub fn bootstrap_mean_diff_ci(
    x: &[f64],
    y: &[f64],
    conf_level: f64,
    resamples: u32,
    seed: u64,
) -> Result<(f64, f64), JudgeError> {
    let (x, y) = (sample_of("x", x, 2)?, sample_of("y", y, 2)?);
    fraction("conf_level", conf_level)?;
    if !(100..=1_000_000).contains(&resamples) {
        let got = f64::from(resamples);
        return Err(JudgeError::OutOfRange { what: "resamples", got, rule: "from 100 to 1000000" });
    }
    let mut random = SplitMix64::seeded(seed);
    let mut mean_of = |values: &[f64]| {
        let n = values.len() as u64;
        let draws = (0..n).filter_map(|_| values.get(random.below(n) as usize));
        draws.sum::<f64>() / n as f64
    };
    let mut differences = Vec::with_capacity(resamples as usize);
    for _ in 0..resamples {
        differences.push(finite("resampled mean", mean_of(x) - mean_of(y))?);
    }
    let differences = sorted(&differences);
    let tail = (1.0 - conf_level) / 2.0;
    Ok((quantile_sorted(&differences, tail)?, quantile_sorted(&differences, 1.0 - tail)?))
}
