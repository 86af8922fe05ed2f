//! The one way in which runs, exercises and deletions change the world.
//!
//! ```text
//! [ Draft ] -> number: generation, revocations, journal -> write -> adopt -> carry out: publish, revoke, hooks
//! ```
//!
//! Nobody sees a decision before it is on the disk. A disk that refuses stops whatever raises a weight, and nothing that
//! takes traffic back: that holds from memory, and is written as soon as the disk takes it.

use anyhow::Result;
use rollout::fleet::Moved;
use rollout::{Below, Effect, Event, Exercise, Practised, State};
use store::{Change, Entry, ExerciseWriting, Stored, Writing};

use super::exercise::ExerciseState;
use super::run::Run;
use super::{Engine, record};
use crate::clock;

/// What is to change together, before anything of it is numbered or written.
#[derive(Default)]
pub(super) struct Draft {
    pub runs: Vec<RunDraft>,
    pub exercise: Option<ExerciseDraft>,
    /// Runs that end for good.
    pub past: Vec<PastRun>,
    /// Nothing waits under this name any more.
    pub unqueue: Option<String>,
    /// Proxies are to hear of it although no run publishes: something is in the policy no longer.
    pub republish: bool,
}

/// A run that takes a step.
pub(super) struct RunDraft {
    pub state: State,
    pub heard: Event,
    pub effects: Vec<Effect>,
    pub begins: Option<Beginning>,
}

/// A run that was not there before.
pub(super) struct Beginning {
    pub spec: String,
    /// Before its first step.
    pub before: State,
}

/// An exercise that takes a step.
pub(super) struct ExerciseDraft {
    pub exercise: Exercise,
    pub effects: Vec<Effect>,
    /// It was not there before.
    pub begins: bool,
    /// It begins: how far the practice of its kind is with that.
    pub practised: Option<Practised>,
}

/// A run as it ends for good, and what is still to be said of it.
pub(super) struct PastRun {
    pub state: State,
    pub entries: Vec<Entry>,
}

/// A draft with its numbers: what the store is told, and the proxies.
struct Numbered {
    draft: Draft,
    /// The generation of the last policy.
    generation: u64,
    /// Of each run that moves: the generation of its last publication.
    of_runs: Vec<u64>,
    /// Of the exercise.
    of_exercise: u64,
    /// Rollouts that are taken back, each with the generation below which nobody vouches for it.
    revoked: Vec<(String, u64)>,
    /// Lines of the journal: of each run, and of the exercise.
    run_entries: Vec<Vec<Entry>>,
    exercise_entries: Vec<Entry>,
}

impl RunDraft {
    /// A run that is there takes a step.
    pub fn step(moved: Moved) -> Option<(usize, Self)> {
        let Moved { index, mut heard, state, effects } = moved;
        let heard = (!heard.is_empty()).then(|| heard.swap_remove(0))?;
        Some((index, Self { state, heard, effects, begins: None }))
    }
}

impl Draft {
    fn effects(&self) -> impl Iterator<Item = &Effect> {
        let of_runs = self.runs.iter().flat_map(|run| &run.effects);
        of_runs.chain(self.exercise.iter().flat_map(|exercise| &exercise.effects))
    }

    /// Does anything change but evidence, which is written now and then?
    fn decides(&self) -> bool {
        self.effects().next().is_some() || self.is_new()
    }

    /// Is it more than steps of what is there? That is undone by nothing, so it must be on the disk.
    fn is_new(&self) -> bool {
        let begins = self.runs.iter().any(|run| run.begins.is_some());
        let exercise = self.exercise.as_ref().is_some_and(|exercise| exercise.begins);
        begins || exercise || !self.past.is_empty() || self.unqueue.is_some() || self.republish
    }

    /// Does it hold although the disk refuses?
    fn takes_back(&self) -> bool {
        !self.is_new() && self.effects().all(Effect::takes_back)
    }
}

impl Engine {
    /// Changes the world, or says why it stays as it was.
    pub(super) async fn commit(&mut self, draft: Draft) -> Result<()> {
        let mut numbered = self.number(draft);
        self.write(&mut numbered)?;
        let effects = self.adopt(numbered);
        self.carry_out_all(effects).await;
        Ok(())
    }

    fn number(&self, draft: Draft) -> Numbered {
        let publishes =
            |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Publish(_)));
        let any = draft.republish || draft.effects().any(|effect| matches!(effect, Effect::Publish(_)));
        // One publication for all of it.
        let generation = if any { self.mesh.generation + 1 } else { self.mesh.generation };
        let own = |effects: &[Effect], before: u64| if publishes(effects) { generation } else { before };
        let mut revoked = Vec::new();
        let mut revoke = |name: &str, effects: &[Effect], own: u64| {
            for effect in effects {
                let Effect::Revoke { below } = effect else { continue };
                let below = match below {
                    Below::LastPublished => own,
                    Below::InForce => generation + 1,
                };
                revoked.push((name.to_owned(), below));
            }
        };
        let (mut of_runs, mut run_entries) = (Vec::new(), Vec::new());
        for run in &draft.runs {
            let name = &run.state.plan.name;
            let known = self.runs.get(name).filter(|_| run.begins.is_none());
            let own =
                own(&run.effects, known.map_or(self.mesh.generation, |run| run.acknowledged.generation));
            revoke(name, &run.effects, own);
            of_runs.push(own);
            let before = run.begins.as_ref().map(|begins| &begins.before).or(known.map(|run| &run.state));
            run_entries.push(before.map_or_else(Vec::new, |before| {
                record::entries(before, &run.heard, &run.state, &run.effects, own)
            }));
        }
        let (mut of_exercise, mut exercise_entries) = (0, Vec::new());
        if let Some(ExerciseDraft { exercise, effects, .. }) = &draft.exercise {
            let before = self.exercises.get(exercise.name()).map_or(0, |known| known.acknowledged.generation);
            of_exercise = own(effects, before);
            revoke(exercise.name(), effects, of_exercise);
            exercise_entries = record::of_effects(effects, clock::unix_ms(), of_exercise);
        }
        Numbered { draft, generation, of_runs, of_exercise, revoked, run_entries, exercise_entries }
    }

    /// Writes it down, if it decides anything.
    fn write(&mut self, numbered: &mut Numbered) -> Result<()> {
        let Numbered { draft, generation, of_runs, revoked, run_entries, exercise_entries, .. } = numbered;
        // Lines of runs that are there wait with them until they are written.
        let mut lines = Vec::with_capacity(draft.runs.len());
        for (draft, entries) in draft.runs.iter().zip(run_entries.iter_mut()) {
            let known = self.runs.get_mut(&draft.state.plan.name).filter(|_| draft.begins.is_none());
            lines.extend(known.map(|run| {
                let before = run.unwritten.len();
                run.unwritten.append(entries);
                run.changed = true;
                (draft.state.plan.name.clone(), before)
            }));
        }
        if !draft.decides() {
            return Ok(());
        }
        let runs = draft.runs.iter().zip(of_runs.iter()).zip(run_entries.iter());
        let runs = runs.filter_map(|((draft, &generation), entries)| {
            let state = &draft.state;
            if let Some(begins) = &draft.begins {
                return Some(Writing { spec: &begins.spec, state, generation, entries, samples: &[] });
            }
            Some(Writing { state, generation, ..self.runs.get(&state.plan.name)?.writing() })
        });
        let past = draft.past.iter().filter_map(|past| {
            let known = self.runs.get(&past.state.plan.name)?;
            Some(Writing { state: &past.state, entries: &past.entries, ..known.writing() })
        });
        let exercise = draft.exercise.as_ref().map(|draft| {
            let name = draft.exercise.name();
            let known = self.exercises.get(name).map_or(&[][..], |known| &known.unwritten);
            let entries: Vec<Entry> = known.iter().chain(exercise_entries.iter()).cloned().collect();
            (draft, entries)
        });
        let exercise = exercise.as_ref().map(|(draft, entries)| ExerciseWriting {
            exercise: &draft.exercise,
            run: draft.exercise.run(),
            entries,
            practised: draft.practised.as_ref(),
        });
        // What was taken back while the disk refused is not known to it yet.
        let mut all_revoked = Vec::new();
        let revoked: &[(String, u64)] = if self.upkeep.revocations_unsaved {
            all_revoked.extend(self.mesh.revoked_below.iter().map(|(name, below)| (name.clone(), *below)));
            all_revoked.extend(revoked.iter().cloned());
            &all_revoked
        } else {
            revoked
        };
        let written = self.journal.commit(&Change {
            runs: &runs.collect::<Vec<_>>(),
            past: &past.collect::<Vec<_>>(),
            exercises: exercise.as_slice(),
            unqueue: draft.unqueue.as_deref(),
            generation: *generation,
            revoked,
        });
        let holds = written.is_err() && draft.takes_back();
        for (name, before) in &lines {
            let Some(run) = self.runs.get_mut(name) else { continue };
            match &written {
                Ok(()) => run.written(),
                Err(_) if holds => run.unsaved = true,
                Err(_) => run.unwritten.truncate(*before),
            }
        }
        if let Some(known) =
            draft.exercise.as_ref().and_then(|draft| self.exercises.get_mut(draft.exercise.name()))
        {
            match &written {
                Ok(()) => known.written(),
                Err(_) if holds => {
                    known.unsaved = true;
                    known.unwritten.append(exercise_entries);
                }
                Err(_) => {}
            }
        }
        match written {
            Ok(()) => (self.upkeep.disk_refuses, self.upkeep.revocations_unsaved) = (false, false),
            Err(error) if holds => {
                self.upkeep.revocations_unsaved |= !revoked.is_empty();
                self.unwritten(&error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What was decided, and written, holds from here on; returns what is to be done, each with its rollout.
    fn adopt(&mut self, numbered: Numbered) -> Vec<(String, Effect)> {
        self.look_at_clocks();
        let Numbered { draft, generation, of_runs, of_exercise, revoked, .. } = numbered;
        self.mesh.generation = generation;
        revoked.iter().for_each(|(name, below)| self.mesh.revoke(name, *below));
        for past in &draft.past {
            self.runs.remove(&past.state.plan.name);
        }
        if let Some(name) = &draft.unqueue {
            self.waiting.remove(name);
        }
        self.publication.pending |= draft.republish;
        let mut effects = Vec::new();
        for (RunDraft { state, effects: of_run, begins, .. }, own) in draft.runs.into_iter().zip(of_runs) {
            let name = state.plan.name.clone();
            let quorum = state.publication.as_ref().is_some_and(|sent| sent.quorum_age_ms.is_some());
            if let Some(Beginning { spec, .. }) = begins {
                let stored = Stored { spec, state, generation: own };
                self.runs.insert(name.clone(), Run::new(stored));
            } else if let Some(run) = self.runs.get_mut(&name) {
                run.state = state;
            }
            let Some(run) = self.runs.get_mut(&name) else { continue };
            if of_run.iter().any(|effect| matches!(effect, Effect::Publish(_))) {
                run.accumulator.unsettle(run.state.epoch);
                run.acknowledged.published(own, self.registry.reasons());
            } else if quorum {
                run.accumulator.settle(clock::unix_ms());
            }
            effects.extend(of_run.into_iter().map(|effect| (name.clone(), effect)));
        }
        if let Some(ExerciseDraft { exercise, effects: of_it, practised, .. }) = draft.exercise {
            let name = exercise.name().to_owned();
            let publishes = of_it.iter().any(|effect| matches!(effect, Effect::Publish(_)));
            let reasons = publishes.then(|| self.registry.reasons());
            let known = self.exercises.entry(name.clone()).or_default();
            known.adopt(exercise, practised, reasons.map(|reasons| (of_exercise, reasons)));
            effects.extend(of_it.into_iter().map(|effect| (name.clone(), effect)));
        }
        effects
    }

    /// Writes what no decision wrote: evidence now and then, and at once what the store would not take when it was
    /// decided. A run that came back must not go up again after a restart because the disk was full.
    pub(super) fn checkpoint(&mut self, every_ns: u64) {
        let due = self.upkeep.checkpoint_due(every_ns);
        let late = |run: &Run| run.unsaved || run.changed && due.of(&run.state);
        let runs: Vec<Writing<'_>> = self.runs.values().filter(|run| late(run)).map(Run::writing).collect();
        let exercises: Vec<&ExerciseState> = self.exercises.values().filter(|known| known.unsaved).collect();
        if runs.is_empty() && exercises.is_empty() && !self.upkeep.revocations_unsaved {
            return;
        }
        let exercises = exercises.into_iter().filter_map(|known| {
            let exercise = known.latest()?;
            let run = exercise.run();
            Some(ExerciseWriting { exercise, run, entries: &known.unwritten, practised: None })
        });
        let revoked = self.mesh.revoked_below.iter().filter(|_| self.upkeep.revocations_unsaved);
        // All of it or nothing: a part that is written must not be written again with the rest.
        let written = self.journal.commit(&Change {
            runs: &runs,
            exercises: &exercises.collect::<Vec<_>>(),
            generation: self.mesh.generation,
            revoked: &revoked.map(|(name, below)| (name.clone(), *below)).collect::<Vec<_>>(),
            ..Change::default()
        });
        match written {
            Ok(()) => {
                self.runs.values_mut().filter(|run| late(run)).for_each(Run::written);
                self.exercises.values_mut().filter(|known| known.unsaved).for_each(ExerciseState::written);
                self.upkeep.revocations_unsaved = false;
                if std::mem::take(&mut self.upkeep.disk_refuses) {
                    tracing::info!("the store can be written again");
                }
            }
            Err(error) => self.unwritten(&error),
        }
    }

    /// Says that the store cannot be written, once until it can.
    pub(super) fn unwritten(&mut self, error: &anyhow::Error) {
        if !std::mem::replace(&mut self.upkeep.disk_refuses, true) {
            tracing::error!("not written, so nothing rises: {error:#}");
        }
    }
}
