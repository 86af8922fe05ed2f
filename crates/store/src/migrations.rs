//! The form of the tables, and the way from each earlier form to the present one.

use anyhow::{Result, bail};
use rusqlite::{Connection, Transaction};

use super::{exercises, journal, measured, practice, published, queued, triggers};
use crate::unix_ms;

/// The present form; a store of a later one is not touched.
pub const PRESENT: i64 = MIGRATIONS.len() as i64;

/// What brings the tables from each form to the next. Steps that were released are never changed.
const MIGRATIONS: [&str; 9] = [
    MIGRATION_1,
    queued::MIGRATION_2,
    exercises::MIGRATION_3,
    triggers::MIGRATION_4,
    journal::MIGRATION_5,
    measured::MIGRATION_6,
    practice::MIGRATION_7,
    MIGRATION_8,
    published::MIGRATION_9,
];

const MIGRATION_1: &str = "
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

const MIGRATION_8: &str = "
    -- Nobody vouches for what a policy of a lower generation says of the rollout. A rollout of which none is here was
    -- revoked with all others, if at all: meta, revoked_below.
    CREATE TABLE revoked (rollout TEXT PRIMARY KEY, below INTEGER NOT NULL) STRICT;
";

/// Brings the tables to the present form: all steps or none, so whoever is killed half way opens the old form again.
pub fn migrate(connection: &mut Connection) -> Result<()> {
    let form: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if form > PRESENT {
        bail!("it has form {form}, this serin reads form {PRESENT}; use the serin that wrote it");
    }
    let steps = MIGRATIONS.get(usize::try_from(form)?..).unwrap_or_default();
    if steps.is_empty() {
        return Ok(());
    }
    let change = connection.transaction()?;
    for (step, form) in steps.iter().zip(form + 1..) {
        change.execute_batch(step)?;
        fill(&change, form)?;
    }
    change.pragma_update(None, "user_version", PRESENT)?;
    change.commit()?;
    Ok(())
}

/// What a new form holds that its tables alone do not say.
fn fill(change: &Transaction<'_>, form: i64) -> Result<()> {
    match form {
        1 => {
            let now = i64::try_from(unix_ms())?;
            change.execute(
                "INSERT INTO meta VALUES ('incarnation', ?), ('generation', 0), ('revoked_below', 0)",
                [now],
            )?;
        }
        5 => journal::from_states(change)?,
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
pub fn until(form: usize) -> String {
    MIGRATIONS.get(..form).unwrap_or_default().concat() + &format!("PRAGMA user_version = {form};")
}
