//! One number for a whole judgement: the weighted share of gates that passed.
//!
//! Score = 100 x sum(weight of passed gates) / sum(weights); at or above `pass` it passes, at or below `fail` it
//! fails, in between it is marginal. A gate without an answer is never counted as passed and never left out:
//! it makes the whole judgement unanswered. (Kayenta's rule, where a group without data scores 100, is only in
//! [`crate::kayenta`].)

use crate::error::{finite, not_negative, positive};
use crate::{JudgeError, Verdict};

/// One gate as the score sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WeightedGate {
    /// Weight, at least 0.
    pub weight: f64,
    /// The gate's answer.
    pub verdict: Verdict,
    /// Whether its failure fails everything.
    pub critical: bool,
}

/// Thresholds of the score, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ScoreThresholds {
    /// At or above: pass.
    pub pass: f64,
    /// At or below: fail.
    pub fail: f64,
}

impl Default for ScoreThresholds {
    /// 95 and 60.
    fn default() -> Self {
        Self { pass: 95.0, fail: 60.0 }
    }
}

/// A score and its verdict.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Score {
    /// 0 ... 100.
    pub value: f64,
    /// The verdict.
    pub verdict: Verdict,
}

/// Scores gates.
///
/// Order of rules: a critical gate that fails gives Fail; a gate in error gives Error; one with insufficient
/// data gives Insufficient; else the thresholds decide. Marginal gates count as not passed.
///
/// # Errors
/// No gate, a negative weight, all weights 0, or `fail` not below `pass`.
pub fn score(gates: &[WeightedGate], thresholds: ScoreThresholds) -> Result<Score, JudgeError> {
    if gates.is_empty() {
        return Err(JudgeError::Empty { what: "gates" });
    }
    for gate in gates {
        not_negative("gate weight", gate.weight)?;
    }
    if finite("fail threshold", thresholds.fail)? >= finite("pass threshold", thresholds.pass)? {
        let (what, rule) = ("fail threshold", "below the pass threshold");
        return Err(JudgeError::OutOfRange { what, got: thresholds.fail, rule });
    }
    let sum = |keep: &dyn Fn(&WeightedGate) -> bool| {
        gates.iter().filter(|g| keep(g)).map(|g| g.weight).sum::<f64>()
    };
    let all = positive("sum of gate weights", sum(&|_| true))?;
    // A sum of nothing is -0, and + 0 makes 0 of it.
    let value = 100.0 * sum(&|g| g.verdict == Verdict::Pass) / all + 0.0;
    let any = |verdict: Verdict| gates.iter().any(|g| g.verdict == verdict);
    let verdict = if gates.iter().any(|g| g.critical && g.verdict == Verdict::Fail) {
        Verdict::Fail
    } else if any(Verdict::Error) {
        Verdict::Error
    } else if any(Verdict::Insufficient) {
        Verdict::Insufficient
    } else if value >= thresholds.pass {
        Verdict::Pass
    } else if value <= thresholds.fail {
        Verdict::Fail
    } else {
        Verdict::Marginal
    };
    Ok(Score { value, verdict })
}
