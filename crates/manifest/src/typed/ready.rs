//! Is the canary there, and warm, before it gets traffic?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::{Percent, Span};
use crate::plan::Insufficient;
use crate::source::Source;

/// Endpoints the canary must have before its weight rises.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ready {
    /// At least so many. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<u32>,
    /// At least this part of the ready endpoints stable has for the same traffic: with 100%, stage weight 50% and 10
    /// endpoints of stable, 5. Default: 0%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_stable: Option<Percent>,
    /// Where they are counted: the canary's value is its ready endpoints, stable's those of stable. Default: the healthy
    /// members of Envoy's clusters (`routing.clusters`), as the Envoy that sees fewest sees them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// How long a step waits for them. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What happens when it waited longer. Default: pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<Insufficient>,
    /// What happens when the canary has traffic and no endpoint is left. Default: rollback, since all it gets fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_loss: Option<Insufficient>,
}

/// What warms the canary before its first request: exactly one of `url`, `command` and `requests`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WarmUpHook {
    /// Gets a POST with the rollout's name and versions as JSON; 2xx is success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A program and its arguments, run by the controller; exit code 0 is success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Requests of the controller's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<WarmUpRequests>,
    /// How long it may take. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

/// Requests of the controller's own, straight to the canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WarmUpRequests {
    /// Where the canary answers, past the proxies.
    pub url: String,
    /// How many, one after the other.
    pub count: u32,
    /// What they carry: a POST of this JSON text. Default: a GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}
