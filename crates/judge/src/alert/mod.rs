//! Triggers: fixed rules with a severity, judged once on samples of both arms.
//!
//! A trigger is a limit, not a test of the whole judgement: it is not corrected for other metrics, and a healthy canary
//! of little data may set one off. Each condition therefore says on how many values it rests; where these are too few
//! to set it off, or too few to have shown what it looks for, its answer is [`Alarm::Insufficient`], never silence.

mod change;
mod embedding;
mod latency;
mod rate;
mod shift;

use std::fmt;

use crate::JudgeError;

/// Name and version of the built-in rules; part of every finding.
pub const TRIGGERS: &str = concat!("serin-triggers/", env!("CARGO_PKG_VERSION"));

/// Events a share must rest on: with fewer, one request more or less decides.
const FEW_EVENTS: f64 = 5.0;

/// How bad it is when a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Severity {
    /// A person should look.
    Warning,
    /// The canary has failed.
    Critical,
}

/// The answer of a condition or of a whole trigger, in rising order of what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Alarm {
    /// It does not hold, on enough data to have shown it.
    Quiet,
    /// Too little data to say.
    Insufficient,
    /// It holds, and asks for a person.
    Warning,
    /// It holds, and the canary has failed.
    Critical,
}

impl Alarm {
    /// The word used in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Insufficient => "insufficient",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl From<Severity> for Alarm {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Warning => Self::Warning,
            Severity::Critical => Self::Critical,
        }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A built-in rule with its limits.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum AlertRule {
    /// The canary's values are distributed otherwise than stable's: Kolmogorov-Smirnov p below `p` and statistic above
    /// `d`. Both, since with much data a p-value alone finds differences too small to matter.
    PredictionDistributionShift {
        /// The p-value must be below this.
        p: f64,
        /// The statistic must be above this.
        d: f64,
    },
    /// The share of errors (values of 1 among 0 and 1) is above `limit`, or above `ratio` times stable's; both critical.
    ErrorRate {
        /// A share, from 0 to 1.
        limit: f64,
        /// A factor on stable's share.
        ratio: f64,
        /// The ratio is not held against a share below this: three times next to nothing is next to nothing.
        floor: f64,
    },
    /// The 99th percentile is above `limit` (critical), or above `ratio` times stable's (warning).
    LatencyP99 {
        /// In the unit of the values.
        limit: f64,
        /// A factor on stable's 99th percentile.
        ratio: f64,
    },
    /// The mean cosine of the two versions' embeddings of the same inputs is below `warn`, or below `fail`.
    EmbeddingDrift {
        /// Below: a warning.
        warn: f64,
        /// Below: critical.
        fail: f64,
    },
    /// The two versions answer otherwise to a share of the same inputs: more than `warn`, or more than `fail`.
    PredictionChange {
        /// A difference up to this is none.
        by: f64,
        /// Above this share: a warning.
        warn: f64,
        /// Above this share: critical.
        fail: f64,
    },
}

/// One condition of a trigger.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Condition {
    /// What it asks for when it holds.
    pub severity: Severity,
    /// Its answer.
    pub alarm: Alarm,
    /// Measured, operator, limit; and on how many values, where that decides.
    pub why: String,
}

/// What a trigger found.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AlertFinding {
    /// The rules and their version: [`TRIGGERS`].
    pub rules: String,
    /// The rule's name.
    pub trigger: String,
    /// The worst of its conditions.
    pub alarm: Alarm,
    /// Canary values used, or pairs.
    pub n_canary: u64,
    /// Stable values used.
    pub n_control: u64,
    /// Figures by name, for reports.
    pub figures: Vec<(String, f64)>,
    /// Each condition.
    pub conditions: Vec<Condition>,
}

impl AlertRule {
    /// Names of all built-in rules.
    pub const NAMES: [&'static str; 5] = [
        "prediction_distribution_shift",
        "error_rate",
        "latency_p99",
        "embedding_drift",
        "prediction_change",
    ];

    /// The rule of this name, with its usual limits.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "prediction_distribution_shift" => Some(Self::PredictionDistributionShift { p: 0.05, d: 0.1 }),
            "error_rate" => Some(Self::ErrorRate { limit: 0.05, ratio: 3.0, floor: 0.001 }),
            "latency_p99" => Some(Self::LatencyP99 { limit: 500.0, ratio: 2.0 }),
            "embedding_drift" => Some(Self::EmbeddingDrift { warn: 0.92, fail: 0.90 }),
            "prediction_change" => Some(Self::PredictionChange { by: 0.0, warn: 0.05, fail: 0.10 }),
            _ => None,
        }
    }

    /// The rule's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        let [shift, errors, latency, embedding, change] = Self::NAMES;
        match self {
            Self::PredictionDistributionShift { .. } => shift,
            Self::ErrorRate { .. } => errors,
            Self::LatencyP99 { .. } => latency,
            Self::EmbeddingDrift { .. } => embedding,
            Self::PredictionChange { .. } => change,
        }
    }

    /// Does it compare the two versions' answers to the same inputs, rather than their samples?
    #[must_use]
    pub const fn is_of_pairs(&self) -> bool {
        matches!(self, Self::EmbeddingDrift { .. } | Self::PredictionChange { .. })
    }

    /// Judges the samples of both arms once; not for triggers of pairs.
    ///
    /// # Errors
    /// An empty sample, a value not finite, a rate that is not of 0 and 1, a limit outside its range, or a trigger of
    /// pairs.
    pub fn judge(&self, canary: &[f64], stable: &[f64]) -> Result<AlertFinding, JudgeError> {
        crate::error::sample("canary", canary)?;
        crate::error::sample("stable", stable)?;
        let (conditions, figures) = match *self {
            Self::PredictionDistributionShift { p, d } => shift::judge(canary, stable, p, d)?,
            Self::ErrorRate { limit, ratio, floor } => rate::judge(canary, stable, limit, ratio, floor)?,
            Self::LatencyP99 { limit, ratio } => latency::judge(canary, stable, limit, ratio)?,
            Self::EmbeddingDrift { .. } | Self::PredictionChange { .. } => {
                return Err(JudgeError::Mismatch { what: "pairs and samples" });
            }
        };
        Ok(self.finding(canary.len(), stable.len(), conditions, figures))
    }

    /// Judges pairs, one figure for each input: the cosine of its two embeddings, or the difference of its two answers
    /// (from 0 up; for labels 0 or 1).
    ///
    /// # Errors
    /// No pair, a figure outside its range, limits out of order, or a trigger of samples.
    pub fn judge_pairs(&self, pairs: &[f64]) -> Result<AlertFinding, JudgeError> {
        let (conditions, figures) = match *self {
            Self::EmbeddingDrift { warn, fail } => embedding::judge(pairs, warn, fail)?,
            Self::PredictionChange { by, warn, fail } => change::judge(pairs, by, warn, fail)?,
            _ => return Err(JudgeError::Mismatch { what: "samples and pairs" }),
        };
        Ok(self.finding(pairs.len(), pairs.len(), conditions, figures))
    }

    fn finding(
        &self,
        n_canary: usize,
        n_control: usize,
        conditions: Vec<Condition>,
        figures: Vec<(&'static str, f64)>,
    ) -> AlertFinding {
        AlertFinding {
            rules: TRIGGERS.to_owned(),
            trigger: self.name().to_owned(),
            alarm: conditions.iter().map(|condition| condition.alarm).max().unwrap_or(Alarm::Insufficient),
            n_canary: n_canary as u64,
            n_control: n_control as u64,
            figures: figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            conditions,
        }
    }
}

/// Conditions and figures of one trigger.
type Judged = (Vec<Condition>, Vec<(&'static str, f64)>);

/// Four significant digits, plain notation.
fn figure(value: f64) -> String {
    notation::digits(value, 4)
}

fn percent(share: f64) -> String {
    format!("{} %", figure(100.0 * share))
}
