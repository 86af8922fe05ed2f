//! What happens between good and bad.

use std::fmt::Write as _;

use manifest::Plan;
use manifest::Span;
use manifest::distance;
use manifest::{Gate, OnFail, OnMarginal};

pub(crate) fn write(text: &mut String, plan: &Plan) -> std::fmt::Result {
    let hard = plan.gates.iter().filter(|gate| gate.hard);
    let said: Vec<_> = hard.filter_map(|gate| Some((&gate.name, words(gate)?))).collect();
    if !said.is_empty() {
        writeln!(text, "Between good and bad")?;
    }
    said.into_iter().try_for_each(|(name, words)| writeln!(text, "  {name}: {words}"))
}

fn words(gate: &Gate) -> Option<String> {
    if gate.has_marginal_range() {
        return Some(between(gate));
    }
    let both = both(gate)?;
    let then = if gate.on_fail == OnFail::Pause { "pauses" } else { "goes back" };
    Some(format!("{both} a stage may pass, until harm is proven and it {then}"))
}

/// What is within the margin, and harm: "from 1.05 to 2 times stable's".
fn both(gate: &Gate) -> Option<String> {
    let against = gate.against.filter(|against| against.harm_is_nearer() && !gate.metric().is_external())?;
    let side = if gate.metric().larger_is_worse() { "above" } else { "below" };
    if gate.metric().larger_is_worse() && against.margin_points <= 0.0 {
        return Some(format!("from {} to {} times stable's", against.harm, against.margin));
    }
    let part = |part: f64, points: f64| distance(gate.metric(), part, points);
    // A distance of nothing is in neither unit.
    let least = match (against.harm_points > 0.0, against.margin_points > 0.0) {
        (false, true) if gate.metric().larger_is_worse() => "0".to_owned(),
        _ => part(against.harm, against.harm_points),
    };
    let most = part(against.margin, against.margin_points);
    Some(format!("from {least} to {most} {side} stable's"))
}

/// "after more than 3 evaluations, one every 2m: measured again up to 2 times, then held until the deadline".
fn between(gate: &Gate) -> String {
    let when = match gate.marginal.borne {
        None => String::new(),
        Some(borne) => {
            format!("after more than {borne} evaluations, one every {}, ", Span::from_ms(gate.every_ms))
        }
    };
    let held = match gate.marginal.hold_ms {
        None => "held until the deadline".to_owned(),
        Some(ms) => format!("held for {}, then a person is asked", Span::from_ms(ms)),
    };
    let then = match (gate.on_marginal, gate.marginal.again) {
        (OnMarginal::Hold, _) => held,
        (OnMarginal::Escalate, _) => "a person is asked".to_owned(),
        (OnMarginal::Reanalyze, 1) => format!("measured again once, then {held}"),
        (OnMarginal::Reanalyze, times) => format!("measured again up to {times} times, then {held}"),
    };
    format!("{when}{then}")
}
