//! The rules of one metric, named as in a canary configuration. An unknown value is an error, not a default.

/// Which direction of change is a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Direction {
    /// Only an increase.
    Increase,
    /// Only a decrease.
    Decrease,
    /// Both.
    #[default]
    Either,
}

/// What becomes of missing points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum NanStrategy {
    /// They are dropped.
    #[default]
    Remove,
    /// They become 0.
    Replace,
}

/// What becomes of outliers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum OutlierStrategy {
    /// They stay.
    #[default]
    Keep,
    /// They are dropped, each arm by its own fences.
    Remove,
}

/// Treatment of outliers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, rename_all = "camelCase", deny_unknown_fields))]
pub struct Outliers {
    /// Keep or remove.
    pub strategy: OutlierStrategy,
    /// Multiple of the interquartile range beyond the quartiles, default 3.
    pub outlier_factor: f64,
}

impl Default for Outliers {
    fn default() -> Self {
        Self { strategy: OutlierStrategy::default(), outlier_factor: 3.0 }
    }
}

/// The effect-size measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
pub enum Measure {
    /// mean(experiment)/mean(control).
    #[default]
    MeanRatio,
    /// P(experiment > control) + P(=)/2.
    Cles,
}

/// Effect sizes a change must reach; a missing bound is 1 for the mean ratio and 0.5 for cles.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, rename_all = "camelCase", deny_unknown_fields))]
pub struct EffectSize {
    /// Which measure.
    pub measure: Measure,
    /// An increase below this passes.
    pub allowed_increase: Option<f64>,
    /// A decrease above this passes.
    pub allowed_decrease: Option<f64>,
    /// A critical metric fails the canary from here.
    pub critical_increase: Option<f64>,
    /// A critical metric fails the canary down to here.
    pub critical_decrease: Option<f64>,
}

impl EffectSize {
    pub(crate) fn or_neutral(&self, bound: Option<f64>) -> f64 {
        bound.unwrap_or(match self.measure {
            Measure::MeanRatio => 1.0,
            Measure::Cles => 0.5,
        })
    }
}

/// `analysisConfigurations.canary` of one metric, and the two literals of the judge.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, rename_all = "camelCase", deny_unknown_fields))]
pub struct MetricRules {
    /// Direction of harm.
    pub direction: Direction,
    /// Missing points.
    pub nan_strategy: NanStrategy,
    /// A failure of this metric fails the canary.
    pub critical: bool,
    /// No data counts as a failure.
    pub must_have_data: bool,
    /// Reported but not scored.
    pub muted: bool,
    /// Effect sizes.
    pub effect_size: EffectSize,
    /// Outliers.
    pub outliers: Outliers,
    /// Fraction of the estimated shift the interval must clear; 0.25 in Kayenta.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub tolerance: f64,
    /// Level of the shift interval; 0.98 in Kayenta.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub conf_level: f64,
}

impl Default for MetricRules {
    fn default() -> Self {
        Self {
            direction: Direction::default(),
            nan_strategy: NanStrategy::default(),
            critical: false,
            must_have_data: false,
            muted: false,
            effect_size: EffectSize::default(),
            outliers: Outliers::default(),
            tolerance: 0.25,
            conf_level: 0.98,
        }
    }
}
