//! What is said of readings that are out of line.

use manifest::Gate;
use manifest::Span;
use manifest::{Anomaly, Sides};

/// "it is no outlier below at least 12 readings of stable, or of its own where stable has none".
pub(crate) fn no_outlier(gate: &Gate, anomaly: &Anomaly) -> String {
    let side = match anomaly.sides {
        Sides::Both => "beside",
        Sides::Worse if gate.metric().larger_is_worse() => "above",
        Sides::Worse => "below",
    };
    let series = match anomaly.history {
        Some(range) => format!("what Prometheus has of the {} before", Span::from_ms(range.over.ms())),
        None => "readings of stable, or of its own where stable has none".to_owned(),
    };
    format!("it is no outlier {side} at least {} {series} (z {})", anomaly.min_readings, anomaly.z)
}
