use manifest::{Plan, Supersede};

use super::{is_over, phase};
use crate::admission::{gone_back_from, is_same};
use crate::{Admission, PhaseName, State};

/// Receives what a document runs: one plan, or the members of a fleet. `present` are the last runs of its name, those
/// of an earlier fleet of other members included.
#[must_use]
pub fn admit(present: &[&State], next: &[Plan], again: bool) -> Admission {
    if let ([], [plan]) | ([_], [plan]) = (present, next)
        && present.first().is_none_or(|state| state.plan.name == plan.name)
    {
        return crate::admit(present.first().copied(), plan, again);
    }
    let (Some(first), Some(plan)) = (present.first(), next.first()) else {
        return Admission::Begin { run: 1, epoch: 0 };
    };
    let name = plan.member.as_ref().map_or(&plan.name, |member| &member.fleet);
    let same = present.len() == next.len()
        && next.iter().all(|plan| present.iter().any(|state| is_same(&state.plan, plan)));
    let rolled_back = phase(present) == PhaseName::RolledBack;
    let other_practice = present.iter().any(|state| state.plan.practice != plan.practice);
    if same && other_practice && !(again && rolled_back && is_over(present)) {
        return Admission::Practice;
    }
    if same && !rolled_back {
        return Admission::Unchanged;
    }
    let run = present.iter().map(|state| state.run).max().unwrap_or(first.run);
    let of = |plan: &Plan| present.iter().find(|state| state.plan.name == plan.name).copied();
    let gone_back_from = |plan| gone_back_from(of(plan)?, plan);
    if let Some(why) = next.iter().find_map(gone_back_from).filter(|_| !again) {
        return Admission::Refused(why);
    }
    let returning = present.iter().find(|state| state.plan.returning.is_some());
    if !is_over(present) {
        return match plan.supersede {
            Supersede::Queue => Admission::Queue,
            Supersede::Replace if !rolled_back && returning.is_none() => Admission::Replace,
            Supersede::Replace => Admission::Queue,
            Supersede::Reject if returning.is_some() => Admission::Refused(format!(
                "{name} goes back to what was there before (run {run}); wait for its end, or set spec.supersede to queue"
            )),
            Supersede::Reject => Admission::Refused(format!(
                "{name} is {} (run {run}); abort it first, or set spec.supersede to queue or replace",
                phase(present)
            )),
        };
    }
    if same && !again {
        let reason = present.iter().find_map(|state| state.rollback.as_ref());
        let reason = reason.map_or("", |rollback| rollback.reason.as_str());
        return Admission::Refused(format!(
            "{name} was rolled back with this very specification: {reason}; to try it once more, apply it again \
             explicitly"
        ));
    }
    for plan in next {
        if let Some(state) = of(plan).filter(|state| state.stable_version != plan.stable) {
            return Admission::Refused(format!(
                "{}: the stable version is {:?}, but run {} left {:?} behind the stable route; write that",
                plan.name, plan.stable, state.run, state.stable_version
            ));
        }
    }
    let epoch = present.iter().map(|state| state.epoch).max().unwrap_or(0);
    Admission::Begin { run: run.saturating_add(1), epoch }
}
