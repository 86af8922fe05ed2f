//! The one way in which runs, exercises and deletions change the world.
//!
//! ```text
//! [ Draft ] -> number: generation, revocations, journal -> write -> adopt -> carry out: publish, revoke, hooks
//!                                                    taken back: adopt -> begin to write -> carry out
//! ```
//!
//! A decision that raises a weight is on the disk before it is published. A rollback waits for no disk: it holds
//! from memory, and is written as soon as the disk takes it ([`super::writing`]).
//!
//! What waits for its turn (a queued specification, a schedule, a trigger and its versions) is a wish: it has no number and is
//! published to nobody, and has its own small door ([`Engine::wish`]).

use anyhow::Result;
use rollout::fleet::MemberOutcome;
use rollout::{Below, Effect, Event, Exercise, PracticeSchedule, State};
use store::{Decision, Entry, ExerciseRecord, RunRecord, Stored, Writing};

use super::journal::Wish;
use super::run::Run;
use super::{Engine, record};

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
    /// What begins goes back to a version from before: that waits for no disk either.
    pub goes_back: bool,
}

/// A run that takes a step.
pub(super) struct RunDraft {
    pub state: State,
    pub heard: Event,
    pub effects: Vec<Effect>,
    pub begins: Option<NewRun>,
}

/// A run that was not there before.
pub(super) struct NewRun {
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
    pub schedule: Option<PracticeSchedule>,
}

/// A run as it ends for good, and what is to be said of it beside what waits to be written.
pub(super) struct PastRun {
    pub state: State,
    pub entries: Vec<Entry>,
}

/// A draft with its numbers: what the store is told, and the proxies.
pub(super) struct NumberedDraft {
    pub draft: Draft,
    /// The generation of the last policy.
    pub generation: u64,
    /// Of each run that moves: the generation of its last publication.
    of_runs: Vec<u64>,
    /// Of the exercise.
    of_exercise: u64,
    /// Rollouts that are taken back, each with the generation below which no lease is given for it.
    revoked: Vec<(String, u64)>,
    /// Lines of the journal: of each run, and of the exercise.
    run_entries: Vec<Vec<Entry>>,
    exercise_entries: Vec<Entry>,
}

impl RunDraft {
    /// A run that is there takes a step.
    pub fn step(moved: MemberOutcome) -> Option<(usize, Self)> {
        let MemberOutcome { index, mut heard, state, effects } = moved;
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
}

impl NumberedDraft {
    /// It takes effect later than it was numbered: after `generation`.
    pub(super) fn late(&mut self, generation: u64) {
        let publishes =
            self.draft.republish || self.draft.effects().any(|effect| matches!(effect, Effect::Publish(_)));
        let (was, now) = (self.generation, if publishes { generation + 1 } else { generation });
        let own = self.of_runs.iter_mut().chain([&mut self.of_exercise]);
        own.chain(self.revoked.iter_mut().map(|(_, below)| below))
            .filter(|own| publishes && **own == was)
            .for_each(|own| *own = now);
        self.generation = now;
    }
}

impl Engine {
    /// Changes the world, or says why it stays as it was.
    pub(super) async fn commit(&mut self, draft: Draft) -> Result<()> {
        if self.takes_back(&draft) {
            let decides = draft.decides();
            let numbered = self.number(draft);
            let effects = self.adopt(numbered, decides);
            if decides {
                self.maintenance.hurry = true;
                self.write_backlog();
            }
            self.carry_out_all(effects).await;
            return Ok(());
        }
        self.may_write()?;
        let numbered = self.number(draft);
        let numbered = self.write(numbered)?;
        let effects = self.adopt(numbered, false);
        self.carry_out_all(effects).await;
        Ok(())
    }

    /// Writes down what is wished for: the only other write, and no change of the world.
    ///
    /// # Errors
    /// The store refuses, or is slow; then nobody wished for anything.
    pub(super) fn wish(&mut self, wish: Wish) -> Result<()> {
        self.journal.note(wish)
    }

    /// Does it hold although the disk refuses? Evidence does, and whatever exposes no more requests than the policy in force.
    fn takes_back(&self, draft: &Draft) -> bool {
        let of_run = |run: &RunDraft| {
            let known = self.runs.get(&run.state.plan.name).filter(|_| run.begins.is_none());
            let before = known.and_then(|known| known.state.publication.as_ref());
            run.effects.iter().all(|effect| effect.takes_back(before.map(|before| &before.sent.policy)))
        };
        let of_exercise = |draft: &ExerciseDraft| draft.effects.iter().all(|effect| effect.takes_back(None));
        if draft.goes_back {
            return draft.exercise.is_none() && !draft.republish;
        }
        !draft.is_new() && draft.runs.iter().all(of_run) && draft.exercise.iter().all(of_exercise)
    }

    /// All of a draft that raises something, for the store. Lines that wait for their run are written with it.
    pub(super) fn decision(&self, numbered: &NumberedDraft) -> Decision {
        let NumberedDraft { draft, generation, of_runs, revoked, run_entries, exercise_entries, .. } =
            numbered;
        let runs = draft.runs.iter().zip(of_runs).zip(run_entries);
        let runs = runs.filter_map(|((draft, &generation), entries)| {
            let state = &draft.state;
            if let Some(begins) = &draft.begins {
                return Some(
                    Writing { spec: &begins.spec, state, generation, entries, samples: &[] }.record(),
                );
            }
            let known = self.runs.get(&state.plan.name)?;
            let mut record = Writing { state, generation, ..known.writing() }.record();
            record.entries.extend(entries.iter().cloned());
            Some(record)
        });
        let past = draft.past.iter().filter_map(|past| self.past_record(past));
        let exercise = draft.exercise.as_ref().map(|draft| {
            let known = self.exercises.get(draft.exercise.name());
            let known = known.map_or(&[][..], |known| &known.unwritten);
            ExerciseRecord {
                exercise: draft.exercise.clone(),
                entries: known.iter().chain(exercise_entries).cloned().collect(),
                schedule: draft.schedule.clone(),
            }
        });
        Decision {
            runs: runs.collect(),
            past: past.collect(),
            exercises: exercise.into_iter().collect(),
            unqueue: draft.unqueue.iter().cloned().collect(),
            generation: *generation,
            revoked: revoked.clone(),
            ..Decision::default()
        }
    }

    fn past_record(&self, past: &PastRun) -> Option<RunRecord> {
        let known = self.runs.get(&past.state.plan.name)?;
        let mut record = Writing { state: &past.state, ..known.writing() }.record();
        record.entries.extend(past.entries.iter().cloned());
        Some(record)
    }

    fn number(&self, draft: Draft) -> NumberedDraft {
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
        NumberedDraft { draft, generation, of_runs, of_exercise, revoked, run_entries, exercise_entries }
    }

    /// What was decided holds from here on; returns what is to be done, each with its rollout. `unsaved`: the store does not
    /// have it. What decides nothing always waits in the backlog.
    pub(super) fn adopt(&mut self, numbered: NumberedDraft, unsaved: bool) -> Vec<(String, Effect)> {
        self.look_at_clocks();
        let NumberedDraft { draft, generation, of_runs, of_exercise, revoked, run_entries, exercise_entries } =
            numbered;
        let evidence = !draft.decides();
        self.mesh.generation = generation;
        revoked.iter().for_each(|(name, below)| self.mesh.revoke(name, *below));
        self.backlog.mesh |= unsaved && !revoked.is_empty();
        for past in &draft.past {
            let record = self.past_record(past).filter(|_| unsaved);
            self.backlog.past.extend(record);
            self.runs.remove(&past.state.plan.name);
        }
        if let Some(name) = &draft.unqueue {
            self.waiting.remove(name);
            self.backlog.unqueue.extend(unsaved.then(|| name.clone()));
        }
        self.publication.pending |= draft.republish;
        let mut effects = Vec::new();
        let moved = draft.runs.into_iter().zip(of_runs).zip(run_entries);
        for ((RunDraft { state, effects: of_run, begins, .. }, own), entries) in moved {
            let name = state.plan.name.clone();
            let quorum = state.publication.as_ref().is_some_and(|sent| sent.quorum_age_ms.is_some());
            if let Some(NewRun { spec, .. }) = begins {
                let stored = Stored { spec, state, generation: own };
                self.runs.insert(name.clone(), Run::new(stored));
            } else if let Some(run) = self.runs.get_mut(&name) {
                run.adopt(state);
            }
            let Some(run) = self.runs.get_mut(&name) else { continue };
            run.count_move(!of_run.is_empty());
            if unsaved || evidence {
                run.unwritten.extend(entries);
            }
            run.changed |= evidence;
            run.unsaved |= unsaved;
            if of_run.iter().any(|effect| matches!(effect, Effect::Publish(_))) {
                run.accumulator.unsettle(run.state.epoch);
                run.acknowledged.note_published(own, self.registry.reasons());
            } else if quorum {
                run.accumulator.settle(clock::unix_ms());
            }
            effects.extend(of_run.into_iter().map(|effect| (name.clone(), effect)));
        }
        if let Some(ExerciseDraft { exercise, effects: of_it, schedule, .. }) = draft.exercise {
            let name = exercise.name().to_owned();
            let publishes = of_it.iter().any(|effect| matches!(effect, Effect::Publish(_)));
            let reasons = publishes.then(|| self.registry.reasons());
            let known = self.exercises.entry(name.clone()).or_default();
            known.adopt(exercise, schedule, reasons.map(|reasons| (of_exercise, reasons)));
            known.decisions += u64::from(!of_it.is_empty());
            known.unsaved |= unsaved;
            if unsaved {
                known.unwritten.extend(exercise_entries);
            }
            effects.extend(of_it.into_iter().map(|effect| (name.clone(), effect)));
        }
        effects
    }
}
