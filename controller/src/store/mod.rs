//! What must outlive the process: one SQLite file.

use std::path::Path;

use anyhow::{Context, Result, bail};
use rollout::State;
use rusqlite::{Connection, OptionalExtension, params};

use crate::clock;

/// The form of the tables; a store of a later form is not touched.
const SCHEMA: i64 = 1;

const TABLES: &str = "
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
        let connection = Connection::open(path)
            .with_context(|| format!("cannot open the store {shown}; its folder must be writable"))?;
        Self::prepare(&connection, path).with_context(|| format!("the store {shown} cannot be used"))?;
        let mut store = Self { connection, incarnation: 0 };
        store.incarnation = store.number("incarnation")?;
        Ok(store)
    }

    fn prepare(connection: &Connection, path: &Path) -> Result<()> {
        // A decision is on the disk before it is acted on, even if the machine loses power.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        let form: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match form {
            0 => {
                let now = i64::try_from(clock::unix_ms())?;
                connection.execute_batch(&format!(
                    "BEGIN; {TABLES}
                     INSERT INTO meta VALUES ('incarnation', {now}), ('generation', 0), ('revoked_below', 0);
                     PRAGMA user_version = {SCHEMA}; COMMIT;"
                ))?;
                Ok(())
            }
            SCHEMA => Ok(()),
            later => bail!(
                "{} has form {later}, this serin reads form {SCHEMA}; use the serin that wrote it",
                path.display()
            ),
        }
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
        let state = serde_json::to_string(&run.state)?;
        let now = i64::try_from(clock::unix_ms())?;
        let change = self.connection.transaction()?;
        change.execute(
            "INSERT INTO rollout VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO UPDATE
             SET spec = ?2, state = ?3, generation = ?4, unix_ms = ?5",
            params![run.state.plan.name, run.spec, state, i64::try_from(run.generation)?, now],
        )?;
        for (key, value) in [("generation", generation), ("revoked_below", revoked_below)] {
            change.execute(
                "UPDATE meta SET value = max(value, ?2) WHERE key = ?1",
                params![key, i64::try_from(value)?],
            )?;
        }
        change.commit()?;
        Ok(())
    }

    /// Keeps a run that is followed by another.
    pub fn archive(&mut self, run: &Stored) -> Result<()> {
        self.connection.execute(
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

#[cfg(test)]
mod tests;
