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
mod kubernetes;
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
pub use kubernetes::{KubernetesHandBack, KubernetesKeepWarm, KubernetesReady, KubernetesWorkload};
pub use practice::{AaPractice, DrillPractice, Practice, TimeOfWeek};
pub use ready::{Ready, WarmUpHook, WarmUpRequests};
pub use traffic::{
    Answer, AnswerClass, AnswerFailed, AnswerFormat, AnswerScalar, Assignment, Clusters, Cohort, Condition,
    Confidence, Direction, Key, Lease, Match, Mode, NoKey, OnExpired, Override, Range, Routing, Source,
};
pub use trigger::{Mlflow, TRIGGER, Tag, Template, Trigger, TriggerSpec, Webhook, When};
pub use watch::{Watch, WatchedGate};

/// The version of this document's format.
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
    /// Its name.
    pub metadata: Metadata,
    /// Its specification.
    pub spec: RolloutSpec,
}

/// The name of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Letters, digits, `.`, `_` and `-`, at most 63: it is a label in every counter.
    pub name: String,
    /// The Kubernetes namespace; ignored elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// For other tools; Serin ignores it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// For other tools; Serin ignores it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The specification of a rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutSpec {
    /// The version that serves all traffic today.
    pub stable: Version,
    /// The version to roll out.
    pub canary: Version,
    /// Models that are rolled out together: a stage ends when the gates of all of them have passed, and the harm of one
    /// rolls all back. Gates of `spec.gates` with a `source` are measured once for all models, the others for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Model>,
    /// Regions that are rolled out one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<Regions>,
    /// Further new versions beside the canary, each with an arm of its own. A stage's weight applies to each of them;
    /// each is compared with stable separately, and a harmful one is dropped alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arms: Vec<Challenger>,
    /// With `arms`: how one of them is chosen. Default: a person chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choose: Option<Choose>,
    /// Moves shares within a stage towards the best version, between a floor and a ceiling. Default: a stage's weight is
    /// constant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandit: Option<Bandit>,
    /// The person to ask; shown in notices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Which requests the rollout owns. Default: all.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub scope: Option<Match>,
    /// Names of headers and clusters, and which proxy decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
    /// How requests are assigned to the versions. Default: each request at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<Assignment>,
    /// Requests with a fixed version. The first that fits applies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Requests with a weight of their own. The first that fits applies. They are not evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cohorts: Vec<Cohort>,
    /// Where the model's confidence is read and shown. Default: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    /// What is read in the bodies of the models' answers. Default: what `confidence.fromBody` asks for, or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// The lease: without the controller, the canary's traffic ends when it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Stages and gates to start from; fields of this document override them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The stages. Default: the preset's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<Stage>>,
    /// What every stage must prove. A gate with the name of one of the preset changes only the fields that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Limits of the whole run. A guardrail with the name of one of the preset changes only the fields that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<Guardrail>,
    /// The probability of rolling back a canary that is as good as stable, divided between guardrails and gates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<Alpha>,
    /// How many requests and errors the canary may have before 100 %. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Which outcomes count as errors. Default: too_many, server_error, timeout, reset, grpc_error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_classes: Option<Vec<ErrorClass>>,
    /// A request not answered for this long is overdue. Default: 2s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_after: Option<Span>,
    /// The first minutes of each stage, which are not evidence (cold caches). Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<Span>,
    /// Ready endpoints that the canary must have before its weight rises. Default: they are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// A hook that warms up the canary before its first request. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up_hook: Option<WarmUpHook>,
    /// What happens at a stage's deadline without enough evidence. Default: pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_insufficient: Option<Insufficient>,
    /// How many proxies must acknowledge new weights, and how soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Acknowledge>,
    /// What happens while no counts can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data: Option<NoData>,
    /// When the weight may rise by itself. Default: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
    /// Scheduled drills and A/A checks between runs. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub practice: Option<Practice>,
    /// What happens when another version is applied under this name while a run lasts: this field of the new
    /// specification decides. Default: reject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersede: Option<Supersede>,
    /// How traffic returns to stable on a rollback without proven harm. Default: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// Counts as much of stable's traffic as the canary gets separately, as a control group. Default: true; with `arms`
    /// false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<bool>,
    /// How the new version gets behind the stable route at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_back: Option<HandBack>,
    /// Keeps the version without traffic deployed behind the canary route for a while after the run. Default: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_warm: Option<KeepWarm>,
    /// Hooks for the time when the run is over and nothing is kept warm any longer: versions without traffic can be
    /// deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<AfterRun>,
    /// Watches the new version for drift after its promotion. Default: no watch.
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
