//! Runs that belong together: who they are, and what people want of all of them at once.

use std::collections::BTreeSet;

use api::{PastView, Refusal};
use manifest::Plan;
use rollout::{Acted, Event, State, fleet};

use super::Engine;

/// The name a run was applied under: its fleet's, or its own.
pub fn applied_as(plan: &Plan) -> &str {
    plan.member.as_ref().map_or(&plan.name, |member| &member.fleet)
}

impl Engine {
    /// The runs that move with this one, itself included.
    pub(super) fn mates(&self, name: &str) -> Vec<String> {
        let Some(run) = self.runs.get(name) else { return Vec::new() };
        match &run.state.plan.member {
            Some(member) => self.applied(&member.fleet),
            None => vec![name.to_owned()],
        }
    }

    /// The present runs that were applied under a name.
    pub(super) fn applied(&self, name: &str) -> Vec<String> {
        let of = |state: &State| applied_as(&state.plan) == name;
        self.runs.iter().filter(|(_, run)| of(&run.state)).map(|(name, _)| name.clone()).collect()
    }

    /// Names of the runs that are not over or have still something to do, or belong to some that are not over: what is
    /// over still ages beside them. While something is tried on what is kept, its time stands still.
    pub(super) fn live(&self) -> Vec<String> {
        let mates = self.fleets().into_iter().map(|fleet| self.applied(&fleet));
        let mates = mates.filter(|names| !fleet::is_over(&self.states(names))).flatten();
        let exercised = |name: &String| self.exercises.get(name).is_some_and(|slot| slot.live().is_some());
        let live =
            |name: &String, state: &State| !state.is_over() || state.has_post_run_work() && !exercised(name);
        let alone =
            self.runs.iter().filter(|(name, run)| live(name, &run.state)).map(|(name, _)| name.clone());
        alone.chain(mates).collect::<BTreeSet<String>>().into_iter().collect()
    }

    /// The states of some runs.
    pub(super) fn states(&self, names: &[String]) -> Vec<&State> {
        names.iter().filter_map(|name| self.runs.get(name)).map(|run| &run.state).collect()
    }

    /// The run that speaks for what was applied under a name: itself, or its first member that is under way.
    pub(super) fn lead(&self, name: &str) -> Option<&State> {
        let states = self.states(&self.applied(name));
        states.iter().find(|state| !state.is_over()).or(states.first()).copied()
    }

    /// The names that are fleets.
    pub(super) fn fleets(&self) -> BTreeSet<String> {
        let members = self.runs.values().filter_map(|run| run.state.plan.member.as_ref());
        members.map(|member| member.fleet.clone()).collect()
    }

    /// Whom a typed name means: the members of a fleet, or one run.
    pub(super) fn meant(&self, name: &str) -> Result<Vec<String>, Refusal> {
        let members = self.applied(name);
        if members.is_empty() {
            self.there_is(name)?;
            return Ok(vec![name.to_owned()]);
        }
        Ok(members)
    }

    /// Why these plans cannot have their names: another rollout has one of them.
    pub(super) fn taken(&self, name: &str, plans: &[Plan]) -> Option<String> {
        let fleets = self.fleets();
        plans.iter().map(|plan| plan.name.as_str()).chain([name]).find_map(|wanted| {
            let owner = self
                .runs
                .get(wanted)
                .map(|run| applied_as(&run.state.plan))
                .or_else(|| fleets.contains(wanted).then_some(wanted));
            let owner = owner.filter(|owner| *owner != name)?;
            let whose =
                if owner == wanted { "another rollout".to_owned() } else { format!("a member of {owner}") };
            Some(format!("{wanted} is {whose}: rename the rollout, or the model or region it is made of"))
        })
    }

    /// Regions of which no proxy is there: they wait until one is.
    pub(super) fn unknown_regions(&self, plans: &[Plan]) -> Option<String> {
        let named = plans.iter().filter_map(|plan| plan.member.as_ref()?.region.as_deref());
        let known = self.registry.regions();
        let unknown: BTreeSet<&str> = named.filter(|region| !known.contains(region)).collect();
        let list = |names: Vec<&str>| names.join(", ");
        let seen = if known.is_empty() {
            "none: proxies name theirs in node.locality.region of their bootstrap".to_owned()
        } else {
            list(known.into_iter().collect())
        };
        (!unknown.is_empty()).then(|| {
            format!(
                "warning: spec.regions: no proxy of {} is connected, so it waits for one; regions seen: {seen}",
                list(unknown.into_iter().collect())
            )
        })
    }

    /// What a person wants of everybody a name means.
    /// `seen`: the person said what it was seen as; `acted`: it is not to be done twice.
    pub(super) async fn act_on(
        &mut self,
        name: &str,
        event: Event,
        seen: bool,
        acted: Option<Acted>,
    ) -> Result<(), Refusal> {
        let whom = self.meant(name)?;
        let states = self.states(&whom);
        let whole = states.first().is_some_and(|state| state.plan.name != name);
        let events = if whole {
            fleet::acts(&states, &event).map_err(|why| Refusal::Conflict(format!("{name}: {why}")))?
        } else {
            for state in &states {
                state.allows(&event).map_err(|why| Refusal::Conflict(format!("{name}: {why}")))?;
                if state.is_over() && !state.accepts_after_end(&event) {
                    return Err(Refusal::Conflict(format!("{name} is over: {}", state.message())));
                }
            }
            vec![(0, event)]
        };
        if !seen {
            let meant = events.iter().filter_map(|(index, event)| Some((*states.get(*index)?, event)));
            meant.into_iter().try_for_each(|(state, event)| self.is_settled(name, state, event))?;
        }
        let before: Vec<_> = states.into_iter().map(shape).collect();
        let mates = self.mates(whom.first().map_or(name, String::as_str));
        let place =
            |index: usize| whom.get(index).and_then(|name| mates.iter().position(|mate| mate == name));
        let events = events.into_iter().filter_map(|(index, event)| Some((place(index)?, event)));
        let mut events: Vec<(usize, Event)> = events.collect();
        if let Some(acted) = acted {
            let those: Vec<usize> = events.iter().map(|(index, _)| *index).collect();
            events.extend(those.into_iter().map(|index| (index, Event::Acted(acted.clone()))));
        }
        self.try_together(&mates, events).await.map_err(|error| Refusal::unwritten(&error))?;
        let states = self.states(&whom);
        if before == states.iter().map(|state| shape(state)).collect::<Vec<_>>() {
            let phase = fleet::phase(&states);
            return Err(Refusal::Conflict(format!("that changes nothing while {name} is {phase}")));
        }
        Ok(())
    }

    /// An earlier run, as it ended; of a fleet with its members.
    pub(super) fn past(&self, name: &str, run: u64) -> Result<Box<PastView>, Refusal> {
        let past = self.journal.past_runs(name, run).map_err(|error| Refusal::unread(&error))?;
        let states: Vec<&State> = past.iter().collect();
        match states.as_slice() {
            [] => Err(Refusal::Unknown(format!("{name} has no earlier run {run}"))),
            [one] if one.plan.name == name => Ok(Box::new(PastView { run: one.view(), members: Vec::new() })),
            _ => {
                let members = states.iter().map(|state| state.view()).collect();
                Ok(Box::new(PastView { run: fleet::view(name, &states), members }))
            }
        }
    }
}

/// What a person's act would change.
fn shape(state: &State) -> (rollout::Phase, usize, Vec<rollout::StageRecord>, u64, Option<usize>) {
    (state.phase.clone(), state.stage, state.stages.clone(), state.revision, state.permitted)
}

#[cfg(test)]
mod tests;
