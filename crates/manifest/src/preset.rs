//! Named ways up. Each is a whole rollout in its own file, so that it reads as what a user would write.

use crate::typed::{Assignment, Choose, Gate, Guardrail, Rollout, RolloutSpec};

/// The preset of a rollout that names none.
pub const DEFAULT: &str = "default";

const TEXTS: [(&str, &str); 13] = [
    ("default", include_str!("../presets/default.yaml")),
    ("hour", include_str!("../presets/hour.yaml")),
    ("ml-hour", include_str!("../presets/ml-hour.yaml")),
    ("standard", include_str!("../presets/standard.yaml")),
    ("aggressive", include_str!("../presets/aggressive.yaml")),
    ("conservative", include_str!("../presets/conservative.yaml")),
    ("three-step", include_str!("../presets/three-step.yaml")),
    ("ranking", include_str!("../presets/ranking.yaml")),
    ("triggers", include_str!("../presets/triggers.yaml")),
    ("dark", include_str!("../presets/dark.yaml")),
    ("shadow", include_str!("../presets/shadow.yaml")),
    ("ab-n", include_str!("../presets/ab-n.yaml")),
    ("blue-green", include_str!("../presets/blue-green.yaml")),
];

/// A preset's name, and what it is for in one sentence.
#[must_use]
pub fn presets() -> Vec<(&'static str, &'static str)> {
    TEXTS
        .iter()
        .map(|&(name, text)| (name, text.lines().next().unwrap_or_default().trim_start_matches("# ")))
        .collect()
}

/// A preset's whole text, a rollout by itself.
#[must_use]
pub fn preset_text(name: &str) -> Option<&'static str> {
    TEXTS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

pub(crate) fn find(name: &str) -> Option<RolloutSpec> {
    serde_saphyr::from_str::<Rollout>(preset_text(name)?).ok().map(|rollout| rollout.spec)
}

/// What the user wrote over what the preset says: a field that is written wins, a gate or guardrail of the same name
/// is joined field by field, others are added. Every field stands here, so a new one cannot be forgotten.
pub(crate) fn extend(written: RolloutSpec, preset: RolloutSpec) -> RolloutSpec {
    macro_rules! inherit {
        ($($field:ident),*) => {
            RolloutSpec {
                // What is rolled out is the user's alone.
                stable: written.stable,
                canary: written.canary,
                preset: written.preset,
                choose: both(written.choose, preset.choose, over_choose),
                assignment: both(written.assignment, preset.assignment, over_assignment),
                gates: join_gates(preset.gates, written.gates),
                guardrails: join_guardrails(preset.guardrails, written.guardrails),
                models: list(written.models, preset.models),
                arms: list(written.arms, preset.arms),
                overrides: list(written.overrides, preset.overrides),
                cohorts: list(written.cohorts, preset.cohorts),
                $($field: written.$field.or(preset.$field)),*
            }
        };
    }
    inherit!(
        regions,
        bandit,
        owner,
        scope,
        routing,
        confidence,
        answer,
        lease,
        stages,
        alpha,
        budget,
        error_classes,
        overdue_after,
        warm_up,
        ready,
        warm_up_hook,
        on_insufficient,
        acknowledge,
        no_data,
        windows,
        practice,
        supersede,
        rollback,
        baseline,
        hand_back,
        keep_warm,
        after,
        watch
    )
}

/// A list that is written wins whole.
fn list<T>(written: Vec<T>, preset: Vec<T>) -> Vec<T> {
    if written.is_empty() { preset } else { written }
}

fn both<T>(written: Option<T>, preset: Option<T>, over: fn(T, T) -> T) -> Option<T> {
    match (written, preset) {
        (Some(written), Some(preset)) => Some(over(written, preset)),
        (written, preset) => written.or(preset),
    }
}

fn over_choose(written: Choose, base: Choose) -> Choose {
    Choose {
        by: written.by.or(base.by),
        after: written.after.or(base.after),
        alpha: written.alpha.or(base.alpha),
    }
}

fn over_assignment(written: Assignment, base: Assignment) -> Assignment {
    Assignment {
        mode: written.mode.or(base.mode),
        keys: if written.keys.is_empty() { base.keys } else { written.keys },
        no_key: written.no_key.or(base.no_key),
        salt: written.salt.or(base.salt),
        source: written.source.or(base.source),
        unit: written.unit.or(base.unit),
    }
}

/// Gates of one list over those of another, as over a preset's.
pub(crate) fn join_gates(base: Vec<Gate>, written: Vec<Gate>) -> Vec<Gate> {
    join(base, written, |gate| &gate.name, over_gate)
}

/// Guardrails of one list over those of another, as over a preset's.
pub(crate) fn join_guardrails(base: Vec<Guardrail>, written: Vec<Guardrail>) -> Vec<Guardrail> {
    join(base, written, |guardrail| &guardrail.name, over_guardrail)
}

fn join<T>(base: Vec<T>, written: Vec<T>, name: fn(&T) -> &String, over: fn(T, T) -> T) -> Vec<T> {
    let mut joined = base;
    for item in written {
        if let Some(at) = joined.iter().position(|known| name(known) == name(&item)) {
            let known = joined.remove(at);
            joined.insert(at, over(item, known));
        } else {
            joined.push(item);
        }
    }
    joined
}

macro_rules! over {
    ($written:ident, $base:ident, $type:ident { $($field:ident),* }) => {
        $type { name: $written.name, $($field: $written.$field.or($base.$field)),* }
    };
}

fn over_gate(written: Gate, base: Gate) -> Gate {
    over!(
        written,
        base,
        Gate {
            metric,
            source,
            better,
            max,
            min,
            fail_above,
            fail_below,
            against,
            margin,
            harm,
            ignore_below,
            pass_below,
            anomaly,
            min_samples,
            level,
            on_fail,
            on_marginal,
            marginal_limit,
            reanalyses,
            max_hold,
            start_after,
            min_window,
            every,
            consecutive,
            failure_limit,
            no_data,
            on_error
        }
    )
}

fn over_guardrail(written: Guardrail, base: Guardrail) -> Guardrail {
    over!(
        written,
        base,
        Guardrail { metric, source, max, min, against, every, failure_limit, no_data, on_error, level }
    )
}
