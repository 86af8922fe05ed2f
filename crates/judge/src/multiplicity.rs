//! Several p-values at once.
//!
//! Which gates are corrected: statistical gates that can roll back share the rollout's alpha
//! ([`crate::anytime::AlphaSplit`], or Holm in a fixed plan). Absolute guardrails are limits and are not
//! corrected. Promotion needs every gate proven, an intersection-union test, which needs no correction.

use crate::JudgeError;
use crate::anytime::p_value;
use crate::error::sample;

/// A procedure for adjusting p-values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Adjust {
    /// p times the number of tests (Bonferroni, 1936); controls the chance of any false finding.
    Bonferroni,
    /// Holm, "A simple sequentially rejective multiple test procedure", 1979; as Bonferroni, more powerful.
    Holm,
    /// Benjamini & Hochberg, "Controlling the false discovery rate", 1995; the share of false findings, under
    /// independence or positive dependence. For dashboards, never for rollback.
    BenjaminiHochberg,
}

/// Adjusted p-values, in the order given, at most 1.
///
/// # Errors
/// An empty list, NaN, or a value outside [0, 1].
pub fn adjust_p(p: &[f64], method: Adjust) -> Result<Vec<f64>, JudgeError> {
    for &value in sample("p", p)? {
        if !(0.0..=1.0).contains(&value) {
            return Err(JudgeError::OutOfRange { what: "p", got: value, rule: "from 0 to 1" });
        }
    }
    let all = p.len() as f64;
    if method == Adjust::Bonferroni {
        return Ok(p.iter().map(|v| (v * all).min(1.0)).collect());
    }
    let mut order: Vec<(usize, f64)> = p.iter().copied().enumerate().collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut adjusted: Vec<(usize, f64)> = Vec::with_capacity(p.len());
    match method {
        Adjust::Holm | Adjust::Bonferroni => {
            let mut highest = 0f64;
            for (rank, (index, value)) in order.into_iter().enumerate() {
                highest = highest.max(value * (all - rank as f64)).min(1.0);
                adjusted.push((index, highest));
            }
        }
        Adjust::BenjaminiHochberg => {
            let mut lowest = 1f64;
            for (rank, (index, value)) in order.into_iter().enumerate().rev() {
                lowest = lowest.min(value * all / (rank as f64 + 1.0));
                adjusted.push((index, lowest));
            }
        }
    }
    adjusted.sort_by_key(|(index, _)| *index);
    Ok(adjusted.into_iter().map(|(_, value)| value).collect())
}

/// A group of related gates with the ln e-values of its members.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GateGroup {
    /// Name, e.g. `latency`.
    pub name: String,
    /// Weight among groups.
    pub weight: f64,
    /// ln e of each member.
    pub log_e: Vec<f64>,
}

/// A group's result in the hierarchy.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GroupFinding {
    /// Name of the group.
    pub name: String,
    /// ln of the average e-value of its members.
    pub log_e: f64,
    /// p-value valid at every look of that average as it stands.
    pub p: f64,
    /// Whether the group fires at its share of alpha.
    pub fired: bool,
    /// Members that fire inside a fired group, by e-BH at level alpha.
    pub members: Vec<usize>,
}

/// Tests at the group level first (weighted Bonferroni over groups), then names members inside fired groups.
///
/// The chance that any group of healthy members fires is at most `alpha`.
///
/// # Errors
/// `alpha` outside (0, 1), no group, an empty group, bad weights or NaN.
pub fn hierarchical(groups: &[GateGroup], alpha: f64) -> Result<Vec<GroupFinding>, JudgeError> {
    let weights: Vec<f64> = groups.iter().map(|g| g.weight).collect();
    let split = crate::anytime::AlphaSplit::new(alpha, &weights)?;
    let averages: Vec<f64> = groups
        .iter()
        .map(|g| {
            let members: Vec<(f64, f64)> = g.log_e.iter().map(|l| (1.0, *l)).collect();
            crate::anytime::average(&members)
        })
        .collect::<Result<_, _>>()?;
    let fired = split.fired(&averages)?;
    let findings = groups.iter().zip(averages).enumerate().map(|(index, (group, log_e))| {
        let fired = fired.contains(&index);
        let e: Vec<f64> = group.log_e.iter().map(|l| l.exp()).collect();
        let members = if fired { crate::anytime::e_bh(&e, alpha)? } else { vec![] };
        Ok(GroupFinding { name: group.name.clone(), log_e, p: p_value(log_e), fired, members })
    });
    findings.collect()
}
