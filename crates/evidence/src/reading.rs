//! Figures of the user's own.

use judge::anomaly::Spread;
use manifest::{Range, Source};
use serde::{Deserialize, Serialize};
use split::Arm;

/// A figure of the user's own, for a gate or a guardrail with a source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reading {
    /// The gate's or guardrail's name.
    pub gate: String,
    /// Whose it is, where several versions are on trial; `None`: the lead's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arm: Option<Arm>,
    /// The canary's value; `None`: no data, which is neither good nor bad.
    pub canary: Option<f64>,
    /// Stable's value, where the gate compares.
    pub stable: Option<f64>,
    /// Where the gate asks for it: middle and spread of what the source gave before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Spread>,
    /// Why the source could not be read. An error is no failure of the canary.
    pub error: Option<String>,
}

/// A figure that is wanted at the present weight, whether it is asked for or pushed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted<'a> {
    /// The gate's or guardrail's name.
    pub name: &'a str,
    /// Where it is read, with its placeholders.
    pub source: &'a Source,
    /// The time between two readings, in milliseconds.
    pub every_ms: u64,
    /// How long a pushed figure is good for at least, in milliseconds.
    pub window_ms: u64,
    /// Does half of it, the canary's value without stable's, say nothing?
    pub compares: bool,
    /// What Prometheus had before is wanted too.
    pub history: Option<Range>,
}
