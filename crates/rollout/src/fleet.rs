//! Runs that belong together: who may move, and who goes back with whom.
//!
//! ```text
//! [ State ]... -- step(members, events, now) --> [ MemberOutcome ]...
//! ```
//!
//! There is no state here beside that of the members: what the fleet decides follows from where they are, so whatever
//! survives of them is enough to go on. A member asks ([`State::asks`]) and is permitted ([`Event::Permit`]); it never
//! rises without its own verdict *and* the fleet's word. When one goes back, those that go with it do so in the same
//! step.

mod admission;
mod people;
mod terms;
mod view;

use std::collections::BTreeMap;

use crate::{Effect, Event, Now, Phase, State};

pub use admission::admit;
pub use people::acts;
pub use view::{phase, view};

use terms::Fleet;

/// The outcome of one member.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberOutcome {
    /// Which, by its place among the members.
    pub index: usize,
    /// What it took, in order.
    pub heard: Vec<Event>,
    /// Its new state.
    pub state: State,
    /// What is to be done, in order.
    pub effects: Vec<Effect>,
}

/// Lets members take events, and the fleet answer until it has nothing more to say. Those that no event reached are
/// left out. A run by itself is a fleet of one that answers nothing.
#[must_use]
pub fn step(members: &[&State], events: Vec<(usize, Event)>, now: Now) -> Vec<MemberOutcome> {
    step_by(crate::step, members, events, now)
}

/// The same for a caller whose decisions cannot be written down now: see [`crate::protect`].
#[must_use]
pub fn protect(members: &[&State], events: Vec<(usize, Event)>, now: Now) -> Vec<MemberOutcome> {
    step_by(crate::protect, members, events, now)
}

fn step_by(
    step: impl Fn(State, &Event, Now) -> (State, Vec<Effect>),
    members: &[&State],
    events: Vec<(usize, Event)>,
    now: Now,
) -> Vec<MemberOutcome> {
    let mut moved: BTreeMap<usize, MemberOutcome> = BTreeMap::new();
    let mut events = events;
    while !events.is_empty() {
        for (index, event) in events {
            let new = |state: &&State| MemberOutcome {
                index,
                heard: Vec::new(),
                state: State::clone(state),
                effects: Vec::new(),
            };
            let Some(mut one) = moved.remove(&index).or_else(|| members.get(index).map(new)) else {
                continue;
            };
            let (state, effects) = step(one.state, &event, now);
            one.heard.push(event);
            one.effects.extend(effects);
            moved.insert(index, MemberOutcome { state, ..one });
        }
        let present: Vec<&State> = members
            .iter()
            .enumerate()
            .map(|(index, state)| moved.get(&index).map_or(*state, |one| &one.state))
            .collect();
        events = decide(&present);
    }
    moved.into_values().collect()
}

/// What the fleet has to say to its members now. Each answer changes the member it reaches, so asking again ends.
fn decide(members: &[&State]) -> Vec<(usize, Event)> {
    let Some(fleet) = Fleet::of(members) else { return Vec::new() };
    let back = fleet.goes_back();
    if back.is_empty() { fleet.permits() } else { back }
}

/// The fleet's revision, which changes when it has moved on: the run, and how much happened
/// in it ([`State::revision`]). A run by itself is a fleet of one.
#[must_use]
pub fn revision(members: &[&State]) -> String {
    let run = members.iter().map(|state| state.run).max().unwrap_or(0);
    let happened = members.iter().map(|state| state.revision).fold(0, u64::saturating_add);
    format!("{run}-{happened}")
}

/// Is nothing left to be watched?
#[must_use]
pub fn is_over(members: &[&State]) -> bool {
    members.iter().all(|state| state.is_over())
}

/// Has it gone back?
fn went_back(state: &State) -> bool {
    state.phase == Phase::RolledBack
}

/// Is it past everything that could take it back?
fn is_done(state: &State) -> bool {
    matches!(state.phase, Phase::RolledBack | Phase::Succeeded)
}
