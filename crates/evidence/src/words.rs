//! Numbers as people read them.

use manifest::{Metric, MetricKind};

/// A metric's value with its unit, to three digits.
pub fn value(metric: Metric, value: f64) -> String {
    match metric.kind() {
        MetricKind::Rate => format!("{}%", digits(value * 100.0)),
        MetricKind::Time => format!("{} ms", digits(value)),
        MetricKind::Score | MetricKind::Figure => digits(value),
    }
}

/// Three digits that tell something, and four places at most.
pub fn digits(value: f64) -> String {
    // What was infinite is kept as the largest number.
    if value.abs() == f64::MAX {
        return if value > 0.0 { "infinite".to_owned() } else { "minus infinite".to_owned() };
    }
    if value.abs() < 0.1 { notation::decimal(value, 4) } else { notation::digits(value, 3) }
}

/// How much of the evidence that proof takes is there: 0 % before any, 99 % at most while it is not proven. Evidence
/// multiplies, so its logarithm grows with the requests.
pub fn gathered(log_e: f64, alpha: f64) -> String {
    // What is no number is no evidence.
    let share = Some(log_e / -alpha.ln()).filter(|share| !share.is_nan()).unwrap_or(0.0);
    notation::percent((share * 100.0).floor().clamp(0.0, 99.0) / 100.0, 0)
}

/// An e-value for display and for JSON, which has no infinity.
pub fn e_value(log_e: f64) -> f64 {
    log_e.min(27.0).exp()
}

#[cfg(test)]
mod tests {
    use super::gathered;

    #[track_caller]
    fn check(e: f64, alpha: f64, expected: &str) {
        assert_eq!(gathered(e.ln(), alpha), expected);
    }

    #[test]
    fn evidence_is_a_share_of_what_proof_needs() {
        check(1.0, 0.05, "0 %");
        check(0.02, 0.05, "0 %");
        check(4.2, 0.05, "47 %");
        check(19.99, 0.05, "99 %");
        // Other conditions may keep a gate from passing.
        check(400.0, 0.05, "99 %");
        check(f64::NAN, 0.05, "0 %");
    }
}
