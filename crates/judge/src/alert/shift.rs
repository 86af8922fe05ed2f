//! Are the canary's values distributed otherwise than stable's?

use super::{Alarm, Condition, Judged, Severity, figure};
use crate::JudgeError;
use crate::classical::{Alternative, KsMethod, js_divergence, ks_2samp, psi, psi_null};
use crate::error::fraction;

/// Fewer values in an arm set nothing off.
const FEWEST: usize = 10;
/// Pairs up to which the exact law is walked: a tenth of a second.
const EXACT_PAIRS: usize = 1_000_000;
/// Bins of PSI and of the Jensen-Shannon divergence: tenths of stable's values, as is usual.
const BINS: usize = 10;
/// Floor of a bin's share in PSI: an empty bin would make it infinite.
const FLOOR: f64 = 1e-4;

pub(super) fn judge(canary: &[f64], stable: &[f64], p: f64, d: f64) -> Result<Judged, JudgeError> {
    fraction("p", p)?;
    fraction("d", d)?;
    let method = if canary.len().saturating_mul(stable.len()) <= EXACT_PAIRS {
        KsMethod::Exact
    } else {
        KsMethod::Asymptotic
    };
    let ks = ks_2samp(canary, stable, Alternative::TwoSided, method)?;
    let (n, m) = (canary.len() as f64, stable.len() as f64);
    // The smallest statistic that these numbers of values can tell from chance (Smirnov's asymptotic quantile).
    let visible = (-(p / 2.0).ln() / 2.0 * (n + m) / (n * m)).sqrt();
    let fewest = canary.len().min(stable.len());
    let holds = ks.p < p && ks.d > d;
    let measured = format!("KS statistic {} with p {:.1e}", figure(ks.d), ks.p);
    let limit = format!("statistic {} and p {p}", figure(d));
    let (alarm, why) = if fewest < FEWEST {
        (Alarm::Insufficient, format!("{fewest} values in the smaller arm < {FEWEST}"))
    } else if holds {
        (Alarm::Critical, format!("{measured}, beyond {limit}"))
    } else if visible > d {
        let why = format!(
            "{measured}, within {limit}; but so few values show only a statistic above {}",
            figure(visible)
        );
        (Alarm::Insufficient, why)
    } else {
        (Alarm::Quiet, format!("{measured}, within {limit}"))
    };
    let mut figures = vec![("ks", ks.d), ("p", ks.p)];
    let (expected, actual) = binned(canary, stable);
    if expected.len() > 1 {
        figures.push(("psi", psi(&expected, &actual, FLOOR)?));
        figures.push(("psi_by_chance", psi_null(stable.len() as u64, canary.len() as u64, expected.len())?));
        figures.push(("js_bits", js_divergence(&expected, &actual, 2.0)?.divergence));
    }
    Ok((vec![Condition { severity: Severity::Critical, alarm, why }], figures))
}

/// Stable's and the canary's counts between stable's deciles; equal edges are one.
fn binned(canary: &[f64], stable: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut sorted = stable.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut edges: Vec<f64> =
        (1..BINS).filter_map(|tenth| sorted.get(sorted.len() * tenth / BINS).copied()).collect();
    edges.dedup();
    let counts = |values: &[f64]| {
        let mut counts = vec![0.0; edges.len() + 1];
        for value in values {
            if let Some(count) = counts.get_mut(edges.partition_point(|edge| edge <= value)) {
                *count += 1.0;
            }
        }
        counts
    };
    let (expected, actual) = (counts(stable), counts(canary));
    // A bin that holds nothing at all compares nothing.
    expected.into_iter().zip(actual).filter(|(e, a)| e + a > 0.0).unzip()
}
