//! Is the share of errors above a limit, or far above stable's?

use super::{Alarm, Condition, FEW_EVENTS, Judged, Severity, figure, percent};
use crate::JudgeError;
use crate::error::{fraction, not_negative, positive};

pub(super) fn judge(
    canary: &[f64],
    stable: &[f64],
    limit: f64,
    ratio: f64,
    floor: f64,
) -> Result<Judged, JudgeError> {
    fraction("limit", limit)?;
    positive("ratio", ratio)?;
    not_negative("floor", floor)?;
    let (k1, n1) = count(canary)?;
    let (k0, n0) = count(stable)?;
    let (p1, p0) = (k1 / n1, k0 / n0);
    let measured = format!("{} of {n1} failed, {}", k1, percent(p1));
    let absolute = {
        let (alarm, why) = if p1 > limit && k1 >= FEW_EVENTS {
            (Alarm::Critical, format!("{measured} > {}", percent(limit)))
        } else if p1 > limit {
            (Alarm::Insufficient, format!("{measured} > {}, but that is fewer than 5 errors", percent(limit)))
        } else if n1 * limit < FEW_EVENTS {
            let need = (FEW_EVENTS / limit).ceil();
            let why = format!(
                "{measured} <= {}, but it takes {need} requests to see 5 errors there",
                percent(limit)
            );
            (Alarm::Insufficient, why)
        } else {
            (Alarm::Quiet, format!("{measured} <= {}", percent(limit)))
        };
        Condition { severity: Severity::Critical, alarm, why }
    };
    let relative = {
        let bound = (ratio * p0).max(floor);
        let against = if ratio * p0 >= floor {
            format!("{} times stable's {}", figure(ratio), percent(p0))
        } else {
            format!("{}, the least that counts (stable {})", percent(floor), percent(p0))
        };
        let (alarm, why) = if p1 > bound && k1 < FEW_EVENTS {
            (Alarm::Insufficient, format!("{measured} > {against}, but that is fewer than 5 errors"))
        } else if p1 > bound && n0 * p1 / ratio < FEW_EVENTS {
            let why = format!(
                "{measured} > {against}, but {n0} requests of stable do not show how rare errors are there"
            );
            (Alarm::Insufficient, why)
        } else if p1 > bound {
            (Alarm::Critical, format!("{measured} > {against}"))
        } else if n1 * bound < FEW_EVENTS {
            let need = (FEW_EVENTS / bound).ceil();
            (
                Alarm::Insufficient,
                format!("{measured} <= {against}, but it takes {need} requests to see 5 errors there"),
            )
        } else {
            (Alarm::Quiet, format!("{measured} <= {against}"))
        };
        Condition { severity: Severity::Critical, alarm, why }
    };
    let mut figures = vec![("share", p1), ("stable_share", p0)];
    if p0 > 0.0 {
        figures.push(("ratio", p1 / p0));
    }
    Ok((vec![absolute, relative], figures))
}

/// Events and trials.
fn count(values: &[f64]) -> Result<(f64, f64), JudgeError> {
    if let Some(other) = values.iter().find(|v| **v != 0.0 && **v != 1.0) {
        return Err(JudgeError::OutOfRange { what: "an error", got: *other, rule: "0 or 1" });
    }
    Ok((values.iter().sum(), values.len() as f64))
}
