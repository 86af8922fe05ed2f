//! The end of the way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KubernetesHandBack;
use crate::amount::{Percent, Span};

/// How the new version gets behind the stable route at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HandBack {
    /// The hook that puts the new version there. Default: a person or a deploy tool does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<Hook>,
    /// What the controller changes in Kubernetes, in place of a hook, where its operator allows it (`serin run
    /// --kubernetes-workloads`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesHandBack>,
    /// URLs of stable's endpoints; the weight goes down when all of them report the new version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The header of their answers that names the version. Default: x-model-version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_header: Option<String>,
    /// The field of their JSON answers that names the version, in place of a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_pointer: Option<String>,
    /// The canary's falling weights from 100 % to 0. Default: 50%, 0%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Percent>>,
    /// The minimum time at each weight. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Span>,
    /// After this time a notice says that stable still serves the old version. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind_after: Option<Span>,
}

/// A hook: exactly one of `url` and `command`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hook {
    /// Gets a POST with the rollout's name and versions as JSON; 2xx is success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A program and its arguments, run by the controller; exit code 0 is success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
}
