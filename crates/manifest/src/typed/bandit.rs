//! Shares that follow the evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::{Percent, Span};

/// Shares that follow the evidence: within a stage each version on trial gets traffic in proportion to the probability
/// that it is the best of all, stable included. It ends no stage, passes no gate and rolls nothing back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bandit {
    /// What the best is best in. Default: error_rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<BanditBy>,
    /// The least share of each version on trial, so that its gates still get evidence; a stage below it keeps its own
    /// weight as the least. Default: 1%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Percent>,
    /// The largest share of all versions on trial together. Stages in which they get more by weight stand still.
    pub ceiling: Percent,
    /// Shares move at most so often; 30s or more. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// The weight of the first stage in which shares move. Default: the first with a weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Percent>,
}

/// What the best version is best in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BanditBy {
    /// The lowest share of errors.
    ErrorRate,
    /// The highest mean confidence.
    ConfidenceMean,
    /// The lowest share of requests not answered in time.
    Overdue,
    /// The lowest share of clients that went away.
    GoneRate,
}
