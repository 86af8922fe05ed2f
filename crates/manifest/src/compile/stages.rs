//! The way up.

use super::Check;
use crate::amount::{Percent, Span};
use crate::gate::Gate;
use crate::plan::Stage;
use crate::typed::{self, RolloutSpec};

pub(super) fn stages(check: &mut Check, spec: &RolloutSpec, gates: &[Gate]) -> Vec<Stage> {
    let written = spec.stages.clone().unwrap_or_default();
    if written.is_empty() {
        check.refuse(
            "spec.stages",
            "there is no stage",
            "write some, ending with weight 100%, or name a preset",
        );
    }
    let stages: Vec<Stage> = written
        .iter()
        .enumerate()
        .map(|(index, written)| stage(check, index, written, gates, spec))
        .collect();
    for (index, pair) in stages.windows(2).enumerate() {
        if let [before, after] = pair
            && after.height() <= before.height()
        {
            let field = if after.shadow_ppm > 0 { "shadow" } else { "weight" };
            check.refuse(
                format!("spec.stages[{}].{field}", index + 1),
                format!("{} is not above the stage before it ({})", share(after), share(before)),
                "raise it, or join the two stages: a rollout only goes up",
            );
        }
    }
    if let Some(last) = stages.last()
        && last.weight_ppm != split::MILLION
    {
        check.refuse(
            format!("spec.stages[{}].weight", stages.len() - 1),
            format!("the last stage is at {}", share(last)),
            "add a stage with weight 100%: the new version is not promoted before it bore all traffic",
        );
    }
    stages
}

/// A stage's weight, or its shadow's.
fn share(stage: &Stage) -> String {
    match stage.height() {
        (0, shadow) if shadow > 0 => format!("a shadow of {}", Percent::from_ppm(shadow)),
        (weight, _) => Percent::from_ppm(weight).to_string(),
    }
}

/// Weight and shadow, in parts per million.
fn height(check: &mut Check, index: usize, written: &typed::Stage) -> (u32, u32) {
    let at = format!("spec.stages[{index}]");
    let none = Percent::from_ppm(0);
    if written.weight.is_none() && written.shadow.is_none() {
        check.refuse(
            format!("{at}.weight"),
            "it says neither weight nor shadow",
            "give the canary's share, such as 5%",
        );
    }
    if let (Some(weight), Some(_)) = (written.weight, written.shadow)
        && weight != none
    {
        check.refuse(
            format!("{at}.shadow"),
            format!("the stage has a weight too ({weight})"),
            "keep one of the two: a shadow is for before anybody is exposed",
        );
    }
    if written.shadow == Some(none) {
        check.refuse(format!("{at}.shadow"), "a shadow of 0% is none", "raise it, or write `weight: 0%`");
    }
    (written.weight.unwrap_or(none).ppm(), written.shadow.unwrap_or(none).ppm())
}

fn stage(
    check: &mut Check,
    index: usize,
    written: &typed::Stage,
    gates: &[Gate],
    spec: &RolloutSpec,
) -> Stage {
    let (weight_ppm, shadow_ppm) = height(check, index, written);
    let bake_ms = written.bake.ms();
    let deadline_ms = written.deadline.map_or_else(|| bake_ms.saturating_mul(3).max(60_000), Span::ms);
    if deadline_ms < bake_ms {
        check.refuse(
            format!("spec.stages[{index}].deadline"),
            format!("{} is shorter than the bake ({})", Span::from_ms(deadline_ms), written.bake),
            "make it at least as long; three times the bake is the default",
        );
    }
    let named = match &written.gates {
        None if shadow_ppm > 0 => {
            let shows = |(index, gate): (usize, &Gate)| gate.metric().shows_in_shadow().then_some(index);
            gates.iter().enumerate().filter_map(shows).collect()
        }
        None => (0..gates.len()).collect(),
        Some(names) => names
            .iter()
            .enumerate()
            .filter_map(|(at, name)| {
                let found = gates.iter().position(|gate| gate.name == *name);
                // One that is switched off is not there and was not forgotten; what else is wrong with one is said.
                let known = |gate: &typed::Gate| gate.name == *name;
                if found.is_none() && !spec.gates.iter().any(known) {
                    let known: Vec<_> = gates.iter().map(|gate| gate.name.as_str()).collect();
                    check.refuse(
                        format!("spec.stages[{index}].gates[{at}]"),
                        format!("there is no gate {name:?}"),
                        format!("use one of {}, or add it to spec.gates", known.join(", ")),
                    );
                }
                if shadow_ppm > 0
                    && let Some(gate) = found.and_then(|index| gates.get(index))
                    && !gate.metric().shows_in_shadow()
                {
                    check.refuse(
                        format!("spec.stages[{index}].gates[{at}]"),
                        format!(
                            "{} does not show in a shadow, whose answers are thrown away",
                            gate.metric().name()
                        ),
                        "keep error_rate, latency_p99 and gates with a source of their own",
                    );
                }
                found
            })
            .collect(),
    };
    Stage {
        weight_ppm,
        shadow_ppm,
        bake_ms,
        deadline_ms,
        on_insufficient: spec.on_insufficient.unwrap_or_default(),
        gates: named,
        approval: written.approval.unwrap_or(false),
    }
}
