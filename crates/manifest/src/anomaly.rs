//! Readings that are out of line with a series.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::source::Range;

/// A reading of a gate's own source may be no outlier against stable's readings, or against its own past.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Anomaly {
    /// Farther from the median than this, in robust standard deviations, is an outlier.
    pub z: f64,
    /// The readings there must be to compare with.
    pub min_readings: u32,
    /// A distance up to this part of the median is none, however calm the series.
    pub least: f64,
    /// And up to this beside, in the reading's own unit.
    pub least_points: f64,
    /// Which side counts.
    pub sides: Sides,
    /// What Prometheus knows of the time before is the series, in place of what was read in this run.
    pub history: Option<Range>,
}

/// On which side of the others a reading is out of line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Sides {
    /// Where it is worse.
    #[default]
    Worse,
    /// On either: what is too good is seldom true.
    Both,
}
