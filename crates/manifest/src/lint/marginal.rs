//! What is said of values between good and bad, and means nothing.

use crate::gate::{Gate, OnMarginal};
use crate::problem::Problem;

pub(super) fn warnings(at: &str, gate: &Gate) -> Option<Problem> {
    let asked = [
        ("onMarginal", gate.on_marginal != OnMarginal::Hold),
        ("marginalLimit", gate.marginal.borne.is_some()),
        ("maxHold", gate.marginal.hold_ms.is_some()),
    ];
    let (field, _) = asked.into_iter().find(|(_, asked)| *asked)?;
    if !gate.has_marginal_range() {
        return Some(Problem::warning(
            format!("{at}.{field}"),
            format!("nothing lies between what passes gate {} and what fails it", gate.name),
            "set `failAbove` beside `max` (`failBelow` beside `min`), or a `harm` beyond the `margin`",
        ));
    }
    let idle = gate.on_marginal == OnMarginal::Hold && gate.marginal.hold_ms.is_none();
    idle.then(|| {
        Problem::warning(
            format!("{at}.{field}"),
            format!("gate {} is held below it and beyond it, until the deadline", gate.name),
            "set `maxHold`, or `onMarginal: reanalyze` or `escalate`",
        )
    })
}
