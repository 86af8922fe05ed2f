//! The status of a Rollout: what `kubectl get` and `kubectl wait` show.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the controller says of a rollout. Serin never reads it to decide anything, but for [`Status::journal`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// The generation of the specification that this tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Pending, Progressing, Paused, Promoting, HandBack, Succeeded or RolledBack; where nothing runs, Invalid because the
    /// specification is wrong, or Refused because of what else is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The number of the run among those of its name, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// The stage among all, such as 2/5; 0/5 before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The canary's weight, as decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// The share of requests that the canary gets, as counted in the proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual_weight: Option<String>,
    /// What the gates of the stage say together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// The version behind the stable route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// The version rolled out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
    /// One English sentence: the reason for the present state, and what comes next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Accepted, Progressing, Promoted, RolledBack and NeedsAttention.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The machine's own state, for another replica of the controller to go on from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<serde_json::Map<String, serde_json::Value>>,
}

/// One thing that is so or not, in the usual form of Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// The generation of the specification that it tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When it last became so.
    pub last_transition_time: String,
    /// One word.
    pub reason: String,
    /// One sentence.
    #[serde(default)]
    pub message: String,
}

impl Status {
    /// All of it but the journal, for a merge patch: what is not said is taken away.
    pub(super) fn patch(&self) -> serde_json::Value {
        let Self {
            observed_generation,
            phase,
            run,
            step,
            weight,
            actual_weight,
            verdict,
            stable,
            canary,
            message,
            conditions,
            journal: _,
        } = self;
        serde_json::json!({
            "observedGeneration": observed_generation,
            "phase": phase,
            "run": run,
            "step": step,
            "weight": weight,
            "actualWeight": actual_weight,
            "verdict": verdict,
            "stable": stable,
            "canary": canary,
            "message": message,
            "conditions": conditions,
        })
    }
}
