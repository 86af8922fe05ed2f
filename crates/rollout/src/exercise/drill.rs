//! The rollback path, proven on live configuration.
//!
//! ```text
//! probe at weight 0, with a lease -> revoke the lease alone -> expose (above weight 0) -> take back: push and revoke
//! ```
//!
//! Taking back is what a rollback does, effect for effect. Revoking alone comes first because a push is nearly always
//! faster: together with it a broken lease would never be noticed.

use std::sync::Arc;

use manifest::{Percent, Plan, Weights};
use serde::{Deserialize, Serialize};

use super::{Ended, ExerciseEvent, ExercisePublication, Heartbeats, LastCanaryRequest, Outcome};
use crate::{Acks, Below, Cause, Effect, Human, Notice, Now, Publication, Record, Severity, State};

/// A canary request is waited for this long once a quorum has the weight; then it is taken back without one.
const EXPOSE_MS: u64 = 10_000;

/// Late proxies are waited for at least this long, so that the report can say how late: five minutes, the slowest
/// rollback that can be promised.
const WAIT_MS: u64 = manifest::DRILL_WAITS_MS;

/// A filter writes the time of its last canary request at its next tick, late by at most this.
const GAUGE_TICK_MS: u64 = 100;

/// What is to be proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillOrder {
    /// The canary's share while it is exposed, in parts per million; 0: no request goes to it.
    pub weight_ppm: u32,
    /// Every way back must be done within this, in milliseconds.
    pub limit_ms: u64,
    /// Who wants it, and why.
    pub by: Human,
    /// Was it scheduled?
    pub scheduled: bool,
}

/// A drill of the rollback path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// Counted for each rollout, from 1.
    pub number: u64,
    /// The run whose configuration it borrows.
    pub run: u64,
    /// That run's plan.
    pub plan: Arc<Plan>,
    /// The version behind the stable route.
    pub stable_version: String,
    /// What is to be proven.
    pub order: DrillOrder,
    /// When it was asked for.
    pub started: Now,
    /// The epoch of its last publication.
    pub epoch: u64,
    /// The phase.
    pub phase: DrillPhase,
    /// Its last publication.
    pub sent: Option<ExercisePublication>,
    /// The outcome of the lease revoked alone.
    pub lease: LeasePath,
    /// The outcome of the canary's traffic.
    pub exposure: Exposure,
    /// The outcome of the push.
    pub push: Option<PushPath>,
    /// Was it taken back ahead of its time, and why?
    pub cancelled: Option<Cancelled>,
    /// How it ended.
    pub ended: Option<Ended>,
}

/// Where a drill is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillPhase {
    /// The proxies prove that they follow, and that they ask for the lease.
    Probing,
    /// The lease is revoked, and nothing is pushed.
    Revoking,
    /// The canary gets its weight.
    Exposing,
    /// Everything goes back.
    TakingBack,
    /// It is over.
    Ended,
}

/// The lease revoked alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeasePath {
    /// Why it was not tried.
    pub skipped: Option<LeaseSkipped>,
    /// When it was revoked.
    pub revoked: Option<Now>,
    /// When the last proxy was told.
    pub told: Option<Now>,
    /// Proxies that asked and were told.
    pub proxies: u32,
    /// Proxies connected that did not ask, by name where names are known.
    pub silent: Vec<String>,
    /// Proxies connected that did not ask.
    pub missing: u32,
}

/// Why the lease was not revoked alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseSkipped {
    /// Another rollout is exposed under the same lease.
    OthersExposed,
    /// It was ended before.
    Ended,
}

/// The canary's traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exposure {
    /// When the weight was sent.
    pub began: Option<Now>,
    /// Was a canary request seen?
    pub seen: bool,
}

/// The end ahead of its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancelled {
    /// Why, in a few words.
    pub why: String,
    /// Is it because the proxies did not follow?
    pub unfollowed: bool,
}

/// The push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushPath {
    /// When it was decided.
    pub decided: Now,
    /// Proxies connected at that moment.
    pub connected: u32,
    /// From the decision to the acknowledgement of the last proxy, in milliseconds.
    pub acknowledged_ms: Option<u64>,
    /// From the decision to the last canary request of any proxy, at most, in milliseconds.
    pub last_canary_ms: Option<u64>,
    /// Have all proxies spoken since? While not, it is a lower bound.
    pub last_canary_complete: bool,
}

impl Drill {
    /// A drill on the configuration of a run that is over. `epoch`: the highest one published under this name.
    #[must_use]
    pub fn new(state: &State, number: u64, epoch: u64, order: DrillOrder, now: Now) -> Self {
        Self {
            number,
            run: state.run,
            plan: state.plan.clone(),
            stable_version: state.stable_version.clone(),
            order,
            started: now,
            epoch,
            phase: DrillPhase::Probing,
            sent: None,
            lease: LeasePath::default(),
            exposure: Exposure::default(),
            push: None,
            cancelled: None,
            ended: None,
        }
    }

    pub(super) fn step(self, event: &ExerciseEvent, now: Now) -> (Self, Vec<Effect>) {
        let mut step = Step { drill: self, now, effects: Vec::new() };
        if step.drill.ended.is_none() {
            step.take(event);
            step.settle();
        }
        (step.drill, step.effects)
    }
}

/// A drill in the middle of a step.
struct Step {
    drill: Drill,
    now: Now,
    effects: Vec<Effect>,
}

impl Step {
    fn take(&mut self, event: &ExerciseEvent) {
        match event {
            ExerciseEvent::Begin if self.drill.sent.is_none() => {
                let order = &self.drill.order;
                let who = if order.scheduled { "its schedule" } else { &order.by.who };
                let why = if order.by.reason.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", order.by.reason)
                };
                let what =
                    format!("Drill {} for {who}{why}: probe the proxies at weight 0", self.drill.number);
                self.record(what);
                self.publish(0, true, Cause::Probe);
            }
            ExerciseEvent::Acks(acks) => self.acknowledge(acks),
            ExerciseEvent::Heartbeats(heard) => self.hear(heard),
            ExerciseEvent::Look(look) => self.look(*look),
            ExerciseEvent::Cancel(why) => self.cancel(why.clone(), false),
            ExerciseEvent::Restart => self.cancel("the controller was restarted".to_owned(), false),
            ExerciseEvent::Begin | ExerciseEvent::Tick | ExerciseEvent::Interval(_) => {}
        }
    }

    fn acknowledge(&mut self, acks: &Acks) {
        let quorum = self.drill.plan.acknowledge.quorum;
        if let Some(sent) = &mut self.drill.sent {
            sent.acknowledge(acks, quorum, self.now);
        }
    }

    fn hear(&mut self, heard: &Heartbeats) {
        let lease = &mut self.drill.lease;
        let asked = match self.drill.phase {
            DrillPhase::Probing => &heard.renewed,
            DrillPhase::Revoking => &heard.revoked,
            _ => return,
        };
        lease.missing = count(heard.connected.len().saturating_sub(asked.len()));
        lease.proxies = count(asked.len());
        // Where a policy travels as a file, proxies are known by another name than the one they ask under.
        let named = heard.connected.iter().any(|name| asked.contains(name)) || asked.is_empty();
        let silent = heard.connected.iter().filter(|name| named && !asked.contains(name));
        lease.silent = silent.cloned().collect();
        let everybody = !heard.connected.is_empty() && lease.missing == 0;
        match self.drill.phase {
            DrillPhase::Probing => {
                let follows = self.drill.sent.as_ref().is_some_and(|sent| sent.quorum.is_some());
                if follows && (everybody || self.waited(self.drill.plan.acknowledge.timeout_ms)) {
                    self.revoke_alone(heard.alone);
                }
            }
            _ if everybody => {
                lease.told.get_or_insert(self.now);
            }
            _ => {}
        }
    }

    fn revoke_alone(&mut self, alone: bool) {
        if !alone {
            self.drill.lease.skipped = Some(LeaseSkipped::OthersExposed);
            return self.expose();
        }
        self.drill.phase = DrillPhase::Revoking;
        self.drill.lease.revoked = Some(self.now);
        self.effects.push(Effect::Revoke { below: Below::InForce });
    }

    fn look(&mut self, look: LastCanaryRequest) {
        let since = |moment: Now| look.last_ms.filter(|last| *last >= moment.unix_ms);
        match (self.drill.phase, &mut self.drill.push) {
            (DrillPhase::Exposing, _) => {
                self.drill.exposure.seen |= self.drill.exposure.began.and_then(since).is_some();
            }
            (DrillPhase::TakingBack, Some(push)) if self.drill.exposure.began.is_some() => {
                self.drill.exposure.seen |= self.drill.exposure.began.and_then(since).is_some();
                if let Some(last) = look.last_ms {
                    let ms = last.saturating_sub(push.decided.unix_ms);
                    push.last_canary_ms = Some(push.last_canary_ms.map_or(ms, |known| known.max(ms)));
                }
                let taken = self.drill.sent.as_ref().is_some_and(|sent| sent.all.is_some());
                let whole = look.whole_since_ms.is_some_and(|ms| ms >= push.decided.unix_ms + GAUGE_TICK_MS);
                push.last_canary_complete |= taken && whole;
            }
            _ => {}
        }
    }

    /// Does whatever is due by now.
    fn settle(&mut self) {
        match self.drill.phase {
            DrillPhase::Probing => {
                let overdue = self.waited(self.drill.plan.acknowledge.timeout_ms);
                if overdue && self.drill.sent.as_ref().is_some_and(|sent| sent.quorum.is_none()) {
                    self.cancel("too few proxies took weight 0 in time".to_owned(), true);
                }
            }
            DrillPhase::Revoking => {
                let limit = self.drill.order.limit_ms;
                let late = self.drill.lease.revoked.is_some_and(|at| self.now.since_ms(at) >= limit);
                if self.drill.lease.told.is_some() || late {
                    self.expose();
                }
            }
            DrillPhase::Exposing => self.settle_exposing(),
            DrillPhase::TakingBack => self.settle_taking_back(),
            DrillPhase::Ended => {}
        }
    }

    fn settle_exposing(&mut self) {
        let Some(sent) = &self.drill.sent else { return };
        match sent.quorum {
            None if self.waited(self.drill.plan.acknowledge.timeout_ms) => {
                self.cancel("too few proxies took the weight in time".to_owned(), true);
            }
            Some(quorum) if self.drill.exposure.seen || self.now.since_ms(quorum) >= EXPOSE_MS => {
                self.take_back();
            }
            _ => {}
        }
    }

    fn settle_taking_back(&mut self) {
        let Some((push, sent)) = self.drill.push.as_mut().zip(self.drill.sent.as_ref()) else { return };
        push.acknowledged_ms = sent.all.map(|all| all.since_ms(push.decided));
        let waited = self.now.since_ms(push.decided);
        let exposed = self.drill.exposure.began.is_some();
        let all_known = push.acknowledged_ms.is_some() && (!exposed || push.last_canary_complete);
        // Gauges that are not read are not waited for: they never come.
        let unread = push.acknowledged_ms.is_some() && waited >= self.drill.order.limit_ms;
        if all_known || unread || waited >= self.drill.order.limit_ms.max(WAIT_MS) {
            self.end();
        }
    }

    fn expose(&mut self) {
        let ppm = self.drill.order.weight_ppm;
        if ppm == 0 {
            return self.take_back();
        }
        self.drill.phase = DrillPhase::Exposing;
        self.drill.exposure.began = Some(self.now);
        self.record(format!("Drill {}: the canary gets {}", self.drill.number, Percent::from_ppm(ppm)));
        self.publish(ppm, true, Cause::Human { who: self.drill.order.by.who.clone() });
    }

    /// What a rollback does.
    fn take_back(&mut self) {
        let connected = self.drill.sent.as_ref().map_or(0, |sent| sent.acks.connected);
        self.drill.phase = DrillPhase::TakingBack;
        self.drill.push = Some(PushPath {
            decided: self.now,
            connected,
            acknowledged_ms: None,
            last_canary_ms: None,
            last_canary_complete: false,
        });
        self.record(format!("Drill {}: take everything back", self.drill.number));
        self.publish(0, false, Cause::Rollback);
        self.effects.push(Effect::Revoke { below: Below::LastPublished });
    }

    fn cancel(&mut self, why: String, unfollowed: bool) {
        let cancelled = Cancelled { why, unfollowed };
        if self.drill.sent.is_none() {
            // Nothing ever left.
            self.drill.cancelled = Some(cancelled);
            return self.end();
        }
        let first = self.drill.cancelled.is_none();
        self.drill.cancelled.get_or_insert(cancelled);
        if self.drill.lease.revoked.is_none() {
            self.drill.lease.skipped.get_or_insert(LeaseSkipped::Ended);
        }
        if self.drill.phase != DrillPhase::TakingBack {
            self.take_back();
        } else if first {
            // The clocks of before and after do not belong together: it is taken back again, to be sure.
            self.publish(0, false, Cause::Rollback);
            self.effects.push(Effect::Revoke { below: Below::LastPublished });
        }
    }

    fn end(&mut self) {
        let (outcome, why) = self.drill.assess();
        self.drill.phase = DrillPhase::Ended;
        self.drill.ended = Some(Ended { at: self.now, outcome, why: why.clone() });
        let (name, number) = (self.drill.plan.name.clone(), self.drill.number);
        self.record(format!("Drill {number} {}: {why}", outcome.word()));
        // The person who ordered it sees the result; one that began by itself needs a notice.
        let told = match outcome {
            Outcome::Failed => Some((
                Severity::Critical,
                "; a rollback would be as slow now: see to the proxies it names, then drill again",
            )),
            Outcome::Undecided => {
                Some((Severity::Warning, "; see whether proxies are connected and their gauges are read"))
            }
            Outcome::Cancelled => Some((Severity::Info, "")),
            Outcome::Passed => None,
        };
        if let Some((severity, remedy)) =
            told.filter(|_| outcome == Outcome::Failed || self.drill.order.scheduled)
        {
            let word = outcome.word();
            let text = format!("{name}: drill {number} of the rollback path {word}: {why}{remedy}");
            self.effects.push(Effect::Notify(Notice {
                severity,
                key: format!("{name}/drill/{number}"),
                text,
            }));
        }
    }

    fn publish(&mut self, canary_ppm: u32, vouched: bool, cause: Cause) {
        let drill = &mut self.drill;
        drill.epoch = drill.epoch.saturating_add(1);
        let weights = Weights { canary_ppm, ..Weights::default() };
        let policy = drill.plan.policy(drill.epoch, weights, &drill.stable_version);
        let id = drill.sent.as_ref().map_or(1, |sent| sent.id.saturating_add(1));
        drill.sent = Some(ExercisePublication::new(id, policy.clone(), vouched, self.now));
        self.effects.push(Effect::Publish(Box::new(Publication { id, policy, cause })));
    }

    fn record(&mut self, what: String) {
        self.effects.push(Effect::Record(Record { at: self.now, what }));
    }

    /// Since the last publication.
    fn waited(&self, ms: u64) -> bool {
        self.drill.sent.as_ref().is_some_and(|sent| self.now.since_ms(sent.at) >= ms)
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
