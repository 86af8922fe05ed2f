use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::Margin;
use crate::anomaly::Sides;
use crate::source::Range;

/// A reading that is an outlier is a bad one. The series it is held against is stable's readings of this run, where the
/// source gives any, else its own earlier ones. A rule of thumb: nothing is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Anomaly {
    /// The modified z-score (distance from the median in robust standard deviations) beyond which it is one.
    /// Default: 3.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub z: Option<f64>,
    /// The readings the series must have, from 5 to 100; with fewer a reading is neither good nor bad. Default: 12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_readings: Option<u32>,
    /// A distance from the median up to this is none: a part of the median (1%), or points. Default: 1%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<Margin>,
    /// Which side counts. Default: worse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sides: Option<Sides>,
    /// With a source of Prometheus: the series is what `stableQuery`, or else `query`, gave over this time that ends one
    /// step ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Range>,
}
