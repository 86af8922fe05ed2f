//! Drills and other exercises, as they stand and as they ended.

use anyhow::{Context, Result};
use manifest::ExerciseKind;
use rollout::{Exercise, PracticeSchedule};
use rusqlite::{Row, Transaction, params};

use super::{Entry, Store, journal, practice};

/// From form 2 to form 3.
pub(super) const MIGRATION_3: &str = "
    CREATE TABLE exercise (
        name TEXT NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL, outcome TEXT, ended_unix_ms INTEGER,
        state TEXT NOT NULL, PRIMARY KEY (name, kind, number)
    ) STRICT;
";

/// As many of each kind are kept for each rollout.
const KEPT: u32 = 200;

/// An exercise as it is to be written.
#[derive(Clone, Copy)]
pub struct ExerciseWriting<'a> {
    /// As it stands.
    pub exercise: &'a Exercise,
    /// The run in whose journal it is spoken of.
    pub run: u64,
    /// What is to be said of it.
    pub entries: &'a [Entry],
    /// It begins: how far the practice of its kind is with that.
    pub schedule: Option<&'a PracticeSchedule>,
}

pub(super) fn put(transaction: &Transaction<'_>, writing: &ExerciseWriting<'_>) -> Result<()> {
    let ExerciseWriting { exercise, run, entries, schedule } = *writing;
    let number = i64::try_from(exercise.number())?;
    let ended = exercise.ended();
    let outcome = ended.map(|ended| serde_json::to_value(ended.outcome)).transpose()?;
    transaction.execute(
        "INSERT OR REPLACE INTO exercise VALUES (?, ?, ?, ?, ?, ?)",
        params![
            exercise.name(),
            exercise.kind().name(),
            number,
            outcome.as_ref().and_then(|outcome| outcome.as_str()),
            ended.map(|ended| i64::try_from(ended.at.unix_ms)).transpose()?,
            serde_json::to_string(exercise)?,
        ],
    )?;
    transaction.execute(
        "DELETE FROM exercise WHERE name = ? AND kind = ? AND number <= ?",
        params![exercise.name(), exercise.kind().name(), number - i64::from(KEPT)],
    )?;
    journal::add(transaction, exercise.name(), run, entries)?;
    if let Some(schedule) = schedule {
        practice::put(transaction, exercise.name(), exercise.kind(), schedule)?;
    }
    Ok(())
}

impl Store {
    /// The last of each kind of each rollout.
    ///
    /// # Errors
    /// When the file cannot be read, or another serin wrote it in a way this one does not read.
    pub fn exercises(&self) -> Result<Vec<Exercise>> {
        let mut query = self
            .connection
            .prepare("SELECT name, kind, max(number), state FROM exercise GROUP BY name, kind")?;
        let rows = query.query_map([], |row| row.get::<_, String>(3))?;
        rows.map(|state| read(&state?)).collect()
    }

    /// Those of one rollout and kind, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read, or another serin wrote it in a way this one does not read.
    pub fn past_exercises(&self, name: &str, what: ExerciseKind) -> Result<Vec<Exercise>> {
        let mut query = self
            .connection
            .prepare("SELECT state FROM exercise WHERE name = ? AND kind = ? ORDER BY number DESC")?;
        let rows = query.query_map([name, what.name()], |row| row.get::<_, String>(0))?;
        rows.map(|state| read(&state?)).collect()
    }

    /// When one of each rollout and kind last passed, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn passed_exercises(&self) -> Result<Vec<(String, ExerciseKind, u64)>> {
        let mut query = self.connection.prepare(
            "SELECT name, kind, max(ended_unix_ms) FROM exercise WHERE outcome = 'passed' GROUP BY name, kind",
        )?;
        let passed =
            |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?));
        let mut found = Vec::new();
        for row in query.query_map([], passed)? {
            let (name, kind, unix_ms) = row?;
            // A kind that this serin does not know is another's to show.
            if let Some(what) = ExerciseKind::ALL.into_iter().find(|what| what.name() == kind) {
                found.push((name, what, u64::try_from(unix_ms)?));
            }
        }
        Ok(found)
    }
}

fn read(state: &str) -> Result<Exercise> {
    serde_json::from_str(state).context("a stored exercise cannot be read; use the serin that wrote it")
}
