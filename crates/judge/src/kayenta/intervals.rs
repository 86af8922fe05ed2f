//! Several judgements of one canary: which stretch of time each of them sees, and how they end together.

use super::Thresholds;
use crate::JudgeError;

/// Name and version of the rule for several judgements; part of every such report.
pub const ANALYSIS: &str = "Kayenta standalone canary analysis compatible";

/// How one analysis is cut into judgements. Milliseconds from the analysis' own start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Intervals {
    /// `lifetimeDurationMins`: how long the analysis lasts, warm-up not counted.
    pub lifetime_ms: u64,
    /// `analysisIntervalMins`: a judgement ends every so often; `None`, 0 or longer than the lifetime: once, at the end.
    pub interval_ms: Option<u64>,
    /// `lookbackMins`: each judgement sees this much time before its end; 0: all since the start (a growing window).
    pub lookback_ms: u64,
    /// `beginAfterMins`: left out at the beginning, as warm-up.
    pub begin_after_ms: u64,
}

/// What one judgement sees: from (included) to (excluded), in milliseconds from the start; a look back may reach before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Window {
    /// The first moment seen.
    pub from_ms: i64,
    /// The first moment no longer seen.
    pub to_ms: i64,
}

impl Intervals {
    /// The windows in order: floor(lifetime / interval) of them; what remains of the lifetime is never judged.
    ///
    /// # Errors
    /// A lifetime of 0, more than 100,000 judgements, or times beyond 2^63 ms.
    pub fn windows(&self) -> Result<Vec<Window>, JudgeError> {
        let every = self.interval_ms.filter(|ms| (1..=self.lifetime_ms).contains(ms));
        let every = every.unwrap_or(self.lifetime_ms);
        if every == 0 {
            return Err(JudgeError::OutOfRange { what: "lifetime", got: 0.0, rule: "above 0" });
        }
        let count = self.lifetime_ms / every;
        if count > 100_000 {
            return Err(JudgeError::TooLarge { what: "number of judgements", got: count as f64, limit: 1e5 });
        }
        let time = |ms: u64| {
            let got = ms as f64;
            i64::try_from(ms).map_err(|_| JudgeError::TooLarge { what: "time", got, limit: 2f64.powi(63) })
        };
        let (begin, every, back) = (time(self.begin_after_ms)?, time(every)?, time(self.lookback_ms)?);
        let far = || JudgeError::TooLarge { what: "time", got: f64::INFINITY, limit: 2f64.powi(63) };
        (1..=time(count)?)
            .map(|number| {
                let to_ms = every.checked_mul(number).and_then(|ms| ms.checked_add(begin)).ok_or_else(far)?;
                Ok(Window { from_ms: if back == 0 { begin } else { to_ms - back }, to_ms })
            })
            .collect()
    }
}

/// How several judgements in a row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    /// Whether the canary may be promoted.
    pub passed: bool,
    /// Index of the judgement that ended the run early, at or below the marginal threshold.
    pub stopped_at: Option<usize>,
}

/// The rule of the standalone analysis: every score must be strictly above `marginal`, the last also at or
/// above `pass`. No correction for repeated looks is made.
///
/// # Errors
/// No score, or a score that is not finite.
pub fn judge_series(scores: &[f64], thresholds: Thresholds) -> Result<Series, JudgeError> {
    crate::error::sample("scores", scores)?;
    let stopped_at = scores.iter().position(|s| *s <= thresholds.marginal);
    let last = scores.last().copied().unwrap_or(0.0);
    Ok(Series { passed: stopped_at.is_none() && last >= thresholds.pass, stopped_at })
}
