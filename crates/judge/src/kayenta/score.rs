//! Many metrics: group scores, summary score, thresholds.

use super::classify::Label;
use crate::JudgeError;
use crate::error::finite;
use std::collections::BTreeMap;

/// One labelled metric as the scorer sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredMetric {
    /// The label.
    pub label: Label,
    /// Groups it belongs to; a metric in no group never counts, unless critical.
    pub groups: Vec<String>,
    /// Whether a label other than Pass fails the canary.
    pub critical: bool,
    /// Reported, not scored.
    pub muted: bool,
}

/// Thresholds of the summary score, 0 ... 100.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Thresholds {
    /// From here: Pass.
    pub pass: f64,
    /// From here: Marginal; below: Fail.
    pub marginal: f64,
}

/// Label of a summary score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ScoreLabel {
    /// Promote.
    Pass,
    /// A human decides.
    Marginal,
    /// Roll back.
    Fail,
}

impl ScoreLabel {
    /// The label as serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Marginal => "Marginal",
            Self::Fail => "Fail",
        }
    }
}

/// Score of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupScore {
    /// The group.
    pub name: String,
    /// 100 x Pass / (Pass + High + Low + NodataFailMetric); 0 when nothing counts.
    pub score: f64,
    /// Whether any metric of it counts. If none does, the summary takes the group as 100 (a known flaw).
    pub counted: bool,
}

/// A scored judgement.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Summary score, rounded half up to two decimals.
    pub score: f64,
    /// Its label.
    pub label: ScoreLabel,
    /// Why, when a rule set the score to 0.
    pub reason: Option<String>,
    /// Groups in alphabetical order.
    pub groups: Vec<GroupScore>,
}

/// Scores labelled metrics.
///
/// Groups without a weight share 100 - (sum of weights) equally; weights are not renormalised, so a weighted
/// group without a metric loses its share.
///
/// # Errors
/// A weight or threshold that is not finite.
pub fn score(
    metrics: &[ScoredMetric],
    weights: &BTreeMap<String, f64>,
    thresholds: Thresholds,
) -> Result<Scored, JudgeError> {
    for weight in weights.values() {
        finite("group weight", *weight)?;
    }
    finite("pass threshold", thresholds.pass)?;
    finite("marginal threshold", thresholds.marginal)?;
    let counted: Vec<&ScoredMetric> = metrics.iter().filter(|m| !m.muted).collect();
    let groups = group_scores(&counted);
    let critical = counted.iter().filter(|m| m.critical && m.label != Label::Pass).count();
    let missing = counted.iter().filter(|m| m.label == Label::Nodata).count();
    let (score, reason) = if critical > 0 {
        (0.0, Some(format!("Canary Failed: {critical} critical metric(s) did not pass")))
    } else if !counted.is_empty() && 2 * missing >= counted.len() {
        (0.0, Some(format!("{missing} of {} metrics have no data", counted.len())))
    } else {
        (summary(&groups, weights), None)
    };
    let label = if score >= thresholds.pass {
        ScoreLabel::Pass
    } else if score >= thresholds.marginal {
        ScoreLabel::Marginal
    } else {
        ScoreLabel::Fail
    };
    Ok(Scored { score, label, reason, groups })
}

fn group_scores(metrics: &[&ScoredMetric]) -> Vec<GroupScore> {
    let mut tally: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for metric in metrics {
        for group in &metric.groups {
            let (passed, all) = tally.entry(group).or_default();
            match metric.label {
                Label::Pass => {
                    *passed += 1;
                    *all += 1;
                }
                Label::High | Label::Low | Label::NodataFailMetric => *all += 1,
                Label::Nodata | Label::Error => {}
            }
        }
    }
    let score = |passed: u32, all: u32| {
        if all == 0 { 0.0 } else { 100.0 * f64::from(passed) / f64::from(all) }
    };
    tally
        .into_iter()
        .map(|(name, (passed, all))| GroupScore {
            name: name.to_owned(),
            score: score(passed, all),
            counted: all > 0,
        })
        .collect()
}

fn summary(groups: &[GroupScore], weights: &BTreeMap<String, f64>) -> f64 {
    let unweighted = groups.iter().filter(|g| !weights.contains_key(&g.name)).count();
    let rest = 100.0 - weights.values().sum::<f64>();
    let share = rest / unweighted.max(1) as f64;
    let sum: f64 = groups
        .iter()
        .map(|g| {
            let weight = weights.get(&g.name).copied().unwrap_or(share);
            (if g.counted { g.score } else { 100.0 }) * weight / 100.0
        })
        .sum();
    // Half up, with room for the binary representation of x.xx5.
    (sum * 100.0 + 0.5 + 1e-9).floor() / 100.0
}
