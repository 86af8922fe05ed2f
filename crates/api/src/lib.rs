//! What does the controller say to its clients, and they to it?
//!
//! One definition of each form, serialised by one side and read by the other. Answers are read leniently, since a command
//! may be older than its controller: what is unknown is passed over, what is missing has its default, a new word is a
//! [`OpenEnum::Other`]. Requests are read strictly: a field that the controller does not know is an error.
//! What the rollout machine says of a run is defined where it is computed, in `rollout`. No HTTP library is known here.

mod act;
mod applied;
mod exercise;
mod export;
mod judgement;
mod object;
pub mod path;
mod ready;
mod refusal;
mod run;
mod time;
mod trigger;

pub use act::{ActRequest, DeleteQuery, Done, Figure, RollbackReply, RollbackRequest, Verb};
pub use applied::{Applied, ApplyQuery};
pub use exercise::{Begun, DrillRequest, ParityRequest};
pub use export::{ExportQuery, ExportedRun, Format, Journal, JournalKind, JournalLine, Table};
pub use judgement::{Judged, Judgement, JudgementQuery};
pub use manifest::{Change, Closed, ExerciseKind, Metric};
pub use object::{OBJECT_ANNOTATION, ObjectView};
pub use ready::{Check, Readiness};
pub use refusal::{MOVED_ON, Problem, Refusal};
pub use rollout::{
    ActionView, AgedView, Answer, AnswersView, ArmView, AttentionKind, AttentionView, BanditView,
    BaselineView, ChallengerOutcome, CountsView, Demand, Difference, DrillLeaseView, DrillPhase,
    DrillPushView, DrillView, ExposedView, GateStanding, GateWatchView, GroupView, HookCallView,
    KeepWarmView, LeaseSkipped, Load, MomentsView, NextStep, OpenEnum, Outcome, OverrideView, ParityFinding,
    ParityGateView, ParityPhase, ParitySplitView, ParityVerdict, ParityView, PhaseName, PostRunHook,
    PracticeView, PromiseView, RecordView, ReturningView, RollbackView, ShareView, StageView, UnwatchedView,
    VerdictView, View, WatchStanding, WatchView,
};
pub use run::{Ack, ClaimedBy, Latency, Nack, PastView, QueuedView, RunView};
pub use time::{instant, moment};
pub use trigger::{
    FireRequest, Fired, PendingView, PollView, TriggerApplied, TriggerQuery, TriggerView, TriggeredView,
    VersionOutcome,
};

/// The header that names the user, as the client states it.
pub const USER_HEADER: &str = "x-serin-user";

/// The header with the revision that an act is for: [`RunView::revision`], or [`NO_RUN`]. If the rollout has moved on, the act
/// is refused ([`Refusal::MovedOn`]).
pub const EXPECT_HEADER: &str = "x-serin-expect";

/// The value of [`EXPECT_HEADER`] for a rollout that does not exist yet.
pub const NO_RUN: &str = "none";

/// The header with an idempotency key: a repeated request with the same key gets the first answer and is not carried out
/// again.
pub const KEY_HEADER: &str = "idempotency-key";

#[cfg(test)]
mod tests;
