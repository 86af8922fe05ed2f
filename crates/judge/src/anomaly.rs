//! Is a value an outlier, held against a series?
//!
//! A heuristic: it proves nothing, and spends nothing of an alpha. How often it is wrong on a series without any outlier
//! depends on the series' length and shape; `crates/judge/tests/judge/anomaly.rs` counts it for normal values.

use crate::JudgeError;
use crate::error::sample;

/// A value whose modified z-score is farther from 0 than this is an outlier, as Iglewicz and Hoaglin advise.
pub const OUTLIER: f64 = 3.5;

/// The upper quartile of a standard normal: the MAD of normal values is so many standard deviations.
const MAD_OF_NORMAL: f64 = 0.6745;
/// sqrt(pi / 2): a normal's standard deviation is so many mean absolute deviations.
const DEVIATION_OF_NORMAL: f64 = 1.253_314;

/// Middle and spread of a series, neither of which a few outliers in it can move far.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Spread {
    /// How many values it has.
    pub n: u64,
    /// The median, in the unit of the values.
    pub median: f64,
    /// The median absolute deviation from the median, in that unit.
    pub mad: f64,
    /// The mean absolute deviation from the median, in that unit.
    pub mean_deviation: f64,
}

impl Spread {
    /// That of a series, in any order.
    ///
    /// # Errors
    /// No value, or one that is not finite.
    pub fn of(series: &[f64]) -> Result<Self, JudgeError> {
        let mut values = sample("series", series)?.to_vec();
        let median = median(&mut values);
        let mut deviations: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
        let mean_deviation = deviations.iter().sum::<f64>() / deviations.len() as f64;
        Ok(Self { n: values.len() as u64, median, mad: self::median(&mut deviations), mean_deviation })
    }

    /// The modified z-score of a value: its distance from the median in robust standard deviations, with its sign.
    ///
    /// Iglewicz & Hoaglin, "How to Detect and Handle Outliers" (ASQC 1993), section 3: 0.6745 (x - median) / MAD, and
    /// where more than half of the series is one value, so that the MAD is 0, (x - median) / (1.253314 times the mean
    /// absolute deviation). Infinite for any other value than that of a series without spread.
    #[must_use]
    pub fn z(&self, value: f64) -> f64 {
        self.in_deviations(value, self.deviation())
    }

    /// The same for a value of a noisier series than this one: in the larger of the two robust standard deviations.
    #[must_use]
    pub fn z_of(&self, series: &Self, value: f64) -> f64 {
        self.in_deviations(value, self.deviation().max(series.deviation()))
    }

    /// The standard deviation a normal of this spread would have.
    fn deviation(&self) -> f64 {
        if self.mad > 0.0 { self.mad / MAD_OF_NORMAL } else { DEVIATION_OF_NORMAL * self.mean_deviation }
    }

    fn in_deviations(&self, value: f64, deviation: f64) -> f64 {
        let distance = value - self.median;
        if distance == 0.0 { 0.0 } else { distance / deviation }
    }
}

/// Of at least one value; sorts them.
#[allow(clippy::indexing_slicing)] // half of a length is below it
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}
