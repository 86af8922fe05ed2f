//! What may a user write?
//!
//! ```text
//! text -> [ Rollout ] as typed -> [ Plan ] as meant
//!              ^ schema                ^ gates, stages and weights, checked; all the rollout machine needs
//! ```
//!
//! [`load`] reads a document of `serin.dev/v1alpha1` and either returns a [`Plan`] with warnings, or every
//! [`Problem`] with its line, its field and its remedy. Unknown fields are errors.

mod acknowledge;
mod ages;
mod amount;
mod anomaly;
mod bandit;
mod challenger;
mod changes;
mod claims;
mod compile;
mod documents;
mod expect;
mod fleet;
mod gate;
mod hooks;
mod incident;
mod keep_warm;
mod lines;
mod lint;
mod name;
mod plan;
mod practice;
mod preset;
mod problem;
mod read;
mod ready;
mod schema;
mod series;
mod shape;
mod source;
mod trigger;
pub mod typed;
mod watch;
mod workload;

pub use amount::{Margin, NotAnAmount, Percent, Quantity, Span};
pub use anomaly::{Anomaly, Sides};
pub use bandit::{Bandit, ShareRange};
pub use calendar::{Closed, Day, Freeze, TimeOfWeek, Times, Timetable, Window, Windows};
pub use challenger::{Challenger, Choose, MOST_CHALLENGERS};
pub use changes::{Change, changes};
pub use compile::compile;
pub use documents::{Document, documents};
pub use expect::Expect;
pub use fleet::{After, HowMany, Member, Terms};
pub use gate::{
    Against, Basis, Figure, Gate, Guardrail, Limit, Marginal, Metric, MetricKind, OnFail, OnMarginal, Reads,
    Unread,
};
pub use incident::{OnSharedIncident, SharedIncident};
pub use keep_warm::{AfterRun, HookHow, KeepWarm, Returning};
pub use lint::{distance, lint, slowest, wanted};
pub use name::unusable_name;
pub use plan::{
    Acknowledge, Alpha, Budget, Clusters, ErrorClass, HandBack, HandBackHow, Insufficient, NoData, OnTimeout,
    Plan, Rollback, Stage, Supersede, Traffic, Unit, VersionIn, Weights,
};
pub use practice::{
    DRILL_WAITS_MS, DrillPractice, ExerciseKind, MOST_DRILLED_PPM, MOST_SHARED_PPM, PARITY_MS,
    ParityPractice, Practice,
};
pub use preset::{preset_text, presets};
pub use problem::{Problem, Problems, Severity};
pub use read::{Loaded, load};
pub use ready::{Ready, WarmUpHook, WarmUpHow};
pub use schema::{schema, trigger_schema};
pub use series::{Series, series};
pub use source::{Access, Basic, Http, Prometheus, Push, Range, Reduce, Secret, Source, Tls, Value};
pub use trigger::{Mlflow, Poll, Trigger, Webhook, When, is_trigger, load_trigger};
pub use watch::{Lasts, Room, Watch, Watched};
pub use workload::{ARM_LABEL, ReadyOf, ReadyWorkloads, Workload, WorkloadChange, WorkloadWhat};

#[cfg(test)]
mod tests;
