//! Harm that begins where equal versions may lie.

use super::distance;
use crate::amount::Margin;
use crate::gate::{Against, Gate};
use crate::problem::Problem;

/// `at`: where the gate is written; `written`: is its harm?
pub(super) fn warnings(at: &str, gate: &Gate, written: bool) -> Option<Problem> {
    let against = gate.against.filter(|against| gate.hard && against.is_strict(gate.metric()))?;
    let worse = gate.metric().larger_is_worse();
    let begins = if worse {
        format!("at {} times stable's", against.harm)
    } else {
        format!("{} below stable's", distance(gate.metric(), against.harm, 0.0))
    };
    let what = format!(
        "harm of gate {} begins {begins}, and versions that are equal differ by as much: a small arm has colder connections \
         and caches",
        gate.name
    );
    if !written {
        let remedy = "widen it: harm begins no later than the margin";
        return Some(Problem::warning(format!("{at}.margin"), what, remedy));
    }
    let default = match (worse, against.margin_points > 0.0) {
        (true, true) => Margin::Points(against.margin_points * Against::PART_OF_POINTS),
        (false, true) => Margin::Points(against.margin_points),
        (true, false) => Margin::Factor(Against::tolerance(gate.metric()).min(against.margin)),
        (false, false) => Margin::Part(against.margin),
    };
    let remedy = format!(
        "leave it out ({default}), or write what `serin aa NAME --deployed` measures of this service"
    );
    Some(Problem::warning(format!("{at}.harm"), what, remedy))
}
