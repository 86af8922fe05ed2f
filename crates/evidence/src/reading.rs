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
    /// The canary's value; `None`: no data, which is neither good nor bad. An infinite one on the worse side is bad, one on
    /// the other is no data.
    pub canary: Option<f64>,
    /// Stable's value, where the gate compares.
    pub stable: Option<f64>,
    /// Where the gate asks for it: middle and spread of what the source gave before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Spread>,
    /// Why the source could not be read. An error is no failure of the canary.
    pub error: Option<String>,
    /// Why there is no data, where that is known: the newest value is too old, say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

impl Reading {
    /// A value that can be held against a limit: NaN is none, and neither is an infinite one on the better side, since 1/0
    /// proves nothing. One on the worse side stands as the largest number there is, which is stored as JSON, too.
    pub(crate) fn held(value: Option<f64>, larger_is_worse: bool) -> Option<f64> {
        let value = value.filter(|value| !value.is_nan())?;
        let worse = if larger_is_worse { value > 0.0 } else { value < 0.0 };
        (value.is_finite() || worse).then(|| value.clamp(f64::MIN, f64::MAX))
    }
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
    /// Is it a guardrail's?
    pub protects: bool,
}
