//! A decision for which the store took its time: it takes effect when the store answers, unless something else was decided
//! meanwhile.

use std::time::Duration;

use rollout::{Effect, Event, ExerciseEvent};
use store::{Entry, Kind};

use super::Engine;
use super::commit::NumberedDraft;
use super::writing::WriteInFlight;

/// Events of runs whose decision is late; more than these are not remembered.
const SINCE: usize = 2_000;

/// What takes effect when the store answers.
pub(super) struct Deferred {
    pub numbered: NumberedDraft,
    /// Of each run in it, as it was: its number, and how often something was decided.
    pub before: Vec<(String, Option<(u64, u64)>)>,
    /// Of the exercise in it, how often something was decided.
    pub exercise: Option<(String, u64)>,
    /// It is not to take effect, whatever becomes of it.
    pub void: bool,
    /// What those runs have heard since.
    pub since: Vec<(String, Event)>,
}

impl Engine {
    /// Goes on where the thread that writes is: begins to write what was taken back meanwhile, and adopts a decision for
    /// which the store took its time.
    pub(super) async fn settle_deferred(&mut self) {
        self.hear(Duration::ZERO);
        if self.maintenance.hurry {
            self.write_backlog();
        }
        if self.writing.as_ref().is_none_or(|writing| writing.late.is_none()) {
            return;
        }
        let Some((WriteInFlight { marks, late: Some(late), .. }, outcome)) = self.outcome(Duration::ZERO)
        else {
            return;
        };
        if let Err(error) = outcome {
            return self.unwritten(&error);
        }
        self.noted(marks);
        let decided = |name: &String| self.exercises.get(name).map(|known| known.decisions);
        let another = late.exercise.as_ref().is_some_and(|(name, before)| decided(name) != Some(*before));
        let moved = late.before.iter().any(|(name, before)| self.decided(name) != *before);
        if late.void || another || moved {
            return self.is_void(late);
        }
        let Deferred { mut numbered, before, since, .. } = late;
        tracing::warn!("the store was slow: a decision took effect late");
        numbered.late(self.mesh.generation);
        let begun = numbered.draft.exercise.as_ref().filter(|draft| draft.begins);
        let begun = begun.map(|draft| draft.exercise.name().to_owned());
        let effects: Vec<(String, Effect)> = self.adopt(numbered, false);
        // It went out under another number than is on the disk.
        let moved = before.iter().filter_map(|(name, _)| Some((name, self.runs.get(name)?.state.run)));
        let moved: Vec<String> = moved.map(|(name, _)| name.clone()).collect();
        for name in &moved {
            if let Some(run) = self.runs.get_mut(name) {
                run.unsaved = true;
            }
        }
        self.carry_out_all(effects).await;
        if let Some(name) = begun {
            self.exercise(&name, &ExerciseEvent::Begin).await;
        }
        for (name, event) in since {
            self.replay(&name, &event).await;
        }
        self.show();
    }

    /// Something else was decided while the store was slow: that holds, and is written over what the store took.
    pub(super) fn is_void(&mut self, late: Deferred) {
        // The store has seen its number: what is decided next has a higher one, by which the two are told apart.
        self.mesh.generation = self.mesh.generation.max(late.numbered.generation);
        if let Some(known) = late.exercise.and_then(|(name, _)| self.exercises.get_mut(&name)) {
            known.unsaved = true;
        }
        let begun = late.numbered.draft.runs.iter().filter(|run| run.begins.is_some());
        self.backlog.void.extend(begun.map(|run| (run.state.plan.name.clone(), run.state.run)));
        for (name, _) in late.before {
            let Some(run) = self.runs.get_mut(&name) else {
                self.backlog.gone.push(name);
                continue;
            };
            let what = "what was decided before this is not done: the store took it too late";
            run.unwritten.push(Entry::new(clock::unix_ms(), Kind::Record, what));
            run.unsaved = true;
        }
        self.write_backlog();
    }

    /// Whatever is late is not to take effect any more.
    pub(super) fn void_late(&mut self) {
        if let Some(late) = self.writing.as_mut().and_then(|writing| writing.late.as_mut()) {
            late.void = true;
        }
    }

    /// Is a decision late?
    pub(super) fn is_late(&self) -> bool {
        self.writing.as_ref().is_some_and(|writing| writing.late.is_some())
    }

    /// What a run heard while a decision about it is late: it is told again when that takes effect.
    pub(super) fn heard_meanwhile(&mut self, name: &str, event: &Event) {
        let Some(late) = self.writing.as_mut().and_then(|writing| writing.late.as_mut()) else { return };
        if late.since.len() < SINCE && late.before.iter().any(|(known, _)| known == name) {
            late.since.push((name.to_owned(), event.clone()));
        }
    }
}
