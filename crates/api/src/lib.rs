//! What does the controller say to its clients, and they to it?
//!
//! One definition of each form, serialised by one side and read by the other. Answers are read leniently, since a command
//! may be older than its controller: what is unknown is passed over, what is missing has its default, a new word is a
//! [`Word::Other`]. What is asked for is read strictly: whoever asks for more than the controller knows must be told.
//! What the rollout machine says of a run is defined where it is computed, in `rollout`. No HTTP library is known here.

mod act;
mod applied;
mod exercise;
mod export;
mod judgement;
mod ready;
mod refusal;
mod run;
mod time;
mod trigger;

pub use act::{ActRequest, DeleteQuery, Done, Figure, RollbackRequest, Verb, WentBack};
pub use applied::{Applied, ApplyQuery};
pub use exercise::{Begun, DrillRequest, ParityRequest};
pub use export::{ExportQuery, ExportedRun, Format, Journal, JournalLine, Table};
pub use judgement::{Judged, Judgement, JudgementQuery};
pub use manifest::{Change, Closed, Exercised, Metric};
pub use ready::{Check, Readiness};
pub use refusal::{MOVED_ON, Problem, Refusal};
pub use rollout::{
    AgedView, Answer, ArmStanding, ArmView, AttentionKind, AttentionView, BanditView, BaselineView,
    CountsView, Demand, Difference, DrillLeaseView, DrillPhase, DrillPushView, DrillView, Duty, ExposedView,
    GateStanding, GateWatchView, GroupView, HookCallView, KeepWarmView, LeaseSkipped, Load, MomentsView,
    NextStep, Outcome, OverrideView, ParityFinding, ParityGateView, ParityPhase, ParitySplitView,
    ParityVerdict, ParityView, PhaseName, PracticeView, PromiseView, RecordView, ReturningView, RollbackView,
    ShareView, StageView, UnwatchedView, VerdictView, View, WatchStanding, WatchView, WayView, Word,
};
pub use run::{Ack, ClaimedBy, Latency, Nack, PastView, QueuedView, RunView};
pub use time::{instant, moment};
pub use trigger::{
    FireRequest, Fired, PendingView, PollView, TriggerApplied, TriggerQuery, TriggerView, TriggeredView,
    VersionOutcome,
};

/// The header that says who asks, as they say themselves.
pub const USER_HEADER: &str = "x-serin-user";

/// The header that says of what an act is meant: the [`RunView::revision`] that was seen, or [`NO_RUN`]. What has moved on
/// is refused ([`Refusal::MovedOn`]).
pub const EXPECT_HEADER: &str = "x-serin-expect";

/// What is expected where nothing is there yet.
pub const NO_RUN: &str = "none";

/// The header with a key of the client's own: a request that is repeated under it is answered as the first was, and nothing
/// more is done.
pub const KEY_HEADER: &str = "idempotency-key";

#[cfg(test)]
mod tests;
