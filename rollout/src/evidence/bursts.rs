//! How much events come in bursts.
//!
//! A pod that stalls for a second makes all its requests of that second slow; a pod that restarts fails them. Requests
//! then do not go independently of each other, whoever sent them, and a version with few pods shows few, large bursts.
//! How large they are is read off stable: the variance of its events between blocks of time, over the variance that
//! independent requests would have (a design effect, Kish, "Survey Sampling", 1965). Pods get traffic in proportion, so
//! the canary's bursts are as large in requests as stable's.
//!
//! Blocks are compared by second differences, for a rate that drifts or rises is no burst, and at three lengths, for a
//! burst must fit a block to be seen.

use serde::{Deserialize, Serialize};
use spec::Metric;

use super::measure::{TAIL, trials};
use crate::{Bins, Counts};

/// Lengths of blocks, in milliseconds.
const BLOCKS_MS: [u64; 3] = [1_000, 10_000, 60_000];
/// What was seen so many comparisons ago counts half.
const HALF_LIFE: f64 = 200.0;
/// Comparisons, weighted by their events, below which nothing is known.
const LEAST: f64 = 5.0;
/// Larger bursts are incidents: without a bound a single one in stable would blind the rest of a run.
const LARGEST: f64 = 20.0;
/// Requests after which stable's answer times count half in the edge of what is slow.
const EDGE_REQUESTS: u64 = 20_000;

/// Bursts of each kind of event, as stable shows them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bursts {
    errors: [Dispersion; 3],
    overdue: [Dispersion; 3],
    slow: [Dispersion; 3],
    times: Bins,
}

/// The variance of events between blocks of one length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Dispersion {
    /// Requests, events and milliseconds of the open block, and of the closed ones that wait for a third.
    open: (f64, f64, u64),
    closed: Vec<(f64, f64)>,
    /// Sums over comparisons: squared differences, the variances expected of independent requests, and their squares.
    seen: f64,
    expected: f64,
    expected_squared: f64,
}

impl Bursts {
    /// Adds what stable showed in an interval of `ms` milliseconds.
    pub(crate) fn observe(&mut self, stable: &Counts, ms: u64) {
        let edge = self.times.quantile_bin(1.0 - TAIL);
        let add = |blocks: &mut [Dispersion; 3], n: u64, k: u64| {
            blocks.iter_mut().zip(BLOCKS_MS).for_each(|(block, length)| block.add(n, k, ms, length));
        };
        let of = |metric| {
            let trials = trials(metric, stable);
            (trials.n, trials.k)
        };
        let ((n, errors), (reached, overdue)) = (of(Metric::ErrorRate), of(Metric::Overdue));
        add(&mut self.errors, n, errors);
        add(&mut self.overdue, reached, overdue);
        if let Some(edge) = edge {
            add(&mut self.slow, stable.latency.total(), stable.latency.after(edge));
        }
        self.times.add(&stable.latency);
        if self.times.total() > EDGE_REQUESTS {
            self.times.0.values_mut().for_each(|n| *n /= 2);
        }
    }

    /// The design effects of events as they stand.
    pub(crate) fn effects(&self) -> Effects {
        let of = |blocks: &[Dispersion; 3]| blocks.iter().map(Dispersion::design_effect).fold(1.0, f64::max);
        Effects { errors: of(&self.errors), overdue: of(&self.overdue), slow: of(&self.slow) }
    }
}

/// Design effects of bursts, by kind of event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effects {
    errors: f64,
    overdue: f64,
    slow: f64,
}

impl Effects {
    /// Where nothing is known of bursts.
    pub(crate) const NONE: Self = Self { errors: 1.0, overdue: 1.0, slow: 1.0 };

    /// The design effect of a metric's events; 1 while they seem to go independently.
    pub(crate) const fn of(self, metric: Metric) -> f64 {
        match metric {
            Metric::ErrorRate => self.errors,
            Metric::Overdue | Metric::GoneRate => self.overdue,
            Metric::LatencyP99 => self.slow,
            Metric::ConfidenceMean | Metric::ExternalLow | Metric::ExternalHigh => 1.0,
        }
    }
}

impl Dispersion {
    #[allow(clippy::cast_precision_loss)] // counts of a minute
    fn add(&mut self, n: u64, k: u64, ms: u64, length_ms: u64) {
        let (all, events, lasted) = &mut self.open;
        *all += n as f64;
        *events += k.min(n) as f64;
        *lasted += ms;
        if *lasted < length_ms {
            return;
        }
        let (all, events, _) = std::mem::take(&mut self.open);
        if all == 0.0 {
            // A block without a request parts what came before from what comes.
            self.closed.clear();
            return;
        }
        self.closed.push((all, events));
        if let [one, two, three] = self.closed[..] {
            self.closed.clear();
            self.compare([one, two, three]);
        }
    }

    /// The second difference of three blocks' rates, in requests of the middle one.
    fn compare(&mut self, [(n1, k1), (n2, k2), (n3, k3)]: [(f64, f64); 3]) {
        let rate = (k1 + k2 + k3) / (n1 + n2 + n3);
        let expected = rate * (1.0 - rate) * (1.0 / n1 + 4.0 / n2 + 1.0 / n3) * n2 * n2;
        let difference = (k1 / n1 - 2.0 * k2 / n2 + k3 / n3) * n2;
        let keep = 0.5_f64.powf(1.0 / HALF_LIFE);
        self.seen = self.seen * keep + difference * difference;
        self.expected = self.expected * keep + expected;
        self.expected_squared = self.expected_squared * keep * keep + expected * expected;
    }

    fn design_effect(&self) -> f64 {
        let comparisons = self.expected * self.expected / self.expected_squared;
        // NaN, before anything was seen, is not enough either.
        if !(comparisons >= LEAST) {
            return 1.0;
        }
        let ratio = self.seen / self.expected;
        // Independent requests give 1, with a variance of 2 per comparison.
        let by_chance = 1.0 + 3.0 * (2.0 / comparisons).sqrt();
        if ratio <= by_chance { 1.0 } else { ratio.min(LARGEST) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(n: u64, errors: u64) -> Counts {
        Counts { outcomes: n, errors, ..Counts::default() }
    }

    /// The design effect of errors after a thousand seconds of `errors(second)` among 100 requests.
    #[track_caller]
    fn check(errors: impl Fn(u64) -> u64, least: f64, most: f64) {
        let mut bursts = Bursts::default();
        (0..1_000).for_each(|second| bursts.observe(&counts(100, errors(second)), 1_000));
        let got = bursts.effects().of(Metric::ErrorRate);
        assert!((least..=most).contains(&got), "{got}");
    }

    #[test]
    fn bursts_are_told_from_a_level_that_moves() {
        check(|_| 0, 1.0, 1.0);
        check(|_| 5, 1.0, 1.0);
        // Up and down within the hour, in both versions alike.
        check(|second| 20 + (20.0 * (second as f64 / 600.0).sin()).round() as u64, 1.0, 1.5);
        // A pod of twenty restarts: five requests fail in one second.
        check(|second| if second % 37 == 0 { 5 } else { 0 }, 3.5, 7.0);
        // Ten seconds long.
        check(|second| if second % 90 < 10 { 1 } else { 0 }, 5.0, 20.0);
        // Everything fails for seconds, again and again.
        check(|second| if second % 20 < 7 { 100 } else { 0 }, 20.0, 20.0);
    }

    #[test]
    fn slow_answers_come_in_bursts_too() {
        let mut bursts = Bursts::default();
        for second in 0..600_u64 {
            let slow = if second % 30 == 0 { 6 } else { 0 };
            let latency = Bins([(100, 94 + 6 - slow), (200, slow)].into());
            bursts.observe(&Counts { latency, ..Counts::default() }, 1_000);
        }
        assert!(
            (2.5..9.0).contains(&bursts.effects().of(Metric::LatencyP99)),
            "{}",
            bursts.effects().of(Metric::LatencyP99)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Independent requests are hardly ever taken for bursts, and never for large ones.
        #[test]
        fn independent_requests_have_none(seed: u64) {
            let mut state = seed | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            let mut bursts = Bursts::default();
            for _ in 0..1_800 {
                let errors = (0..100).filter(|_| next() % 100 < 2).count() as u64;
                bursts.observe(&counts(100, errors), 1_000);
            }
            prop_assert!(bursts.effects().of(Metric::ErrorRate) < 4.5, "{}", bursts.effects().of(Metric::ErrorRate));
        }
    }
}
