//! What a gate wants proven, and what stops the run.

use crate::anomaly;
use manifest::{Gate, Metric, MetricKind, distance};
use manifest::{Quantity, Span};

pub(crate) fn passes(gate: &Gate) -> String {
    let metric = gate.metric();
    let readings = match (gate.consecutive, metric.is_external()) {
        (0, _) => String::new(),
        (good, external) => {
            let what = if external { "readings" } else { "evaluations" };
            format!(" ({good} {what} in a row, one every {})", Span::from_ms(gate.every_ms))
        }
    };
    let window = match gate.start_after_ms.saturating_add(gate.min_window_ms) {
        0 => String::new(),
        ms => format!(", not within the first {} of a stage", Span::from_ms(ms)),
    };
    let limit = gate.limit.map(|limit| {
        format!(
            "{} is {} {}",
            words(metric),
            if metric.larger_is_worse() { "below" } else { "above" },
            value(metric, limit.pass)
        )
    });
    let against = gate.against.map(|against| {
        if !metric.larger_is_worse() {
            let most = distance(metric, against.margin, against.margin_points);
            return format!("{} is less than {most} below stable's", words(metric));
        }
        let good = if against.pass_below > 0.0 {
            format!(", or below {}", share(against.pass_below))
        } else {
            String::new()
        };
        if against.margin_points > 0.0 {
            let most = distance(metric, against.margin, against.margin_points);
            return format!("{} is less than {most} above stable's{good}", words(metric));
        }
        format!("{} is below {} times stable's{good}", words(metric), against.margin)
    });
    let line = gate.anomaly().map(|anomaly| anomaly::no_outlier(gate, anomaly));
    all([limit, against, line], " and ") + &readings + &window
}

pub(crate) fn fails(gate: &Gate) -> String {
    let metric = gate.metric();
    let limit = gate.limit.map(|limit| {
        format!(
            "{} is {} {}",
            words(metric),
            if metric.larger_is_worse() { "above" } else { "below" },
            value(metric, limit.fail)
        )
    });
    let against = gate.against.map(|against| {
        let worse = if !metric.larger_is_worse() {
            if against.harm > 0.0 || against.harm_points > 0.0 {
                let least = distance(metric, against.harm, against.harm_points);
                format!("{} is more than {least} below stable's", words(metric))
            } else {
                format!("{} is below stable's", words(metric))
            }
        } else if against.harm_points > 0.0 {
            let least = distance(metric, against.harm, against.harm_points);
            format!("{} is more than {least} above stable's", words(metric))
        } else if against.harm > 1.0 {
            format!("{} is above {} times stable's", words(metric), against.harm)
        } else {
            format!("{} is above stable's", words(metric))
        };
        if against.ignore_below > 0.0 {
            format!("{worse} and above {}", share(against.ignore_below))
        } else {
            worse
        }
    });
    let readings = match gate.failure_limit {
        Some(limit) if metric.is_external() => format!(" ({} readings)", limit.saturating_add(1)),
        Some(limit) => format!(" (or {} evaluations)", limit.saturating_add(1)),
        None => String::new(),
    };
    let line = gate.anomaly().map(|_| "it is an outlier".to_owned());
    all([limit, against, line], ", or ") + &readings
}

fn all(claims: [Option<String>; 3], between: &str) -> String {
    claims.into_iter().flatten().collect::<Vec<_>>().join(between)
}

pub(crate) const fn words(metric: Metric) -> &'static str {
    match metric {
        Metric::ErrorRate => "the share of errors",
        Metric::LatencyP99 => "the 99th percentile of answer times",
        Metric::ConfidenceMean => "the model's mean confidence",
        Metric::Overdue => "the share of requests not answered in time",
        Metric::GoneRate => "the share of clients that went away",
        Metric::RetryRate => "the share of requests that took more than one try",
        Metric::AnswerErrorRate => "the share of answers that say they failed",
        Metric::UnseenRate => "the share of answers of which nothing is known",
        Metric::RefusalRate => "the share of refusals",
        Metric::EmptyRate => "the share of empty answers",
        Metric::InvalidRate => "the share of answers that are no JSON",
        Metric::TimeToFirstTokenP95 => "the 95th percentile of times to the first token",
        Metric::TimePerOutputTokenP95 => "the 95th percentile of times per token",
        Metric::ExternalLow | Metric::ExternalHigh => "its reading",
    }
}

pub(crate) fn share(share: f64) -> String {
    Quantity::Share(share).to_string()
}

pub(crate) fn value(metric: Metric, value: f64) -> String {
    match metric.kind() {
        MetricKind::Time => Quantity::Time(value).to_string(),
        MetricKind::Score | MetricKind::Figure => Quantity::Plain(value).to_string(),
        MetricKind::Rate => share(value),
    }
}
