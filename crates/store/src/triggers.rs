//! Triggers, and what each has done with every version it heard of.

use anyhow::{Context, Result};
use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::Store;

/// From form 3 to form 4.
pub(super) const MIGRATION_4: &str = "
    CREATE TABLE registry_trigger (name TEXT PRIMARY KEY, spec TEXT NOT NULL, pending TEXT) STRICT;
    -- One row for each version that was heard of: none is triggered twice.
    CREATE TABLE triggered (
        name TEXT NOT NULL, version TEXT NOT NULL, triggered TEXT NOT NULL, PRIMARY KEY (name, version)
    ) STRICT;
";

/// A trigger as it is stored.
pub struct StoredTrigger {
    /// Its name.
    pub name: String,
    /// As applied.
    pub spec: String,
    /// What waits.
    pub pending: Option<Pending>,
    /// The outcome of every version it heard of.
    pub triggered: Vec<Triggered>,
}

/// A version that waits until the present run is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The registry's.
    pub version: String,
    /// How it was heard of.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// A person wants it although it was rolled back once.
    #[serde(default)]
    pub again: bool,
    /// Whose word it was.
    #[serde(default)]
    pub origin: Origin,
}

/// Whose word a version goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// A person's, and not a registry's.
    pub person: bool,
    /// When the registry says that it happened, in milliseconds since 1970; `None`: it does not say.
    pub said_ms: Option<u64>,
}

/// The outcome of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Triggered {
    /// The registry's.
    pub version: String,
    /// How it was heard of.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The outcome of it.
    pub outcome: Outcome,
    /// Whose word it was.
    #[serde(default)]
    pub origin: Origin,
}

/// The outcome of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A run of it began, or was under way.
    Begun {
        /// That run's number.
        run: u64,
    },
    /// It begins when the run it replaces is over.
    Queued {
        /// The number of the run it waits for.
        after_run: u64,
    },
    /// Stable served it already.
    Stable,
    /// It was not taken: why.
    Refused {
        /// In one sentence.
        why: String,
    },
    /// A later version came while it waited, or before it was heard of.
    PassedOver {
        /// The later version.
        by_version: String,
    },
    /// The registry took its word back while it waited.
    Withdrawn {
        /// How that was heard of.
        by: String,
    },
}

impl Pending {
    /// A later version came while this one waited.
    #[must_use]
    pub fn passed_over(self, by_version: &str, unix_ms: u64) -> Triggered {
        let outcome = Outcome::PassedOver { by_version: by_version.to_owned() };
        Triggered { version: self.version, by: self.by, unix_ms, outcome, origin: self.origin }
    }

    /// The registry took its word back.
    #[must_use]
    pub fn withdrawn(self, by: &str, unix_ms: u64) -> Triggered {
        let outcome = Outcome::Withdrawn { by: by.to_owned() };
        Triggered { version: self.version, by: self.by, unix_ms, outcome, origin: self.origin }
    }
}

impl Outcome {
    /// One English sentence.
    #[must_use]
    pub fn said(&self, rollout: &str) -> String {
        match self {
            Self::Begun { run } => format!("it is run {run} of {rollout}"),
            Self::Queued { after_run } => format!("it begins when run {after_run} of {rollout} is over"),
            Self::Stable => "stable served it already".to_owned(),
            Self::Refused { why } => format!("it was not taken: {why}"),
            Self::PassedOver { by_version } => format!("version {by_version} is the later one"),
            Self::Withdrawn { by } => format!("the registry took it back while it waited: {by}"),
        }
    }
}

impl Store {
    /// Every trigger, by name.
    ///
    /// # Errors
    /// When the file cannot be read, or another serin wrote it in a way this one does not read.
    pub fn triggers(&self) -> Result<Vec<StoredTrigger>> {
        let mut query =
            self.connection.prepare("SELECT name, spec, pending FROM registry_trigger ORDER BY name")?;
        let rows = query.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, Option<String>>(2)?))
        })?;
        rows.map(|row| {
            let (name, spec, pending) = row?;
            let unread = || format!("the stored trigger {name} cannot be read; use the serin that wrote it");
            let pending = pending.map(|text| serde_json::from_str(&text)).transpose().with_context(unread)?;
            let triggered = self.triggered(&name).with_context(unread)?;
            Ok(StoredTrigger { spec, pending, triggered, name })
        })
        .collect()
    }

    fn triggered(&self, name: &str) -> Result<Vec<Triggered>> {
        let mut query = self.connection.prepare("SELECT triggered FROM triggered WHERE name = ?")?;
        let rows = query.query_map([name], |row| row.get::<_, String>(0))?;
        rows.map(|text| Ok(serde_json::from_str(&text?)?)).collect()
    }

    /// Keeps a trigger, in place of the one of its name.
    ///
    /// # Errors
    /// When the disk does not take it: nothing of it is written then, and the error names a remedy.
    pub fn keep_trigger(&mut self, name: &str, spec: &str) -> Result<()> {
        self.write(|change| {
            change.execute(
                "INSERT INTO registry_trigger VALUES (?1, ?2, NULL) ON CONFLICT (name) DO UPDATE SET spec = ?2",
                params![name, spec],
            )?;
            Ok(())
        })
    }

    /// Forgets a trigger and all it has done.
    ///
    /// # Errors
    /// When the disk does not take it: nothing of it is written then, and the error names a remedy.
    pub fn drop_trigger(&mut self, name: &str) -> Result<()> {
        self.write(|change| {
            change.execute("DELETE FROM registry_trigger WHERE name = ?", [name])?;
            change.execute("DELETE FROM triggered WHERE name = ?", [name])?;
            Ok(())
        })
    }

    /// Writes down the outcome of versions, and which one waits now, in one transaction.
    ///
    /// # Errors
    /// When the disk does not take it: nothing of it is written then, and the error names a remedy.
    pub fn note_triggered(
        &mut self,
        name: &str,
        triggered: &[Triggered],
        pending: Option<&Pending>,
    ) -> Result<()> {
        let pending = pending.map(serde_json::to_string).transpose()?;
        self.write(|change| {
            for one in triggered {
                change.execute(
                    "INSERT OR REPLACE INTO triggered VALUES (?, ?, ?)",
                    params![name, one.version, serde_json::to_string(one)?],
                )?;
            }
            change.execute(
                "UPDATE registry_trigger SET pending = ?2 WHERE name = ?1",
                params![name, pending],
            )?;
            Ok(())
        })
    }
}
