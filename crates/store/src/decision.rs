//! A change with all that is needed to write it: for a write that is done by another thread, or later.

use anyhow::Result;
use rollout::{Exercise, PracticeSchedule, State};
use serde::{Deserialize, Serialize};

use super::{Change, Entry, ExerciseWriting, Sample, Store, Writing};

/// What changes together; [`Change`] says the same of what lives elsewhere.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Decision {
    /// Runs as they are from now on.
    pub runs: Vec<RunRecord>,
    /// Runs as they ended: kept, and present no longer.
    pub past: Vec<RunRecord>,
    /// Exercises as they are from now on.
    pub exercises: Vec<ExerciseRecord>,
    /// Nothing is queued under these names any more.
    pub unqueue: Vec<String>,
    /// No run bears these names.
    #[serde(default)]
    pub gone: Vec<String>,
    /// Runs that never took effect, although the tables may have them: name and number.
    #[serde(default)]
    pub void: Vec<(String, u64)>,
    /// Which store this is, from now on; 0: as before.
    pub incarnation: u64,
    /// The generation of the last policy.
    pub generation: u64,
    /// Rollouts that are taken back, each with the generation below which no lease is given for it.
    pub revoked: Vec<(String, u64)>,
    /// Documents that were published: generation and digest.
    #[serde(default)]
    pub published: Vec<(u64, u64)>,
    /// It holds already: what the store does not take goes to the reserve.
    pub holds: bool,
    /// It decides nothing: another replica need not know it at once.
    #[serde(default)]
    pub evidence: bool,
}

/// A run as it is to be written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecord {
    /// The specification, as applied.
    pub spec: String,
    /// Where the run is.
    pub state: State,
    /// The generation its last publication went out with; 0: none yet.
    pub generation: u64,
    /// What is to be said of it since it was last written.
    pub entries: Vec<Entry>,
    /// What was measured since; the reserve has no room for it.
    #[serde(skip)]
    pub samples: Vec<Sample>,
}

/// An exercise as it is to be written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExerciseRecord {
    /// As it stands.
    pub exercise: Exercise,
    /// What is to be said of it.
    pub entries: Vec<Entry>,
    /// It begins: how far the practice of its kind is with that.
    pub schedule: Option<PracticeSchedule>,
}

impl RunRecord {
    fn writing(&self) -> Writing<'_> {
        let Self { spec, state, generation, entries, samples } = self;
        Writing { spec, state, generation: *generation, entries, samples }
    }
}

impl Writing<'_> {
    /// The same, to be written elsewhere.
    #[must_use]
    pub fn record(&self) -> RunRecord {
        RunRecord {
            spec: self.spec.to_owned(),
            state: self.state.clone(),
            generation: self.generation,
            entries: self.entries.to_vec(),
            samples: self.samples.to_vec(),
        }
    }
}

impl Store {
    /// Writes down a decision, all of it or nothing. One that holds already goes to the reserve when the tables do not
    /// take it; the error then still says why they did not.
    ///
    /// # Errors
    /// When the disk refuses; then nothing was changed but the reserve.
    pub fn keep(&mut self, decision: &Decision) -> Result<()> {
        let runs: Vec<Writing<'_>> = decision.runs.iter().map(RunRecord::writing).collect();
        let past: Vec<Writing<'_>> = decision.past.iter().map(RunRecord::writing).collect();
        let exercises = decision.exercises.iter().map(|record| ExerciseWriting {
            exercise: &record.exercise,
            run: record.exercise.run(),
            entries: &record.entries,
            schedule: record.schedule.as_ref(),
        });
        let written = self.commit(&Change {
            runs: &runs,
            past: &past,
            exercises: &exercises.collect::<Vec<_>>(),
            unqueue: &decision.unqueue,
            gone: &decision.gone,
            incarnation: decision.incarnation,
            generation: decision.generation,
            revoked: &decision.revoked,
            published: &decision.published,
            evidence: decision.evidence,
        });
        let Some(reserve) = &mut self.reserve else { return written };
        match written {
            // What it held is in the tables by now: each decision writes the backlog first.
            Ok(()) => {
                let _ = reserve.clear();
                Ok(())
            }
            Err(error) if decision.holds => Err(match reserve.put(decision) {
                Ok(()) => error.context("it is kept in the reserve until the store takes it"),
                Err(full) => error.context(format!("and the reserve does not take it: {full:#}")),
            }),
            Err(error) => Err(error),
        }
    }
}
