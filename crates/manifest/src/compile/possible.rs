//! What is written and can never do what it says.

use super::Check;
use crate::amount::Span;
use crate::gate::{Against, Gate, Guardrail, Metric};
use crate::plan::{Plan, Stage};
use crate::typed::{self, Level, RolloutSpec};

/// A bin of answer times is this many times as wide as long: a sixteenth of an octave.
const BIN: f64 = 1.045;
/// Times of tokens stand in every second of them.
const COARSE_BIN: f64 = 1.092;
/// A rate this close to stable's is proven by no amount of traffic: at 1 % it takes millions of canary requests.
const LEAST_FACTOR: f64 = 1.02;
/// A difference of means below this part of the range is no wish of anybody's: `2pp` is 0.02, also on 0 to 100.
const LEAST_OF_RANGE: f64 = 0.001;

/// A limit of a confidence lies within its range, or it is kept by nobody or by everybody.
pub(super) fn limit(check: &mut Check, field: &str, value: f64, metric: Metric, spec: &RolloutSpec) {
    let Some((min, max)) = range(metric, spec) else { return };
    if !(value > min && value < max) {
        check.refuse(
            field,
            format!("{value} is not within the range of the confidence, {min} to {max}"),
            "write a number between the two, or the range the model answers in: spec.confidence.range",
        );
    }
}

/// The range of confidence, where that is what is measured.
fn range(metric: Metric, spec: &RolloutSpec) -> Option<(f64, f64)> {
    let written = spec.confidence.as_ref().filter(|_| metric == Metric::ConfidenceMean)?;
    written.range.map_or(Some((0.0, 1.0)), |range| Some((range.min, range.max)))
}

/// A margin is wide enough to be proven, and told from none.
pub(super) fn margin(check: &mut Check, at: &str, against: &Against, metric: Metric, spec: &RolloutSpec) {
    let field = format!("{at}.margin");
    let factor = against.margin;
    match metric {
        // What leaves no room at all is refused as that.
        metric if metric.is_of_tokens() && factor > 1.0 && factor < COARSE_BIN => check.refuse(
            field,
            format!(
                "times of tokens are counted in bins of 9.1%, and a margin of {:.2}% is none",
                (factor - 1.0) * 100.0
            ),
            "write 10% or more, such as 25%",
        ),
        metric if metric.is_time() && factor > 1.0 && factor < BIN => check.refuse(
            field,
            format!(
                "answer times are counted in bins of 4.4%, and a margin of {:.2}% is none",
                (factor - 1.0) * 100.0
            ),
            "write 5% or more, such as 25%",
        ),
        metric
            if metric.is_rate() && against.margin_points <= 0.0 && factor > 1.0 && factor < LEAST_FACTOR =>
        {
            check.refuse(
                field,
                format!("no amount of traffic can tell {factor} times stable's rate from stable's"),
                "write 2% or more, such as 50% or 1.5x; or percentage points, such as 0.5pp",
            );
        }
        Metric::ConfidenceMean => {
            let Some((min, max)) = range(metric, spec) else { return };
            for (field, points) in [("margin", against.margin_points), ("harm", against.harm_points)] {
                let part = points / (max - min);
                if points > 0.0 && !(LEAST_OF_RANGE..1.0).contains(&part) {
                    check.refuse(
                        format!("{at}.{field}"),
                        format!("{}pp is {points} on a scale of {min} to {max}", points * 100.0),
                        "points are hundredths of the unit: write 100pp for 1, or a part of stable's mean such as 2%",
                    );
                }
            }
        }
        _ => {}
    }
}

/// The stages last long enough for what their gates ask.
pub(super) fn stages(check: &mut Check, spec: &RolloutSpec, plan: &Plan) {
    let mut too_warm = None;
    for (index, gate) in plan.gates.iter().enumerate().filter(|(_, gate)| gate.hard) {
        let waits = |stage: &Stage| {
            let concurrent = stage.weight_ppm < split::MILLION;
            stage.measures()
                && stage.gates.contains(&index)
                && stage.is_held_by(gate)
                && gate.applies(concurrent)
        };
        let held = || plan.stages.iter().enumerate().filter(|(_, stage)| waits(stage));
        let needs_ms = gate.start_after_ms.saturating_add(gate.min_window_ms);
        if let Some((number, stage)) = held().find(|(_, stage)| needs_ms > stage.deadline_ms) {
            too_long(check, spec, gate, (number, stage), needs_ms);
        }
        let counted = gate.figure().is_none();
        too_warm =
            too_warm.or_else(|| held().find(|(_, stage)| counted && plan.warm_up_ms >= stage.deadline_ms));
    }
    if let Some((number, stage)) = too_warm {
        check.refuse(
            "spec.warmUp",
            format!(
                "it is no shorter than the deadline of stage {} ({}), so that nothing is counted there",
                number + 1,
                Span::from_ms(stage.deadline_ms)
            ),
            format!("shorten it, or set a later spec.stages[{number}].deadline"),
        );
    }
}

fn too_long(
    check: &mut Check,
    spec: &RolloutSpec,
    gate: &Gate,
    (number, stage): (usize, &Stage),
    needs_ms: u64,
) {
    let at = check.place("gates", &gate.name);
    let written = spec.gates.iter().find(|written| written.name == gate.name);
    let alone =
        gate.start_after_ms > stage.deadline_ms || written.is_none_or(|written| written.min_window.is_none());
    let field = match (at.as_str(), alone) {
        ("spec.preset", _) => at,
        (_, true) => format!("{at}.startAfter"),
        (_, false) => format!("{at}.minWindow"),
    };
    check.refuse(
        field,
        format!(
            "gate {} takes {} at least, and stage {} has a deadline of {}",
            gate.name,
            Span::from_ms(needs_ms),
            number + 1,
            Span::from_ms(stage.deadline_ms)
        ),
        format!("set a later spec.stages[{number}].deadline, or a shorter startAfter and minWindow"),
    );
}

/// A rollout whose gates are all switched off proves nothing.
pub(super) fn any_gate(check: &mut Check, spec: &RolloutSpec, gates: &[Gate]) {
    let off = |gate: &typed::Gate| gate.level == Some(Level::Off);
    let Some(last) = spec.gates.iter().rfind(|gate| off(gate)) else { return };
    if gates.is_empty() && spec.gates.iter().all(off) {
        let at = check.place("gates", &last.name);
        check.refuse(
            format!("{at}.level"),
            "no gate is left: each stage would end by time alone, which proves nothing",
            "leave one on, or write one of your own",
        );
    }
}

/// Does anything watch for requests that wait and for clients that leave?
pub(crate) fn watched(gates: &[Gate], guardrails: &[Guardrail], metric: Metric) -> bool {
    gates.iter().any(|gate| gate.hard && gate.metric() == metric)
        || guardrails.iter().any(|rail| rail.metric == metric)
}
