//! What is tried between runs, by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::{Percent, Span};
use crate::window::Day;

/// What is tried between runs, by itself, when its time has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Practice {
    /// The rollback path, as `serin drill` tries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillPractice>,
    /// A version against itself, as `serin aa` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aa: Option<AaPractice>,
    /// In freezes too, as far as nobody is exposed. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub during_freezes: Option<bool>,
}

/// The rollback path, tried regularly. Exactly one of `every` and `at`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrillPractice {
    /// So long after the last one began, whoever wanted it; the first as soon as a run is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// Times of the week by the wall clock of `windows.timeZone`; without one, UTC.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<TimeOfWeek>,
    /// With `at`: it begins this late at most, when something was in its way; else it is missed. Default: 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
    /// The canary's share meanwhile, at most 5%. Above 0% it keeps to the windows; what was rolled back gets nothing.
    /// Default: 0%, nobody is exposed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Percent>,
    /// Every way back must be done within this. Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Span>,
}

/// A version against itself, regularly. Exactly one of `every` and `at`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AaPractice {
    /// So long after the last one began, whoever wanted it; the first as soon as a run is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// Times of the week by the wall clock of `windows.timeZone`; without one, UTC.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<TimeOfWeek>,
    /// With `at`: it begins this late at most, when something was in its way; else it is missed. Default: 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
    /// Count for this long. Default: until there is evidence, an hour at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// With `duration`: be done as soon as parity is proven. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_evidence: Option<bool>,
    /// The second part's share of the traffic, at most 50%. Default: 50%; with `deployed` 5%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Percent>,
    /// The same version is deployed as canary as well and takes the second part. It then keeps to the windows. Default:
    /// false, stable serves both parts.
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
