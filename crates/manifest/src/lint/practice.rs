//! What is probably not wished of what is tried between runs by itself.

use crate::amount::{Percent, Span};
use crate::plan::Plan;
use crate::practice::DRILL_WAITS_MS;
use crate::problem::Problem;
use calendar::{Times, Timetable};

pub(super) fn warnings(plan: &Plan) -> Vec<Problem> {
    let mut found = Vec::new();
    let Some(practice) = &plan.practice else { return found };
    if let Some(drill) = &practice.drill {
        let at = "spec.practice.drill";
        let longest_ms = drill.limit_ms.max(DRILL_WAITS_MS);
        found.extend(too_often(at, &drill.timetable, longest_ms, "a drill that finds a proxy late takes"));
        if drill.weight_ppm > 0 {
            let weight = Percent::from_ppm(drill.weight_ppm);
            found.push(gone(&format!("{at}.weight"), plan, weight));
            found.extend(closed(at, plan, &drill.timetable));
        }
    }
    if let Some(parity) = &practice.parity {
        let at = "spec.practice.aa";
        found.extend(too_often(at, &parity.timetable, parity.duration_ms, "an A/A check takes up to"));
        if parity.deployed {
            let share = Percent::from_ppm(parity.share_ppm);
            found.push(gone(&format!("{at}.deployed"), plan, share));
            found.extend(closed(at, plan, &parity.timetable));
        }
    }
    found
}

fn too_often(at: &str, timetable: &Timetable, longest_ms: u64, takes: &str) -> Option<Problem> {
    let gap_ms = timetable.shortest_gap_ms();
    let field = match &timetable.times {
        Times::Every(_) => "every",
        Times::Weekly { .. } => "at",
    };
    (gap_ms < longest_ms).then(|| {
        let (gap, longest) = (Span::from_ms(gap_ms), Span::from_ms(longest_ms));
        Problem::warning(
            format!("{at}.{field}"),
            format!("it is due again after {gap}, and {takes} {longest}"),
            "allow more time between two",
        )
    })
}

/// A schedule does not know what is deployed.
fn gone(at: &str, plan: &Plan, share: Percent) -> Problem {
    let canary = &plan.canary;
    Problem::warning(
        at,
        format!(
            "{share} of the traffic goes to the canary's route between runs, where {canary} may be gone by then"
        ),
        "keep the canary deployed between runs, or leave this out: nobody is exposed then",
    )
}

/// One that exposes somebody keeps to the windows.
fn closed(at: &str, plan: &Plan, timetable: &Timetable) -> Option<Problem> {
    let windows = plan.windows.as_ref()?;
    let Times::Weekly { at: times, .. } = &timetable.times else { return None };
    let closed = times.iter().position(|time| !windows.opens_on(&time.days, time.minute))?;
    Some(Problem::warning(
        format!("{at}.at[{closed}]"),
        format!("the windows are closed then ({}), so it would be missed", windows.words()),
        "name a time within them, or expose nobody",
    ))
}
