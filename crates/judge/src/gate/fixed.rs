//! A gate for one look at the planned end, from raw samples.

use super::significant;
use crate::anytime::Better;
use crate::anytime::Trials;
use crate::classical::{
    Margin, ShiftRoot, Test, hodges_lehmann_ci, is_constant, moments, non_inferiority, rates_ci95, welch_t,
};
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
/// few values, or values of a mean that do not vary, Insufficient, with unusable ones Error.
pub fn fixed_finding(canary: &[f64], stable: &[f64], rules: &FixedRules) -> Finding {
    let name = rules.name.as_str();
    let fewest = canary.len().min(stable.len()) as u64;
    let need = rules.min_samples.max(2);
    let finding = if fewest < need {
        let why = format!("Wait for {name}: {fewest} values in the smaller arm < {need}");
        Finding::bare(name, Verdict::Insufficient, why)
    } else if let Some(why) = constant(canary, stable, rules) {
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

/// Why nothing is proven by values that do not vary, where it is not: their number says nothing of how far they could.
fn constant(canary: &[f64], stable: &[f64], rules: &FixedRules) -> Option<String> {
    let name = &rules.name;
    if [canary, stable].iter().any(|arm| arm.iter().any(|value| !value.is_finite())) {
        return None;
    }
    let value = |arm: &[f64]| significant(arm.first().copied().unwrap_or_default());
    let why = match (rules.test, is_constant(canary), is_constant(stable)) {
        (Test::Rates, ..) | (_, false, false) => return None,
        // Ranks need spread in one arm, means in each.
        (Test::MannWhitney, false, _) | (Test::MannWhitney, _, false) => return None,
        (_, true, true) if is_constant(&[canary, stable].concat()) => {
            format!("every value of both arms is {}", value(canary))
        }
        (_, true, true) => {
            format!(
                "every value of the canary is {} and every one of stable {}",
                value(canary),
                value(stable)
            )
        }
        (_, true, false) => format!("every value of the canary is {}", value(canary)),
        (_, false, true) => format!("every value of stable is {}", value(stable)),
    };
    Some(format!("Wait for {name}: {why}; values without spread prove nothing"))
}

fn judge(canary: &[f64], stable: &[f64], rules: &FixedRules) -> Result<Finding, JudgeError> {
    let result = non_inferiority(canary, stable, rules.better, rules.margin, rules.alpha, rules.test)?;
    let (lo, hi) = match rules.test {
        Test::Rates => {
            let count = |values: &[f64]| Trials {
                n: values.len() as u64,
                k: values.iter().filter(|value| **value == 1.0).count() as u64,
            };
            rates_ci95(count(canary), count(stable))?
        }
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
