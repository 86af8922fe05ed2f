//! Is the canary there, and warm, before it gets traffic?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KubernetesReady;
use crate::amount::{Percent, Span};
use crate::plan::Insufficient;
use crate::source::Source;

/// Endpoints the canary must have before its weight rises.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ready {
    /// The minimum number. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<u32>,
    /// The minimum as a percentage of the ready endpoints that stable has for the same traffic: with 100%, a stage of
    /// 50% and 10 endpoints of stable, 5. Default: 0%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_stable: Option<Percent>,
    /// Where they are counted: the canary's value is its ready endpoints, stable's those of stable. Default: the healthy
    /// members of Envoy's clusters (`routing.clusters`), as the Envoy that sees fewest sees them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Counts them in Kubernetes, in place of `source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesReady>,
    /// How long a step waits for them. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What happens after that. Default: pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<Insufficient>,
    /// What happens when the canary has traffic and no endpoint is left. Default: rollback, since all its requests fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_loss: Option<Insufficient>,
}

/// A hook that warms up the canary before its first request: exactly one of `url`, `command` and `requests`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WarmUpHook {
    /// Gets a POST with the rollout's name and versions as JSON; 2xx is success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A program and its arguments, run by the controller; exit code 0 is success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Requests that the controller sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<WarmUpRequests>,
    /// How long it may take. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

/// Requests that the controller sends directly to the canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WarmUpRequests {
    /// The canary's own URL, without the proxies.
    pub url: String,
    /// How many, one after the other.
    pub count: u32,
    /// The body of a POST, as JSON text. Default: a GET without a body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}
