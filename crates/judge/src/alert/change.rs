//! For how many of the same inputs do the two versions answer otherwise?

use super::{Alarm, Condition, FEW_EVENTS, Judged, Severity, figure, percent};
use crate::JudgeError;
use crate::classical::quantile;
use crate::error::{fraction, not_negative, sample};

pub(super) fn judge(differences: &[f64], by: f64, warn: f64, fail: f64) -> Result<Judged, JudgeError> {
    for &difference in sample("differences", differences)? {
        not_negative("difference", difference)?;
    }
    not_negative("by", by)?;
    fraction("warn", warn)?;
    if fraction("fail", fail)? < warn {
        return Err(JudgeError::OutOfRange { what: "fail", got: fail, rule: "not below warn" });
    }
    let n = differences.len() as f64;
    let changed = differences.iter().filter(|d| **d > by).count() as f64;
    let share = changed / n;
    let more = if by > 0.0 { format!(" by more than {}", figure(by)) } else { String::new() };
    let measured = format!("{changed} of {n} changed{more}, {}", percent(share));
    let condition = |severity: Severity, limit: f64| {
        let (alarm, why) = if share > limit && changed >= FEW_EVENTS {
            (severity.into(), format!("{measured} > {}", percent(limit)))
        } else if share > limit {
            (Alarm::Insufficient, format!("{measured} > {}, but that is fewer than 5", percent(limit)))
        } else if n * limit < FEW_EVENTS {
            let need = (FEW_EVENTS / limit).ceil();
            let why = format!("{measured} <= {}, but it takes {need} inputs to see 5 there", percent(limit));
            (Alarm::Insufficient, why)
        } else {
            (Alarm::Quiet, format!("{measured} <= {}", percent(limit)))
        };
        Condition { severity, alarm, why }
    };
    let conditions = vec![condition(Severity::Critical, fail), condition(Severity::Warning, warn)];
    let mean = differences.iter().map(|d| d / n).sum();
    let (p99, most) = (quantile(differences, 0.99)?, quantile(differences, 1.0)?);
    Ok((
        conditions,
        vec![("changed", share), ("mean_change", mean), ("p99_change", p99), ("largest_change", most)],
    ))
}
