//! A/A: is a version found equal to itself?
//!
//! Stable's traffic is split in two, both parts served by the same version, and judged by the gates of the rollout as if
//! one part were a canary; in both directions, since a difference is a difference whichever part looks worse. Whatever
//! is found here is no fault of a version: the gates, the traffic or the mesh are wrong.
//!
//! Right at every look: a difference needs the average of all gates' e-values, both directions, to reach 1/alpha of the
//! plan; parity needs every gate to be proven within its margin in both directions (an intersection of claims, which
//! needs no correction); the split has a level of its own ([`Split`]).

use manifest::{Against, Plan, Weights};
use serde::{Deserialize, Serialize};

use super::{Ended, ExerciseEvent, ExercisePublication, Outcome, ParityFinding, Split};
use crate::{
    Acks, Answer, Below, Cause, Counts, Effect, Human, Interval, Notice, Now, Publication, Record, Severity,
    State,
};
use evidence::{Evidence, Look, Scope, difference};

/// What is to be found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParityOrder {
    /// The share of the second part, in parts per million.
    pub share_ppm: u32,
    /// Is the same version deployed as canary as well, and takes the second part? Otherwise stable serves both.
    pub deployed: bool,
    /// The longest time of evidence, in milliseconds.
    pub duration_ms: u64,
    /// Is it over as soon as parity is proven?
    pub until_evidence: bool,
    /// Who wants it, and why.
    pub by: Human,
    /// Was it scheduled?
    pub scheduled: bool,
}

/// An A/A check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parity {
    /// Counted for each rollout, from 1.
    pub number: u64,
    /// The run whose configuration it borrows.
    pub run: u64,
    /// That run's plan, with gates that compare and nothing else.
    pub plan: Plan,
    /// Gates that are left out: their figures come from a source that knows versions, not parts.
    pub left_out: Vec<String>,
    /// The version that serves everything.
    pub stable_version: String,
    /// What is to be found out.
    pub order: ParityOrder,
    /// When it was asked for.
    pub started: Now,
    /// The epoch of its last publication.
    pub epoch: u64,
    /// The phase.
    pub phase: ParityPhase,
    /// Its last publication.
    pub sent: Option<ExercisePublication>,
    /// When a quorum split the traffic.
    pub began: Option<Now>,
    /// Time of evidence, in milliseconds.
    pub watched_ms: u64,
    /// Is the second part worse than the first?
    pub forward: Evidence,
    /// Is the first part worse than the second?
    pub backward: Evidence,
    /// Does traffic arrive in the shares it was split in?
    pub split: Split,
    /// What was found.
    pub finding: Option<(ParityFinding, String)>,
    /// How it ended.
    pub ended: Option<Ended>,
}

/// Where an A/A check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParityPhase {
    /// The proxies prove that they follow; only where another deployment takes a part.
    Probing,
    /// The traffic is split and counted.
    Watching,
    /// Everything goes back.
    TakingBack,
    /// It is over.
    Ended,
}

impl Parity {
    /// A check on the configuration of a run that is over. `epoch`: the highest one published under this name.
    #[must_use]
    pub fn new(state: &State, number: u64, epoch: u64, order: ParityOrder, now: Now) -> Self {
        let (plan, left_out) = comparing(state, order.deployed);
        let split = Split::new(&plan, order.share_ppm);
        Self {
            number,
            run: state.run,
            forward: Evidence::new(&plan),
            backward: Evidence::new(&plan),
            left_out,
            plan,
            stable_version: state.stable_version.clone(),
            order,
            started: now,
            epoch,
            phase: ParityPhase::Probing,
            sent: None,
            began: None,
            watched_ms: 0,
            split,
            finding: None,
            ended: None,
        }
    }

    /// Does it want [`ExerciseEvent::Interval`]?
    #[must_use]
    pub const fn watches(&self) -> bool {
        matches!(self.phase, ParityPhase::Watching)
    }

    /// A run as its counters would be read: the plan, and the version behind the stable route.
    #[must_use]
    pub fn counted_as(&self) -> State {
        let mut state = State::new(self.plan.clone(), self.run, self.epoch, self.started);
        state.stable_version.clone_from(&self.stable_version);
        state
    }

    pub(super) fn step(self, event: &ExerciseEvent, now: Now) -> (Self, Vec<Effect>) {
        let mut step = Step { parity: self, now, effects: Vec::new() };
        if step.parity.ended.is_none() {
            step.take(event);
            step.settle();
        }
        (step.parity, step.effects)
    }

    pub(super) fn scope(&self) -> Scope {
        Scope { exposed: true, concurrent: true, copies: false, baked_ms: self.watched_ms }
    }

    /// The e-values (as ln) of a difference, both directions together, gate by gate; and whether all together prove one.
    pub(super) fn difference(&self) -> (Vec<f64>, bool) {
        difference(&self.forward, &self.backward, self.plan.alpha.gates)
    }

    /// Is every gate proven within its margin, both ways?
    pub(super) fn alike(&self) -> bool {
        let passes = |evidence: &Evidence, gate: usize| {
            evidence
                .verdict(&self.plan, gate, self.scope(), false)
                .is_some_and(|verdict| verdict.answer == Answer::Pass)
        };
        !self.plan.gates.is_empty()
            && (0..self.plan.gates.len())
                .all(|gate| passes(&self.forward, gate) && passes(&self.backward, gate))
    }
}

/// The plan with the gates that compare two parts of the same traffic.
fn comparing(state: &State, deployed: bool) -> (Plan, Vec<String>) {
    let mut plan = Plan::clone(&state.plan);
    let (left_out, mut gates): (Vec<_>, Vec<_>) =
        plan.gates.into_iter().partition(|gate| gate.metric().is_external());
    for gate in &mut gates {
        // A fixed limit says nothing of two parts: a gate with a limit alone is compared by the usual margin.
        gate.limit = None;
        let usual = Against::usual(gate.metric());
        gate.against.get_or_insert(usual);
        gate.hard = true;
        (gate.start_after_ms, gate.min_window_ms, gate.consecutive, gate.failure_limit) = (0, 0, 0, None);
    }
    plan.gates = gates;
    plan.warm_up_ms = 0;
    if deployed {
        plan.canary.clone_from(&state.stable_version);
    } else {
        plan.guardrails.clear();
        plan.baseline = true;
    }
    // How requests of one user go together must be known, whatever the gates take for granted.
    plan.traffic.count_groups |= super::shares::sticky(&plan);
    (plan, left_out.into_iter().map(|gate| gate.name).collect())
}

/// A check in the middle of a step.
struct Step {
    parity: Parity,
    now: Now,
    effects: Vec<Effect>,
}

impl Step {
    fn take(&mut self, event: &ExerciseEvent) {
        match event {
            ExerciseEvent::Begin if self.parity.sent.is_none() => self.begin(),
            ExerciseEvent::Acks(acks) => self.acknowledge(acks),
            ExerciseEvent::Interval(interval) => self.count(interval),
            ExerciseEvent::Cancel(why) => self.find(ParityFinding::Cancelled, why.clone()),
            ExerciseEvent::Restart => {
                self.find(ParityFinding::Cancelled, "the controller was restarted".to_owned());
            }
            _ => {}
        }
    }

    fn begin(&mut self) {
        let order = &self.parity.order;
        let who = if order.scheduled { "its schedule".to_owned() } else { order.by.who.clone() };
        let what = format!(
            "A/A check {} for {who}: {} against itself",
            self.parity.number, self.parity.stable_version
        );
        self.effects.push(Effect::Record(Record { at: self.now, what }));
        if order.deployed {
            self.publish(0, Cause::Probe);
        } else {
            self.split_traffic();
        }
    }

    fn split_traffic(&mut self) {
        self.parity.phase = ParityPhase::Watching;
        let order = &self.parity.order;
        let (who, share) = (order.by.who.clone(), order.share_ppm);
        self.publish(share, Cause::Human { who });
    }

    fn acknowledge(&mut self, acks: &Acks) {
        let quorum = self.parity.plan.acknowledge.quorum;
        let Some(sent) = &mut self.parity.sent else { return };
        sent.acknowledge(acks, quorum, self.now);
        if sent.quorum.is_some() && self.parity.phase == ParityPhase::Watching {
            self.parity.began.get_or_insert(self.now);
        }
    }

    fn count(&mut self, interval: &Interval) {
        let parity = &mut self.parity;
        if !parity.watches() || parity.began.is_none() || interval.gap.is_some() {
            return;
        }
        let ms = interval.to_ms.saturating_sub(interval.from_ms);
        parity.watched_ms = parity.watched_ms.saturating_add(ms);
        let second = if parity.order.deployed { &interval.canary } else { &interval.baseline };
        let first = &interval.stable;
        let groups = first.groups.clone();
        parity.split.count(first.assigned, second.assigned, groups.as_deref().unwrap_or_default());
        let look = Look {
            age_ms: parity.watched_ms,
            span_ms: ms,
            baked_ms: parity.watched_ms,
            of_stage: true,
            concurrent: true,
            warming: false,
            copies: false,
        };
        let of = |canary: &Counts, control: &Counts| {
            // How requests go together is measured on stable's groups, whichever part stands for the canary.
            let canary = Counts { groups: None, ..canary.clone() };
            let stable = Counts { groups: groups.clone(), ..control.clone() };
            Interval { canary, stable, ..Interval::default() }
        };
        parity.forward.observe(&parity.plan, &of(second, first), look);
        parity.backward.observe(&parity.plan, &of(first, second), look);
        self.judge();
    }

    fn judge(&mut self) {
        let parity = &self.parity;
        if parity.split.is_off() {
            let why = parity.split.sentence();
            return self.find(ParityFinding::SampleRatio, why);
        }
        if let Some(broken) = parity.forward.broken(&parity.plan) {
            let why = format!("guardrail {}: {}", broken.verdict.name, broken.verdict.why);
            return self.find(ParityFinding::Difference, why);
        }
        let (log_e, proven) = parity.difference();
        if proven {
            let worst = log_e.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _)| at);
            let why =
                parity.row(worst).map_or_else(String::new, |row| format!("gate {}: {}", row.name, row.why));
            return self.find(ParityFinding::Difference, why);
        }
        if parity.order.until_evidence && parity.alike() {
            let why = parity.parity_sentence();
            self.find(ParityFinding::Parity, why);
        }
    }

    /// Does whatever is due by now.
    fn settle(&mut self) {
        let timeout = self.parity.plan.acknowledge.timeout_ms;
        let Some(sent) = &self.parity.sent else { return };
        let waited = self.now.since_ms(sent.at);
        match self.parity.phase {
            ParityPhase::Probing if sent.quorum.is_some() => self.split_traffic(),
            ParityPhase::Probing | ParityPhase::Watching if sent.quorum.is_none() && waited >= timeout => {
                let why = format!("too few proxies took the split in time: {}", sent.followers());
                self.find(ParityFinding::NotEnough, why);
            }
            ParityPhase::Watching => {
                let began = self.parity.began.unwrap_or(self.now);
                if self.now.since_ms(began) >= self.parity.order.duration_ms {
                    let (finding, why) = if self.parity.alike() {
                        (ParityFinding::Parity, self.parity.parity_sentence())
                    } else {
                        (ParityFinding::NotEnough, self.parity.not_enough_sentence())
                    };
                    self.find(finding, why);
                }
            }
            ParityPhase::TakingBack if sent.all.is_some() || waited >= timeout => self.end(),
            _ => {}
        }
    }

    /// That is the answer; traffic goes back to one part.
    fn find(&mut self, finding: ParityFinding, why: String) {
        if self.parity.sent.is_none() {
            self.parity.finding.get_or_insert((finding, why));
            return self.end();
        }
        let again = self.parity.phase == ParityPhase::TakingBack;
        self.parity.finding.get_or_insert((finding, why));
        if again && finding != ParityFinding::Cancelled {
            return;
        }
        self.parity.phase = ParityPhase::TakingBack;
        self.publish(0, Cause::Rollback);
        if self.parity.order.deployed {
            self.effects.push(Effect::Revoke { below: Below::LastPublished });
        }
    }

    fn end(&mut self) {
        let parity = &mut self.parity;
        let (finding, why) =
            parity.finding.clone().unwrap_or((ParityFinding::Cancelled, "it never began".to_owned()));
        let outcome = match finding {
            ParityFinding::Parity => Outcome::Passed,
            ParityFinding::Difference | ParityFinding::SampleRatio => Outcome::Failed,
            ParityFinding::NotEnough => Outcome::Undecided,
            ParityFinding::Cancelled => Outcome::Cancelled,
        };
        let late = parity.sent.as_ref().filter(|sent| parity.order.deployed && sent.all.is_none());
        let why = match late {
            Some(sent) => format!("{why}; weight 0 is not everywhere: {}", sent.followers()),
            None => why,
        };
        parity.phase = ParityPhase::Ended;
        parity.ended = Some(Ended { at: self.now, outcome, why: why.clone() });
        let (name, number) = (parity.plan.name.clone(), parity.number);
        let what = format!("A/A check {number}: {}: {why}", finding.words());
        self.effects.push(Effect::Record(Record { at: self.now, what }));
        // The person who ordered it sees the result; one that began by itself needs a notice.
        let told = match outcome {
            Outcome::Failed => Some((
                Severity::Warning,
                "; what gates say of a new version means little until that is explained",
            )),
            Outcome::Undecided => Some((Severity::Warning, "; allow it more time or a larger share")),
            Outcome::Cancelled => Some((Severity::Info, "")),
            Outcome::Passed => None,
        };
        if let Some((severity, remedy)) =
            told.filter(|_| outcome == Outcome::Failed || self.parity.order.scheduled)
        {
            let text = format!("{name}: A/A check {number}: {}: {why}{remedy}", finding.words());
            self.effects.push(Effect::Notify(Notice {
                severity,
                key: format!("{name}/parity/{number}"),
                text,
            }));
        }
    }

    fn publish(&mut self, share_ppm: u32, cause: Cause) {
        let parity = &mut self.parity;
        parity.epoch = parity.epoch.saturating_add(1);
        let weights = if parity.order.deployed {
            Weights { canary_ppm: share_ppm, ..Weights::default() }
        } else {
            Weights { baseline_ppm: share_ppm, ..Weights::default() }
        };
        let policy = parity.plan.policy(parity.epoch, weights, &parity.stable_version);
        let id = parity.sent.as_ref().map_or(1, |sent| sent.id.saturating_add(1));
        parity.sent = Some(ExercisePublication::new(id, policy.clone(), false, self.now));
        self.effects.push(Effect::Publish(Box::new(Publication { id, policy, cause })));
    }
}
