//! One metric: clean both arms, compare, label.

use super::config::{Direction, Measure, MetricRules, NanStrategy, OutlierStrategy};
use super::noise::{Draws, most_frequent};
use crate::JudgeError;
use crate::classical::{ShiftRoot, common_language, hodges_lehmann_ci, quantile};

/// Kayenta's absolute tolerance for the ends of the shift interval.
const ROOT_TOLERANCE: f64 = 1e-4;

/// The label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Label {
    /// No harmful change found.
    Pass,
    /// Increased.
    High,
    /// Decreased.
    Low,
    /// An arm has no data.
    Nodata,
    /// An arm has no data, and must have.
    NodataFailMetric,
    /// Could not be computed.
    Error,
}

impl Label {
    /// The label as serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::High => "High",
            Self::Low => "Low",
            Self::Nodata => "Nodata",
            Self::NodataFailMetric => "NodataFailMetric",
            Self::Error => "Error",
        }
    }
}

/// Label, criticality and mean ratio of one metric.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Classification {
    /// The label.
    pub label: Label,
    /// Whether this result alone fails the canary.
    pub critical: bool,
    /// mean(experiment)/mean(control); 1 when nothing was compared, NaN when a mean is 0.
    pub deviation: f64,
    /// Why, in one sentence.
    pub reason: String,
}

impl Classification {
    pub(super) fn new(label: Label, critical: bool, deviation: f64, reason: impl Into<String>) -> Self {
        Self { label, critical, deviation, reason: reason.into() }
    }
}

/// Values inside [min(P1, Q1 - f IQR), max(P99, Q3 + f IQR)], in their order; percentiles of type 7.
/// Without `reduce_sensitivity` the fences are the quartile ones alone.
///
/// # Errors
/// An empty sample, a value not finite, or a negative factor.
pub fn remove_outliers(
    values: &[f64],
    factor: f64,
    reduce_sensitivity: bool,
) -> Result<Vec<f64>, JudgeError> {
    crate::error::not_negative("outlierFactor", factor)?;
    let (q1, q3) = (quantile(values, 0.25)?, quantile(values, 0.75)?);
    let (mut lo, mut hi) = (q1 - factor * (q3 - q1), q3 + factor * (q3 - q1));
    if reduce_sensitivity {
        lo = lo.min(quantile(values, 0.01)?);
        hi = hi.max(quantile(values, 0.99)?);
    }
    Ok(values.iter().copied().filter(|v| (lo..=hi).contains(v)).collect())
}

/// Labels one metric from both arms' points (NaN: missing).
pub fn classify(control: &[f64], experiment: &[f64], rules: &MetricRules) -> Classification {
    let control = match clean(control, rules) {
        Ok(values) => values,
        Err(error) => return failed(&error),
    };
    let experiment = match clean(experiment, rules) {
        Ok(values) => values,
        Err(error) => return failed(&error),
    };
    if control.is_empty() || experiment.is_empty() {
        return without_data(rules);
    }
    let (a, b) = (distinct(&control), distinct(&experiment));
    if sorted(&control) == sorted(&experiment) {
        return Classification::new(Label::Pass, false, 1.0, "both arms have identical values");
    }
    if a.len() == 1 && a == b {
        return Classification::new(Label::Pass, false, 1.0, "only one value was observed");
    }
    let compared = |control: &[f64], experiment: &[f64]| match compare(control, experiment, rules) {
        Ok(classification) => classification,
        Err(error) => Classification { deviation: mean_ratio(control, experiment), ..failed(&error) },
    };
    if a.len() > 1 || b.len() > 1 {
        return compared(&control, &experiment);
    }
    let draws = Draws::new(&control, &experiment);
    most_frequent(draws.map(|(control, experiment)| compared(&control, &experiment)))
        .unwrap_or_else(|| compared(&control, &experiment))
}

fn failed(error: &JudgeError) -> Classification {
    Classification::new(Label::Error, false, f64::NAN, error.to_string())
}

fn clean(values: &[f64], rules: &MetricRules) -> Result<Vec<f64>, JudgeError> {
    let values: Vec<f64> = match rules.nan_strategy {
        NanStrategy::Remove => values.iter().copied().filter(|v| !v.is_nan()).collect(),
        NanStrategy::Replace => values.iter().map(|v| if v.is_nan() { 0.0 } else { *v }).collect(),
    };
    if values.is_empty() || rules.outliers.strategy == OutlierStrategy::Keep {
        return Ok(values);
    }
    remove_outliers(&values, rules.outliers.outlier_factor, true)
}

fn without_data(rules: &MetricRules) -> Classification {
    let reason = "an arm has no data";
    if rules.nan_strategy == NanStrategy::Replace {
        return Classification::new(Label::Pass, false, 1.0, reason);
    }
    let fails = rules.must_have_data && !rules.critical;
    let label = if fails { Label::NodataFailMetric } else { Label::Nodata };
    Classification::new(label, rules.critical, 1.0, reason)
}

fn compare(control: &[f64], experiment: &[f64], rules: &MetricRules) -> Result<Classification, JudgeError> {
    let root = ShiftRoot::Brent(ROOT_TOLERANCE);
    let shift = hodges_lehmann_ci(experiment, control, rules.conf_level, root)?;
    let bound = rules.tolerance * shift.estimate.abs();
    let ratio = mean_ratio(control, experiment);
    let sizes = &rules.effect_size;
    let effect = match sizes.measure {
        Measure::MeanRatio => ratio,
        Measure::Cles => common_language(experiment, control)?,
    };
    let at_least = |limit: Option<f64>| effect.is_nan() || effect >= sizes.or_neutral(limit);
    let at_most = |limit: Option<f64>| effect.is_nan() || effect <= sizes.or_neutral(limit);
    let numbers = format!(
        "shift {:.6} in [{:.6}, {:.6}], tolerance {bound:.6}, effect {effect:.6}",
        shift.estimate, shift.lo, shift.hi
    );
    let (label, critical) = if rules.direction != Direction::Decrease
        && shift.lo > bound
        && at_least(sizes.allowed_increase)
    {
        (Label::High, at_least(sizes.critical_increase))
    } else if rules.direction != Direction::Increase && shift.hi < -bound && at_most(sizes.allowed_decrease) {
        (Label::Low, at_most(sizes.critical_decrease))
    } else {
        (Label::Pass, false)
    };
    Ok(Classification::new(label, critical && rules.critical, ratio, numbers))
}

fn mean_ratio(control: &[f64], experiment: &[f64]) -> f64 {
    // In two passes, as Kayenta's library does: ten values of 0.1 have the mean 0.1, and a limit may lie just there.
    let mean = |v: &[f64]| {
        let n = v.len() as f64;
        let first = v.iter().sum::<f64>() / n;
        first + v.iter().map(|value| value - first).sum::<f64>() / n
    };
    let (control, experiment) = (mean(control), mean(experiment));
    if control == 0.0 || experiment == 0.0 { f64::NAN } else { experiment / control }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    // + 0.0 makes -0 and 0 one value.
    let mut out: Vec<f64> = values.iter().map(|v| v + 0.0).collect();
    out.sort_by(f64::total_cmp);
    out
}

fn distinct(values: &[f64]) -> Vec<f64> {
    let mut out = sorted(values);
    out.dedup();
    out
}
