//! How far the practice of each rollout is that begins by itself.

use anyhow::{Context, Result};
use manifest::ExerciseKind;
use rollout::PracticeSchedule;
use rusqlite::{Transaction, params};

use super::{Entry, Store, journal};

/// From form 6 to form 7.
pub(super) const MIGRATION_7: &str = "
    -- Of each rollout and kind: what became of the last time it was due.
    CREATE TABLE practised (
        name TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (name, kind)
    ) STRICT;
";

impl Store {
    /// All of it.
    ///
    /// # Errors
    /// When the file cannot be read, or another serin wrote it in a way this one does not read.
    pub fn practice_schedules(&self) -> Result<Vec<(String, ExerciseKind, PracticeSchedule)>> {
        let mut query = self.connection.prepare("SELECT name, kind, state FROM practised")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?)))?;
        let mut found = Vec::new();
        for row in rows {
            let (name, kind, state): (String, String, String) = row?;
            let schedule = serde_json::from_str(&state).with_context(|| {
                format!("the stored practice of {name} cannot be read; use the serin that wrote it")
            })?;
            let what = ExerciseKind::ALL.into_iter().find(|what| what.name() == kind);
            found.extend(what.map(|what| (name, what, schedule)));
        }
        Ok(found)
    }

    /// Writes one down; `None`: there is none any more. `entries` stand in the journal of run `run`.
    ///
    /// # Errors
    /// When the disk does not take it: nothing of it is written then, and the error names a remedy.
    pub fn save_schedule(
        &mut self,
        (name, run): (&str, u64),
        what: ExerciseKind,
        schedule: Option<&PracticeSchedule>,
        entries: &[Entry],
    ) -> Result<()> {
        self.write(|change| {
            match schedule {
                Some(schedule) => put(change, name, what, schedule)?,
                None => {
                    change
                        .execute("DELETE FROM practised WHERE name = ? AND kind = ?", [name, what.name()])?;
                }
            }
            journal::add(change, name, run, entries)
        })
    }
}

pub(super) fn put(
    change: &Transaction<'_>,
    name: &str,
    what: ExerciseKind,
    schedule: &PracticeSchedule,
) -> Result<()> {
    change.execute(
        "INSERT OR REPLACE INTO practised VALUES (?, ?, ?)",
        params![name, what.name(), serde_json::to_string(schedule)?],
    )?;
    Ok(())
}
