//! What people do to a whole fleet.

use super::Fleet;
use crate::{Event, Human, Phase, State};

/// Who takes what a person wants of the whole fleet.
///
/// # Errors
/// Why it means nothing now, and what would, in one sentence.
pub fn acts(members: &[&State], event: &Event) -> Result<Vec<(usize, Event)>, String> {
    let wanted = match event {
        Event::Promote(human) => promote(members, human),
        _ => (0..members.len()).map(|index| (index, event.clone())).collect(),
    };
    let mut refused = None;
    let mut taken = Vec::new();
    for (index, event) in wanted {
        let Some(state) = members.get(index) else { continue };
        let allowed = if state.is_over() && !state.accepts_after_end(&event) {
            Err(format!("it is over: {}", state.message()))
        } else {
            state.allows(&event)
        };
        match allowed {
            Ok(()) => taken.push((index, event)),
            Err(why) => refused = refused.or(Some(format!("{}: {why}", state.plan.name))),
        }
    }
    match refused {
        Some(why) if taken.is_empty() => Err(why),
        None if taken.is_empty() => Err("nobody is there to whom it would mean anything".to_owned()),
        _ => Ok(taken),
    }
}

/// Exactly one stage for those who are furthest behind in the last wave that has begun; when that wave is where the
/// next one wants it, the next one begins.
fn promote(members: &[&State], human: &Human) -> Vec<(usize, Event)> {
    let Some(fleet) = Fleet::of(members) else { return Vec::new() };
    let front = fleet.front();
    if front + 1 < fleet.waves() && fleet.arrived(front) {
        let next = fleet.members_of(front + 1).into_iter();
        return next.map(|index| (index, Event::Permit { stage: 0 })).collect();
    }
    let of_front = fleet.members_of(front);
    let entered = |index: usize| {
        members.get(index).filter(|state| !state.is_over()).map(|state| match state.phase {
            Phase::HandBack(_) => usize::MAX,
            Phase::Pending { .. } => 0,
            _ => state.wants(),
        })
    };
    let least = of_front.iter().filter_map(|&index| entered(index)).min();
    let behind = of_front.into_iter().filter(|&index| entered(index) == least && least.is_some());
    behind.map(|index| (index, Event::Promote(human.clone()))).collect()
}
