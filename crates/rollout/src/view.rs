//! A run as people see it: the pieces of `GET /v1/rollouts/{name}` that come from the machine.
//!
//! Views are written here and read by clients of any release: what is missing has its default, what is unknown is passed
//! over. What is stored is read strictly, so a view holds no stored type that another release may have changed.

mod answers;
mod baseline;
mod message;
mod ways;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::open_enum::number;
use crate::{
    Answer, ArmView, Exposed, HookCallView, KeepWarmView, OpenEnum, Override, Record, RolledBack, State,
    Verdict, WatchView,
};

pub use answers::AnswersView;
pub use baseline::{AgedView, BaselineView, CountsView, GroupView, MomentsView};
pub use ways::ActionView;

/// A run, as the API shows it. The caller adds what the mesh reported (`generation`, `acks`, `refusals`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct View {
    /// The rollout's name.
    pub name: String,
    /// The number of this run among those of its name, from 1.
    pub run: u64,
    /// The phase.
    pub phase: OpenEnum<PhaseName>,
    /// One English sentence: the reason for the present state, and what comes next.
    pub message: String,
    /// Reasons why it needs attention, the worst first; empty: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attention: Vec<crate::AttentionView>,
    /// What a person can do now, the mildest first; empty: nothing, or this is a fleet, an earlier run or a member.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<ActionView>,
    /// The stage it is in, from 1; 0 before the first.
    pub stage: usize,
    /// The number of stages.
    pub stage_count: usize,
    /// The canary's weight, in parts per million; of several challengers, the lead's.
    pub weight_ppm: u32,
    /// Every challenger, when there are several.
    pub arms: Vec<ArmView>,
    /// The bandit's shares; absent: weights are constant in this stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandit: Option<crate::BanditView>,
    /// The epoch of these weights.
    pub epoch: u64,
    /// The version behind the stable route.
    pub stable: String,
    /// The version that was there when the run was applied; empty: the release that wrote this did not record it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// The version rolled out.
    pub canary: String,
    /// The stages entered so far.
    pub stages: Vec<StageView>,
    /// Its windows are closed: why, and until when. Absent: the weight may rise.
    pub closed: Option<manifest::Closed>,
    /// What named persons went past.
    pub overrides: Vec<OverrideView>,
    /// How many requests the canary has served.
    pub exposed: ExposedView,
    /// The verdicts of the guardrails.
    pub guardrails: Vec<VerdictView>,
    /// The rollback, when there was one.
    pub rollback: Option<RollbackView>,
    /// The run goes back to an earlier version (`serin rollback`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returning: Option<ReturningView>,
    /// The version that is kept warm after the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeepWarmView>,
    /// Hooks after the end that have not succeeded yet, those of earlier runs included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<HookCallView>,
    /// What the version showed when it was promoted; of a fleet its members have their own.
    pub baseline: Option<BaselineView>,
    /// The watch over it since; of a fleet its members have their own.
    pub watch: Option<WatchView>,
    /// The history, oldest first.
    pub history: Vec<RecordView>,
    /// Of a member of a fleet: which of the models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Of a member of a fleet: which of the regions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// The name of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PhaseName {
    /// Applied, no requests to the canary.
    Pending,
    /// On the way up.
    Progressing,
    /// Stopped with the weight as it is.
    Paused,
    /// At 100 %, with the way back still open.
    Promoting,
    /// The new version is being put behind the stable route.
    HandBack,
    /// Over: promoted.
    Succeeded,
    /// Over, or on its way back: everything goes back to stable.
    RolledBack,
}

impl PhaseName {
    /// All of them, in the order of a run.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Progressing,
        Self::Paused,
        Self::Promoting,
        Self::HandBack,
        Self::Succeeded,
        Self::RolledBack,
    ];
}

/// As on the wire.
impl fmt::Display for PhaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The verdict of one gate, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VerdictView {
    /// The gate's name.
    pub name: String,
    /// The answer.
    #[serde(rename = "verdict")]
    pub answer: OpenEnum<Answer>,
    /// The canary's value: a share, milliseconds, or a mean.
    pub estimate: Option<f64>,
    /// What the estimate is held against, in the same unit.
    pub bound: Option<f64>,
    /// Canary requests it rests on.
    pub n_canary: u64,
    /// Stable requests it rests on; 0 for a fixed limit.
    pub n_control: u64,
    /// The e-value for harm.
    #[serde(deserialize_with = "number")]
    pub harm: f64,
    /// The e-value for "no harm beyond the margin".
    #[serde(deserialize_with = "number")]
    pub proof: f64,
    /// Is it a hard gate (it decides), not an advisory one?
    pub hard: bool,
    /// One English sentence.
    pub why: String,
}

impl From<&Verdict> for VerdictView {
    fn from(known: &Verdict) -> Self {
        let Verdict { name, answer, estimate, bound, n_canary, n_control, harm, proof, hard, why } =
            known.clone();
        let answer = answer.into();
        Self { name, answer, estimate, bound, n_canary, n_control, harm, proof, hard, why }
    }
}

/// How many requests a new version has served, as the API shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExposedView {
    /// Requests.
    pub requests: u64,
    /// Of these, errors.
    pub errors: u64,
}

impl From<Exposed> for ExposedView {
    fn from(Exposed { requests, errors }: Exposed) -> Self {
        Self { requests, errors }
    }
}

/// Going back to an earlier version, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReturningView {
    /// The version gone back from.
    pub from: String,
    /// Who said that the version gone back to is behind the canary route; absent: nothing confirmed it.
    pub vouched: Option<String>,
}

impl From<&manifest::Returning> for ReturningView {
    fn from(known: &manifest::Returning) -> Self {
        let manifest::Returning { from, vouched } = known.clone();
        Self { from, vouched }
    }
}

impl View {
    /// The version it goes from: the run's own, whatever stable serves by now.
    #[must_use]
    pub fn begins_at(&self) -> &str {
        if self.from.is_empty() { &self.stable } else { &self.from }
    }

    /// The stage it is in, or was last.
    #[must_use]
    pub fn current_stage(&self) -> Option<&StageView> {
        self.stages.get(self.stage.checked_sub(1)?)
    }
}

/// A stage, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageView {
    /// Its weight, in parts per million.
    pub weight_ppm: u32,
    /// Its shadow, in parts per million.
    pub shadow_ppm: u32,
    /// When its weights were published.
    pub entered_unix_ms: u64,
    /// When it was left.
    pub left_unix_ms: Option<u64>,
    /// Its gates.
    pub gates: Vec<VerdictView>,
}

/// A rollback, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RollbackView {
    /// When it was decided, on `CLOCK_MONOTONIC`.
    pub decided_monotonic_ns: u64,
    /// When it was decided, in milliseconds since 1970.
    pub decided_unix_ms: u64,
    /// One English sentence.
    pub reason: String,
}

/// What a person overrode, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OverrideView {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Who.
    pub who: String,
    /// Why.
    pub reason: String,
    /// The stage it was in, from 1.
    pub stage: usize,
    /// What was overridden, each in one clause.
    pub past: Vec<String>,
}

impl From<&Override> for OverrideView {
    fn from(known: &Override) -> Self {
        let Override { at, who, reason, stage, past } = known.clone();
        Self { unix_ms: at.unix_ms, who, reason, stage: stage + 1, past }
    }
}

/// A line of history, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordView {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// When, on `CLOCK_MONOTONIC`.
    pub monotonic_ns: u64,
    /// What.
    pub what: String,
}

impl From<&RolledBack> for RollbackView {
    fn from(rollback: &RolledBack) -> Self {
        Self {
            decided_monotonic_ns: rollback.decided.monotonic_ns,
            decided_unix_ms: rollback.decided.unix_ms,
            reason: rollback.reason.clone(),
        }
    }
}

impl From<&Record> for RecordView {
    fn from(record: &Record) -> Self {
        Self { unix_ms: record.at.unix_ms, monotonic_ns: record.at.monotonic_ns, what: record.what.clone() }
    }
}

impl State {
    /// The run, as the API shows it.
    #[must_use]
    pub fn view(&self) -> View {
        // As they stood when it was decided: nothing guards any more.
        let guardrails = match &self.rollback {
            Some(rollback) if !rollback.guardrails.is_empty() => rollback.guardrails.clone(),
            _ => self.evidence.guardrail_verdicts(&self.plan, self.scope()),
        };
        View {
            name: self.plan.name.clone(),
            run: self.run,
            phase: self.phase.name().into(),
            message: self.message(),
            attention: self.attention(),
            ways: self.ways(),
            stage: if self.stages.is_empty() { 0 } else { self.stage + 1 },
            stage_count: self.plan.stages.len(),
            weight_ppm: self.weights.canary_ppm,
            arms: self.arm_views(),
            bandit: self.bandit_view(),
            epoch: self.epoch,
            stable: self.stable_version.clone(),
            from: self.plan.stable.clone(),
            canary: self.plan.canary.clone(),
            stages: self
                .stages
                .iter()
                .map(|stage| StageView {
                    weight_ppm: stage.weight_ppm,
                    shadow_ppm: stage.shadow_ppm,
                    entered_unix_ms: stage.entered.unix_ms,
                    left_unix_ms: stage.left.map(|left| left.unix_ms),
                    gates: stage.gates.iter().map(VerdictView::from).collect(),
                })
                .collect(),
            closed: self.window().err().filter(|_| !self.is_over() && self.next_stage().is_some()),
            overrides: self.overrides.iter().map(OverrideView::from).collect(),
            exposed: self.exposed.into(),
            guardrails: guardrails.iter().map(VerdictView::from).collect(),
            rollback: self.rollback.as_ref().map(RollbackView::from),
            returning: self.plan.returning.as_ref().map(ReturningView::from),
            kept: self.kept_view(),
            calls: self.call_views(),
            baseline: self.baseline.as_deref().map(BaselineView::from),
            watch: self.watch_view(),
            history: self.history.iter().map(RecordView::from).collect(),
            model: self.plan.member.as_ref().and_then(|member| member.model.clone()),
            region: self.plan.member.as_ref().and_then(|member| member.region.clone()),
        }
    }
}
