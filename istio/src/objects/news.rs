//! The Events of a run: what was done, to what, with numbers.

use api::{Answer, PhaseName, RunView, VerdictView};
use manifest::Percent;

/// One Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// One word.
    pub reason: &'static str,
    /// Is it trouble?
    pub warning: bool,
    /// One sentence.
    pub text: String,
}

fn normal(reason: &'static str, text: String) -> News {
    News { reason, warning: false, text }
}

fn warning(reason: &'static str, text: String) -> News {
    News { reason, warning: true, text }
}

/// What became of a run between two looks at it; `before`: `None` where there was none.
pub fn news(before: Option<&RunView>, after: &RunView) -> Vec<News> {
    let run = &after.run;
    let before = before.map(|view| &view.run).filter(|before| before.run == run.run);
    let mut found = Vec::new();
    let (from, to) = (run.begins_at(), &run.canary);
    if before.is_none() {
        found.push(normal(
            "RolloutStarted",
            format!("Started run {}: {from} to {to} in {} stages", run.run, run.stage_count),
        ));
    }
    let failed = |view: &VerdictView| view.hard && view.answer == Answer::Fail;
    let was_failed = |name: &str| {
        before.is_some_and(|before| {
            let gates = before.current_stage().map(|stage| &stage.gates[..]).unwrap_or_default();
            gates.iter().chain(&before.guardrails).any(|view| view.name == name && failed(view))
        })
    };
    let gates = run.current_stage().map(|stage| &stage.gates[..]).unwrap_or_default();
    for (what, view) in
        gates.iter().map(|view| ("gate", view)).chain(run.guardrails.iter().map(|view| ("guardrail", view)))
    {
        if failed(view) && !was_failed(&view.name) {
            let (canary, stable) = (view.n_canary, view.n_control);
            found.push(warning(
                "GateFailed",
                format!(
                    "Failed {what} {}: {} (requests: canary {canary}, stable {stable})",
                    view.name, view.why
                ),
            ));
        }
    }
    let (phase, was) = (run.phase.known().copied(), before.and_then(|before| before.phase.known().copied()));
    let weights = (before.map_or(0, |before| before.weight_ppm), run.weight_ppm);
    let share = |ppm| Percent::from_ppm(ppm);
    let ended = matches!(phase, Some(PhaseName::RolledBack | PhaseName::Succeeded));
    if weights.1 > weights.0 {
        found.push(normal(
            "WeightRaised",
            format!(
                "Raised weight of {to} from {} to {} (stage {} of {})",
                share(weights.0),
                share(weights.1),
                run.stage,
                run.stage_count
            ),
        ));
    } else if weights.1 < weights.0 && !ended {
        found.push(normal(
            "WeightLowered",
            format!(
                "Lowered weight of {to} from {} to {} (stage {} of {})",
                share(weights.0),
                share(weights.1),
                run.stage,
                run.stage_count
            ),
        ));
    } else if before.is_some_and(|before| before.stage != run.stage) && !ended {
        found.push(normal("StageBegun", format!("Began stage {} of {}", run.stage, run.stage_count)));
    }
    if phase != was {
        let requests = run.exposed.requests;
        match phase {
            Some(PhaseName::RolledBack) => {
                let why = run.rollback.as_ref().map_or("", |rollback| rollback.reason.as_str());
                found.push(warning(
                    "RolledBack",
                    format!(
                        "Rolled back {to} to {} from {} after {requests} requests: {why}",
                        run.stable,
                        share(weights.0)
                    ),
                ));
            }
            Some(PhaseName::Succeeded) if run.returning.is_some() => found.push(warning(
                "WentBack",
                format!("Went back from {from} to {to}, after {requests} requests to {to}: stable serves it"),
            )),
            Some(PhaseName::Succeeded) => found.push(normal(
                "Promoted",
                format!("Promoted {to} after {} stages and {requests} requests", run.stage_count),
            )),
            Some(PhaseName::Paused) => {
                found.push(warning("Paused", format!("Paused {to}: {}", run.message)));
            }
            Some(PhaseName::HandBack) => {
                found.push(normal("HandBack", format!("Hands back: {to} goes behind the stable route")));
            }
            _ => {}
        }
    }
    found
}
