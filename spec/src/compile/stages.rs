//! The way up.

use super::Check;
use crate::amount::Span;
use crate::gate::Gate;
use crate::plan::{Insufficient, Stage};
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
    for (index, pair) in written.windows(2).enumerate() {
        if let [before, after] = pair
            && after.weight <= before.weight
        {
            check.refuse(
                format!("spec.stages[{}].weight", index + 1),
                format!("{} is not above the stage before it ({})", after.weight, before.weight),
                "raise it, or join the two stages: a rollout only goes up",
            );
        }
    }
    if let Some(last) = written.last()
        && last.weight.ppm() != split::MILLION
    {
        check.refuse(
            format!("spec.stages[{}].weight", written.len() - 1),
            format!("the last stage is at {}", last.weight),
            "add a stage with weight 100%: the new version is not promoted before it bore all traffic",
        );
    }
    let on_insufficient = spec.on_insufficient.unwrap_or_default();
    written
        .iter()
        .enumerate()
        .map(|(index, written)| stage(check, index, written, gates, on_insufficient))
        .collect()
}

fn stage(
    check: &mut Check,
    index: usize,
    written: &typed::Stage,
    gates: &[Gate],
    on_insufficient: Insufficient,
) -> Stage {
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
        None => (0..gates.len()).collect(),
        Some(names) => names
            .iter()
            .enumerate()
            .filter_map(|(at, name)| {
                let found = gates.iter().position(|gate| gate.name == *name);
                if found.is_none() {
                    let known: Vec<_> = gates.iter().map(|gate| gate.name.as_str()).collect();
                    check.refuse(
                        format!("spec.stages[{index}].gates[{at}]"),
                        format!("there is no gate {name:?}"),
                        format!("use one of {}, or add it to spec.gates", known.join(", ")),
                    );
                }
                found
            })
            .collect(),
    };
    Stage {
        weight_ppm: written.weight.ppm(),
        bake_ms,
        deadline_ms,
        on_insufficient,
        gates: named,
        approval: written.approval.unwrap_or(false),
    }
}
