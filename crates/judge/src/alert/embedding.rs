//! Do the two versions see the same inputs alike?

use super::{Alarm, Condition, Judged, Severity, figure};
use crate::JudgeError;
use crate::classical::{moments, quantile};
use crate::error::sample;
use crate::special::student_quantile;

/// Fewer pairs say nothing about a mean.
const FEWEST: usize = 10;

pub(super) fn judge(cosines: &[f64], warn: f64, fail: f64) -> Result<Judged, JudgeError> {
    for &cosine in sample("cosines", cosines)? {
        if !(-1.0..=1.0).contains(&cosine) {
            return Err(JudgeError::OutOfRange { what: "cosine", got: cosine, rule: "from -1 to 1" });
        }
    }
    if !(fail <= warn && (-1.0..=1.0).contains(&fail) && (-1.0..=1.0).contains(&warn)) {
        return Err(JudgeError::OutOfRange {
            what: "fail",
            got: fail,
            rule: "from -1 to 1 and not above warn",
        });
    }
    let all = moments(cosines)?;
    let n = cosines.len() as f64;
    let half = student_quantile(0.975, (n - 1.0).max(1.0)) * (all.variance / n).sqrt();
    let measured =
        format!("mean cosine {} (95 % interval +- {}) of {n} pairs", figure(all.mean), figure(half));
    let condition = |severity: Severity, limit: f64| {
        let (alarm, why) = if cosines.len() < FEWEST {
            (Alarm::Insufficient, format!("{n} pairs < {FEWEST}"))
        } else if all.mean < limit {
            (severity.into(), format!("{measured} < {}", figure(limit)))
        } else if all.mean - half < limit {
            let why = format!("{measured} >= {}, but its interval reaches below it", figure(limit));
            (Alarm::Insufficient, why)
        } else {
            (Alarm::Quiet, format!("{measured} >= {}", figure(limit)))
        };
        Condition { severity, alarm, why }
    };
    let conditions = vec![condition(Severity::Critical, fail), condition(Severity::Warning, warn)];
    Ok((conditions, vec![("mean_cosine", all.mean), ("p05_cosine", quantile(cosines, 0.05)?)]))
}
