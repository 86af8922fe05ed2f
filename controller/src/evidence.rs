//! From counters to evidence: what one look at the counters means for one run.

use std::collections::BTreeMap;

use envoy::stats::{Upstream, UpstreamWhat};
use rollout::{Bins, Counts, Group, Interval, Moments, Overdue, State, Totals};
use spec::ErrorClass;
use split::{Arm, Cause};
use tally::{Class, ConfidenceScale, GroupEvent, Series, What};

/// Increments of counters between two looks at all proxies.
#[derive(Clone, Debug, Default)]
pub struct Increments {
    pub from_ms: u64,
    pub to_ms: u64,
    pub counters: Vec<(Series, u64)>,
    /// What Envoys counted of the clusters behind shadows.
    pub upstreams: BTreeMap<Upstream, u64>,
    /// Why they cannot be trusted as a whole.
    pub gap: Option<String>,
    /// Counters began again at nothing.
    pub restarted: bool,
    /// The filters' gauges, one set for each proxy that answered.
    pub gauges: Vec<BTreeMap<String, u64>>,
}

/// What must be remembered from look to look.
pub struct Book {
    arms: BTreeMap<Arm, Running>,
    epoch: u64,
    /// Since when all traffic is split by the weights of `epoch`; `None`: some proxies have others.
    settled_ms: Option<u64>,
}

struct Running {
    overdue: Overdue,
    totals: Totals,
}

impl Book {
    pub fn new(state: &State) -> Self {
        let running =
            || Running { overdue: Overdue::new(state.plan.overdue_after_ms), totals: Totals::default() };
        let others = state.plan.challengers.iter().map(|challenger| challenger.arm);
        let arms = Arm::NAMELESS.into_iter().chain(others).map(|arm| (arm, running())).collect();
        Self { arms, epoch: state.epoch, settled_ms: None }
    }

    /// The weights are on their way: until a quorum has them, traffic is split by two policies at once.
    pub fn unsettle(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.settled_ms = None;
    }

    pub fn settle(&mut self, now_ms: u64) {
        self.settled_ms.get_or_insert(now_ms);
    }

    /// The wall clock was set, by so many milliseconds: what was noted by the old one is dated by the new one.
    pub const fn clock_set(&mut self, by_ms: i64) {
        if let Some(since) = &mut self.settled_ms {
            *since = since.saturating_add_signed(by_ms);
        }
    }

    /// The evidence of one look for one run. Part of the truth is not evidence: when anything is missing, the
    /// interval says so and counts for nothing.
    pub fn interval(&mut self, state: &State, news: &Increments) -> Interval {
        if news.restarted {
            for running in self.arms.values_mut() {
                running.overdue.restart();
                running.totals = Totals::default();
            }
        }
        // Every arm is counted at every look, whether it is still in or not: what is in flight is known by its totals.
        let known: Vec<Arm> = self.arms.keys().copied().collect();
        let mut arms: BTreeMap<Arm, Counts> =
            known.into_iter().map(|arm| (arm, self.counts(state, arm, news))).collect();
        let mut of = |arm: Arm| arms.remove(&arm).unwrap_or_default();
        let (mut canary, mut stable, mut baseline) =
            (of(state.plan.arm()), of(Arm::Stable), of(Arm::Baseline));
        let rivals = state.plan.rivals().map(|rival| (rival.arm, of(rival.arm))).collect();
        let gap = news.gap.clone().or_else(|| match self.settled_ms {
            Some(since) if since <= news.from_ms => None,
            _ => Some("the weights were changing".to_owned()),
        });
        if state.shadows() {
            // The same instrument for both: Envoy's router. Of the copies it is the only one there is.
            let clusters = &state.plan.traffic.clusters;
            canary = routed(state, &clusters.canary, news);
            let groups = stable.groups.take();
            stable = Counts { groups, ..routed(state, &clusters.stable, news) };
            baseline = Counts::default();
        }
        Interval {
            epoch: self.epoch,
            from_ms: news.from_ms,
            to_ms: news.to_ms,
            canary,
            rivals,
            stable,
            baseline,
            gap,
        }
    }

    fn counts(&mut self, state: &State, arm: Arm, news: &Increments) -> Counts {
        let version = state.plan.version_of(arm).unwrap_or(&state.stable_version);
        let mut tally = Tally::default();
        for (series, by) in &news.counters {
            if series.rollout == state.plan.name && series.arm == arm && series.version == version {
                tally.add(state, series.what, *by);
            }
        }
        let Tally { mut counts, steps, squares, groups } = tally;
        if let Some(confidence) = &state.plan.traffic.confidence
            && let Some(scale) = ConfidenceScale::new(confidence.min, confidence.max)
        {
            counts.confidence = moments(scale, counts.confidence.n, steps, squares);
        }
        counts.groups =
            (state.plan.traffic.count_groups && arm == Arm::Stable).then(|| groups.into_values().collect());
        if let Some(running) = self.arms.get_mut(&arm) {
            running.totals.at_ms = news.to_ms;
            running.totals.assigned += counts.assigned;
            running.totals.finished += counts.finished;
            running.totals.late += longer_than(&counts.latency, state.plan.overdue_after_ms);
            counts.overdue = running.overdue.look(running.totals);
        }
        counts
    }
}

/// What Envoy's router counted of a cluster.
fn routed(state: &State, cluster: &str, news: &Increments) -> Counts {
    let of = |what| news.upstreams.get(&Upstream { cluster: cluster.to_owned(), what }).copied().unwrap_or(0);
    let counted = |class: ErrorClass| state.plan.error_classes.contains(&class);
    let mut errors = 0;
    // The router tells timeouts and resets from other answers 5xx only by their status.
    if [ErrorClass::ServerError, ErrorClass::Timeout, ErrorClass::Reset].into_iter().any(counted) {
        errors += of(UpstreamWhat::ServerError);
    }
    let too_many = of(UpstreamWhat::TooMany);
    if counted(ErrorClass::TooMany) {
        errors += too_many;
    }
    if counted(ErrorClass::ClientError) {
        errors += of(UpstreamWhat::ClientError).saturating_sub(too_many);
    }
    let completed = of(UpstreamWhat::Completed);
    let mut latency = Bins::default();
    for (upstream, &n) in &news.upstreams {
        if let (true, UpstreamWhat::Latency(bin)) = (upstream.cluster == cluster, upstream.what) {
            *latency.0.entry(bin).or_default() += n;
        }
    }
    let timeouts = of(UpstreamWhat::Timeout);
    if timeouts > 0 {
        *latency.0.entry(tally::LATENCY_TOP).or_default() += timeouts;
    }
    Counts {
        assigned: completed,
        finished: completed,
        outcomes: completed,
        errors,
        latency,
        ..Counts::default()
    }
}

#[derive(Default)]
struct Tally {
    counts: Counts,
    steps: u64,
    squares: u64,
    groups: BTreeMap<u8, Group>,
}

impl Tally {
    fn add(&mut self, state: &State, what: What, by: u64) {
        let counts = &mut self.counts;
        match what {
            What::Assigned(Cause::Weight) => counts.assigned += by,
            What::Finished(Cause::Weight, class) => {
                counts.finished += by;
                if class == Class::Gone {
                    counts.gone += by;
                }
                if class.is_outcome() {
                    counts.outcomes += by;
                    if state.plan.error_classes.iter().any(|error| error.label() == class.as_str()) {
                        counts.errors += by;
                    }
                }
            }
            // Assigned for another reason than the weight: no evidence.
            What::Assigned(_) | What::Finished(..) => {}
            What::Latency(bin) => *counts.latency.0.entry(bin).or_default() += by,
            What::Confidence(_) => counts.confidence.n += by,
            What::ConfidenceSum => self.steps += by,
            What::ConfidenceSquares => self.squares += by,
            What::ConfidenceInvalid => {}
            What::Group(group, event) => {
                let entry =
                    self.groups.entry(group).or_insert(Group { group: group.into(), ..Group::default() });
                match event {
                    GroupEvent::Finished => entry.finished += by,
                    GroupEvent::Error => entry.errors += by,
                }
            }
        }
    }
}

/// Sums of steps as sums of the values they stand for.
#[allow(clippy::cast_precision_loss)] // sums of steps stay far below 2^53
fn moments(scale: ConfidenceScale, n: u64, steps: u64, squares: u64) -> Moments {
    let (count, steps, squares) = (n as f64, steps as f64, squares as f64);
    let (least, step) = (scale.value(0.0), scale.value(1.0) - scale.value(0.0));
    Moments {
        n,
        sum: count * least + step * steps,
        sum_squares: count * least * least + 2.0 * least * step * steps + step * step * squares,
    }
}

/// How many were surely longer than `ms`: those in bins that begin there or later.
#[allow(clippy::cast_precision_loss)] // milliseconds
fn longer_than(bins: &Bins, ms: u64) -> u64 {
    bins.0
        .iter()
        .filter(|(bin, _)| **bin > 0 && tally::latency_upper_ms(**bin - 1) >= ms as f64)
        .map(|(_, n)| n)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let plan = spec::load(
            "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n",
        )
        .expect("the minimal rollout")
        .plan;
        State::new(plan, 1, 0, rollout::Now::at_ms(0))
    }

    fn series(arm: Arm, version: &str, what: What) -> Series {
        Series { rollout: "ranker".into(), version: version.into(), arm, what }
    }

    fn news(counters: Vec<(Series, u64)>) -> Increments {
        Increments { from_ms: 1_000, to_ms: 2_000, counters, ..Increments::default() }
    }

    #[test]
    fn only_the_runs_own_weighted_requests_are_evidence() {
        let state = state();
        let mut book = Book::new(&state);
        book.settle(500);
        let finished = |cause, class| What::Finished(cause, class);
        let mut other = series(Arm::Canary, "v2", finished(Cause::Weight, Class::Ok));
        other.rollout = "other".into();
        let interval = book.interval(
            &state,
            &news(vec![
                (series(Arm::Canary, "v2", finished(Cause::Weight, Class::Ok)), 90),
                (series(Arm::Canary, "v2", finished(Cause::Weight, Class::ServerError)), 10),
                (series(Arm::Canary, "v2", finished(Cause::Weight, Class::Gone)), 3),
                (series(Arm::Canary, "v2", finished(Cause::Override, Class::ServerError)), 50),
                (series(Arm::Canary, "v1.9", finished(Cause::Weight, Class::ServerError)), 50),
                (series(Arm::Stable, "v1", finished(Cause::Weight, Class::Ok)), 900),
                (other, 50),
            ]),
        );
        assert_eq!(interval.gap, None);
        let canary = &interval.canary;
        assert_eq!((canary.finished, canary.outcomes, canary.errors, canary.gone), (103, 100, 10, 3));
        assert_eq!(interval.stable.outcomes, 900);
    }

    #[test]
    fn every_challenger_is_counted_by_itself_and_the_lead_in_the_canarys_place() {
        let text = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n  arms: [{name: b, version: v3}, {name: c, version: v4}]\n";
        let mut state = State::new(spec::load(text).expect("a rollout").plan, 1, 0, rollout::Now::at_ms(0));
        let arm = |name: &str| Arm::parse(name).expect("a name");
        let mut book = Book::new(&state);
        book.settle(500);
        let ok = What::Finished(Cause::Weight, Class::Ok);
        let look = news(vec![
            (series(Arm::Canary, "v2", ok), 10),
            (series(arm("b"), "v3", ok), 20),
            (series(arm("b"), "v2", ok), 500),
            (series(arm("c"), "v4", ok), 30),
            (series(Arm::Stable, "v1", ok), 900),
        ]);
        let counted = |interval: &Interval| {
            let rivals = interval.rivals.iter().map(|(arm, counts)| (arm.to_string(), counts.outcomes));
            (interval.canary.outcomes, interval.stable.outcomes, rivals.collect::<Vec<_>>())
        };
        let interval = book.interval(&state, &look);
        assert_eq!(counted(&interval), (10, 900, vec![("b".to_owned(), 20), ("c".to_owned(), 30)]));
        state.plan.leave_out(Arm::Canary);
        assert_eq!(counted(&book.interval(&state, &look)), (20, 900, vec![("c".to_owned(), 30)]));
    }

    #[test]
    fn while_weights_change_nothing_is_evidence() {
        let state = state();
        let mut book = Book::new(&state);
        let gap = |book: &mut Book| book.interval(&state, &news(vec![])).gap.is_some();
        assert!(gap(&mut book), "never settled");
        book.settle(1_500);
        assert!(gap(&mut book), "settled half way through");
        book.unsettle(2);
        book.settle(900);
        assert!(!gap(&mut book));
        book.unsettle(3);
        assert!(gap(&mut book));
    }

    #[test]
    fn a_clock_that_is_set_back_holds_no_evidence_up() {
        let state = state();
        let mut book = Book::new(&state);
        book.settle(3_600_000);
        assert!(book.interval(&state, &news(vec![])).gap.is_some());
        book.clock_set(-3_600_000);
        assert!(book.interval(&state, &news(vec![])).gap.is_none());
    }

    #[test]
    fn sums_of_steps_become_sums_of_values() {
        let scale = ConfidenceScale::new(-1.0, 3.0).expect("a range");
        let values = [-1.0, 0.5, 2.9996];
        let steps: Vec<u64> = values.iter().map(|value| scale.steps(*value).expect("inside")).collect();
        let got = moments(scale, 3, steps.iter().sum(), steps.iter().map(|s| s * s).sum());
        assert!((got.sum - values.iter().sum::<f64>()).abs() < 1e-9, "{got:?}");
        assert!((got.sum_squares - values.iter().map(|v| v * v).sum::<f64>()).abs() < 1e-9, "{got:?}");
    }

    #[test]
    fn late_is_what_is_surely_later() {
        let bins = Bins(
            [
                (tally::latency_bin(1_000_000_000), 5),
                (tally::latency_bin(2_200_000_000), 7),
                (tally::LATENCY_TOP, 2),
            ]
            .into(),
        );
        assert_eq!(longer_than(&bins, 2_000), 9);
    }

    #[test]
    fn in_a_shadow_the_router_speaks_for_both() {
        let text = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n  preset: shadow\n  errorClasses: [server_error, too_many]\n";
        let mut state = State::new(spec::load(text).expect("a rollout").plan, 1, 0, rollout::Now::at_ms(0));
        state.weights.shadow_ppm = 100_000;
        let mut book = Book::new(&state);
        book.settle(500);
        let of = |cluster: &str, what, n| (Upstream { cluster: cluster.to_owned(), what }, n);
        let (fast, slow) = (tally::latency_bin(20_000_000), tally::LATENCY_TOP);
        let mut news = news(vec![(series(Arm::Stable, "v1", What::Finished(Cause::Weight, Class::Ok)), 7)]);
        news.upstreams = [
            of("stable", UpstreamWhat::Completed, 1_000),
            of("stable", UpstreamWhat::ServerError, 9),
            of("canary", UpstreamWhat::Completed, 100),
            of("canary", UpstreamWhat::ServerError, 4),
            of("canary", UpstreamWhat::ClientError, 30),
            of("canary", UpstreamWhat::TooMany, 2),
            of("canary", UpstreamWhat::Timeout, 3),
            of("canary", UpstreamWhat::Latency(fast), 97),
            of("other", UpstreamWhat::Completed, 5),
        ]
        .into();
        let interval = book.interval(&state, &news);
        assert_eq!((interval.stable.outcomes, interval.stable.errors), (1_000, 9));
        assert_eq!((interval.canary.outcomes, interval.canary.errors), (100, 6));
        assert_eq!(interval.canary.latency.0, [(fast, 97), (slow, 3)].into());
        state.weights.shadow_ppm = 0;
        assert_eq!(book.interval(&state, &news).stable.outcomes, 7);
    }
}
