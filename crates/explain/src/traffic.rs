//! Whose requests they are, and who is treated otherwise: said where it is not as usual.

use std::fmt::Write as _;

use split::policy::{Assignment, Key, Match, NoKey};

use manifest::Metric;
use manifest::{ErrorClass, Insufficient, OnTimeout, Plan, Supersede};
use manifest::{OnSharedIncident, SharedIncident};
use manifest::{Percent, Span};

fn watches_time(plan: &Plan) -> bool {
    let gates = plan.gates.iter().map(|gate| gate.metric());
    gates
        .chain(plan.guardrails.iter().map(|guardrail| guardrail.metric))
        .any(|metric| metric == Metric::Overdue)
}

pub(crate) fn write(text: &mut String, plan: &Plan) -> std::fmt::Result {
    if let Some(scope) = &plan.traffic.scope {
        writeln!(text, "It owns requests {}.", owned(scope))?;
    }
    if let Assignment::Sticky { keys, no_key, .. } = &plan.traffic.assignment {
        let keys: Vec<String> = keys.iter().map(key).collect();
        let without = match no_key {
            NoKey::Random => "a request without it is drawn by itself, and is no evidence",
            NoKey::Stable => "a request without it goes to stable",
        };
        writeln!(text, "A user keeps a version while weights rise, by {}; {without}.", keys.join(", else "))?;
    }
    if watches_time(plan) {
        let [_, after, longer, longest] = plan.ages_ms().map(|age| Span::from_ms(age.into()));
        writeln!(
            text,
            "In time means an answer that begins within {after}; where stable itself often takes longer, within {longer} or \
             {longest}."
        )?;
    }
    if plan.error_classes != ErrorClass::USUAL {
        let classes: Vec<_> = plan.error_classes.iter().map(|class| class.label()).collect();
        writeln!(text, "Errors are {} alone.", classes.join(", "))?;
    }
    if !plan.traffic.cohorts.is_empty() {
        let cohorts = plan.traffic.cohorts.iter().map(|cohort| {
            format!("{} ({} to {})", cohort.name, Percent::from_ppm(cohort.weight_ppm), cohort.arm)
        });
        let cohorts: Vec<_> = cohorts.collect();
        writeln!(text, "Cohorts have weights of their own, and are no evidence: {}.", cohorts.join(", "))?;
    }
    if !plan.traffic.overrides.is_empty() {
        let arms: Vec<_> = plan.traffic.overrides.iter().map(|one| one.arm.to_string()).collect();
        writeln!(text, "Overrides send the requests they fit to {}, and are no evidence.", arms.join(", "))?;
    }
    Ok(())
}

/// How it rolls back, what a newer version does meanwhile, and what missing counters do.
pub(crate) fn write_ends(text: &mut String, plan: &Plan) -> std::fmt::Result {
    if !plan.rollback.ramp_ppm.is_empty() {
        let steps: Vec<_> =
            plan.rollback.ramp_ppm.iter().map(|&ppm| Percent::from_ppm(ppm).to_string()).collect();
        let step = Span::from_ms(plan.rollback.step_ms);
        writeln!(
            text,
            "Where nobody is hurt it goes back by {}, {step} each, and at once where harm is proven.",
            steps.join(", ")
        )?;
    }
    match plan.rollback.shared_incident {
        SharedIncident { action: OnSharedIncident::Hold, for_ms, .. } => writeln!(
            text,
            "A limit that stable breaks as much at the same moments holds the weight; after {} in one stage it goes back.",
            Span::from_ms(for_ms)
        )?,
        SharedIncident { action: OnSharedIncident::Rollback, .. } => {
            writeln!(text, "A limit that stable breaks as well sends it back all the same.")?;
        }
    }
    let action = match plan.no_data.action {
        Insufficient::Hold => "it stays at its weight and says so",
        Insufficient::Pause => "it pauses until they do",
        Insufficient::Rollback => "it goes back to stable",
    };
    writeln!(
        text,
        "When no proxy's counters can be read for {}, {action}.",
        Span::from_ms(plan.no_data.after_ms)
    )?;
    let timeout = Span::from_ms(plan.acknowledge.timeout_ms);
    let action = match plan.acknowledge.on_timeout {
        OnTimeout::StepBack => "all of them go back to the weights before",
        OnTimeout::Hold => "it stays and says so",
        OnTimeout::Pause => "it pauses until they do",
        OnTimeout::Rollback => "it goes back to stable",
    };
    writeln!(text, "When too few proxies take new weights within {timeout}, {action}.")?;
    match plan.supersede {
        Supersede::Reject => Ok(()),
        Supersede::Queue => writeln!(text, "Another version that is applied meanwhile waits for its end."),
        Supersede::Replace => writeln!(text, "Another version that is applied meanwhile aborts it."),
    }
}

fn owned(scope: &Match) -> String {
    let mut words = Vec::new();
    if !scope.authority.is_empty() {
        words.push(format!("for {}", scope.authority.join(" or ")));
    }
    words.extend(scope.path_prefix.as_ref().map(|prefix| format!("under {prefix}")));
    words.extend(scope.port.map(|port| format!("at port {port}")));
    words.extend(scope.direction.map(|direction| format!("of {direction:?} listeners").to_lowercase()));
    words.join(" ")
}

fn key(key: &Key) -> String {
    match key {
        Key::Header(name) => format!("header {name}"),
        Key::Cookie(name) => format!("cookie {name}"),
        Key::Query(name) => format!("query parameter {name}"),
        Key::SourceAddress(_) => "the client's address".to_owned(),
    }
}
