//! What a judge says about one gate.

use std::fmt;

/// The answer of one gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Verdict {
    /// Proven good enough: the canary may advance.
    Pass,
    /// Proven harmful: roll back.
    Fail,
    /// Judged in full and neither proven harmful nor proven harmless: hold, or ask a human.
    Marginal,
    /// Not enough data yet to say anything; never a reason to advance.
    Insufficient,
    /// The question could not be computed (bad input, broken split of traffic).
    Error,
}

impl Verdict {
    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Marginal => "marginal",
            Self::Insufficient => "insufficient",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A confidence interval or confidence sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Interval {
    /// Lower end, in the unit of the estimate.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "open_below"))]
    pub lo: f64,
    /// Upper end; infinite while nothing bounds the estimate.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "open_above"))]
    pub hi: f64,
    /// Probability with which the interval holds the truth, e.g. 0.95.
    pub level: f64,
    /// Whether it holds at every look at once (a confidence sequence) or at one look planned beforehand.
    pub anytime: bool,
}

// JSON has no infinity and writes null for it; read back, null is the open end again.
#[cfg(feature = "serde")]
fn open_below<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let end: Option<f64> = serde::Deserialize::deserialize(deserializer)?;
    Ok(end.unwrap_or(f64::NEG_INFINITY))
}

#[cfg(feature = "serde")]
fn open_above<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let end: Option<f64> = serde::Deserialize::deserialize(deserializer)?;
    Ok(end.unwrap_or(f64::INFINITY))
}

/// The measure behind a verdict.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Evidence {
    /// A classical p-value: valid at one look, planned beforehand.
    P(f64),
    /// ln of an e-value: valid at every look.
    LogE(f64),
}

/// How the threshold was corrected for several gates.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Correction {
    /// An absolute guardrail or a promotion proof: not corrected (all promotion gates must hold, which needs none).
    None,
    /// The gate has this share of the rollout's alpha (weighted Bonferroni); fires at e >= 1 / alpha.
    AlphaShare {
        /// The gate's own alpha.
        alpha: f64,
    },
    /// Holm's step-down procedure over this many gates.
    Holm {
        /// Gates in the family.
        gates: u32,
    },
    /// Benjamini-Hochberg over this many gates; for dashboards, never for rollback.
    BenjaminiHochberg {
        /// Gates in the family.
        gates: u32,
    },
    /// e-BH over this many gates.
    EBenjaminiHochberg {
        /// Gates in the family.
        gates: u32,
    },
}

/// An effect size with its name, e.g. `rate ratio`, `Cohen's d`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Effect {
    /// Name of the measure.
    pub name: String,
    /// Its value.
    pub value: f64,
}

/// Everything one gate has to say.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Finding {
    /// The judge and its version, e.g. [`crate::JUDGE`].
    pub judge: String,
    /// The gate's name, e.g. `errors`.
    pub gate: String,
    /// The answer.
    pub verdict: Verdict,
    /// The measured quantity (a rate ratio, a difference of means ...); `None` when undefined.
    pub estimate: Option<f64>,
    /// What the estimate is compared with (margin or limit), in the same unit.
    pub bound: Option<f64>,
    /// Interval around the estimate.
    pub interval: Option<Interval>,
    /// Canary observations used.
    pub n_canary: u64,
    /// Stable observations used.
    pub n_control: u64,
    /// Effect size.
    pub effect: Option<Effect>,
    /// Evidence of harm.
    pub evidence: Option<Evidence>,
    /// Evidence of no harm beyond the margin.
    pub evidence_no_harm: Option<Evidence>,
    /// Correction for several gates.
    pub correction: Correction,
    /// One English sentence: verb, gate, measured, operator, threshold.
    pub why: String,
}

impl Finding {
    /// A finding that carries only a verdict and its reason, for gates that could not be computed.
    pub fn bare(gate: &str, verdict: Verdict, why: impl Into<String>) -> Self {
        Self {
            judge: crate::JUDGE.to_owned(),
            gate: gate.to_owned(),
            verdict,
            estimate: None,
            bound: None,
            interval: None,
            n_canary: 0,
            n_control: 0,
            effect: None,
            evidence: None,
            evidence_no_harm: None,
            correction: Correction::None,
            why: why.into(),
        }
    }
}
