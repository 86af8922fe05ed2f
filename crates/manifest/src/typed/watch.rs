//! What is watched after the end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::Margin;
use crate::watch::Lasts;

/// What is watched of the new version after it was promoted: that it stays what it was when it bore all traffic. People
/// are told when it does not; no weight is changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Watch {
    /// For how long after the promotion; `always`: until the next run begins. Default: 24h.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Lasts>,
    /// The chance that people are told of a version that stayed as it was, in any week. Default: 0.01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// The gates that are watched. Default: all but those with a `source`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<WatchedGate>,
}

/// A gate that is watched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WatchedGate {
    /// Its name.
    pub name: String,
    /// How far it may move from what it showed when it was promoted: a factor (2x), a part (50%) or percentage points
    /// (1pp) of that. Default: the gate's own margin; a gate without one keeps its `max` or `min` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
}
