//! What the default preset watches, and gates and guardrails of one's own leave out.

use crate::compile::watched;
use crate::gate::Metric;
use crate::plan::Plan;
use crate::preset;
use crate::problem::Problem;
use crate::typed::Rollout;

/// Whoever names no preset and writes gates or guardrails means these and no others, and may not know of the others.
pub(super) fn warnings(typed: &Rollout, plan: &Plan) -> Vec<Problem> {
    let spec = &typed.spec;
    if spec.preset.is_some() || plan.returning.is_some() {
        return Vec::new();
    }
    let Some(base) = preset::find(preset::DEFAULT) else { return Vec::new() };
    let (gates, guardrails) = (!spec.gates.is_empty(), !spec.guardrails.is_empty());
    let dropped = base.gates.iter().filter(|_| gates).filter_map(|gate| Some((gate.metric?, &gate.name)));
    let rails =
        base.guardrails.iter().filter(|_| guardrails).filter_map(|rail| Some((rail.metric?, &rail.name)));
    let mut lost: Vec<(Metric, Vec<&str>)> = Vec::new();
    // Not every mesh tries again, so whoever writes guardrails of their own need not hear of that one.
    let rails = rails.filter(|(metric, _)| *metric != Metric::RetryRate);
    for (metric, name) in
        dropped.chain(rails).filter(|(metric, _)| !watched(&plan.gates, &plan.guardrails, *metric))
    {
        match lost.iter_mut().find(|(known, _)| *known == metric) {
            Some((_, names)) => names.push(name),
            None => lost.push((metric, vec![name])),
        }
    }
    let Some((_, first)) = lost.first() else { return Vec::new() };
    let what = |metric: &Metric| match metric {
        Metric::ErrorRate => "errors",
        Metric::LatencyP99 => "answer times",
        Metric::Overdue => "requests that wait",
        Metric::GoneRate => "clients that leave",
        Metric::RetryRate => "requests that are tried again",
        _ => "figures",
    };
    let all: Vec<&str> = lost.iter().map(|(metric, _)| what(metric)).collect();
    let (field, lists) = match (gates, guardrails) {
        (true, true) => ("spec.gates", "gates and guardrails"),
        (true, false) => ("spec.gates", "gates"),
        (false, _) => ("spec.guardrails", "guardrails"),
    };
    vec![Problem::warning(
        field,
        format!(
            "{lists} of your own replace those of preset default, so none of them watches {}",
            all.join(", ")
        ),
        format!(
            "add `preset: default` to keep those beside yours (and leave one out by `{{name: {}, level: off}}`), or watch them",
            first.first().copied().unwrap_or_default()
        ),
    )]
}
