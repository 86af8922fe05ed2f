//! Shares that follow the evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::{Percent, Span};

/// Bandit: within a stage each new version gets traffic in proportion to the probability that it is the best of all,
/// stable included. It ends no stage, passes no gate and rolls nothing back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bandit {
    /// The metric. Default: error_rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<BanditBy>,
    /// The smallest share of each new version, so that its gates still get data; at most the stage's own weight.
    /// Default: 1%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Percent>,
    /// The largest share of all new versions together. Stages with a higher weight keep it constant.
    pub ceiling: Percent,
    /// The shortest time between two changes of the shares; 30s or more. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// The weight of the first stage in which shares change. Default: the first with a weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Percent>,
}

/// The metric of a bandit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BanditBy {
    /// The lowest share of errors.
    ErrorRate,
    /// The highest mean confidence.
    ConfidenceMean,
    /// The lowest share of requests not answered in time.
    Overdue,
    /// The lowest share of clients that left before the answer.
    GoneRate,
}
