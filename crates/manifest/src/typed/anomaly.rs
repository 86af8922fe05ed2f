use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::Margin;
use crate::anomaly::Sides;
use crate::source::Range;

/// Outlier detection: a measurement that is an outlier is bad. It is compared with stable's measurements in this run,
/// or, if the source gives none, with its own earlier ones. A heuristic: it proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Anomaly {
    /// The modified z-score (distance from the median in robust standard deviations) above which a value is an outlier.
    /// Default: 3.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub z: Option<f64>,
    /// The smallest number of measurements to compare with, 5 to 100; with fewer a measurement is neither good nor bad.
    /// Default: 12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_readings: Option<u32>,
    /// A value this close to the median is never an outlier: a percentage of the median (1%), or points. Default: 1%.
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
