//! What happens between good and bad.

use std::fmt::Write as _;

use crate::amount::Span;
use crate::gate::{Gate, OnMarginal};
use crate::plan::Plan;

pub(super) fn write(text: &mut String, plan: &Plan) -> std::fmt::Result {
    let gates = plan.gates.iter().filter(|gate| gate.hard && gate.has_middle()).collect::<Vec<_>>();
    if !gates.is_empty() {
        writeln!(text, "Between good and bad")?;
    }
    gates.into_iter().try_for_each(|gate| writeln!(text, "  {}: {}", gate.name, between(gate)))
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
