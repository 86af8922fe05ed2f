//! The store as those read it who change nothing: a connection of their own, beside the engine's.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rollout::{OpenEnum, State};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::Serialize;
use serde_json::Value;

use super::{Kind, Sample, journal, measured, remedy};

/// What a few decisions take, in bytes.
const ROOM: usize = 64 * 1024;

/// Where the store is.
#[derive(Clone, Debug)]
pub struct Archive(PathBuf);

/// Which runs are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this rollout alone.
    pub name: Option<String>,
    /// This number alone.
    pub run: Option<u64>,
    /// Runs that were still under way then, or began later; in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Runs that had begun by then.
    pub until_ms: Option<u64>,
}

/// A run, present or past.
pub struct Kept {
    /// The rollout's name.
    pub name: String,
    /// The run's number.
    pub run: u64,
    /// The specification, as applied.
    pub spec: String,
    /// Its state, as it was stored.
    pub raw: String,
}

impl Kept {
    /// Its state.
    ///
    /// # Errors
    /// When another serin wrote it, in a way this one does not read.
    pub fn state(&self) -> Result<State> {
        serde_json::from_str(&self.raw).with_context(|| {
            format!(
                "the stored state of {} run {} cannot be read; use the serin that wrote it",
                self.name, self.run
            )
        })
    }
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Its place in the whole journal.
    pub seq: i64,
    /// The rollout's name.
    pub name: String,
    /// The run's number.
    pub run: u64,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// What it tells of; a word of a later release as it came.
    pub kind: OpenEnum<Kind>,
    /// The person, where it was one.
    pub who: Option<String>,
    /// What happened, in words.
    pub what: String,
    /// The reason, where one was given.
    pub why: Option<String>,
    /// More of it.
    pub detail: Option<Value>,
    /// SHA-256 over this line and the one before it in its run, in hex.
    pub chain: String,
}

/// A run's journal, and whether its lines were changed since.
pub struct Journal {
    /// In the order in which they were written.
    pub lines: Vec<Line>,
    /// The first line whose chain does not fit.
    pub broken_at: Option<i64>,
}

impl Archive {
    /// The archive of the store at this path; it is opened for each question.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        Self(path.to_owned())
    }

    fn open(&self) -> Result<Connection> {
        let connection = Connection::open_with_flags(&self.0, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        Ok(connection)
    }

    /// Could something be written now: is the store unlocked, and is there room beside it? Changes nothing.
    ///
    /// # Errors
    /// When not, and why.
    pub fn writable(&self) -> Result<()> {
        let tried = || -> Result<()> {
            let connection = Connection::open_with_flags(&self.0, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            connection.busy_timeout(std::time::Duration::from_secs(1))?;
            connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
            let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty());
            let beside = folder.unwrap_or_else(|| Path::new(".")).join(".serin-room");
            let written = std::fs::write(&beside, vec![0; ROOM]);
            let _ = std::fs::remove_file(&beside);
            written.with_context(|| {
                format!("there is no room beside the store for {} KiB; free some space there", ROOM / 1024)
            })
        };
        tried().map_err(|error| remedy::with_remedy(error, &self.0))
    }

    fn read<T>(&self, what: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let read = || what(&self.open()?);
        read().map_err(|error| remedy::with_remedy(error, &self.0))
    }

    /// Names and numbers of the runs that fit, in that order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn runs(&self, filter: &Filter) -> Result<Vec<(String, u64)>> {
        self.read(|connection| {
            let mut query = connection.prepare(
                "SELECT name, run FROM (
                     SELECT name, run, state FROM past_run
                     UNION ALL
                     SELECT name, json_extract(state, '$.run') AS run, state FROM rollout
                 )
                 WHERE (?1 IS NULL OR name = ?1) AND (?2 IS NULL OR run = ?2)
                   AND (?3 IS NULL OR json_extract(state, '$.last.unix_ms') >= ?3)
                   AND (?4 IS NULL OR json_extract(state, '$.applied.unix_ms') <= ?4)
                 ORDER BY name, run",
            )?;
            let number = |value: Option<u64>| value.map(i64::try_from).transpose();
            let Filter { name, run, since_ms, until_ms } = filter;
            let rows = query
                .query_map(params![name, number(*run)?, number(*since_ms)?, number(*until_ms)?], |row| {
                    Ok((row.get(0)?, row.get::<_, i64>(1)?))
                })?;
            rows.map(|row| row.map_err(Into::into).and_then(|(name, run)| Ok((name, u64::try_from(run)?))))
                .collect()
        })
    }

    /// One of them; `None`: it was taken out meanwhile.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn run(&self, name: &str, run: u64) -> Result<Option<Kept>> {
        self.read(|connection| {
            let mut query = connection.prepare(
                "SELECT spec, state FROM past_run WHERE name = ?1 AND run = ?2
                 UNION ALL
                 SELECT spec, state FROM rollout WHERE name = ?1 AND json_extract(state, '$.run') = ?2",
            )?;
            let found = query
                .query_row(params![name, i64::try_from(run)?], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            Ok(found.map(|(spec, raw)| Kept { name: name.to_owned(), run, spec, raw }))
        })
    }

    /// What happened in a run, in order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn journal(&self, name: &str, run: u64) -> Result<Journal> {
        self.read(|connection| {
            let mut query = connection.prepare(
                "SELECT seq, unix_ms, kind, who, what, why, detail, chain FROM journal
                 WHERE name = ? AND run = ? ORDER BY seq",
            )?;
            let mut rows = query.query(params![name, i64::try_from(run)?])?;
            let mut journal = Journal { lines: Vec::new(), broken_at: None };
            let mut chain = String::new();
            while let Some(row) = rows.next()? {
                let (seq, unix_ms): (i64, i64) = (row.get(0)?, row.get(1)?);
                let text = |at: usize| row.get::<_, Option<String>>(at);
                let (kind, who, what, why) = (text(2)?, text(3)?, text(4)?, text(5)?);
                let (detail, stored) = (text(6)?, row.get::<_, String>(7)?);
                let texts = [&kind, &who, &what, &why, &detail].map(Option::as_deref);
                let [kind_is, who_is, what_is, why_is, detail_is] = texts;
                let fields = [Some(name), kind_is, who_is, what_is, why_is, detail_is];
                chain = journal::link(&chain, &fields, &[i64::try_from(run)?, unix_ms]);
                if chain != stored && journal.broken_at.is_none() {
                    journal.broken_at = Some(seq);
                }
                chain.clone_from(&stored);
                journal.lines.push(Line {
                    seq,
                    name: name.to_owned(),
                    run,
                    unix_ms: u64::try_from(unix_ms)?,
                    kind: Kind::read(kind.unwrap_or_default()),
                    who,
                    what: what.unwrap_or_default(),
                    why,
                    detail: detail.and_then(|detail| serde_json::from_str(&detail).ok()),
                    chain: stored,
                });
            }
            Ok(journal)
        })
    }

    /// What was measured in a run, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read, or another serin wrote it in a way this one does not read.
    pub fn samples(&self, name: &str, run: u64) -> Result<Vec<Sample>> {
        self.read(|connection| {
            let mut query = connection
                .prepare("SELECT looks FROM measured WHERE name = ? AND run = ? ORDER BY from_ms, id")?;
            let rows = query.query_map(params![name, i64::try_from(run)?], |row| row.get::<_, Vec<u8>>(0))?;
            let mut samples = Vec::new();
            for packed in rows {
                samples.extend(measured::unpack(&packed?)?);
            }
            samples.sort_by_key(Sample::begins_ms);
            Ok(samples)
        })
    }
}
