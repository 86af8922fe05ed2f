//! What is watched after the promotion, in plain words.

use std::fmt::Write as _;

use crate::{share, value, words};
use manifest::Gate;
use manifest::Plan;
use manifest::Span;
use manifest::Watched;
use manifest::distance;

pub(crate) fn write(text: &mut String, plan: &Plan) -> std::fmt::Result {
    let Some(watch) = &plan.watch else {
        return writeln!(text, "After that nothing is watched (spec.watch).");
    };
    let canary = crate::candidates(plan);
    let lasts = watch.for_ms.map_or_else(
        || "until the next run begins".to_owned(),
        |ms| format!("for {} from then on", Span::from_ms(ms)),
    );
    writeln!(text, "People are told, {lasts}, when it is proven of {canary} that")?;
    for watched in &watch.gates {
        if let Some(gate) = plan.gates.get(watched.gate) {
            writeln!(text, "  {}: {}", gate.name, drifts(gate, watched))?;
        }
    }
    writeln!(
        text,
        "  Of a version that stays as it was they are told by chance in at most {} of weeks; time of day is no chance.",
        share(watch.alpha)
    )
}

/// What drift of a gate is.
fn drifts(gate: &Gate, watched: &Watched) -> String {
    let metric = gate.metric();
    let side = if metric.larger_is_worse() { "above" } else { "below" };
    let limit = gate.limit.map(|limit| format!("{side} {}", value(metric, limit.fail)));
    let moved = watched.room.map(|room| {
        let far = if room.points > 0.0 || !metric.larger_is_worse() {
            format!("more than {} {side} what it was", distance(metric, room.margin, room.points))
        } else {
            format!("above {} times what it was", room.margin)
        };
        match room.ignore_below {
            floor if floor > 0.0 => format!("{far} and above {}", share(floor)),
            _ => far,
        }
    });
    let what: Vec<String> = moved.into_iter().chain(limit).collect();
    format!("{} is {}", words(metric), what.join(", or "))
}
