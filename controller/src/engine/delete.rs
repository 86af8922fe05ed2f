//! What is over is let go: out of the policy, so that its requests are nobody's. Its runs are kept like all earlier ones.

use rollout::{Human, fleet};
use serde_json::json;

use super::exercise::Slot;
use super::{Engine, Refusal, Run};
use crate::clock;
use store::{Entry, Kind, Mesh, Writing};

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
        if let Some(live) = whom.iter().find_map(|name| self.exercises.get(name).and_then(Slot::live)) {
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
        // Proxies that were away hear of it by the generation, as of everything else.
        let mesh = Mesh { generation: self.generation + 1, revoked_below: self.revoked_below };
        let why = Some(human.reason.clone()).filter(|reason| !reason.is_empty());
        let detail = json!({"generation": mesh.generation});
        let entry =
            Entry { who: Some(human.who.clone()), why, ..Entry::new(clock::unix_ms(), Kind::Act, "delete") };
        let entry = entry.with(&detail);
        let runs = whom.iter().filter_map(|name| self.runs.get(name));
        let last: Vec<(&Run, Vec<Entry>)> =
            runs.map(|run| (run, run.unwritten.iter().cloned().chain([entry.clone()]).collect())).collect();
        let last: Vec<Writing<'_>> =
            last.iter().map(|(run, entries)| Writing { entries, ..run.writing() }).collect();
        self.store.let_go(name, &last, mesh).map_err(|error| Refusal::unwritten(&error))?;
        self.generation = mesh.generation;
        self.waiting.remove(name);
        self.runs.retain(|name, _| !whom.contains(name));
        tracing::info!(rollout = name, "deleted for {}", human.who);
        self.publish().await;
        self.show();
        Ok(())
    }
}
