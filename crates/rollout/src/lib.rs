//! What happens next?
//!
//! ```text
//! [ Plan ] -> [ State ] -- step(state, event, now) --> [ State ] + [ Effect ]...
//! ```
//!
//! [`step`] is the only place where a run changes. It reads no clock, does nothing by itself and knows neither Envoy
//! nor Kubernetes: what happened comes in as an [`Event`], what is to be done goes out as [`Effect`]s, and the whole
//! [`State`] can be stored between any two steps.

mod accumulator;
mod admission;
mod arms;
mod attention;
mod bandit;
mod coverage;
mod demand;
mod effect;
mod ending;
mod event;
mod exercise;
mod figures;
mod fixed_limits;
pub mod fleet;
mod now;
mod open_enum;
mod practice;
mod state;
mod step;
mod view;
mod watching;

pub use accumulator::{CounterAccumulator, LookSummary, UpstreamCounts};
pub use admission::{Admission, admit};
pub use arms::{ArmView, Arms, ChallengerOutcome, ChallengerState, Chosen, DroppedArm};
pub use attention::{AttentionKind, AttentionView};
pub use bandit::{Bandit, BanditView, ShareView};
pub use coverage::Coverage;
pub use demand::{Demand, Load, NextStep, Rates};
pub use effect::{
    Below, Cause, Effect, HandBackRequest, Notice, Publication, Record, Severity, WarmUpRequest,
};
pub use ending::{
    HookCallRequest, HookCallView, KeepWarmView, PendingHook, PostRun, PostRunHook, RejectedVersion,
};
pub use event::{Acks, Endpoint, Endpoints, Event, Human, Refused};
pub use evidence::{
    Aged, Answer, Answers, Bins, Contest, Counts, Evidence, GateEvidence, Group, GuardrailEvidence, Interval,
    Moments, ProxyCoverage, Reading, Stratum, Verdict, Wanted,
};
pub use exercise::{
    Cancelled, Difference, Drill, DrillLeaseView, DrillOrder, DrillPhase, DrillPushView, DrillView, Ended,
    Exercise, ExerciseEvent, ExercisePublication, ExerciseView, Exposure, Heartbeats, LastCanaryRequest,
    LeasePath, LeaseSkipped, Outcome, Parity, ParityFinding, ParityGateView, ParityOrder, ParityPhase,
    ParitySplitView, ParityVerdict, ParityView, PromiseView, PushPath, Split,
};
pub use figures::Question;
pub use fixed_limits::FixedLimits;
pub use now::Now;
pub use open_enum::OpenEnum;
pub use practice::{DueAction, OverdueTime, PracticeBlocker, PracticeSchedule, PracticeView};
pub use state::{
    Acted, Approval, Exposed, HandBackProgress, KnownEndpoints, Override, Pause, Phase, ProxyVisibility,
    PublicationState, RollbackBy, RolledBack, SharedIncident, StageRecord, State, WarmingUp,
};
pub use step::{protect, step};
pub use view::{
    ActionView, AgedView, AnswersView, BaselineView, CountsView, ExposedView, GroupView, MomentsView,
    OverrideView, PhaseName, RecordView, ReturningView, RollbackView, StageView, VerdictView, View,
};
pub use watching::{
    Baseline, Drift, GateStanding, GateWatch, GateWatchView, Unwatched, UnwatchedView, WatchEnded,
    WatchStanding, WatchView, Watching,
};

#[cfg(test)]
mod tests;
