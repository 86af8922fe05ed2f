//! Gates: an anytime-valid test for harm and one for no harm side by side, with one answer and one sentence.
//!
//! Each look is three-way: harm proven (Fail, for good), no harm beyond the margin proven (Pass), or neither:
//! Insufficient while the stage runs, Marginal at its end. "Nothing found yet" never passes.

mod drift;
mod fixed;
mod guardrail;
mod latency;
mod rate;
mod score;
mod split;

pub use drift::DriftGate;
pub use fixed::{FixedRules, fixed_finding};
pub use guardrail::GuardrailGate;
pub use latency::LatencyGate;
pub use rate::RateGate;
pub use score::ScoreGate;
pub use split::split_finding;

use crate::JudgeError;
use crate::anytime::{DesignEffect, Group};
use crate::error::fraction;
use crate::verdict::Verdict;

/// What one independent observation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Unit {
    /// The request: traffic is assigned at random per request, or the user accepted the request as unit.
    #[default]
    Request,
    /// Users stick to an arm; counts per group of users are delivered, and evidence is divided by the design
    /// effect they show. Insufficient until they do.
    Grouped,
    /// Users stick to an arm and no group counts exist: nothing valid can be said.
    Unknown,
}

/// What every gate needs.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GateSettings {
    /// Name of the gate, as in reports.
    pub name: String,
    /// Chance of a false rollback by this gate: its share of the rollout's alpha.
    pub alpha_harm: f64,
    /// Chance of a false proof of no harm. Promotion needs all gates, so it is not divided among them.
    pub alpha_no_harm: f64,
    /// The independent observation.
    pub unit: Unit,
    /// Weight of the test begun at the start, against restarts for harm that begins late.
    pub first_weight: f64,
    /// Restarts that share the weight of a round (at stages and every `restart_every` intervals).
    pub restarts: u32,
    /// Intervals between restarts; 0: only at stages.
    pub restart_every: u32,
}

impl GateSettings {
    /// Settings with alpha 0.05 for both claims, requests as unit, rounds of 6 restarts, one per 60 intervals
    /// (10 minutes at an interval of 10 s), weight 0.6 on the first start.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            alpha_harm: 0.05,
            alpha_no_harm: 0.05,
            unit: Unit::Request,
            first_weight: 0.6,
            restarts: 6,
            restart_every: 60,
        }
    }

    fn check(&self) -> Result<(), JudgeError> {
        fraction("alpha_harm", self.alpha_harm)?;
        fraction("alpha_no_harm", self.alpha_no_harm)?;
        Ok(())
    }

    /// Design effect before any estimate exists: large enough to keep every e-value at 1 for grouped traffic.
    fn initial_design_effect(&self) -> f64 {
        if self.unit == Unit::Grouped { UNKNOWN_DESIGN_EFFECT } else { 1.0 }
    }

    /// The answer from the largest ln e of harm and the current one of no harm.
    fn decide(&self, look: Look) -> Verdict {
        let reached = |log_e: f64, alpha: f64| log_e >= -alpha.ln();
        if self.unit == Unit::Unknown || look.unit_unknown {
            Verdict::Insufficient
        } else if reached(look.harm, self.alpha_harm) && look.above_floor {
            Verdict::Fail
        } else if reached(look.no_harm, self.alpha_no_harm) {
            Verdict::Pass
        } else if look.at_end {
            Verdict::Marginal
        } else {
            Verdict::Insufficient
        }
    }

    /// The sentence: verb, gate, measured, operator, threshold; then the evidence.
    fn sentence(&self, verdict: Verdict, look: Look, measured: &str, limits: (&str, &str)) -> String {
        let name = &self.name;
        let unknown = self.unit == Unit::Unknown || look.unit_unknown;
        if unknown {
            return format!(
                "Hold {name}: unit unknown; users stick to an arm and no group counts have arrived, so requests \
                 are not independent (deliver group counts, assign at random, or accept the request as unit)"
            );
        }
        let (harm, no_harm) = (e_value(look.harm), e_value(look.no_harm));
        let (need_harm, need_pass) = (1.0 / self.alpha_harm, 1.0 / self.alpha_no_harm);
        match verdict {
            Verdict::Fail => {
                format!("Roll back on {name}: {measured} {} (e {harm} >= {need_harm:.0})", limits.0)
            }
            Verdict::Pass => {
                format!("Advance on {name}: {measured} {} (e {no_harm} >= {need_pass:.0})", limits.1)
            }
            Verdict::Marginal => format!(
                "Hold {name}: {measured}; neither proven {} (e {harm} < {need_harm:.0}) nor proven {} \
                 (e {no_harm} < {need_pass:.0})",
                limits.0, limits.1
            ),
            Verdict::Insufficient => format!(
                "Wait for {name}: {measured}; not yet proven {} (e {no_harm} < {need_pass:.0})",
                limits.1
            ),
            Verdict::Error => format!("Cannot judge {name}: {measured}"),
        }
    }
}

const UNKNOWN_DESIGN_EFFECT: f64 = 1e12;

/// One look at a gate.
#[derive(Clone, Copy)]
struct Look {
    harm: f64,
    no_harm: f64,
    above_floor: bool,
    at_end: bool,
    unit_unknown: bool,
}

/// The design effect a grouped gate goes by: the estimate, or its upper bound while groups are few.
fn design_effect(groups: &[Group]) -> Result<f64, JudgeError> {
    let estimate = DesignEffect::from_groups(groups)?;
    Ok(if estimate.groups < 50 { estimate.upper_bound() } else { estimate.factor() })
}

fn e_value(log_e: f64) -> String {
    if log_e > 13.8 {
        format!("1e{:.0}", log_e / std::f64::consts::LN_10)
    } else {
        format!("{:.2}", log_e.exp())
    }
}

fn percent(rate: f64) -> String {
    format!("{} %", significant(100.0 * rate))
}

/// Three significant digits, plain notation.
fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let digits = (2 - value.abs().log10().floor() as i32).clamp(0, 9) as usize;
    format!("{value:.digits$}")
}
