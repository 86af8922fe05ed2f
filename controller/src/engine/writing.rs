//! What the store is told, and when.
//!
//! One write is under way at a time. Whatever raises a weight waits for its own, and for the backlog before it; a disk that
//! takes longer than [`PATIENCE`] is waited for no more, and the decision is adopted when it answers, unless something else was
//! decided meanwhile. What takes back goes into the backlog: it holds already, and is written as soon as the store takes it.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use rollout::State;
use store::{Decision, ExerciseRecord, RunRecord, Stored};

use super::commit::NumberedDraft;
use super::deferred::Deferred;
use super::journal::Written;
use super::run::Run;
use super::store_writer::PATIENCE;
use super::{Engine, maintenance};

/// A rollback is answered when it is written, or after this long with a warning that it is not written yet.
const ANSWER: Duration = Duration::from_millis(300);

/// A store that refuses is tried again after this long.
const AGAIN: Duration = Duration::from_secs(1);

/// A refusal that took longer than this held the engine up: nothing that rises is tried again before [`AGAIN`].
const LONG: Duration = Duration::from_millis(50);

/// At the end of the process a write is waited for this long.
const LAST: Duration = Duration::from_secs(2);

/// Documents that are remembered to be written; older ones make room.
const PUBLISHED: usize = 1_000;

/// What holds and belongs to no run or exercise that is there.
#[derive(Clone, Default)]
pub(super) struct WriteBacklog {
    /// Runs as they ended for good.
    pub past: Vec<RunRecord>,
    /// Nothing waits under these names any more.
    pub unqueue: Vec<String>,
    /// No run bears these names.
    pub gone: Vec<String>,
    /// Runs that never took effect, although the store has them or will: name and number.
    pub void: Vec<(String, u64)>,
    /// Documents that went out, each as generation and digest. It delays nothing that they are not written.
    pub published: Vec<(u64, u64)>,
    /// Something was revoked, or the incarnation is another.
    pub mesh: bool,
}

/// A write under way.
pub(super) struct WriteInFlight {
    written: Written,
    pub marks: Watermarks,
    /// Does it hold already?
    holds: bool,
    /// A decision that waits for it; `None`: none does.
    pub late: Option<Deferred>,
    /// Was it waited for in vain? One wait is enough: the engine has others to serve.
    waited: bool,
}

/// How much of what was to be said is in it.
pub(super) struct Watermarks {
    runs: Vec<RunWatermark>,
    /// Name, how often something was decided of it, lines.
    exercises: Vec<(String, u64, usize)>,
    backlog: WriteBacklog,
}

struct RunWatermark {
    name: String,
    run: u64,
    /// Moves and decisions.
    moves: (u64, u64),
    lines: usize,
    /// Counted from the run's first.
    samples: u64,
}

impl WriteBacklog {
    fn is_empty(&self) -> bool {
        let Self { past, unqueue, gone, void, published: _, mesh } = self;
        past.is_empty() && unqueue.is_empty() && gone.is_empty() && void.is_empty() && !mesh
    }

    fn extend(&mut self, other: Self) {
        self.past.splice(0..0, other.past);
        self.unqueue.extend(other.unqueue);
        self.gone.extend(other.gone);
        self.void.extend(other.void);
        self.published.splice(0..0, other.published);
        let surplus = self.published.len().saturating_sub(PUBLISHED);
        self.published.drain(..surplus);
        self.mesh |= other.mesh;
    }
}

impl RunWatermark {
    fn of(run: &Run) -> Self {
        Self {
            name: run.state.plan.name.clone(),
            run: run.state.run,
            moves: (run.moves, run.decisions),
            lines: run.unwritten.len(),
            samples: run.samples_end(),
        }
    }
}

impl Engine {
    /// What the last process took back and could not write holds, where the store does not know better.
    pub(super) fn load_held(&mut self, held: Option<Decision>) {
        let Some(held) = held.filter(|held| held.incarnation >= self.mesh.incarnation) else { return };
        if held.incarnation > self.mesh.incarnation {
            // The last process began one, and could not write that down either.
            self.mesh.incarnation = held.incarnation;
            self.publication.begin_incarnation(held.incarnation);
        }
        self.leave_out(&held);
        let mut names = Vec::new();
        for record in held.runs {
            let name = record.state.plan.name.clone();
            let place = |state: &State| (state.run, state.epoch, state.age_ms);
            if self.runs.get(&name).is_some_and(|known| place(&known.state) >= place(&record.state)) {
                continue;
            }
            tracing::warn!(rollout = name, "taken back by the last process, which could not write it down");
            let RunRecord { spec, state, generation, entries, .. } = record;
            let mut run = Run::new(Stored { spec, state, generation });
            (run.unwritten, run.unsaved) = (entries, true);
            self.runs.insert(name.clone(), run);
            names.push(name);
        }
        self.backlog.past.retain(|past| !names.contains(&past.state.plan.name));
        let of_these = |past: &RunRecord| names.contains(&past.state.plan.name);
        self.backlog.past.extend(held.past.into_iter().filter(of_these));
        self.backlog.unqueue = held.unqueue.into_iter().filter(|name| names.contains(name)).collect();
        for name in &self.backlog.unqueue {
            self.waiting.remove(name);
        }
        for ExerciseRecord { exercise, entries, .. } in held.exercises {
            self.exercises.entry(exercise.name().to_owned()).or_default().restore(exercise, entries);
        }
        self.backlog.mesh = true;
        self.mesh.generation = held.generation.max(self.mesh.generation);
        for (name, below) in held.revoked {
            self.mesh.revoke(&name, below);
        }
    }

    /// What the tables have and what holds does not: runs that never took effect, and those that ended with no other after
    /// them. What was written after the reserve has a higher generation, and stays.
    fn leave_out(&mut self, held: &Decision) {
        let known = |name: &String| {
            let run = self.runs.get(name)?;
            (run.acknowledged.generation <= held.generation).then_some(run.state.run)
        };
        let void = held.void.iter().filter(|(name, number)| known(name) == Some(*number));
        let (void, gone): (Vec<_>, Vec<_>) = (
            void.cloned().collect(),
            held.gone.iter().filter(|name| known(name).is_some()).cloned().collect(),
        );
        let past = held.past.iter().filter(|past| known(&past.state.plan.name) == Some(past.state.run));
        let past: Vec<RunRecord> = past.cloned().collect();
        let names = void.iter().map(|(name, _)| name).chain(&gone);
        for name in names.chain(past.iter().map(|past| &past.state.plan.name)) {
            if self.runs.remove(name).is_some() {
                tracing::warn!(
                    rollout = name,
                    "gone by a decision of the last process, which could not write it down"
                );
            }
        }
        // A name that is written anew is not gone: the store takes out first and puts in then.
        let names = void.iter().map(|(name, _)| name.clone());
        self.backlog.gone.extend(names.chain(gone));
        self.backlog.void.extend(void);
        self.backlog.past.extend(past);
    }

    /// Must a decision that raises something be refused now, because it could not be written?
    pub(super) fn may_write(&mut self) -> Result<()> {
        self.hear(PATIENCE);
        if self.owes() {
            self.write_backlog();
            self.hear(PATIENCE);
        }
        if self.writing.is_some() {
            bail!("the store is slow: what was to be written before is not on the disk yet");
        }
        match &self.maintenance.refusal {
            Some((why, until)) if self.owes() || *until > Instant::now() => bail!("{why}"),
            _ => Ok(()),
        }
    }

    /// Writes down what raises something, and gives it back when it is on the disk.
    pub(super) fn write(&mut self, numbered: NumberedDraft) -> Result<NumberedDraft> {
        let decision = self.decision(&numbered);
        let names = numbered.draft.runs.iter().map(|run| &run.state.plan.name);
        let known = names.clone().filter_map(|name| self.runs.get(name));
        let runs = known.map(RunWatermark::of).collect();
        let exercise = numbered.draft.exercise.as_ref().and_then(|draft| {
            let name = draft.exercise.name();
            let known = self.exercises.get(name)?;
            Some((name.to_owned(), known.decisions, known.unwritten.len()))
        });
        let exercises: Vec<(String, u64, usize)> = exercise.into_iter().collect();
        let exercise = exercises.first().map(|(name, decisions, _)| (name.clone(), *decisions));
        let marks = Watermarks { runs, exercises, backlog: WriteBacklog::default() };
        let past = numbered.draft.past.iter().map(|past| &past.state.plan.name);
        let before = names.chain(past).map(|name| (name.clone(), self.decided(name))).collect();
        let begun = Instant::now();
        let written = self.journal.begin(decision);
        self.writing = Some(WriteInFlight { written, marks, holds: false, late: None, waited: false });
        match self.outcome(PATIENCE) {
            Some((done, Ok(()))) => {
                self.noted(done.marks);
                Ok(numbered)
            }
            Some((_, Err(error))) => {
                if begun.elapsed() > LONG {
                    self.maintenance.refusal = Some((format!("{error:#}"), Instant::now() + AGAIN));
                }
                Err(error)
            }
            None => {
                if let Some(writing) = &mut self.writing {
                    let (void, since) = (false, Vec::new());
                    writing.late = Some(Deferred { numbered, before, exercise, void, since });
                }
                Err(anyhow!(
                    "the store is slow, it has not answered within {} ms; what was wanted is done when it does: look \
                     (serin get) before you try again",
                    PATIENCE.as_millis()
                ))
            }
        }
    }

    pub(super) fn decided(&self, name: &str) -> Option<(u64, u64)> {
        self.runs.get(name).map(|run| (run.state.run, run.decisions))
    }

    /// Is there anything that holds and is not on the disk?
    pub(super) fn owes(&self) -> bool {
        self.writing.as_ref().is_some_and(|writing| writing.holds)
            || self.runs.values().any(|run| run.unsaved)
            || self.exercises.values().any(|known| known.unsaved)
            || !self.backlog.is_empty()
    }

    /// Begins to write what holds already, unless a write is under way: then that is heard of first.
    pub(super) fn write_backlog(&mut self) {
        self.checkpoint(u64::MAX);
    }

    /// Writes what no decision wrote: evidence now and then, and at once what holds and the store does not have. A run that
    /// came back must not go up again after a restart because the disk was full.
    pub(super) fn checkpoint(&mut self, every_ns: u64) {
        self.hear(Duration::ZERO);
        if self.writing.is_some() || self.maintenance.pauses() && !self.maintenance.hurry {
            return;
        }
        self.maintenance.hurry = false;
        let due = self.maintenance.checkpoint_due(every_ns);
        let late = |run: &&Run| run.unsaved || run.changed && due.of(&run.state);
        let runs: Vec<&Run> = self.runs.values().filter(late).collect();
        let exercises: Vec<_> = self.exercises.values().filter(|known| known.unsaved).collect();
        // A store that refused is asked again, whether there is anything to write or not.
        let nothing = self.backlog.is_empty() && (self.backlog.published.is_empty() || !due.live());
        if runs.is_empty() && exercises.is_empty() && nothing && !self.maintenance.disk_refuses {
            return;
        }
        let holds = self.owes();
        let marks = Watermarks {
            runs: runs.iter().map(|run| RunWatermark::of(run)).collect(),
            exercises: exercises
                .iter()
                .filter_map(|known| {
                    Some((known.latest()?.name().to_owned(), known.decisions, known.unwritten.len()))
                })
                .collect(),
            backlog: self.backlog.clone(),
        };
        let exercises = exercises.into_iter().filter_map(|known| {
            let (exercise, entries) = (known.latest()?.clone(), known.unwritten.clone());
            Some(ExerciseRecord { exercise, entries, schedule: None })
        });
        let revoked = self.mesh.revoked_below.iter().filter(|_| self.backlog.mesh);
        let WriteBacklog { past, unqueue, gone, void, published, .. } = self.backlog.clone();
        let decision = Decision {
            runs: runs.into_iter().map(|run| run.writing().record()).collect(),
            past,
            exercises: exercises.collect(),
            unqueue,
            gone,
            void,
            published,
            incarnation: self.mesh.incarnation,
            generation: self.mesh.generation,
            revoked: revoked.map(|(name, below)| (name.clone(), *below)).collect(),
            holds,
            evidence: !holds,
        };
        self.backlog = WriteBacklog::default();
        let written = self.journal.begin(decision);
        self.writing = Some(WriteInFlight { written, marks, holds, late: None, waited: false });
        self.hear(Duration::ZERO);
    }

    /// Takes the outcome of the write under way, if no decision waits for it.
    pub(super) fn hear(&mut self, patience: Duration) {
        if self.writing.as_ref().is_none_or(|writing| writing.late.is_some()) {
            return;
        }
        let elsewhere =
            self.writing.as_ref().is_some_and(|writing| matches!(writing.written, Written::WriteInFlight(_)));
        let waited = self.writing.as_ref().is_some_and(|writing| writing.waited);
        let patience = if waited && patience < LAST { Duration::ZERO } else { patience };
        match self.outcome(patience) {
            Some((done, Ok(()))) => self.noted(done.marks),
            Some((done, Err(error))) => {
                self.backlog.extend(done.marks.backlog);
                self.unwritten(&error);
                let until = if elsewhere { Instant::now() + AGAIN } else { Instant::now() };
                self.maintenance.refusal = Some((format!("{error:#}"), until));
            }
            None => {
                if let Some(writing) = &mut self.writing {
                    writing.waited |= !patience.is_zero();
                }
            }
        }
    }

    pub(super) fn outcome(&mut self, patience: Duration) -> Option<(WriteInFlight, Result<()>)> {
        let outcome = self.writing.as_mut()?.written.wait(patience)?;
        Some((self.writing.take()?, outcome))
    }

    /// The store has all that was marked.
    pub(super) fn noted(&mut self, marks: Watermarks) {
        for mark in marks.runs {
            if let Some(run) = self.runs.get_mut(&mark.name).filter(|run| run.state.run == mark.run) {
                run.mark_written(mark.moves, mark.lines, mark.samples);
            }
        }
        for (name, decisions, lines) in marks.exercises {
            if let Some(known) = self.exercises.get_mut(&name) {
                known.mark_written(decisions, lines);
            }
        }
        self.maintenance.refusal = None;
        if std::mem::take(&mut self.maintenance.disk_refuses) {
            tracing::info!("the store can be written again");
        }
    }

    /// Why what was just done is not on the disk yet, for the person who did it; `None`: it is.
    pub(super) fn not_yet_written(&mut self) -> Option<String> {
        self.hear(ANSWER);
        if self.owes() && self.maintenance.hurry {
            self.write_backlog();
            self.hear(ANSWER);
        }
        if !self.owes() {
            return None;
        }
        let why = self.maintenance.refusal.as_ref().map_or("the store is slow", |(why, _)| why.as_str());
        Some(format!("it holds, and is not written down yet: {why}"))
    }

    /// The process ends: what can be written is.
    pub(super) fn close(&mut self) {
        // What was late does not take effect any more, and must not after the next start.
        if self.is_late()
            && let Some((WriteInFlight { marks, late: Some(late), .. }, Ok(()))) = self.outcome(LAST)
        {
            self.noted(marks);
            self.is_void(late);
        }
        self.hear(LAST);
        self.maintenance.refusal = None;
        self.checkpoint(0);
        self.hear(LAST);
        if self.owes() {
            tracing::error!("what was taken back is not written down, because the store refuses");
        }
    }

    /// Says that the store cannot be written, once until it can.
    pub(super) fn unwritten(&mut self, error: &anyhow::Error) {
        if !std::mem::replace(&mut self.maintenance.disk_refuses, true) {
            tracing::error!("not written, so nothing rises: {error:#}");
        }
    }
}

impl maintenance::Maintenance {
    /// Is it too early to ask a store again that refused?
    pub(super) fn pauses(&self) -> bool {
        self.refusal.as_ref().is_some_and(|(_, until)| *until > Instant::now())
    }
}
