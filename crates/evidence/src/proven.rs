//! What counts prove a value to be no worse than.
//!
//! The bound is the nearest limit that a gate's own proof would accept: the same one-arm tests, asked for one limit
//! after the other. They are valid however the counts came to an end (a stage ends because its evidence looked good
//! enough, so an interval for a fixed number of requests would be too narrow), and for rates their evidence rises with
//! the limit's distance, so the nearest that is accepted errs no more often than any single one.

use judge::anytime::Scale;
use judge::gate::Span;
use manifest::{Limit, Metric, MetricKind};

use crate::Counts;
use crate::measure::{estimate, times};
use crate::test::Test;

/// Halvings of what lies between a limit that is proven and one that is not.
const HALVINGS: u32 = 40;
/// Places at which a mean's bound is looked for before it is halved.
const PLACES: u32 = 400;
/// The smallest rate that is told from none.
const LEAST_RATE: f64 = 1e-7;

/// The nearest value the metric is proven not to be worse than, with a chance of error of `alpha`; `None`: these counts
/// prove nothing. `deff`: how much requests of one user go together.
pub fn proven(metric: Metric, counts: &Counts, scale: Scale, deff: f64, alpha: f64) -> Option<f64> {
    let (seen, n) = estimate(metric, counts);
    let seen = seen.filter(|_| n > 0)?;
    let holds = |limit: f64| {
        let span = Span { ms: 0, of_stage: true };
        Test::limit(metric, Limit::of(limit), scale)
            .and_then(|mut test| {
                test.temper(deff)?;
                test.observe(counts, &Counts::default(), span)?;
                Ok(test.answers().no_harm >= -alpha.ln())
            })
            .unwrap_or(false)
    };
    match metric.kind() {
        MetricKind::Rate => {
            let between = |near: f64, far: f64| (near * far).sqrt();
            nearest(seen.max(LEAST_RATE), 1.0 - 1e-9, between, holds)
        }
        MetricKind::Time => {
            let first = times(metric, counts).quantile_bin(1.0 - metric.tail())?;
            (first..tally::LATENCY_TOP).map(|bin| tally::latency_upper_ms(bin).ceil()).find(|&ms| holds(ms))
        }
        MetricKind::Score => {
            let step = (seen - scale.min) / f64::from(PLACES);
            let place = |index: u32| seen - step * f64::from(index);
            let far = (1..PLACES).find(|&index| holds(place(index)))?;
            nearest(place(far - 1), place(far), |near, far| 0.5 * (near + far), holds)
        }
        // Numbers without counts.
        MetricKind::Figure => None,
    }
}

/// The limit nearest to `near` that holds, when `far` does.
fn nearest(
    mut near: f64,
    mut far: f64,
    between: impl Fn(f64, f64) -> f64,
    holds: impl Fn(f64) -> bool,
) -> Option<f64> {
    if !holds(far) {
        return None;
    }
    for _ in 0..HALVINGS {
        let middle = between(near, far);
        if holds(middle) { far = middle } else { near = middle }
    }
    Some(far)
}
