//! From counts to what the tests eat.

use judge::anytime::{Bins as TailBins, ScoreStratum, Stratum, TailStratum, Trials};
use manifest::{Metric, MetricKind};

use crate::{Bins, Counts, Moments};

/// The part of requests above a 99th percentile.
pub const TAIL: f64 = 0.01;

/// The times of which the metric is a percentile.
pub const fn times(metric: Metric, counts: &Counts) -> &Bins {
    match metric {
        Metric::TimeToFirstTokenP95 => &counts.answers.first_token,
        Metric::TimePerOutputTokenP95 => &counts.answers.token_time,
        _ => &counts.latency,
    }
}

/// Requests and events of a rate, for a limit.
pub fn trials(metric: Metric, counts: &Counts) -> Trials {
    let (n, k) = match metric {
        Metric::Overdue => (counts.overdue.reached, counts.overdue.overdue),
        Metric::GoneRate => (counts.finished, counts.gone),
        Metric::RetryRate => (counts.tried, counts.retried),
        Metric::AnswerErrorRate => (counts.answers.seen, counts.answers.errors),
        Metric::UnseenRate => (counts.answers.seen + counts.answers.unseen, counts.answers.unseen),
        Metric::RefusalRate => (counts.answers.seen, counts.answers.refusals),
        Metric::EmptyRate => (counts.answers.seen, counts.answers.empty),
        Metric::InvalidRate => (counts.answers.seen, counts.answers.invalid),
        _ => (counts.outcomes, counts.errors),
    };
    Trials { n, k: k.min(n) }
}

/// Both arms' requests and events, for a comparison.
pub fn stratum(metric: Metric, canary: &Counts, control: &Counts) -> Stratum {
    let (one, zero) = (compared(metric, canary), compared(metric, control));
    Stratum::new(one.n, one.k, zero.n, zero.k)
}

/// As [`trials`]; but whoever was not answered counts, however soon a client left, and whatever a cluster did not take: of
/// equal versions equally many are.
fn compared(metric: Metric, counts: &Counts) -> Trials {
    let Trials { n, k } = trials(metric, counts);
    match metric {
        Metric::Overdue => Trials { n, k: (k + counts.overdue.left_soon).min(n) },
        Metric::ErrorRate => Trials { n: n + counts.overflow, k: k + counts.overflow },
        _ => Trials { n, k },
    }
}

/// Answer times below this are alike, in nanoseconds: what a busy node's scheduler adds to one process and not to another
/// is of this size, and no user of a model feels it.
const ALIKE_NS: u64 = 5_000_000;

/// Answer times of both arms.
pub fn tails(canary: &Bins, control: &Bins) -> TailStratum {
    let least = tally::latency_bin(ALIKE_NS);
    let bins = |bins: &Bins| {
        let mut raised = TailBins::new();
        for (&bin, &n) in &bins.0 {
            *raised.entry(i32::from(bin.max(least))).or_default() += n;
        }
        raised
    };
    TailStratum { canary: bins(canary), stable: bins(control) }
}

/// Times of tokens of both arms: these are of a millisecond and less, and each counts.
pub fn token_tails(canary: &Bins, control: &Bins) -> TailStratum {
    let bins = |bins: &Bins| bins.0.iter().map(|(&bin, &n)| (i32::from(bin), n)).collect();
    TailStratum { canary: bins(canary), stable: bins(control) }
}

/// A factor as a number of bins, rounded down (`up` false) or up: always so that the claim to be proven is no easier.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 16 log2(100) = 107
pub fn bins_of(factor: f64, up: bool) -> u16 {
    let bins = 16.0 * factor.max(1.0).log2();
    if up { bins.ceil() as u16 } else { bins.floor() as u16 }
}

pub fn scores(canary: Moments, control: Moments) -> ScoreStratum {
    ScoreStratum {
        n1: canary.n,
        sum1: canary.sum,
        squares1: canary.sum_squares,
        n0: control.n,
        sum0: control.sum,
        squares0: control.sum_squares,
    }
}

/// A margin from stable's value.
pub fn at_margin(metric: Metric, stable: f64, margin: f64, points: f64) -> f64 {
    if metric.larger_is_worse() { stable * margin + points } else { stable - stable.abs() * margin - points }
}

/// As [`estimate`]; `beside`: of what is compared with stable, the value that is.
pub fn shown(metric: Metric, counts: &Counts, beside: bool) -> (Option<f64>, u64) {
    if !(beside && matches!(metric, Metric::Overdue | Metric::ErrorRate)) {
        return estimate(metric, counts);
    }
    let Trials { n, k } = compared(metric, counts);
    #[allow(clippy::cast_precision_loss)] // counts below 2^53
    let share = (n > 0).then(|| k as f64 / n as f64);
    (share, n)
}

/// The metric's value, and the requests it rests on.
#[allow(clippy::cast_precision_loss)] // counts below 2^53
pub fn estimate(metric: Metric, counts: &Counts) -> (Option<f64>, u64) {
    match metric.kind() {
        MetricKind::Rate => {
            let Trials { n, k } = trials(metric, counts);
            ((n > 0).then(|| k as f64 / n as f64), n)
        }
        MetricKind::Time => {
            // Slower than every edge is shown as the last edge: infinity is no number in JSON.
            let last = tally::latency_upper_ms(tally::LATENCY_TOP.saturating_sub(1));
            let times = times(metric, counts);
            (times.quantile_ms(1.0 - metric.tail()).map(|ms| ms.min(last)), times.total())
        }
        MetricKind::Figure => (None, 0),
        MetricKind::Score => {
            let Moments { n, sum, .. } = counts.confidence;
            ((n > 0).then(|| sum / n as f64), n)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a scheduler adds to one of two equal processes is no difference; beyond it, every bin is its own.
    #[test]
    fn answer_times_below_five_milliseconds_are_alike() {
        let of = |times: &[(u64, u64)]| {
            let mut bins = Bins::default();
            for &(micros, n) in times {
                *bins.0.entry(tally::latency_bin(micros * 1_000)).or_default() += n;
            }
            bins
        };
        let both = tails(&of(&[(300, 10), (4_900, 5), (80_000, 1)]), &of(&[(4_000, 15), (80_000, 1)]));
        assert_eq!(both.canary, both.stable);
        assert_eq!(both.canary.len(), 2, "the floor, and what is slow");
        let apart = tails(&of(&[(6_000, 1)]), &of(&[(8_000, 1)]));
        assert_ne!(apart.canary, apart.stable);
    }
}
