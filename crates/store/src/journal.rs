//! What happened, in order and for good: who did what and why, and what the machine decided.

use anyhow::Result;
use rollout::OpenEnum;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// From form 4 to form 5.
pub(super) const MIGRATION_5: &str = "
    -- Lines are added together with the decision they tell of, never changed, and taken out only with their whole run.
    CREATE TABLE journal (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, run INTEGER NOT NULL, unix_ms INTEGER NOT NULL,
        kind TEXT NOT NULL, who TEXT, what TEXT NOT NULL, why TEXT, detail TEXT, chain TEXT NOT NULL
    ) STRICT;
    CREATE INDEX journal_of_run ON journal (name, run);
    CREATE TRIGGER journal_stays BEFORE UPDATE ON journal
        BEGIN SELECT RAISE(ABORT, 'lines of the journal are not changed'); END;
";

/// A line about a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// What it tells of.
    pub kind: Kind,
    /// The person, where it was one.
    pub who: Option<String>,
    /// What happened, in words.
    pub what: String,
    /// The reason, where one was given.
    pub why: Option<String>,
    /// More of it, as JSON.
    pub detail: Option<String>,
}

/// What a line tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A person did something.
    Act,
    /// The run went on, or ended.
    Record,
    /// Weights were decided: generation, epoch, weight and cause are in the detail.
    Publish,
    /// People are to hear of something; severity and key are in the detail.
    Notice,
    /// A gate or guardrail changed its answer; the verdict is in the detail.
    Verdict,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Act, Self::Record, Self::Publish, Self::Notice, Self::Verdict];

    /// The kind that a line was stored under.
    pub(crate) fn read(word: String) -> OpenEnum<Self> {
        match Self::ALL.into_iter().find(|kind| kind.name() == word) {
            Some(kind) => OpenEnum::Known(kind),
            None => OpenEnum::Other(word),
        }
    }

    /// The word it is stored under.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Record => "record",
            Self::Publish => "publish",
            Self::Notice => "notice",
            Self::Verdict => "verdict",
        }
    }
}

impl Entry {
    /// A line with no person, reason or detail.
    #[must_use]
    pub fn new(unix_ms: u64, kind: Kind, what: impl Into<String>) -> Self {
        Self { unix_ms, kind, who: None, what: what.into(), why: None, detail: None }
    }

    /// The same line, with more of it.
    #[must_use]
    pub fn with(self, detail: &Value) -> Self {
        Self { detail: Some(detail.to_string()), ..self }
    }
}

/// Adds lines. Each carries the hash of itself and of the line before it in its run: changing one, or taking one
/// out, breaks the chain from there on.
pub(super) fn add(change: &Transaction<'_>, name: &str, run: u64, entries: &[Entry]) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let run = i64::try_from(run)?;
    let mut chain = last_of(change, name, run)?;
    let mut insert = change.prepare_cached(
        "INSERT INTO journal (name, run, unix_ms, kind, who, what, why, detail, chain)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for entry in entries {
        let unix_ms = i64::try_from(entry.unix_ms)?;
        let Entry { kind, who, what, why, detail, .. } = entry;
        let kind = kind.name();
        chain = link(
            &chain,
            &[Some(name), Some(kind), who.as_deref(), Some(what), why.as_deref(), detail.as_deref()],
            &[run, unix_ms],
        );
        insert.execute(params![name, run, unix_ms, kind, who, what, why, detail, chain])?;
    }
    Ok(())
}

fn last_of(connection: &Connection, name: &str, run: i64) -> Result<String> {
    let last = connection
        .prepare_cached("SELECT chain FROM journal WHERE name = ? AND run = ? ORDER BY seq DESC LIMIT 1")?
        .query_row(params![name, run], |row| row.get(0))
        .optional()?;
    Ok(last.unwrap_or_default())
}

/// SHA-256 over the chain so far and every field with its length, in hex.
pub(super) fn link(before: &str, texts: &[Option<&str>], numbers: &[i64]) -> String {
    let mut hash = Sha256::new();
    hash.update(before);
    for text in texts {
        let length = text.map_or(-1, |text| i64::try_from(text.len()).unwrap_or(i64::MAX));
        hash.update(length.to_be_bytes());
        hash.update(text.unwrap_or_default());
    }
    for number in numbers {
        hash.update(number.to_be_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The journal of runs from before there was one: the history in their states.
pub(super) fn from_states(change: &Transaction<'_>) -> Result<()> {
    let mut query = change.prepare("SELECT state FROM past_run UNION ALL SELECT state FROM rollout")?;
    let states = query.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    for state in states {
        let Ok(state) = serde_json::from_str::<Value>(&state) else { continue };
        let name = state.pointer("/plan/name").and_then(Value::as_str).unwrap_or_default();
        let run = state.get("run").and_then(Value::as_u64).unwrap_or_default();
        let lines = state.get("history").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let entries: Vec<Entry> = lines
            .iter()
            .filter_map(|line| {
                let unix_ms = line.pointer("/at/unix_ms")?.as_u64()?;
                Some(Entry::new(unix_ms, Kind::Record, line.get("what")?.as_str()?))
            })
            .collect();
        add(change, name, run, &entries)?;
    }
    Ok(())
}
