//! Triggers, which start rollouts: `/v1/triggers`.

use manifest::When;
use rollout::OpenEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One trigger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TriggerView {
    /// Its name.
    pub name: String,
    /// The rollout it begins.
    pub rollout: String,
    /// The registry's model; absent: no registry is known.
    pub model: Option<String>,
    /// The condition under which a version is released.
    pub when: Option<OpenEnum<When, Value>>,
    /// Does it take webhooks?
    pub webhook: bool,
    /// The polling of the registry; absent: it is not polled.
    pub poll: Option<PollView>,
    /// The version that is queued until the present run is over.
    pub pending: Option<PendingView>,
    /// The outcome of versions, the latest first.
    pub versions: Vec<TriggeredView>,
}

/// The polling of a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PollView {
    /// The registry's URL.
    pub url: String,
    /// How often, in milliseconds.
    pub every_ms: u64,
    /// When the registry last answered; absent: not since this controller began.
    pub last_success_unix_ms: Option<u64>,
    /// Failed polls in a row.
    pub failures: u32,
    /// Failed polls since this controller started.
    pub failures_total: u64,
    /// Why the last poll failed.
    pub error: Option<String>,
}

/// A queued version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PendingView {
    /// The registry's.
    pub version: String,
    /// How the controller learned of it.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Was it requested by a person although it was rolled back before?
    pub again: bool,
}

/// The outcome of a version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TriggeredView {
    /// The registry's.
    pub version: String,
    /// How the controller learned of it.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The outcome of it.
    pub outcome: OpenEnum<VersionOutcome, Value>,
}

/// The outcome of a version that a trigger was told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionOutcome {
    /// A run of it began, or was under way.
    Begun {
        /// Which.
        run: u64,
    },
    /// It begins when the run it replaces is over.
    Queued {
        /// That run.
        after_run: u64,
    },
    /// Stable served it already.
    Stable,
    /// It was not taken.
    Refused {
        /// Why.
        why: String,
    },
    /// A later version replaced it, or was known before it.
    PassedOver {
        /// That version.
        by_version: String,
    },
    /// The registry withdrew it while it was queued.
    Withdrawn {
        /// How the controller learned of it.
        by: String,
    },
}

/// `POST /v1/triggers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TriggerQuery {
    /// Change nothing; answer what it would do.
    pub dry_run: bool,
}

/// The result of applying a trigger, or of a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TriggerApplied {
    /// Its name.
    pub name: String,
    /// The rollout it begins.
    pub rollout: String,
    /// This very trigger was there before.
    pub unchanged: bool,
    /// It was a dry run: nothing was changed.
    pub dry_run: bool,
    /// Warnings, each in one English sentence.
    pub warnings: Vec<String>,
}

/// `POST /v1/triggers/{name}/fire`: a person names a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FireRequest {
    /// The registry's version.
    pub version: String,
    /// Even if the version was handled before.
    #[serde(default)]
    pub again: bool,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// The result of a version, or of a webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fired {
    /// Did it start or queue a run?
    pub triggered: bool,
    /// The registry's version; absent: a webhook told of none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// One English sentence.
    pub message: String,
}
