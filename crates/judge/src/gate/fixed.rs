//! A gate for one look at the planned end, from raw samples.

use super::significant;
use crate::anytime::Better;
use crate::classical::{Margin, ShiftRoot, Test, hodges_lehmann_ci, moments, non_inferiority, welch_t};
use crate::verdict::{Correction, Effect, Evidence, Finding, Interval, Verdict};
use crate::{JUDGE, JudgeError};

/// Rules of a fixed gate.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FixedRules {
    /// Name of the gate.
    pub name: String,
    /// Which way the metric is good.
    pub better: Better,
    /// How much worse is acceptable.
    pub margin: Margin,
    /// Level of the one-sided test, already corrected for several gates if it should be.
    pub alpha: f64,
    /// The test.
    pub test: Test,
    /// Fewer values than this in an arm: insufficient.
    pub min_samples: u64,
    /// The correction `alpha` contains, for the report.
    pub correction: Correction,
}

/// Judges the canary's sample against stable's once: Pass when non-inferiority is proven, else Fail; with too
/// few values Insufficient, with unusable ones Error.
pub fn fixed_finding(canary: &[f64], stable: &[f64], rules: &FixedRules) -> Finding {
    let name = rules.name.as_str();
    let fewest = canary.len().min(stable.len()) as u64;
    let need = rules.min_samples.max(2);
    let finding = if fewest < need {
        let why = format!("Wait for {name}: {fewest} values in the smaller arm < {need}");
        Finding::bare(name, Verdict::Insufficient, why)
    } else {
        judge(canary, stable, rules).unwrap_or_else(|error| {
            Finding::bare(name, Verdict::Error, format!("Cannot judge {name}: {error}"))
        })
    };
    Finding {
        n_canary: canary.len() as u64,
        n_control: stable.len() as u64,
        correction: rules.correction,
        ..finding
    }
}

fn judge(canary: &[f64], stable: &[f64], rules: &FixedRules) -> Result<Finding, JudgeError> {
    let result = non_inferiority(canary, stable, rules.better, rules.margin, rules.alpha, rules.test)?;
    let (lo, hi) = match rules.test {
        Test::WelchT => welch_t(canary, stable, crate::classical::Alternative::TwoSided)?.ci95,
        _ => {
            let shift = hodges_lehmann_ci(canary, stable, 0.95, ShiftRoot::Asymptotic)?;
            (shift.lo, shift.hi)
        }
    };
    let (mean1, mean0) = (moments(canary)?.mean, moments(stable)?.mean);
    let verdict = if result.passed { Verdict::Pass } else { Verdict::Fail };
    let verb = if result.passed { "Advance" } else { "Halt" };
    let limit = match rules.better {
        Better::Higher => format!("> {}", significant(mean0 - result.margin)),
        Better::Lower => format!("< {}", significant(mean0 + result.margin)),
    };
    let proof = match (result.p, result.passed) {
        (Some(p), true) => format!("(p {p:.2e} < {})", rules.alpha),
        (Some(p), false) => format!("not proven (p {p:.2e} >= {})", rules.alpha),
        (None, true) => "(bootstrap interval clears the margin)".to_owned(),
        (None, false) => "not proven (bootstrap interval reaches the margin)".to_owned(),
    };
    Ok(Finding {
        judge: JUDGE.to_owned(),
        verdict,
        estimate: Some(result.difference),
        bound: Some(result.margin),
        interval: Some(Interval { lo, hi, level: 0.95, anytime: false }),
        effect: result.effect.map(|value| Effect { name: "Cohen's d".to_owned(), value }),
        evidence_no_harm: result.p.map(Evidence::P),
        why: format!(
            "{verb} on {}: canary mean {} against stable {}, {limit} {proof}",
            rules.name,
            significant(mean1),
            significant(mean0)
        ),
        ..Finding::bare(&rules.name, verdict, "")
    })
}
