//! From counters to evidence: what one look at the counters means for one run.

use std::collections::BTreeMap;
use std::sync::OnceLock;

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
    /// When this look was due, by `CLOCK_MONOTONIC`; 0: nobody planned it.
    pub due_ns: u64,
    /// Where the counters of each rollout stand, found at the first question.
    pub by_rollout: OnceLock<BTreeMap<String, Vec<usize>>>,
    /// The filters' gauges, one set for each proxy that answered.
    pub gauges: Vec<BTreeMap<String, u64>>,
    /// What each proxy contributed; empty where that does not matter.
    pub sources: Vec<Source>,
}

/// What one proxy contributed.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Where it is; `None`: nobody knows.
    pub region: Option<String>,
    /// From when on.
    pub from_ms: u64,
    /// Why that cannot be trusted.
    pub gap: Option<String>,
    /// Its counters began again at nothing.
    pub restarted: bool,
}

impl Increments {
    /// As the run sees them: one region's proxies are nothing to another's, whether they answer or not.
    pub fn of(&self, state: &State) -> Seen {
        let region = state.plan.member.as_ref().and_then(|member| member.region.as_deref());
        let Some(region) = region else {
            return Seen { from_ms: self.from_ms, gap: self.gap.clone(), restarted: self.restarted };
        };
        // A proxy that never said where it is may be of this region: then part of the truth is missing.
        let there = || {
            self.sources.iter().filter(|source| source.region.as_deref().is_none_or(|known| known == region))
        };
        let gaps: Vec<&str> = there().filter_map(|source| source.gap.as_deref()).collect();
        let gap = if there().next().is_none() {
            Some(format!("no Envoy of region {region} is read: give serin run --envoy-admin its address"))
        } else {
            (!gaps.is_empty()).then(|| gaps.join("; "))
        };
        Seen {
            from_ms: there().map(|source| source.from_ms).min().unwrap_or(self.from_ms),
            gap,
            restarted: there().any(|source| source.restarted),
        }
    }
}

/// What can be said of increments, as one run sees them.
pub struct Seen {
    pub from_ms: u64,
    /// Why they cannot be trusted as a whole.
    pub gap: Option<String>,
    /// Counters began again at nothing.
    pub restarted: bool,
}

impl Increments {
    /// The counters of one rollout. A hundred rollouts ask at every look: each counter is looked at once for all of them.
    fn counters_of<'a>(&'a self, rollout: &str) -> impl Iterator<Item = &'a (Series, u64)> {
        let by_rollout = self.by_rollout.get_or_init(|| {
            let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for (at, (series, _)) in self.counters.iter().enumerate() {
                match places.get_mut(&series.rollout) {
                    Some(places) => places.push(at),
                    None => drop(places.insert(series.rollout.clone(), vec![at])),
                }
            }
            places
        });
        by_rollout.get(rollout).into_iter().flatten().filter_map(|&at| self.counters.get(at))
    }
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
        let seen = news.of(state);
        if seen.restarted {
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
        let gap = seen.gap.or_else(|| match self.settled_ms {
            Some(since) if since <= seen.from_ms => None,
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
            from_ms: seen.from_ms,
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
        for (series, by) in news.counters_of(&state.plan.name) {
            if series.arm == arm && series.version == version {
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
mod tests;
