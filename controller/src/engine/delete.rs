//! Deletes a rollout that is over: it leaves the policy, and the filter no longer touches its requests. Its runs stay in the
//! store like all earlier ones.

use rollout::{Acted, Event, Human, State, fleet};
use serde_json::json;

use super::commit::{Draft, PastRun};
use super::exercise::ExerciseState;
use super::{Conditions, Engine, Refusal};
use store::{Entry, Kind};

/// What it is: a key stands for it.
const DELETE: &str = "delete";

impl Engine {
    /// Lets go of what was applied under a name, if it is what was seen, and once: a rollout of the same name that was
    /// applied since is another.
    pub(super) async fn delete_if(
        &mut self,
        name: &str,
        human: &Human,
        conditions: &Conditions,
    ) -> Result<(), Refusal> {
        if self.was_done(name, DELETE, conditions)? || self.was_deleted(name, conditions)? {
            return Ok(());
        }
        self.expect(name, conditions)?;
        self.delete(name, human, conditions.acted(DELETE)).await
    }

    /// Was it deleted under this key? What is gone is asked of the store.
    fn was_deleted(&self, name: &str, conditions: &Conditions) -> Result<bool, Refusal> {
        let Some(acted) = conditions.acted(DELETE) else { return Ok(false) };
        let last = self.journal.last(name).map_err(|error| Refusal::unread(&error))?;
        let Some(last) = last else { return Ok(false) };
        let past = self.journal.past_runs(name, last.run).map_err(|error| Refusal::unread(&error))?;
        Ok(past.iter().any(|state| state.acted.contains(&acted)))
    }

    /// `acted`: the key it is done under.
    async fn delete(&mut self, name: &str, human: &Human, acted: Option<Acted>) -> Result<(), Refusal> {
        let whom = self.meant(name)?;
        let states = self.states(&whom);
        if let Some(member) = states.iter().find_map(|state| state.plan.member.as_ref())
            && member.fleet != name
        {
            let fleet = &member.fleet;
            let why = format!("{name} is a member of {fleet}: delete {fleet}, or apply {fleet} without it");
            return Err(Refusal::Conflict(why));
        }
        if !fleet::is_over(&states) {
            let phase = fleet::phase(&states);
            let why =
                format!("{name} is {phase}: take it back first, or wait for its end (serin abort {name})");
            return Err(Refusal::Conflict(why));
        }
        if let Some(live) =
            whom.iter().find_map(|name| self.exercises.get(name).and_then(ExerciseState::live))
        {
            let why =
                format!("a {} of {name} is under way: end it first (serin abort {name})", live.kind().name());
            return Err(Refusal::Conflict(why));
        }
        if states.iter().any(|state| state.is_to_tell()) && human.reason.trim().is_empty() {
            let why = format!(
                "{name} keeps a version warm, or a hook after its end is to be called: wait for that (serin get {name}), or \
                 give a reason to let go of it with nobody told"
            );
            return Err(Refusal::Conflict(why));
        }
        let why = Some(human.reason.clone()).filter(|reason| !reason.is_empty());
        // Proxies that were away hear of it by the generation, as of everything else.
        let detail = json!({"generation": self.mesh.generation + 1});
        let entry =
            Entry { who: Some(human.who.clone()), why, ..Entry::new(clock::unix_ms(), Kind::Act, "delete") };
        let entry = entry.with(&detail);
        let past = whom
            .iter()
            .filter_map(|name| self.runs.get(name))
            .map(|run| PastRun { state: with_key(&run.state, acted.as_ref()), entries: vec![entry.clone()] });
        let past = past.collect();
        let draft = Draft { past, unqueue: Some(name.to_owned()), republish: true, ..Draft::default() };
        self.commit(draft).await.map_err(|error| Refusal::unwritten(&error))?;
        tracing::info!(rollout = name, "deleted for {}", human.who);
        self.publish().await;
        self.show_applied(name, &whom);
        Ok(())
    }
}

/// The state with the key of what was done to it last.
fn with_key(state: &State, acted: Option<&Acted>) -> State {
    acted.map_or_else(
        || state.clone(),
        |acted| rollout::step(state.clone(), &Event::Acted(acted.clone()), clock::now()).0,
    )
}
