//! What is tried between runs, by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::{Percent, Span};
use calendar::Day;

/// Scheduled drills and A/A checks between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Practice {
    /// Drills of the rollback path, as by `serin drill`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillPractice>,
    /// A/A checks, as by `serin aa`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aa: Option<AaPractice>,
    /// Also in freezes, if no request goes to the canary. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub during_freezes: Option<bool>,
}

/// Scheduled drills. Exactly one of `every` and `at`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrillPractice {
    /// The time since the last one began, scheduled or not; the first one begins as soon as a run is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// Times of the week, in the time zone of `windows.timeZone`. Default: UTC.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<TimeOfWeek>,
    /// With `at`: how late it may begin if something blocks it; after that, this time is missed. Default: 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
    /// The canary's share during the drill, at most 5%. Above 0% it keeps to the windows, and a version that was rolled
    /// back gets no requests. Default: 0%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Percent>,
    /// The time within which the rollback must reach every proxy. Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Span>,
}

/// Scheduled A/A checks. Exactly one of `every` and `at`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AaPractice {
    /// The time since the last one began, scheduled or not; the first one begins as soon as a run is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// Times of the week, in the time zone of `windows.timeZone`. Default: UTC.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<TimeOfWeek>,
    /// With `at`: how late it may begin if something blocks it; after that, this time is missed. Default: 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
    /// The duration. Default: until the gates decide, at most one hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// With `duration`: end as soon as the gates decide. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_evidence: Option<bool>,
    /// The share of the second part of the traffic, at most 50%. Default: 50%; with `deployed` 5%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Percent>,
    /// The second part goes to the canary route, where the same version is deployed. It then keeps to the windows.
    /// Default: false, stable serves both parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<bool>,
}

/// A time of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeOfWeek {
    /// On which days. Default: on all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Day>,
    /// When, such as 09:00.
    pub time: String,
}
