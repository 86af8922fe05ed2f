//! How much events come in bursts.
//!
//! A pod that stalls for a second makes all its requests of that second slow; a pod that restarts fails them. Requests
//! then do not go independently of each other, whoever sent them, and a version with few pods shows few, large bursts.
//! How large they are is read off stable: the variance of its events between blocks of time, over the variance that
//! independent requests would have (a design effect, Kish, "Survey Sampling", 1965). Pods get traffic in proportion, so
//! the canary's bursts are as large in requests as stable's.
//!
//! What slows both versions at once (a busy node, a slow database) is in both arms at the same moments and cancels where they
//! are compared: the part of stable's variance that the canary shares is left out.
//!
//! Blocks are compared by second differences, for a rate that drifts or rises is no burst, and at three lengths, for a
//! burst must fit a block to be seen.

use manifest::Metric;
use serde::{Deserialize, Serialize};

use crate::measure::{TAIL, trials};
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
    retried: [Dispersion; 3],
    times: Bins,
}

/// The variance of events between blocks of one length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Dispersion {
    /// The open block, how long it lasted, and the closed ones that wait for a third.
    open: Block,
    open_ms: u64,
    closed: Vec<Block>,
    /// Sums over comparisons: squared differences, the variances expected of independent requests, and their squares.
    seen: f64,
    expected: f64,
    expected_squared: f64,
    /// And stable's differences times the canary's.
    shared: f64,
}

/// Requests and events of both arms in a block of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Block {
    stable: (f64, f64),
    canary: (f64, f64),
}

impl Bursts {
    /// Adds what both showed in an interval of `ms` milliseconds.
    pub fn observe(&mut self, stable: &Counts, canary: &Counts, ms: u64) {
        let edge = self.times.quantile_bin(1.0 - TAIL);
        let add = |blocks: &mut [Dispersion; 3], of: &dyn Fn(&Counts) -> (u64, u64)| {
            let both = [of(stable), of(canary)];
            blocks.iter_mut().zip(BLOCKS_MS).for_each(|(block, length)| block.add(both, ms, length));
        };
        let of = |metric| {
            move |counts: &Counts| {
                let trials = trials(metric, counts);
                (trials.n, trials.k)
            }
        };
        add(&mut self.errors, &of(Metric::ErrorRate));
        add(&mut self.overdue, &of(Metric::Overdue));
        add(&mut self.retried, &of(Metric::RetryRate));
        if let Some(edge) = edge {
            add(&mut self.slow, &|counts| (counts.latency.total(), counts.latency.after(edge)));
        }
        self.times.add(&stable.latency);
        if self.times.total() > EDGE_REQUESTS {
            self.times.0.values_mut().for_each(|n| *n /= 2);
        }
    }

    /// The design effects of events as they stand.
    pub fn effects(&self) -> Effects {
        let of = |blocks: &[Dispersion; 3]| blocks.iter().map(Dispersion::design_effect).fold(1.0, f64::max);
        Effects {
            errors: of(&self.errors),
            overdue: of(&self.overdue),
            slow: of(&self.slow),
            retried: of(&self.retried),
        }
    }
}

/// Design effects of bursts, by kind of event.
#[derive(Clone, Copy, Debug)]
pub struct Effects {
    errors: f64,
    overdue: f64,
    slow: f64,
    retried: f64,
}

impl Effects {
    /// Where nothing is known of bursts.
    pub const NONE: Self = Self { errors: 1.0, overdue: 1.0, slow: 1.0, retried: 1.0 };

    /// The design effect of a metric's events; 1 while they seem to go independently.
    pub const fn of(self, metric: Metric) -> f64 {
        match metric {
            Metric::ErrorRate => self.errors,
            Metric::Overdue | Metric::GoneRate => self.overdue,
            Metric::LatencyP99 => self.slow,
            Metric::RetryRate => self.retried,
            _ => 1.0,
        }
    }
}

impl Dispersion {
    #[allow(clippy::cast_precision_loss)] // counts of a minute
    fn add(&mut self, [stable, canary]: [(u64, u64); 2], ms: u64, length_ms: u64) {
        for (sum, (n, k)) in [(&mut self.open.stable, stable), (&mut self.open.canary, canary)] {
            sum.0 += n as f64;
            sum.1 += k.min(n) as f64;
        }
        self.open_ms += ms;
        if self.open_ms < length_ms {
            return;
        }
        let block = std::mem::take(&mut self.open);
        self.open_ms = 0;
        if block.stable.0 == 0.0 {
            // A block without a request parts what came before from what comes.
            self.closed.clear();
            return;
        }
        self.closed.push(block);
        if let [one, two, three] = self.closed[..] {
            self.closed.clear();
            self.compare([one, two, three]);
        }
    }

    /// Second differences of three blocks' rates, in requests of stable's in the middle one.
    fn compare(&mut self, blocks: [Block; 3]) {
        let [(n1, k1), (n2, k2), (n3, k3)] = blocks.map(|block| block.stable);
        let rate = (k1 + k2 + k3) / (n1 + n2 + n3);
        let expected = rate * (1.0 - rate) * (1.0 / n1 + 4.0 / n2 + 1.0 / n3) * n2 * n2;
        let difference = |[(n1, k1), (n2, k2), (n3, k3)]: [(f64, f64); 3]| k1 / n1 - 2.0 * k2 / n2 + k3 / n3;
        let stable = difference(blocks.map(|block| block.stable)) * n2;
        let canary = difference(blocks.map(|block| block.canary)) * n2;
        let keep = 0.5_f64.powf(1.0 / HALF_LIFE);
        self.seen = self.seen * keep + stable * stable;
        self.expected = self.expected * keep + expected;
        self.expected_squared = self.expected_squared * keep * keep + expected * expected;
        // Without a request of the canary's nothing is known to be shared.
        let shared = if canary.is_finite() { stable * canary } else { 0.0 };
        self.shared = self.shared * keep + shared;
    }

    fn design_effect(&self) -> f64 {
        let comparisons = self.expected * self.expected / self.expected_squared;
        // Before anything was seen it is no number.
        if comparisons.is_nan() || comparisons < LEAST {
            return 1.0;
        }
        let ratio = self.seen / self.expected;
        // Independent requests give 1, with a variance of 2 per comparison.
        let by_chance = 1.0 + 3.0 * (2.0 / comparisons).sqrt();
        if ratio <= by_chance {
            return 1.0;
        }
        let shared = (self.shared / (self.seen - self.expected)).clamp(0.0, 1.0);
        (1.0 + (ratio - 1.0) * (1.0 - shared)).min(LARGEST)
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
        (0..1_000).for_each(|second| bursts.observe(&counts(100, errors(second)), &Counts::default(), 1_000));
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
            bursts.observe(&Counts { latency, ..Counts::default() }, &Counts::default(), 1_000);
        }
        assert!(
            (2.5..9.0).contains(&bursts.effects().of(Metric::LatencyP99)),
            "{}",
            bursts.effects().of(Metric::LatencyP99)
        );
    }

    #[test]
    fn what_slows_both_at_once_is_no_burst_of_either() {
        let effect = |shared: bool| {
            let mut bursts = Bursts::default();
            for second in 0..900_u64 {
                let stable = if second % 7 == 0 { 30 } else { 1 };
                let canary = if (second + u64::from(!shared) * 3) % 7 == 0 { 6 } else { 0 };
                bursts.observe(&counts(100, stable), &counts(20, canary), 1_000);
            }
            bursts.effects().of(Metric::ErrorRate)
        };
        assert!(effect(true) < 1.5, "{}", effect(true));
        assert!(effect(false) > 10.0, "{}", effect(false));
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
                bursts.observe(&counts(100, errors), &Counts::default(), 1_000);
            }
            prop_assert!(bursts.effects().of(Metric::ErrorRate) < 4.5, "{}", bursts.effects().of(Metric::ErrorRate));
        }
    }
}
