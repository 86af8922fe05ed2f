//! What must outlive the process: one SQLite file.

use std::path::Path;

use anyhow::{Context, Result, bail};
use rollout::State;
use rusqlite::{Connection, OptionalExtension, params};

use crate::clock;

mod exercises;
mod queued;
mod triggers;

pub use queued::Queued;
pub use triggers::{Outcome, Pending, StoredTrigger, Triggered};

/// The form of the tables; a store of a later form is not touched.
const SCHEMA: i64 = FORMS.len() as i64;

/// What brings the tables from each form to the next. Steps that were released are never changed.
const FORMS: [&str; 4] = [FORM_1, queued::FORM_2, exercises::FORM, triggers::FORM];

const FORM_1: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    -- The present run of each name.
    CREATE TABLE rollout (
        name TEXT PRIMARY KEY, spec TEXT NOT NULL, state TEXT NOT NULL, generation INTEGER NOT NULL,
        unix_ms INTEGER NOT NULL
    ) STRICT;
    -- Runs that were followed by another.
    CREATE TABLE past_run (
        name TEXT NOT NULL, run INTEGER NOT NULL, spec TEXT NOT NULL, state TEXT NOT NULL, unix_ms INTEGER NOT NULL,
        PRIMARY KEY (name, run)
    ) STRICT;
";

pub struct Store {
    connection: Connection,
    pub incarnation: u64,
}

/// A run as it is stored.
pub struct Stored {
    pub spec: String,
    pub state: State,
    /// The generation its last publication went out with; 0: none yet.
    pub generation: u64,
}

impl Store {
    /// Opens the store, or makes it. A new store is a new incarnation: what an older one published is then lower.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let mut connection = Connection::open(path)
            .with_context(|| format!("cannot open the store {shown}; its folder must be writable"))?;
        Self::prepare(&mut connection, path).with_context(|| format!("the store {shown} cannot be used"))?;
        let mut store = Self { connection, incarnation: 0 };
        store.incarnation = store.number("incarnation")?;
        Ok(store)
    }

    fn prepare(connection: &mut Connection, path: &Path) -> Result<()> {
        // A decision is on the disk before it is acted on, even if the machine loses power.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        let form: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if form > SCHEMA {
            bail!(
                "{} has form {form}, this serin reads form {SCHEMA}; use the serin that wrote it",
                path.display()
            );
        }
        let steps = FORMS.get(usize::try_from(form)?..).unwrap_or_default();
        if steps.is_empty() {
            return Ok(());
        }
        // All steps or none: whoever is killed half way opens the old form again.
        let change = connection.transaction()?;
        for step in steps {
            change.execute_batch(step)?;
        }
        if form == 0 {
            let now = i64::try_from(clock::unix_ms())?;
            change.execute(
                "INSERT INTO meta VALUES ('incarnation', ?), ('generation', 0), ('revoked_below', 0)",
                [now],
            )?;
        }
        change.pragma_update(None, "user_version", SCHEMA)?;
        change.commit()?;
        Ok(())
    }

    /// As a full disk would.
    #[cfg(test)]
    pub fn refuse_writes(&self, refuse: bool) {
        self.connection.pragma_update(None, "query_only", refuse).expect("a switch");
    }

    pub fn generation(&self) -> Result<u64> {
        self.number("generation")
    }

    pub fn revoked_below(&self) -> Result<u64> {
        self.number("revoked_below")
    }

    fn number(&self, key: &str) -> Result<u64> {
        let value: i64 =
            self.connection.query_row("SELECT value FROM meta WHERE key = ?", [key], |row| row.get(0))?;
        Ok(u64::try_from(value)?)
    }

    /// Every present run, by name.
    pub fn rollouts(&self) -> Result<Vec<Stored>> {
        let mut query =
            self.connection.prepare("SELECT name, spec, state, generation FROM rollout ORDER BY name")?;
        let rows = query.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get::<_, i64>(3)?))
        })?;
        rows.map(|row| {
            let (name, spec, state, generation) = row?;
            let state = serde_json::from_str(&state).with_context(|| {
                format!("the stored state of {name} cannot be read; use the serin that wrote it")
            })?;
            Ok(Stored { spec, state, generation: u64::try_from(generation)? })
        })
        .collect()
    }

    /// Writes a run down, and with it what the whole mesh is to know, in one transaction.
    pub fn save(&mut self, run: &Stored, generation: u64, revoked_below: u64) -> Result<()> {
        let change = self.connection.transaction()?;
        write(&change, run)?;
        raise(&change, generation, revoked_below)?;
        change.commit()?;
        Ok(())
    }

    /// A run begins: the one before it is kept, and what was queued under its name waits no longer, in one
    /// transaction.
    pub fn begin(
        &mut self,
        run: &Stored,
        before: Option<&Stored>,
        generation: u64,
        revoked_below: u64,
    ) -> Result<()> {
        let change = self.connection.transaction()?;
        if let Some(before) = before {
            keep(&change, before)?;
        }
        write(&change, run)?;
        raise(&change, generation, revoked_below)?;
        change.execute("DELETE FROM queued WHERE name = ?", [&run.state.plan.name])?;
        change.commit()?;
        Ok(())
    }

    /// A run that was followed by another.
    pub fn past_run(&self, name: &str, run: u64) -> Result<Option<State>> {
        let text: Option<String> = self
            .connection
            .query_row(
                "SELECT state FROM past_run WHERE name = ? AND run = ?",
                params![name, i64::try_from(run)?],
                |row| row.get(0),
            )
            .optional()?;
        Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    }
}

fn write(change: &Connection, run: &Stored) -> Result<()> {
    change.execute(
        "INSERT INTO rollout VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO UPDATE
         SET spec = ?2, state = ?3, generation = ?4, unix_ms = ?5",
        params![
            run.state.plan.name,
            run.spec,
            serde_json::to_string(&run.state)?,
            i64::try_from(run.generation)?,
            i64::try_from(clock::unix_ms())?
        ],
    )?;
    Ok(())
}

fn raise(change: &Connection, generation: u64, revoked_below: u64) -> Result<()> {
    for (key, value) in [("generation", generation), ("revoked_below", revoked_below)] {
        change.execute(
            "UPDATE meta SET value = max(value, ?2) WHERE key = ?1",
            params![key, i64::try_from(value)?],
        )?;
    }
    Ok(())
}

fn keep(change: &Connection, run: &Stored) -> Result<()> {
    change.execute(
        "INSERT OR REPLACE INTO past_run VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            run.state.plan.name,
            i64::try_from(run.state.run)?,
            run.spec,
            serde_json::to_string(&run.state)?,
            i64::try_from(clock::unix_ms())?
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests;
