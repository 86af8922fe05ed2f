//! What a gate asks for, and what it has seen, in words.

use manifest::{Gate, Metric};

use crate::measure::at_margin;
use crate::test::more_beyond;
use crate::words::{digits, value};

/// Of answer times in a shadow.
pub const OF_COPIES: &str = "it tells and decides nothing: a copy is sent after the live request, so that its answer time is not \
     comparable";

/// What the estimate is held against.
pub fn bound(gate: &Gate, control: Option<f64>) -> Option<f64> {
    let relative = gate.against.zip(control).map(|(against, control)| {
        let margin = at_margin(gate.metric(), control, against.margin, against.margin_points);
        if gate.metric().is_rate() { margin.max(against.pass_below) } else { margin }
    });
    let limit = gate.limit.map(|limit| limit.pass);
    match (relative, limit) {
        (Some(a), Some(b)) => Some(if gate.metric().larger_is_worse() { a.min(b) } else { a.max(b) }),
        (one, other) => one.or(other),
    }
}

/// "error_rate is 0.9% of 1200 canary requests, 1.01% of 20000 stable requests".
pub fn facts(gate: &Gate, seen: Option<f64>, n: u64, stable: Option<f64>, n_stable: u64) -> String {
    let metric = gate.metric();
    let canary = match seen {
        Some(seen) => format!("{} is {} over {n} canary requests", metric.name(), value(metric, seen)),
        None => format!("no canary request shows {} yet", metric.name()),
    };
    match stable {
        Some(stable) => format!("{canary}, {} over {n_stable} of stable", value(metric, stable)),
        None => canary,
    }
}

/// What a pass proves.
pub fn claim(gate: &Gate, compares: bool) -> String {
    let metric = gate.metric();
    let relative = gate.against.filter(|_| compares).map(|against| match metric {
        Metric::ConfidenceMean if against.margin_points > 0.0 => {
            format!("less than {} below stable", digits(against.margin_points))
        }
        Metric::ConfidenceMean => format!("less than {}% below stable", digits(against.margin * 100.0)),
        _ if against.margin_points > 0.0 => {
            let points = format!("less than {}pp above stable", digits(against.margin_points * 100.0));
            if against.pass_below > 0.0 {
                format!("{points} or below {}", value(metric, against.pass_below))
            } else {
                points
            }
        }
        _ if against.pass_below > 0.0 => {
            format!(
                "below {} times stable's or below {}",
                digits(against.margin),
                value(metric, against.pass_below)
            )
        }
        metric if metric.is_time() => format!(
            "below {} times stable's, or at most {} times as many beyond it",
            digits(against.margin),
            digits(more_beyond(against.margin))
        ),
        _ => format!("below {} times stable's", digits(against.margin)),
    });
    let side = if metric.larger_is_worse() { "below" } else { "above" };
    let limit = gate.limit.map(|limit| format!("{side} {}", value(metric, limit.pass)));
    match (relative, limit) {
        (Some(a), Some(b)) => format!("{a} and {b}"),
        (one, other) => one.or(other).unwrap_or_default(),
    }
}

/// "; harm begins above 1.05 times stable's": said beside the margin, which is what a pass proves and not what is borne.
pub fn harm_begins(gate: &Gate, compares: bool) -> String {
    let Some(against) = gate.against.filter(|_| compares) else { return String::new() };
    let side = if gate.metric().larger_is_worse() { "above" } else { "below" };
    let begins = match (gate.metric().larger_is_worse(), against.harm_points > 0.0) {
        (true, true) if gate.metric().is_rate() => {
            format!("{}pp {side} stable", digits(against.harm_points * 100.0))
        }
        (_, true) => format!("{} {side} stable", digits(against.harm_points)),
        (true, false) if against.harm > 1.0 => format!("{side} {} times stable's", digits(against.harm)),
        (false, false) if against.harm > 0.0 => format!("{}% {side} stable", digits(against.harm * 100.0)),
        (_, false) => format!("{side} stable's"),
    };
    format!("; harm begins {begins}")
}
