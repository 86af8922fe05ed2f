//! Under which conditions an act is meant: for what was seen, and once.

use api::{NO_RUN, Refusal};
use rollout::{Acted, Event, State, fleet};

use super::fleets::applied_as;
use super::{Act, Engine};

/// Under which conditions something is asked. Taking traffic back needs none, and is refused for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The revision that was seen; `None`: the request does not say.
    pub expect: Option<String>,
    /// An idempotency key: a request that is repeated under it is not done again.
    pub key: Option<String>,
}

impl Conditions {
    /// What was done under these, to be kept with it.
    pub fn acted(&self, what: &str) -> Option<Acted> {
        self.key.as_ref().map(|key| Acted { key: key.clone(), what: what.to_owned() })
    }
}

impl Act {
    /// What it is, with all it is about: a key stands for it.
    pub(super) fn words(self) -> String {
        match self {
            Self::Abort => "abort".to_owned(),
            Self::Drop(arm) => format!("abort {arm}"),
            Self::Choose(arm) => format!("promote {arm}"),
            Self::Promote => "promote".to_owned(),
            Self::Approve => "approve".to_owned(),
            Self::Pause => "pause".to_owned(),
            Self::Resume => "resume".to_owned(),
            Self::SetWeight(ppm) => format!("set-weight {ppm}"),
        }
    }
}

impl Engine {
    /// A word for what is to be seen of a name: another one whenever a person who acts should look again, which what waits
    /// under it is part of.
    pub(super) fn revision_of(&self, name: &str) -> String {
        let states = self.states_of(name);
        let of_runs = if states.is_empty() { NO_RUN.to_owned() } else { fleet::revision(&states) };
        match self.waiting.get(name) {
            Some(waiting) => format!("{of_runs}-{}", waiting.queued.unix_ms),
            None => of_runs,
        }
    }

    /// The runs a name means, or none.
    fn states_of(&self, name: &str) -> Vec<&State> {
        let applied = self.applied(name);
        if applied.is_empty() { self.states(&[name.to_owned()]) } else { self.states(&applied) }
    }

    /// Is it still what was seen?
    pub(super) fn expect(&self, name: &str, conditions: &Conditions) -> Result<(), Refusal> {
        let now = self.revision_of(name);
        match &conditions.expect {
            Some(seen) if *seen != now => Err(self.moved_on(name, seen)),
            _ => Ok(()),
        }
    }

    /// Is it still the run that was seen? Whatever holds or takes back is meant for wherever it is by now.
    fn expect_run(&self, name: &str, conditions: &Conditions) -> Result<(), Refusal> {
        let run = |revision: &str| revision.split('-').next().map(str::to_owned);
        match &conditions.expect {
            Some(seen) if run(seen) != run(&self.revision_of(name)) => Err(self.moved_on(name, seen)),
            _ => Ok(()),
        }
    }

    fn moved_on(&self, name: &str, seen: &str) -> Refusal {
        let now = self.revision_of(name);
        let states = self.states_of(name);
        let Some(first) = states.first() else {
            let why = format!("there is no run of {name}, and you acted on {seen}; look again (serin get)");
            return Refusal::MovedOn(why);
        };
        let run = states.iter().map(|state| state.run).max().unwrap_or(0);
        let stage = states.iter().filter(|state| !state.stages.is_empty()).map(|state| state.stage + 1).max();
        let weight = states.iter().map(|state| state.weights.canary_ppm).max().unwrap_or(0);
        let at = stage.map_or_else(String::new, |stage| {
            let weight = manifest::Percent::from_ppm(weight);
            format!(" at stage {stage} of {} ({weight})", first.plan.stages.len())
        });
        Refusal::MovedOn(format!(
            "{name} has moved on: run {run} is {}{at}, revision {now}, and you acted on {seen}; look again (serin get {})",
            fleet::phase(&states),
            applied_as(&first.plan),
        ))
    }

    /// Was this done under this key already? Another act under the same key is the caller's mistake.
    pub(super) fn was_done(&self, name: &str, what: &str, conditions: &Conditions) -> Result<bool, Refusal> {
        let Some(key) = &conditions.key else { return Ok(false) };
        let states = self.states_of(name);
        let known = states.iter().flat_map(|state| &state.acted).find(|acted| acted.key == *key);
        match known {
            Some(acted) if acted.what != what => Err(Refusal::Invalid(format!(
                "the key {key:?} was used for another act ({}); give this one a key of its own",
                acted.what
            ))),
            known => Ok(known.is_some()),
        }
    }

    /// May this act be meant for what is there? Taking traffic back is never held up.
    pub(super) fn is_meant(&self, name: &str, act: Act, conditions: &Conditions) -> Result<(), Refusal> {
        match act {
            Act::Abort => Ok(()),
            Act::Drop(_) | Act::Pause => self.expect_run(name, conditions),
            Act::Choose(_) | Act::Promote | Act::Approve | Act::Resume | Act::SetWeight(_) => {
                self.expect(name, conditions)
            }
        }
    }

    /// A promotion that does not say which revision was seen may mean the stage before: two at once count as one.
    pub(super) fn is_settled(&self, name: &str, state: &State, event: &Event) -> Result<(), Refusal> {
        let moves_on = matches!(event, Event::Promote(_) | Event::Choose { .. });
        match state.just_moved().filter(|_| moves_on) {
            Some(why) => Err(Refusal::MovedOn(format!(
                "{name} has only just moved on: {why}; try again in a moment, or say what you act on (header {}: {}, as serin \
                 promote does)",
                api::EXPECT_HEADER,
                self.revision_of(name)
            ))),
            None => Ok(()),
        }
    }
}
