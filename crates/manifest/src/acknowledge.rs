//! The proof that the proxies follow, as meant.

use serde::{Deserialize, Serialize};

use crate::expect::Expect;

/// How many proxies must acknowledge new weights, and how soon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Acknowledge {
    /// Share of the connected proxies that must have taken the new weights, 0 to 1.
    pub quorum: f64,
    /// How long they may take, in milliseconds.
    pub timeout_ms: u64,
    /// What happens when they take longer.
    pub on_timeout: OnTimeout,
    /// Which of them are expected; `None`: those that are connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

/// What is done when too few proxies took new weights in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnTimeout {
    /// Back to the weights a quorum had last, so that all proxies split alike; from there it goes on when a quorum
    /// follows again.
    #[default]
    StepBack,
    /// Stay, keep counting, and tell people.
    Hold,
    /// Stop; the new weights stay where they were taken.
    Pause,
    /// Back to stable.
    Rollback,
}
