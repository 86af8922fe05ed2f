//! What begins rollouts by itself: `/v1/triggers`.

use manifest::When;
use rollout::Word;
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
    /// What it waits for.
    pub when: Option<Word<When, Value>>,
    /// Does it take webhooks?
    pub webhook: bool,
    /// How asking the registry goes; absent: it is not asked.
    pub poll: Option<PollView>,
    /// The version that waits until the present run is over.
    pub pending: Option<PendingView>,
    /// The outcome of versions, the latest first.
    pub versions: Vec<TriggeredView>,
}

/// How asking a registry goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PollView {
    /// Whom.
    pub url: String,
    /// How often, in milliseconds.
    pub every_ms: u64,
    /// When the registry last answered; absent: not since this controller began.
    pub last_success_unix_ms: Option<u64>,
    /// Questions without an answer, in a row.
    pub failures: u32,
    /// Questions without an answer since this controller began.
    pub failures_total: u64,
    /// Why the last one had none.
    pub error: Option<String>,
}

/// A version that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PendingView {
    /// The registry's.
    pub version: String,
    /// How it was heard of.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Does a person want it although it was rolled back once?
    pub again: bool,
}

/// The outcome of a version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TriggeredView {
    /// The registry's.
    pub version: String,
    /// How it was heard of.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The outcome of it.
    pub outcome: Word<VersionOutcome, Value>,
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
    /// A later version came while it waited, or before it was heard of.
    PassedOver {
        /// That version.
        by_version: String,
    },
    /// The registry took its word back while it waited.
    Withdrawn {
        /// How that was heard of.
        by: String,
    },
}

/// `POST /v1/triggers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TriggerQuery {
    /// Only say what would become of it.
    pub dry_run: bool,
}

/// The outcome of a trigger, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TriggerApplied {
    /// Its name.
    pub name: String,
    /// The rollout it begins.
    pub rollout: String,
    /// This very trigger was there before.
    pub unchanged: bool,
    /// It was only asked, and nothing was done.
    pub dry_run: bool,
    /// What a person should know of it.
    pub warnings: Vec<String>,
}

/// `POST /v1/triggers/{name}/fire`: a person names a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FireRequest {
    /// The registry's version.
    pub version: String,
    /// Although it had its turn.
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
    /// Did anything come of it now?
    pub triggered: bool,
    /// The registry's version; absent: a webhook told of none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// One English sentence.
    pub message: String,
}
