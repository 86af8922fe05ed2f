//! What is kept when the run is over, and who is told that it no longer is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Hook, KubernetesKeepWarm};
use crate::amount::Span;

/// Keep-warm: after a run, the version without traffic stays deployed behind the canary route for a while: after a
/// promotion the old one, after a rollback the new one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeepWarm {
    /// How long, from the time when every proxy has weight 0. Default: 30m.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub time: Option<Span>,
    /// The hook that puts the old version behind the canary route after a promotion, called when the route has no
    /// traffic. Default: a person or a deploy tool does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<Hook>,
    /// What the controller does in Kubernetes, in place of a hook, where its operator allows it (`serin run
    /// --kubernetes-workloads`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesKeepWarm>,
    /// URLs of the canary route's endpoints: before traffic goes back to a version, all of them must report it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The header of their answers that names the version. Default: x-model-version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_header: Option<String>,
    /// The field of their JSON answers that names the version, in place of a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_pointer: Option<String>,
}

/// Hooks that are called when a run is over, every proxy has weight 0, and nothing is kept warm any longer: the
/// versions that they get can be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AfterRun {
    /// After a promotion. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<Hook>,
    /// After a rollback. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<Hook>,
}
