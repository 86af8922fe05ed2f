//! What is over is let go: out of the policy, so that its requests are nobody's. Its runs are kept like all earlier ones.

use rollout::{Human, fleet};
use serde_json::json;

use super::commit::{Draft, PastRun};
use super::exercise::ExerciseState;
use super::{Engine, Refusal};
use crate::clock;
use store::{Entry, Kind};

impl Engine {
    /// Lets go of what was applied under a name.
    pub(super) async fn delete(&mut self, name: &str, human: &Human) -> Result<(), Refusal> {
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
            let why = format!("a {} of {name} is under way: end it first (serin abort {name})", live.kind());
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
            .map(|run| PastRun { state: run.state.clone(), entries: vec![entry.clone()] });
        let past = past.collect();
        let draft = Draft { past, unqueue: Some(name.to_owned()), republish: true, ..Draft::default() };
        self.commit(draft).await.map_err(|error| Refusal::unwritten(&error))?;
        tracing::info!(rollout = name, "deleted for {}", human.who);
        self.publish().await;
        self.show();
        Ok(())
    }
}
