//! Numbers as people read them.

use manifest::Metric;

/// A metric's value with its unit, to three digits.
pub(crate) fn value(metric: Metric, value: f64) -> String {
    match metric {
        Metric::ErrorRate | Metric::Overdue | Metric::GoneRate => format!("{}%", digits(value * 100.0)),
        Metric::LatencyP99 => format!("{} ms", digits(value)),
        Metric::ConfidenceMean | Metric::ExternalLow | Metric::ExternalHigh => digits(value),
    }
}

/// Three significant digits, without an exponent.
pub(crate) fn digits(value: f64) -> String {
    let size = value.abs();
    let places = if size >= 100.0 || size == 0.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else if size >= 0.1 {
        3
    } else {
        4
    };
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// An e-value for display and for JSON, which has no infinity.
pub(crate) fn e_value(log_e: f64) -> f64 {
    log_e.min(27.0).exp()
}
