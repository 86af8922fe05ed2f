//! Several versions on trial.

use split::{Arm, ArmName, MILLION, policy::MOST_OTHERS};

use super::Check;
use crate::amount::Percent;
use crate::challenger::{Challenger, Choose};
use crate::gate::{Against, Basis, Gate, Guardrail, Marginal, Metric, OnFail, OnMarginal};
use crate::plan::Stage;
use crate::source::Source;
use crate::typed::{self, ChooseBy, RolloutSpec};

/// Scores an arm must have before means are compared.
const FIRST_SCORES: u64 = 300;

/// Everybody on trial, the canary first; empty when it is alone. `room_ppm`: the largest share each can have while all
/// are in.
pub(super) fn challengers(check: &mut Check, spec: &RolloutSpec, room_ppm: u32) -> Vec<Challenger> {
    if spec.arms.is_empty() {
        return Vec::new();
    }
    if spec.arms.len() > MOST_OTHERS {
        let what = format!("{} arms are too many", spec.arms.len());
        check.refuse("spec.arms", what, format!("keep {MOST_OTHERS} or fewer beside the canary"));
    }
    let mut versions = vec![spec.stable.version.as_str(), spec.canary.version.as_str()];
    let canary =
        Challenger { arm: Arm::Canary, version: spec.canary.version.clone(), start_ppm: 0, out: false };
    let mut all = vec![canary];
    let mut start_ppm = room_ppm;
    for (index, written) in spec.arms.iter().enumerate() {
        let at = format!("spec.arms[{index}]");
        let version = check.label(&format!("{at}.version"), &written.version);
        if versions.contains(&written.version.as_str()) {
            check.refuse(
                format!("{at}.version"),
                format!("{version:?} is another arm's version"),
                "give every arm a version of its own",
            );
        }
        versions.push(&written.version);
        let Some(arm) = ArmName::new(&written.name).map(Arm::Other) else {
            check.refuse(
                format!("{at}.name"),
                format!("{:?} cannot name an arm", written.name),
                "use 1 to 16 lower-case letters, digits and dashes, the first a letter; not stable, canary, baseline",
            );
            continue;
        };
        if all.iter().any(|known| known.arm == arm) {
            check.refuse(format!("{at}.name"), format!("two arms are called {arm}"), "rename one");
        }
        all.push(Challenger { arm, version, start_ppm, out: false });
        start_ppm = start_ppm.saturating_add(room_ppm);
    }
    all
}

/// How one of them is chosen, and the largest share each has until then.
pub(super) fn choose(check: &mut Check, spec: &RolloutSpec, stages: &[Stage]) -> Option<(Choose, u32)> {
    if spec.arms.is_empty() {
        return None;
    }
    if let Some(index) = stages.iter().position(|stage| stage.shadow_ppm > 0) {
        check.refuse(
            format!("spec.stages[{index}].shadow"),
            "copies go to the canary alone, not to each of spec.arms",
            "leave the stage out, or shadow the versions in rollouts of their own",
        );
    }
    let several = u32::try_from(spec.arms.len() + 1).unwrap_or(u32::MAX);
    let written = spec.choose.unwrap_or_default();
    let fits = |stage: &Stage| stage.weight_ppm.saturating_mul(several) < MILLION;
    let after = match written.after {
        None => stages.iter().rposition(fits),
        Some(weight) => {
            let found = stages.iter().position(|stage| stage.weight_ppm == weight.ppm());
            if found.is_none() {
                let known: Vec<_> =
                    stages.iter().map(|stage| Percent::from_ppm(stage.weight_ppm).to_string()).collect();
                check.refuse(
                    "spec.choose.after",
                    format!("no stage has the weight {weight}"),
                    format!("write that of the last stage all arms enter, one of {}", known.join(", ")),
                );
                return None;
            }
            found
        }
    };
    let chosen = after.and_then(|index| stages.get(index).map(|stage| (index, stage)));
    let Some((after, stage)) = chosen.filter(|(_, stage)| fits(stage) && stage.weight_ppm > 0) else {
        check.refuse(
            if written.after.is_some() { "spec.choose.after" } else { "spec.arms" },
            format!("{several} versions side by side leave stable nothing at that weight"),
            "a stage's weight is what each of them gets: lower it, or choose after an earlier stage",
        );
        return None;
    };
    let alpha = check.chance("spec.choose.alpha", written.alpha.unwrap_or(0.05));
    let by = match written.by.unwrap_or(ChooseBy::Person) {
        ChooseBy::Person => None,
        ChooseBy::ErrorRate => Some(Metric::ErrorRate),
        ChooseBy::LatencyP99 => Some(Metric::LatencyP99),
        ChooseBy::ConfidenceMean => Some(Metric::ConfidenceMean),
        ChooseBy::Overdue => Some(Metric::Overdue),
        ChooseBy::GoneRate => Some(Metric::GoneRate),
    };
    if by == Some(Metric::ConfidenceMean) && spec.confidence.is_none() {
        check.refuse(
            "spec.choose.by",
            "the models' confidence is not measured",
            "add spec.confidence with the header that carries it",
        );
    }
    Some((Choose { after, by: by.map(comparison), alpha }, stage.weight_ppm))
}

/// Any two challengers compared: proven worse at all.
fn comparison(metric: Metric) -> Gate {
    let (margin, harm) = if metric.larger_is_worse() { (1.25, 1.0) } else { (0.02, 0.0) };
    Gate {
        name: format!("choose by {}", metric.name()),
        basis: Basis::Counters { metric, min_samples: FIRST_SCORES },
        limit: None,
        against: Some(Against {
            margin,
            harm,
            margin_points: 0.0,
            harm_points: 0.0,
            ignore_below: 0.0,
            pass_below: 0.0,
        }),
        hard: true,
        on_fail: OnFail::Rollback,
        on_marginal: OnMarginal::Hold,
        marginal: Marginal::default(),
        start_after_ms: 0,
        min_window_ms: 0,
        consecutive: 0,
        every_ms: 60_000,
        failure_limit: None,
    }
}

/// Members of a fleet wait for each other stage by stage, and versions of one of them go their own ways.
pub(super) fn no_fleet(check: &mut Check, spec: &RolloutSpec) {
    if !spec.arms.is_empty() {
        let fields = if spec.models.is_empty() { "regions" } else { "models" };
        check.refuse(
            "spec.arms",
            format!("several versions on trial cannot go up together with spec.{fields}"),
            format!("leave out one of the two: first choose a version, then roll it out with {fields}"),
        );
    }
}

/// Figures of one's own are asked for once per version, whose name stands in the question.
pub(super) fn figures_of_ones_own(
    check: &mut Check,
    spec: &RolloutSpec,
    gates: &[Gate],
    guardrails: &[Guardrail],
) {
    if spec.arms.is_empty() {
        return;
    }
    let gates = gates.iter().filter_map(|gate| Some(("gates", &gate.name, gate.source()?)));
    let rails =
        guardrails.iter().filter_map(|rail| Some(("guardrails", &rail.name, &rail.reads.as_ref()?.source)));
    for (list, name, source) in gates.chain(rails) {
        let told_apart = source.texts().iter().any(|(_, text)| text.contains("{{canary}}"));
        if !told_apart && !matches!(source, Source::Push(_)) {
            let at = check.place(list, name);
            check.refuse(
                format!("{at}.source"),
                "it gives one figure for all of spec.arms",
                "write {{canary}} where the version's name belongs: it is asked once for each",
            );
        }
    }
}

/// An arm that requests are sent to by name.
pub(super) fn named(
    check: &mut Check,
    field: &str,
    name: &str,
    arms: &[typed::Challenger],
    stable_too: bool,
) -> Arm {
    let arm = match name {
        "stable" if stable_too => Some(Arm::Stable),
        "canary" => Some(Arm::Canary),
        name if arms.iter().any(|known| known.name == name) => ArmName::new(name).map(Arm::Other),
        _ => None,
    };
    arm.unwrap_or_else(|| {
        let fixed: &[&str] = if stable_too { &["stable", "canary"] } else { &["canary"] };
        let known = fixed.iter().copied().chain(arms.iter().map(|arm| arm.name.as_str()));
        check.refuse(
            field,
            format!("{name:?} is no arm of this rollout"),
            format!("use one of {}", known.collect::<Vec<_>>().join(", ")),
        );
        Arm::Canary
    })
}
