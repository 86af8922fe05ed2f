//! What a run is, all of it: what is stored before anything is done, and all that is needed to go on after a crash.

use std::sync::Arc;

use manifest::{Plan, Weights};
use serde::{Deserialize, Serialize};

use crate::{Acks, Arms, Bandit, Baseline, Counts, Now, PostRun, RejectedVersion, Verdict, Watching};
use evidence::Evidence;

/// One run of one plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The number of this run among those of its name, from 1.
    pub run: u64,
    /// What it does. Every step makes a new state, and hardly any a new plan: they share it.
    pub plan: Arc<Plan>,
    /// The phase.
    pub phase: Phase,
    /// The stage it is in, or was last, from 0.
    pub stage: usize,
    /// When it was applied.
    pub applied: Now,
    /// The last moment it heard of.
    pub last: Now,
    /// Its own clock: milliseconds it was watched. Stands still while `step` is not called.
    pub age_ms: u64,
    /// The epoch of the last publication: rises with every change of weights, and from run to run.
    pub epoch: u64,
    /// The first epoch of this run: counts of earlier ones are another run's.
    pub first_epoch: u64,
    /// The weights of the last publication.
    pub weights: Weights,
    /// The version behind the stable route.
    pub stable_version: String,
    /// The last publication and how far it has come.
    pub publication: Option<Box<PublicationState>>,
    /// The stages entered so far.
    pub stages: Vec<StageRecord>,
    /// What named persons went past.
    #[serde(default)]
    pub overrides: Vec<Override>,
    /// How many requests the canary has served.
    pub exposed: Exposed,
    /// What was measured; of several challengers, of the lead.
    pub evidence: Evidence,
    /// The other challengers.
    #[serde(default)]
    pub arms: Arms,
    /// What shares follow; `None`: weights stand still.
    #[serde(default)]
    pub bandit: Option<Box<Bandit>>,
    /// Trouble that stable has as well: no weight rises meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Box<SharedIncident>>,
    /// What it is held to while nothing stands beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<Box<crate::FixedLimits>>,
    /// When a quorum first sent the canary traffic, on the run's own clock.
    pub exposed_age_ms: Option<u64>,
    /// Why what is counted now is no proof; harm is looked for all the same.
    #[serde(default)]
    pub unproven: Option<Box<str>>,
    /// Since when the weight is as high as it is: with it come endpoints that are cold.
    #[serde(default)]
    pub raised_age_ms: Option<u64>,
    /// When the last trustworthy counts came, on the run's own clock.
    pub counts_age_ms: Option<u64>,
    /// Which part of its own clock counts tell of.
    #[serde(default)]
    pub coverage: crate::Coverage,
    /// Rises whenever something happened that a person must have seen before acting: with each line of the history, and when a hard
    /// gate answers worse than before.
    #[serde(default)]
    pub revision: u64,
    /// What people did under a key of theirs, so that it is not done twice; the oldest first.
    #[serde(default)]
    pub acted: Vec<Acted>,
    /// What is seen of the proxies that carry it.
    #[serde(default)]
    pub sight: Box<ProxyVisibility>,
    /// Did all of stable's endpoints report the new version when they were last asked?
    pub stable_ready: bool,
    /// How many endpoints are ready, as far as that is asked for.
    #[serde(default)]
    pub endpoints: KnownEndpoints,
    /// How far the warm-up is; `None`: not asked for.
    #[serde(default)]
    pub warming: Option<WarmingUp>,
    /// Notices people have had, by key; an episode that ends takes its key out.
    pub told: Vec<String>,
    /// The stages it may enter: those before this one, the hand-back counting as one more. `None`: it is no member of a
    /// fleet and needs no permission.
    #[serde(default)]
    pub permitted: Option<usize>,
    /// When it succeeded, on its own clock.
    #[serde(default)]
    pub succeeded_age_ms: Option<u64>,
    /// The end, when the end was a rollback.
    pub rollback: Option<RolledBack>,
    /// What comes after the end.
    #[serde(default)]
    pub ending: Box<PostRun>,
    /// Versions that a named person went back from: they are tried again only when that is said.
    #[serde(default, rename = "barred")]
    pub rejected: Vec<RejectedVersion>,
    /// What the version was when it was promoted.
    #[serde(default)]
    pub baseline: Option<Box<Baseline>>,
    /// The watch over it since.
    #[serde(default)]
    pub watching: Option<Box<Watching>>,
    /// The history, oldest first.
    pub history: Vec<crate::Record>,
}

/// Trouble that stable has as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SharedIncident {
    /// Since when, on the run's own clock.
    pub since_age_ms: u64,
    /// What it is, in one clause.
    pub text: String,
}

/// A named person went past what held the run back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// When.
    pub at: Now,
    /// Who.
    pub who: String,
    /// Why.
    pub reason: String,
    /// The stage it was in, from 0.
    pub stage: usize,
    /// What was overridden, each in one clause.
    pub past: Vec<String>,
}

/// A person's act that is not to be done twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acted {
    /// The idempotency key of the request.
    pub key: String,
    /// What it was.
    pub what: String,
}

/// A person's yes to the next stage, for what was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// When it was given.
    pub at: Now,
    /// For the weights of this epoch.
    pub epoch: u64,
}

/// How many requests the canary got by weight, as far as trustworthy counts tell: a lower bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exposed {
    /// Requests.
    pub requests: u64,
    /// Of these, errors.
    pub errors: u64,
}

/// What is seen of the proxies that carry a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyVisibility {
    /// Which proxies the last look at the counters rests on.
    pub coverage: evidence::ProxyCoverage,
    /// The last look in which enough of them told all they knew, on the run's own clock.
    pub whole_age_ms: Option<u64>,
    /// For how long the canary has had traffic and no counts came, in milliseconds.
    pub unseen_ms: u64,
    /// The last look that counted a request of this rollout, whichever version it went to, on the run's own clock.
    pub requests_age_ms: Option<u64>,
}

/// How many endpoints are ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KnownEndpoints {
    /// The canary's; `None`: not known.
    pub canary: Option<u32>,
    /// Stable's; `None`: not known.
    pub stable: Option<u32>,
    /// When they were last counted, on the run's own clock.
    pub seen_age_ms: Option<u64>,
    /// Why they could not be counted since.
    pub error: Option<String>,
    /// Looks in a row that found none of the canary's.
    pub none_left: u32,
    /// Since when a step waits for them, on the run's own clock.
    pub wanted_age_ms: Option<u64>,
}

/// How far the warm-up is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmingUp {
    /// Asked for.
    Asked,
    /// The canary is warm.
    Done,
    /// It failed; no request goes to the canary before a person resumes.
    Failed {
        /// What it said.
        reason: String,
    },
}

/// Where a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Applied, no requests to the canary: the proxies have yet to prove that they follow.
    Pending {
        /// Who began it; `None`: not begun.
        started_by: Option<String>,
    },
    /// On the way up.
    Progressing,
    /// Stopped with the weight as it is; a person, or what it waits for, lets it go on.
    Paused(Pause),
    /// At 100 %, with the way back still open.
    Promoting,
    /// The new version is being put behind the stable route.
    HandBack(HandBackProgress),
    /// Stable serves the new version; the canary's weight is 0.
    Succeeded,
    /// Everything goes back to stable. Never left again: another attempt is another run.
    RolledBack,
}

/// Why a run is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// The plan wants a person's yes before the next stage.
    Approval,
    /// One of several challengers is to be chosen by a person.
    Choice,
    /// A gate failed whose failure pauses.
    Gate {
        /// Which.
        gate: String,
    },
    /// A gate is marginal and escalates.
    Marginal {
        /// Which.
        gate: String,
    },
    /// Too few proxies took the weights in time. Goes on by itself when they have.
    Quorum,
    /// The stage's deadline came before its evidence.
    Deadline,
    /// No counts arrive. Goes on by itself when they do.
    NoData,
    /// A gate's own source gives no reading. Goes on by itself when it does.
    Unread {
        /// Which.
        gate: String,
    },
    /// The canary lacks ready endpoints. Goes on by itself when it has them.
    Endpoints,
    /// A person stopped it.
    Human {
        /// Who.
        who: String,
    },
}

/// How far the hand-back is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandBackProgress {
    /// Asked for; stable's endpoints do not all report the new version yet.
    Asked {
        /// When, on the run's own clock.
        since_age_ms: u64,
        /// Did the hook report success, or a person confirm?
        done: bool,
        /// What the hook said when it failed.
        failed: Option<String>,
        /// What stable's endpoints last reported, where that is not the new version.
        #[serde(default)]
        reported: Option<String>,
    },
    /// Stable reports the new version; the canary's weight goes down.
    Lowering {
        /// Which of the plan's steps is published, from 0.
        step: usize,
    },
}

/// The last publication.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicationState {
    /// What was sent.
    pub sent: crate::Publication,
    /// When, on the run's own clock.
    pub sent_age_ms: u64,
    /// When a quorum had it, on the run's own clock.
    pub quorum_age_ms: Option<u64>,
    /// The last word on how far it has come.
    pub acks: Acks,
    /// The weights a quorum had before: where it goes back to when too few follow.
    #[serde(default)]
    pub before: Weights,
}

/// A stage that was entered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageRecord {
    /// Which of the plan's, from 0.
    pub stage: usize,
    /// Its weight, in parts per million.
    pub weight_ppm: u32,
    /// Its shadow, in parts per million.
    #[serde(default)]
    pub shadow_ppm: u32,
    /// When its weights were published.
    pub entered: Now,
    /// When a quorum had them.
    pub acknowledged: Option<Now>,
    /// Intervals that begin here or later (milliseconds since 1970) are wholly of this stage: the quorum's moment, or
    /// that of the last jump of the wall clock.
    pub counts_from_ms: Option<u64>,
    /// When it was left.
    pub left: Option<Now>,
    /// Time at a quorum's weights, waiting for people not counted, in milliseconds.
    pub baked_ms: u64,
    /// Time that counts towards the deadline, in milliseconds.
    pub spent_ms: u64,
    /// The gates as they last stood, or as they stood when the stage was left.
    pub gates: Vec<Verdict>,
    /// Who moved past it without a verdict.
    pub overridden_by: Option<String>,
    /// Has a person said yes to the next stage?
    pub approved_by: Option<String>,
    /// What that yes was for; an approval without it no longer counts.
    #[serde(default)]
    pub approval: Option<Approval>,
    /// Was its evidence begun again because a gate was marginal?
    pub reanalyzed: bool,
    /// When it was first complete, on the run's own clock; a member of a fleet may have to wait from here on.
    #[serde(default)]
    pub complete_age_ms: Option<u64>,
    /// How long trouble lasted in it that both versions shared and that began after the canary's first request, in
    /// milliseconds; with what an incident that was under way when it was entered had lasted before.
    #[serde(default)]
    pub shared_ms: u64,
    /// What the canary showed in it; emptied at the end of the run, when it is summed up.
    #[serde(default)]
    pub shown: Counts,
}

/// The end of a run that was taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolledBack {
    /// When it was decided.
    pub decided: Now,
    /// What decided it.
    pub by: RollbackBy,
    /// One English sentence.
    pub reason: String,
    /// Ramped: the plan's step that is published, from 0. `None`: the weight is 0.
    pub ramp: Option<usize>,
    /// The guardrails as they stood then; empty in a run of an earlier build.
    #[serde(default)]
    pub guardrails: Vec<Verdict>,
}

/// What decided a rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackBy {
    /// A gate failed.
    Gate(String),
    /// A guardrail was broken.
    Guardrail(String),
    /// A person.
    Human(String),
    /// The stage's deadline.
    Deadline,
    /// Too few proxies took the weights.
    Quorum,
    /// No counts came, or no readings of a gate's own source.
    NoData,
    /// The canary lacked ready endpoints.
    Endpoints,
    /// It cost more than it may.
    Budget,
    /// Another member of the fleet went back.
    Fleet(String),
}
