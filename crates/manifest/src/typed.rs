//! The rollout as typed: `serin.dev/v1alpha1`, field for field.
//!
//! Everything but the two versions has a default, from the preset first and from [`crate::compile`] else. Nothing is
//! checked here beyond form.

mod anomaly;
mod arms;
mod bandit;
mod course;
mod fleet;
mod hand_back;
mod keep_warm;
mod practice;
mod ready;
mod traffic;
mod trigger;
mod watch;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::Span;
use crate::plan::{ErrorClass, Insufficient, Supersede};

pub use anomaly::Anomaly;
pub use arms::{Challenger, Choose, ChooseBy};
pub use bandit::{Bandit, BanditBy};
pub use course::{
    Acknowledge, Alpha, Better, Budget, Control, Freeze, Gate, Guardrail, Level, NoData, Rollback, Stage,
    Unread, Window, Windows,
};
pub use fleet::{Model, Regions};
pub use hand_back::{HandBack, Hook};
pub use keep_warm::{AfterRun, KeepWarm};
pub use practice::{AaPractice, DrillPractice, Practice, TimeOfWeek};
pub use ready::{Ready, WarmUpHook, WarmUpRequests};
pub use traffic::{
    Assignment, Clusters, Cohort, Condition, Confidence, Direction, Key, Lease, Match, Mode, NoKey,
    OnExpired, Override, Range, Routing, Source,
};
pub use trigger::{Mlflow, TRIGGER, Tag, Template, Trigger, TriggerSpec, Webhook, When};
pub use watch::{Watch, WatchedGate};

/// The form of this document.
pub const API_VERSION: &str = "serin.dev/v1alpha1";
/// The kind of this document.
pub const KIND: &str = "Rollout";

/// A rollout of one new version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollout {
    /// `serin.dev/v1alpha1`.
    #[schemars(extend("const" = API_VERSION))]
    pub api_version: String,
    /// `Rollout`.
    #[schemars(extend("const" = "Rollout"))]
    pub kind: String,
    /// What it is called.
    pub metadata: Metadata,
    /// What it does.
    pub spec: RolloutSpec,
}

/// What a rollout is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Letters, digits, `.`, `_` and `-`, at most 63: it is a label in every counter.
    pub name: String,
    /// The Kubernetes namespace; without meaning elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// For the reader's tools; without meaning here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// For the reader's tools; without meaning here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a rollout does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutSpec {
    /// The version everybody gets today.
    pub stable: Version,
    /// The version to roll out.
    pub canary: Version,
    /// Models that go up as one: every stage wants the gates of all of them, and the harm of one takes all back. Gates of
    /// `spec.gates` with a `source` are measured once for all of them, the others for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Model>,
    /// Regions that go one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<Regions>,
    /// Further versions on trial beside the canary, each with an arm of its own. A stage's weight is what each of them
    /// gets; each is held against stable by itself, and one that proves harmful is dropped alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arms: Vec<Challenger>,
    /// With `arms`: how one of them is chosen. Default: a person chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choose: Option<Choose>,
    /// Moves shares within a stage towards the version that does best, between a floor and a ceiling. Default: a stage's
    /// weight stands still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandit: Option<Bandit>,
    /// Who is asked when it is not clear what to do; shown in notices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Which requests the rollout owns. Default: all.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub scope: Option<Match>,
    /// Names of headers, and who decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
    /// How requests are spread over the versions. Default: at random, each request by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<Assignment>,
    /// Requests for which the version is given. First that fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Requests with a weight of their own. First that fits. Not evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cohorts: Vec<Cohort>,
    /// Where the model's confidence is read and shown. Default: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    /// The dead-man's switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Stages and gates to start from; what is written here goes before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The way up. Default: the preset's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<Stage>>,
    /// What every stage must prove. One with the name of a gate of the preset changes only the fields it gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Limits of the whole run. One with the name of a guardrail of the preset changes only the fields it gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<Guardrail>,
    /// The chance of rolling back a canary that is as good as stable, divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<Alpha>,
    /// What the canary may cost before it bears all traffic. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Which outcomes count as errors. Default: too_many, server_error, timeout, reset, grpc_error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_classes: Option<Vec<ErrorClass>>,
    /// A request not answered for this long is overdue. Default: 2s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_after: Option<Span>,
    /// The canary's first minutes, which are not evidence (cold caches). Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<Span>,
    /// Endpoints the canary must have before its weight rises. Default: they are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// What warms the canary before its first request. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up_hook: Option<WarmUpHook>,
    /// What happens at a stage's deadline without enough evidence. Default: pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_insufficient: Option<Insufficient>,
    /// The proof that the proxies follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Acknowledge>,
    /// What happens while no counts arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data: Option<NoData>,
    /// When the weight may rise by itself. Default: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
    /// What is tried between runs by itself: the rollback path, and a version against itself. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub practice: Option<Practice>,
    /// What becomes of another version that is applied under this name while the run lasts. Default: reject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersede: Option<Supersede>,
    /// How traffic comes back. Default: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// As much of stable's traffic as the canary gets is counted apart, for comparison. Default: true; with `arms`
    /// false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<bool>,
    /// How the new version gets behind the stable route at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_back: Option<HandBack>,
    /// For how long, after the run is over, the version without traffic stays deployed behind the canary route.
    /// Default: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_warm: Option<KeepWarm>,
    /// Called when the run is over and nothing is kept warm any longer: what has no traffic can be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<AfterRun>,
    /// What is watched of the new version after it was promoted. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Version {
    /// Letters, digits, `.`, `_` and `-`, at most 63: it is a label in every counter.
    pub version: String,
}
