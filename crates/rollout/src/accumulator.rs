//! From counters to evidence: what one look at the counters of all proxies means for one run.

use std::collections::BTreeMap;

use manifest::ErrorClass;
use split::{Arm, Cause};
use tally::{Class, ConfidenceScale, Counted, GroupEvent, Progress, What};

use crate::{Counts, Group, Interval, State};
use evidence::{ProxyCoverage, Stratum};

/// Stable is slow by nature at an age at which more than this part of its requests are not answered: what is overdue is
/// then asked at the next age.
const USUALLY_UNANSWERED: f64 = 0.025;

/// Requests are old enough for proof at an age at which at most this part of stable's are not answered.
const STILL_UNANSWERED: f64 = 0.001;

/// Requests of stable that must have reached an age before it is known how it answers.
const LEAST_KNOWN: u64 = 100;

/// What can be said of one look at all proxies, as one run sees them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LookSummary {
    /// When the interval began, in milliseconds since 1970.
    pub from_ms: u64,
    /// When it ended.
    pub to_ms: u64,
    /// Why nothing is known at all.
    pub gap: Option<String>,
    /// Which proxies it rests on.
    pub coverage: ProxyCoverage,
}

/// The counts of a shadow stage, by the one instrument that sees copies: what Envoys counted of both clusters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpstreamCounts {
    /// Of the cluster that gets copies.
    pub canary: Counts,
    /// Of stable's.
    pub stable: Counts,
}

/// Remembers from look to look what one run's counts mean.
#[derive(Clone, Debug)]
pub struct CounterAccumulator {
    epoch: u64,
    /// Since when all traffic is split by the weights of `epoch`; `None`: some proxies have others.
    settled_ms: Option<u64>,
    /// How stable answered, by age in milliseconds: requests that reached it, and those without an answer by then.
    answers: BTreeMap<u32, (u64, u64)>,
}

impl CounterAccumulator {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(state: &State) -> Self {
        Self { epoch: state.epoch, settled_ms: None, answers: BTreeMap::new() }
    }

    /// The weights are on their way: until a quorum has them, traffic is split by two policies at once.
    pub const fn unsettle(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.settled_ms = None;
    }

    /// A quorum has the weights.
    pub fn settle(&mut self, now_ms: u64) {
        self.settled_ms.get_or_insert(now_ms);
    }

    /// The wall clock was set, by so many milliseconds: what was noted by the old one is dated by the new one.
    pub const fn clock_set(&mut self, by_ms: i64) {
        if let Some(since) = &mut self.settled_ms {
            *since = since.saturating_add_signed(by_ms);
        }
    }

    /// The age at which a request without an answer is overdue, in milliseconds: the plan's, or the first above it by
    /// which stable usually answers.
    #[must_use]
    pub fn overdue_age_ms(&self, state: &State) -> u32 {
        let ages = state.plan.ages_ms();
        let from = state.plan.overdue_after_ms;
        let late = |age: &&u32| u64::from(**age) >= from;
        let usual = |age: &&u32| self.unanswered(**age).is_none_or(|share| share <= USUALLY_UNANSWERED);
        let mut ages_from = ages.iter().filter(late);
        ages_from.find(usual).or_else(|| ages.last()).copied().unwrap_or(u32::MAX)
    }

    /// The age from which on requests are old enough for proof.
    fn mature_age_ms(&self, state: &State) -> u32 {
        let ages = state.plan.ages_ms();
        let known = |age: &&u32| self.unanswered(**age).is_some_and(|share| share <= STILL_UNANSWERED);
        match ages.iter().find(known) {
            Some(age) => *age,
            // It is not known yet.
            None if ages.iter().all(|age| self.unanswered(*age).is_none()) => self.overdue_age_ms(state),
            None => ages.last().copied().unwrap_or(0),
        }
    }

    #[allow(clippy::cast_precision_loss)] // counts below 2^53
    fn unanswered(&self, age_ms: u32) -> Option<f64> {
        let &(reached, without) = self.answers.get(&age_ms)?;
        (reached >= LEAST_KNOWN).then(|| without as f64 / reached as f64)
    }

    /// The evidence of one look for one run: of each weight by itself, since what is assigned under two is not of the same
    /// moments in the same proportion.
    pub fn interval<'c>(
        &mut self,
        state: &State,
        seen: &LookSummary,
        counted: impl Iterator<Item = &'c Counted>,
        routed: Option<UpstreamCounts>,
    ) -> Interval {
        let overdue_age_ms = self.overdue_age_ms(state);
        let mut epochs: BTreeMap<u64, BTreeMap<Arm, ArmCounter>> = BTreeMap::new();
        // Of unknown weights: there is no share to compare by, and limits hold all the same.
        let mut nameless: BTreeMap<Arm, ArmCounter> = BTreeMap::new();
        for one in counted {
            let series = &one.series;
            let arm = series.arm;
            // A filter that does not tell epochs counts for the present weights once every proxy has them.
            let epoch = one.epoch.or_else(|| self.is_settled(seen).then_some(self.epoch));
            let version = state.plan.version_of(arm).unwrap_or(&state.stable_version);
            if epoch.is_none() && series.version == version && !matches!(arm, Arm::Stable | Arm::Baseline) {
                nameless.entry(arm).or_default().add(state, overdue_age_ms, series.what, one.n);
            }
            let Some(epoch) = epoch.filter(|epoch| *epoch >= state.first_epoch.min(self.epoch)) else {
                continue;
            };
            if series.version == version && epoch <= self.epoch {
                let arms = epochs.entry(epoch).or_default();
                arms.entry(arm).or_default().add(state, overdue_age_ms, series.what, one.n);
                self.learn(arm, series.what, one.n);
            }
        }
        let mut of = |epoch: u64| stratum(state, epoch, epochs.remove(&epoch).unwrap_or_default());
        let Stratum { mut canary, rivals, mut stable, mut baseline, .. } = of(self.epoch);
        let mut unproven = self.unproven(state, seen);
        let mut gap = seen.gap.clone();
        if let Some(routed) = routed {
            // The same instrument for both. It knows nothing of weights, so only whole looks count.
            let groups = stable.groups.take();
            (canary, stable, baseline) =
                (routed.canary, Counts { groups, ..routed.stable }, Counts::default());
            gap = gap.or_else(|| unproven.take());
        }
        let named = epochs.into_iter().map(|(epoch, arms)| stratum(state, epoch, arms));
        let nameless = (!nameless.is_empty()).then(|| stratum(state, 0, nameless));
        let others = named.chain(nameless);
        Interval {
            epoch: self.epoch,
            from_ms: seen.from_ms,
            to_ms: seen.to_ms,
            canary,
            rivals,
            stable,
            baseline,
            others: others.collect(),
            overdue_age_ms,
            coverage: Some(seen.coverage.clone()),
            gap,
            unproven,
        }
    }

    /// Did every proxy have the weights before this look began?
    fn is_settled(&self, seen: &LookSummary) -> bool {
        self.settled_ms.is_some_and(|since| since <= seen.from_ms)
    }

    /// Remembers how stable answers.
    fn learn(&mut self, arm: Arm, what: What, n: u64) {
        if let (Arm::Stable | Arm::Baseline, What::Aged { age_ms, progress, .. }) = (arm, what) {
            let (reached, without) = self.answers.entry(age_ms).or_default();
            *reached += n;
            // A client that leaves soon says little of how long an answer takes.
            *without += if matches!(progress, Progress::Waiting | Progress::Left) { n } else { 0 };
        }
    }

    /// Why this look is no proof, if it is none.
    fn unproven(&self, state: &State, seen: &LookSummary) -> Option<String> {
        let Some(settled_ms) = self.settled_ms.filter(|_| self.is_settled(seen)) else {
            return Some("the weights are on their way".to_owned());
        };
        if seen.coverage.blind {
            return Some(seen.coverage.unread.clone());
        }
        if !seen.coverage.is_whole(state.plan.acknowledge.quorum) {
            let ProxyCoverage { told, asked, lacking, .. } = &seen.coverage;
            return Some(format!("{told} of {asked} proxies gave all their counts: {lacking}"));
        }
        let mature_ms = self.mature_age_ms(state);
        let age_ms = seen.from_ms.saturating_sub(settled_ms);
        (age_ms < u64::from(mature_ms)).then(|| {
            format!("requests of these weights are not old enough yet: it takes {mature_ms} ms to know how they end")
        })
    }
}

fn stratum(state: &State, epoch: u64, mut arms: BTreeMap<Arm, ArmCounter>) -> Stratum {
    let mut of = |arm: Arm| arms.remove(&arm).unwrap_or_default().into_counts(state, arm);
    Stratum {
        epoch,
        canary: of(state.plan.arm()),
        stable: of(Arm::Stable),
        baseline: of(Arm::Baseline),
        rivals: state.plan.rivals().map(|rival| (rival.arm, of(rival.arm))).collect(),
    }
}

#[derive(Default)]
struct ArmCounter {
    counts: Counts,
    groups: BTreeMap<u8, Group>,
}

impl ArmCounter {
    fn add(&mut self, state: &State, overdue_age_ms: u32, what: What, by: u64) {
        let counts = &mut self.counts;
        match what {
            What::Assigned(Cause::Weight, _) => counts.assigned += by,
            What::Finished(Cause::Weight, class, _) => {
                counts.finished += by;
                match class {
                    Class::Gone => counts.gone += by,
                    Class::Local => counts.local += by,
                    Class::Overflow => counts.overflow += by,
                    _ => {}
                }
                if class.is_outcome() {
                    counts.outcomes += by;
                    if counts_as_error(&state.plan.error_classes, class) {
                        counts.errors += by;
                    }
                }
            }
            // Assigned for another reason than the weight: no evidence.
            What::Assigned(..) | What::Finished(..) => {}
            What::Aged { age_ms, progress, .. } => {
                if age_ms == overdue_age_ms {
                    counts.overdue.reached += by;
                    match progress {
                        Progress::Answered => {}
                        Progress::Waiting | Progress::Left => counts.overdue.overdue += by,
                        Progress::LeftSoon => counts.overdue.left_soon += by,
                    }
                }
            }
            What::Latency(bin) => {
                counts.tried += by;
                *counts.latency.0.entry(bin).or_default() += by;
            }
            What::Confidence(point) => {
                if let Some(scale) = scale(state) {
                    counts.confidence.add(scale.value(point), by);
                    *counts.answers.scores.0.entry(point).or_default() += by;
                }
            }
            What::Answer(_)
            | What::Predicted(_)
            | What::Finish(_)
            | What::InputTokens(_)
            | What::OutputTokens(_)
            | What::FirstToken(_)
            | What::TokenTime(_) => counts.answers.count(what, by),
            What::Retried => counts.retried += by,
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

    fn into_counts(self, state: &State, arm: Arm) -> Counts {
        let groups = state.plan.traffic.count_groups && arm == Arm::Stable;
        Counts { groups: groups.then(|| self.groups.into_values().collect()), ..self.counts }
    }
}

fn counts_as_error(classes: &[ErrorClass], class: Class) -> bool {
    classes.iter().any(|error| error.label() == class.as_str())
}

fn scale(state: &State) -> Option<ConfidenceScale> {
    let confidence = state.plan.traffic.confidence.as_ref()?;
    ConfidenceScale::new(confidence.min, confidence.max)
}

impl State {
    /// The versions whose counters are evidence: those on trial, and stable's before and after the end.
    pub fn versions(&self) -> impl Iterator<Item = &str> {
        let plan = &self.plan;
        let challengers = plan.challengers.iter().map(|challenger| challenger.version.as_str());
        [plan.stable.as_str(), plan.canary.as_str(), self.stable_version.as_str()]
            .into_iter()
            .chain(challengers)
    }
}
