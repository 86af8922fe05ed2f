//! Is the slowest hundredth too slow, or far slower than stable's?
//!
//! "p99 above a limit" is the same as "more than a hundredth lies above it", so that the events a condition rests on are
//! the values above the limit.

use super::{Alarm, Condition, FEW_EVENTS, Judged, Severity, figure};
use crate::JudgeError;
use crate::classical::quantile;
use crate::error::positive;

const TAIL: f64 = 0.01;

pub(super) fn judge(canary: &[f64], stable: &[f64], limit: f64, ratio: f64) -> Result<Judged, JudgeError> {
    positive("limit", limit)?;
    positive("ratio", ratio)?;
    let (p99, p99_0) = (quantile(canary, 1.0 - TAIL)?, quantile(stable, 1.0 - TAIL)?);
    let need = (FEW_EVENTS / TAIL).ceil() as usize;
    let over = |bound: f64| canary.iter().filter(|v| **v > bound).count();
    let condition = |severity: Severity, bound: f64, against: &str| {
        let measured = format!("p99 {}", figure(p99));
        let above = over(bound);
        let (alarm, why) = if p99 > bound && above as f64 >= FEW_EVENTS {
            (severity.into(), format!("{measured} > {against}"))
        } else if p99 > bound {
            let why =
                format!("{measured} > {against}, but only {above} of {} values are above it", canary.len());
            (Alarm::Insufficient, why)
        } else if canary.len() < need {
            let why = format!(
                "{measured} <= {against}, but {} values < {need} hold no 99th percentile",
                canary.len()
            );
            (Alarm::Insufficient, why)
        } else {
            (Alarm::Quiet, format!("{measured} <= {against}"))
        };
        Condition { severity, alarm, why }
    };
    let absolute = condition(Severity::Critical, limit, &figure(limit));
    let relative = if stable.len() < need {
        let why =
            format!("{} values of stable < {need} hold no 99th percentile to compare with", stable.len());
        Condition { severity: Severity::Warning, alarm: Alarm::Insufficient, why }
    } else {
        let against = format!("{} times stable's {}", figure(ratio), figure(p99_0));
        condition(Severity::Warning, ratio * p99_0, &against)
    };
    Ok((vec![absolute, relative], vec![("p99", p99), ("stable_p99", p99_0)]))
}
