//! Many runs of one world, as shares and times with intervals.

use std::collections::BTreeMap;

use judge::special::normal_quantile;
use serde::Serialize;

use crate::{End, Outcome};

/// A share of runs with its 95 % interval (Wilson, "Probable inference", 1927): honest at 0 and at all of them too.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Runs it happened in.
    pub count: u64,
    /// The share of all.
    pub share: f64,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

impl Share {
    /// `count` of `all`; without any run it may be anything.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // runs
    pub fn new(count: u64, all: u64) -> Self {
        if all == 0 {
            return Self { count, share: 0.0, lo: 0.0, hi: 1.0 };
        }
        let (n, p) = (all as f64, count as f64 / all as f64);
        let z2 = normal_quantile(0.975).powi(2);
        let middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = (z2 * (p * (1.0 - p) / n + z2 / (4.0 * n * n))).sqrt() / (1.0 + z2 / n);
        let lo = if count == 0 { 0.0 } else { (middle - half).max(0.0) };
        let hi = if count == all { 1.0 } else { (middle + half).min(1.0) };
        Self { count, share: p, lo, hi }
    }
}

/// Quantiles of a quantity over runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the runs stay below it.
    pub median: f64,
    /// The median's 95 % interval, by order statistics: it needs no law of the quantity.
    pub median_lo: f64,
    /// Its upper end.
    pub median_hi: f64,
    /// Nine of ten runs stay below it.
    pub p90: f64,
}

impl Spread {
    /// Of at least one value.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // ranks
    pub fn new(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let n = values.len() as f64;
        let at = |rank: f64| values.get(rank.round().clamp(0.0, (n - 1.0).max(0.0)) as usize).copied();
        let half = normal_quantile(0.975) * n.sqrt() / 2.0;
        let middle = (n - 1.0) / 2.0;
        Some(Self {
            median: at(middle)?,
            median_lo: at((middle - half).floor())?,
            median_hi: at((middle + half).ceil())?,
            p90: at(0.9 * (n - 1.0))?,
        })
    }
}

/// What many runs of one world came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The world.
    pub world: String,
    /// Should it be promoted?
    pub healthy: bool,
    /// Runs.
    pub runs: u64,
    /// Promoted.
    pub promoted: Share,
    /// Rolled back.
    pub rolled_back: Share,
    /// Stopped, and waiting for a person.
    pub held: Share,
    /// Rolled back, or held because a gate failed: where the canary is harmful, caught.
    pub stopped: Share,
    /// Seconds from the harm's beginning (or the first exposure) until it was stopped.
    pub seconds_to_stop: Option<Spread>,
    /// Canary requests in that time.
    pub requests_to_stop: Option<Spread>,
    /// Errors in that time on top of stable's.
    pub extra_errors: Option<Spread>,
    /// Seconds from the start until it was promoted.
    pub seconds_to_promote: Option<Spread>,
    /// Errors of all versions, as a share of all requests of all runs.
    pub failed: f64,
    /// The canary's requests, as a share of the same.
    pub exposed: f64,
    /// Runs that were over before their harm began.
    pub over_before: u64,
    /// What ended the runs that were not promoted, with how many.
    pub ends: BTreeMap<String, u64>,
    /// Looks at the counters in all.
    pub looks: u64,
    /// Seconds until each stopped run was stopped, in rising order; for pictures.
    #[serde(skip)]
    pub stops: Vec<f64>,
}

impl Summary {
    /// Sums up the runs of one world.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // milliseconds and requests below 2^53
    pub fn new(world: &crate::World, outcomes: &[Outcome]) -> Self {
        let runs = outcomes.len() as u64;
        let count = |keep: &dyn Fn(&Outcome) -> bool| {
            Share::new(outcomes.iter().filter(|outcome| keep(outcome)).count() as u64, runs)
        };
        let of = |keep: &dyn Fn(&Outcome) -> bool, value: &dyn Fn(&Outcome) -> f64| -> Vec<f64> {
            outcomes.iter().filter(|outcome| keep(outcome)).map(value).collect()
        };
        let promoted = |outcome: &Outcome| outcome.end == End::Promoted;
        // Stopped before its harm began, it was not caught.
        let stopped = |outcome: &Outcome| match &outcome.end {
            _ if outcome.harmful_ms == 0 => false,
            End::RolledBack { .. } => true,
            End::Held { why } => why.starts_with("gate"),
            End::Promoted => false,
        };
        let mut ends = BTreeMap::new();
        for outcome in outcomes {
            let why = match &outcome.end {
                End::Promoted => continue,
                End::RolledBack { by } => by.clone(),
                End::Held { why } => format!("held: {why}"),
            };
            *ends.entry(why).or_default() += 1;
        }
        let sum = |of: &dyn Fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>() as f64;
        let of_all = |part: f64| part / sum(&|outcome| outcome.requests).max(1.0);
        let mut stops = of(&stopped, &|outcome| outcome.harmful_ms as f64 / 1e3);
        stops.sort_by(f64::total_cmp);
        Self {
            world: world.name.clone(),
            healthy: world.healthy,
            runs,
            promoted: count(&promoted),
            rolled_back: count(&|outcome| matches!(outcome.end, End::RolledBack { .. })),
            held: count(&|outcome| matches!(outcome.end, End::Held { .. })),
            stopped: count(&stopped),
            seconds_to_stop: Spread::new(stops.clone()),
            requests_to_stop: Spread::new(of(&stopped, &|outcome| outcome.harmful_requests as f64)),
            extra_errors: Spread::new(of(&stopped, &|outcome| outcome.extra_errors)),
            seconds_to_promote: Spread::new(of(&promoted, &|outcome| outcome.end_ms as f64 / 1e3)),
            failed: of_all(sum(&|outcome| outcome.errors)),
            exposed: of_all(sum(&|outcome| outcome.exposed_requests)),
            over_before: outcomes.iter().filter(|outcome| outcome.harmful_ms == 0).count() as u64,
            ends,
            looks: outcomes.iter().map(|outcome| outcome.looks).sum(),
            stops,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(count: u64, all: u64, lo: f64, hi: f64) {
        let share = Share::new(count, all);
        assert!((share.lo - lo).abs() < 5e-4 && (share.hi - hi).abs() < 5e-4, "{share:?}");
    }

    #[test]
    fn intervals_of_shares() {
        check(0, 10, 0.0, 0.2775);
        check(10, 10, 0.7225, 1.0);
        check(5, 10, 0.2366, 0.7634);
        check(81, 263, 0.2553, 0.3662);
        check(0, 0, 0.0, 1.0);
    }

    #[test]
    fn spread_of_values() {
        let spread = Spread::new((1..=101).rev().map(f64::from).collect()).unwrap();
        assert_eq!((spread.median, spread.p90), (51.0, 91.0));
        assert!(spread.median_lo < 45.0 && spread.median_hi > 57.0 && spread.median_lo > 35.0);
        assert_eq!(Spread::new(vec![]), None);
        assert_eq!(Spread::new(vec![7.0]).unwrap().p90, 7.0);
    }
}
