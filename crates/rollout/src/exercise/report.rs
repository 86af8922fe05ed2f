//! What a drill found, for people and tools.

use manifest::{Percent, Span};
use serde::{Deserialize, Serialize};

use super::drill::Cancelled;
use super::{Drill, DrillPhase, LeaseSkipped, Outcome};
use crate::OpenEnum;

/// Promises people make about rollbacks, in milliseconds: half a minute, two, five.
const PROMISES_MS: [u64; 3] = [30_000, 120_000, 300_000];

/// An exercise, as the API shows it. Its JSON does not name the kind: a client asks for one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ExerciseView {
    /// Of the rollback path.
    Drill(Box<DrillView>),
    /// A version against itself.
    Parity(Box<super::ParityView>),
}

/// A drill, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DrillView {
    /// The rollout.
    pub name: String,
    /// Counted for each rollout, from 1.
    pub number: u64,
    /// The run whose configuration it borrowed.
    pub run: u64,
    /// Who ordered it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Was it scheduled?
    pub scheduled: bool,
    /// The canary's share while it was exposed, in parts per million.
    pub weight_ppm: u32,
    /// The phase.
    pub phase: OpenEnum<DrillPhase>,
    /// How it ended.
    pub outcome: Option<OpenEnum<Outcome>>,
    /// One English sentence.
    pub message: String,
    /// When it was asked for.
    pub started_unix_ms: u64,
    /// When it ended.
    pub ended_unix_ms: Option<u64>,
    /// The lease revoked alone.
    pub lease: DrillLeaseView,
    /// The push.
    pub push: Option<DrillPushView>,
    /// The limit, in milliseconds.
    pub limit_ms: u64,
    /// The longest way back found, in milliseconds; `None`: one never ended.
    pub slowest_ms: Option<u64>,
    /// Other time limits, and whether the drill kept them.
    pub promises: Vec<PromiseView>,
}

/// The lease revoked alone, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DrillLeaseView {
    /// Why it was not tried.
    pub skipped: Option<OpenEnum<LeaseSkipped>>,
    /// From the revocation to the last proxy that was told, in milliseconds.
    pub told_ms: Option<u64>,
    /// Proxies that asked.
    pub proxies: u32,
    /// Proxies that did not ask.
    pub missing: u32,
    /// Their names, where known.
    pub silent: Vec<String>,
}

/// The push, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DrillPushView {
    /// When it was decided, in milliseconds since 1970.
    pub decided_unix_ms: u64,
    /// From the decision to the last acknowledgement, in milliseconds.
    pub acknowledged_ms: Option<u64>,
    /// Proxies that acknowledged it.
    pub acknowledged: u32,
    /// Proxies connected.
    pub connected: u32,
    /// Those that have not, by name.
    pub laggards: Vec<String>,
    /// Was a canary request seen before?
    pub canary_seen: bool,
    /// From the decision to the last canary request of any proxy, at most, in milliseconds.
    pub last_canary_ms: Option<u64>,
    /// Have all proxies spoken since? While not, `last_canary_ms` is a lower bound.
    pub last_canary_complete: bool,
}

/// A time limit, and whether the drill kept it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PromiseView {
    /// In milliseconds.
    pub limit_ms: u64,
    /// Is it kept?
    pub kept: bool,
}

impl Outcome {
    /// As in a sentence.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Undecided => "could not decide",
            Self::Cancelled => "was cancelled",
        }
    }
}

impl Drill {
    /// The drill, as the API shows it.
    #[must_use]
    pub fn view(&self) -> DrillView {
        let slowest_ms = self.slowest_ms();
        let kept = |limit_ms| PromiseView { limit_ms, kept: slowest_ms.is_some_and(|ms| ms <= limit_ms) };
        let proven = |_: &u64| self.push.is_some();
        DrillView {
            name: self.plan.name.clone(),
            number: self.number,
            run: self.run,
            by: self.order.by.who.clone(),
            reason: self.order.by.reason.clone(),
            scheduled: self.order.scheduled,
            weight_ppm: self.order.weight_ppm,
            phase: self.phase.into(),
            outcome: self.ended.as_ref().map(|ended| ended.outcome.into()),
            message: self.message(),
            started_unix_ms: self.started.unix_ms,
            ended_unix_ms: self.ended.as_ref().map(|ended| ended.at.unix_ms),
            lease: DrillLeaseView {
                skipped: self.lease.skipped.map(OpenEnum::from),
                told_ms: self.lease_ms(),
                proxies: self.lease.proxies,
                missing: self.lease.missing,
                silent: self.lease.silent.clone(),
            },
            push: self.push.as_ref().zip(self.sent.as_ref()).map(|(push, sent)| DrillPushView {
                decided_unix_ms: push.decided.unix_ms,
                acknowledged_ms: push.acknowledged_ms,
                acknowledged: sent.acks.acknowledged,
                connected: sent.acks.connected,
                laggards: sent.acks.missing.clone(),
                canary_seen: self.exposure.seen,
                last_canary_ms: push.last_canary_ms.filter(|_| self.exposure.seen),
                last_canary_complete: push.last_canary_complete,
            }),
            limit_ms: self.order.limit_ms,
            slowest_ms,
            promises: PROMISES_MS.iter().filter(|ms| proven(ms)).map(|ms| kept(*ms)).collect(),
        }
    }

    /// From the revocation to the last proxy told.
    fn lease_ms(&self) -> Option<u64> {
        self.lease.revoked.zip(self.lease.told).map(|(revoked, told)| told.since_ms(revoked))
    }

    /// The longest way back, as far as all of them ended.
    fn slowest_ms(&self) -> Option<u64> {
        let push = self.push.as_ref()?;
        let lease = if self.lease.skipped.is_some() { 0 } else { self.lease_ms()? };
        let canary = match (self.exposure.began, push.last_canary_complete) {
            (Some(_), true) => push.last_canary_ms.unwrap_or(0),
            (Some(_), false) => return None,
            (None, _) => 0,
        };
        Some(lease.max(canary).max(push.acknowledged_ms?))
    }

    /// How it ends, and why: one English sentence.
    pub(super) fn assess(&self) -> (Outcome, String) {
        let Some((push, sent)) = self.push.as_ref().zip(self.sent.as_ref()) else {
            let why = self.cancelled.as_ref().map_or("it never began", |cancelled| cancelled.why.as_str());
            return (Outcome::Cancelled, why.to_owned());
        };
        let limit = self.order.limit_ms;
        let mut facts = Vec::new();
        let mut faults = Vec::new();
        match (self.lease.skipped, self.lease_ms()) {
            (Some(LeaseSkipped::OthersExposed), _) => facts.push(
                "the lease was not revoked alone, because another rollout is exposed under it".to_owned(),
            ),
            (Some(LeaseSkipped::Ended), _) => {}
            (None, Some(ms)) => {
                facts.push(format!(
                    "a revoked lease reached {} after {}",
                    proxies(self.lease.proxies),
                    notation::measured(ms)
                ));
            }
            (None, None) => {
                let names = names(&self.lease.silent);
                faults.push(format!("{} did not ask for the lease{names}", proxies(self.lease.missing)));
            }
        }
        match push.acknowledged_ms {
            Some(ms) => {
                facts.push(format!(
                    "{} acknowledged the push after {}",
                    proxies(sent.acks.connected),
                    notation::measured(ms)
                ));
            }
            None => faults.push(format!("weight 0 is not everywhere: {}", sent.followers())),
        }
        if sent.acks.connected < push.connected {
            faults.push(format!("{} went away meanwhile", proxies(push.connected - sent.acks.connected)));
        }
        let mut unknown = None;
        match (self.exposure.began, self.exposure.seen, push.last_canary_ms) {
            (Some(_), true, Some(ms)) if push.last_canary_complete => {
                facts.push(format!(
                    "the last canary request came {} after the decision",
                    notation::measured(ms)
                ));
            }
            (Some(_), true, Some(ms)) => {
                faults.push(format!(
                    "the last canary request came {} or later: a proxy is silent",
                    notation::measured(ms)
                ));
            }
            (Some(_), ..) if push.last_canary_complete => {
                let weight = Percent::from_ppm(self.order.weight_ppm);
                facts.push(format!("no canary request was seen at {weight}"));
            }
            (Some(_), ..) => {
                unknown =
                    Some("when the last canary request came is not known: the proxies' gauges are not read");
            }
            (None, ..) => {}
        }
        let limit_text = Span::from_ms(limit);
        if let Some(Cancelled { why, unfollowed }) = &self.cancelled {
            let all = push.acknowledged_ms.is_some();
            let back = if all { "everything was taken back".to_owned() } else { faults.join("; ") };
            let outcome = match (all, unfollowed) {
                (false, _) => Outcome::Failed,
                (true, true) => Outcome::Undecided,
                (true, false) => Outcome::Cancelled,
            };
            return (outcome, format!("{why}; {back}"));
        }
        if !faults.is_empty() {
            return (Outcome::Failed, format!("{} (limit {limit_text})", faults.join("; ")));
        }
        if self.slowest_ms().is_some_and(|ms| ms > limit) {
            return (Outcome::Failed, format!("{}: longer than {limit_text}", facts.join("; ")));
        }
        match unknown {
            Some(unknown) => (Outcome::Undecided, format!("{}; {unknown}", facts.join("; "))),
            None => (Outcome::Passed, format!("{} (limit {limit_text})", facts.join("; "))),
        }
    }

    fn message(&self) -> String {
        if let Some(ended) = &self.ended {
            return ended.why.clone();
        }
        let followers = self.sent.as_ref().map(super::ExercisePublication::followers).unwrap_or_default();
        match self.phase {
            DrillPhase::Probing => {
                format!("the proxies prove that they follow and ask for the lease ({followers})")
            }
            DrillPhase::Revoking => {
                format!("the lease is revoked; {} were told", proxies(self.lease.proxies))
            }
            DrillPhase::Exposing => {
                format!("the canary has {} ({followers})", Percent::from_ppm(self.order.weight_ppm))
            }
            DrillPhase::TakingBack | DrillPhase::Ended => format!("everything is taken back ({followers})"),
        }
    }
}

fn proxies(n: u32) -> String {
    if n == 1 { "1 proxy".to_owned() } else { format!("{n} proxies") }
}

fn names(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) }
}
