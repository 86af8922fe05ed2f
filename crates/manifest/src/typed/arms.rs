//! Several new versions at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::Percent;

/// A further new version beside the canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Challenger {
    /// Its value of the routing header, and the name of its route and cluster. 1 to 16 lower-case letters, digits and
    /// dashes.
    pub name: String,
    /// Letters, digits, `.`, `_` and `-`, at most 63: it is a label in every counter.
    pub version: String,
}

/// How one of several versions is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Choose {
    /// The metric; without a proven winner at the stage's deadline a person is asked. Default: person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ChooseBy>,
    /// The weight of the last stage with all versions; the chosen one continues alone. Default: the last stage at which
    /// all of them fit beside stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Percent>,
    /// The probability of choosing a version that is not the best. Default: 0.05.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
}

/// What decides between several versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChooseBy {
    /// A person: `serin promote NAME --arm ARM`.
    Person,
    /// The lowest share of errors.
    ErrorRate,
    /// The lowest 99th percentile of answer times.
    LatencyP99,
    /// The highest mean confidence.
    ConfidenceMean,
    /// The lowest share of requests not answered in time.
    Overdue,
    /// The lowest share of clients that left before the answer.
    GoneRate,
}
