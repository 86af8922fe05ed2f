//! Specifications that begin when the present run of their name is over.

use anyhow::Result;
use rusqlite::params;

use super::Store;

/// From form 1 to form 2.
pub(super) const MIGRATION_2: &str = "
    -- What comes after the present run of each name; the last one applied.
    CREATE TABLE queued (
        name TEXT PRIMARY KEY, spec TEXT NOT NULL, who TEXT NOT NULL, unix_ms INTEGER NOT NULL, refused TEXT
    ) STRICT;
";

/// A specification that waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// The rollout's name.
    pub name: String,
    /// As applied.
    pub spec: String,
    /// Who applied it.
    pub who: String,
    /// When.
    pub unix_ms: u64,
    /// Its turn came and it was not taken: why. It waits for a person to replace it.
    pub refused: Option<String>,
}

impl Store {
    /// Everything that waits, by name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn queued(&self) -> Result<Vec<Queued>> {
        let mut query =
            self.connection.prepare("SELECT name, spec, who, unix_ms, refused FROM queued ORDER BY name")?;
        let rows = query.query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(3)?, row.get(4)?))
        })?;
        rows.map(|row| {
            let (name, spec, who, unix_ms, refused) = row?;
            Ok(Queued { name, spec, who, unix_ms: u64::try_from(unix_ms)?, refused })
        })
        .collect()
    }

    /// Lets it wait, in place of what waited under its name.
    ///
    /// # Errors
    /// When the disk does not take it: nothing of it is written then, and the error names a remedy.
    pub fn queue(&mut self, queued: &Queued) -> Result<()> {
        let Queued { name, spec, who, unix_ms, refused } = queued;
        self.write(|change| {
            change.execute(
                "INSERT OR REPLACE INTO queued VALUES (?, ?, ?, ?, ?)",
                params![name, spec, who, i64::try_from(*unix_ms)?, refused],
            )?;
            Ok(())
        })
    }

    /// Nothing waits under this name any more.
    ///
    /// # Errors
    /// When the disk does not take it: nothing of it is written then, and the error names a remedy.
    pub fn unqueue(&mut self, name: &str) -> Result<()> {
        self.write(|change| {
            change.execute("DELETE FROM queued WHERE name = ?", [name])?;
            Ok(())
        })
    }
}
