//! Numbers as people read them.

use manifest::Metric;

/// A metric's value with its unit, to three digits.
pub fn value(metric: Metric, value: f64) -> String {
    match metric {
        Metric::ErrorRate | Metric::Overdue | Metric::GoneRate => format!("{}%", digits(value * 100.0)),
        Metric::LatencyP99 => format!("{} ms", digits(value)),
        Metric::ConfidenceMean | Metric::ExternalLow | Metric::ExternalHigh => digits(value),
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

/// An e-value for display and for JSON, which has no infinity.
pub fn e_value(log_e: f64) -> f64 {
    log_e.min(27.0).exp()
}
