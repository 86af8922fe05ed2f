//! What must outlive the process: one SQLite file.
//!
//! A decision is on the disk before it is acted on. All that belongs to one decision (the run, what the whole mesh
//! is to know, the lines of the journal) is one transaction, and [`Store::write`] is the only way in. What the mesh hears of
//! is one [`Change`], written by [`Store::commit`].

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use rollout::State;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

mod archive;
mod decision;
mod exercises;
mod failpoints;
mod journal;
mod measured;
mod mesh;
mod migrations;
mod practice;
mod published;
mod queued;
mod remedy;
mod replica;
mod reserve;
mod retention;
mod traffic;
mod triggers;
mod versions;

pub use archive::{Archive, Filter, Kept, Line};
pub use decision::{Decision, ExerciseRecord, RunRecord};
pub use exercises::ExerciseWriting;
pub use failpoints::{Failpoint, Failpoints};
pub use journal::{Entry, Kind};
pub use measured::{Counted, Sample};
pub use mesh::Mesh;
pub use queued::Queued;
pub use replica::{Sender, Sent};
pub use traffic::TrafficLog;
pub use triggers::{Origin, Outcome, Pending, StoredTrigger, Triggered};

/// The store, open for writing by this process alone.
pub struct Store {
    connection: Connection,
    /// Which store this is: a newer one has a higher number.
    pub incarnation: u64,
    /// Where tests end a process.
    pub failpoints: Failpoints,
    /// How long runs are kept after another has followed them.
    pub keep_ms: u64,
    path: PathBuf,
    /// Where decisions go that hold already and that the tables do not take.
    reserve: Option<reserve::Reserve>,
    /// Where each change is sent before it holds here; `None`: nobody else goes on from it.
    replication: Option<replica::Replication>,
    /// Held for as long as this process writes here; `None`: it only reads.
    _lock: Option<File>,
}

/// A run as it is stored.
pub struct Stored {
    /// The specification, as applied.
    pub spec: String,
    /// Where the run is.
    pub state: State,
    /// The generation its last publication went out with; 0: none yet.
    pub generation: u64,
}

/// A run as it is to be written.
#[derive(Clone, Copy)]
pub struct Writing<'a> {
    /// The specification, as applied.
    pub spec: &'a str,
    /// Where the run is.
    pub state: &'a State,
    /// The generation its last publication went out with; 0: none yet.
    pub generation: u64,
    /// What is to be said of it since it was last written.
    pub entries: &'a [Entry],
    /// What was measured since.
    pub samples: &'a [Sample],
}

/// What a name had come to when it was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// Its number.
    pub run: u64,
    /// The highest epoch it published.
    pub epoch: u64,
    /// The version behind the stable route at its end.
    pub stable_version: String,
}

/// What changes together: all of it is on the disk, or nothing.
#[derive(Clone, Copy, Default)]
pub struct Change<'a> {
    /// Runs as they are from now on.
    pub runs: &'a [Writing<'a>],
    /// Runs as they ended: kept, and present no longer.
    pub past: &'a [Writing<'a>],
    /// Exercises as they are from now on.
    pub exercises: &'a [ExerciseWriting<'a>],
    /// Nothing is queued under these names any more.
    pub unqueue: &'a [String],
    /// No run bears these names.
    pub gone: &'a [String],
    /// Which store this is, from now on; 0: as before.
    pub incarnation: u64,
    /// The generation of the last policy.
    pub generation: u64,
    /// Rollouts that are taken back, each with the generation below which no lease is given for it.
    pub revoked: &'a [(String, u64)],
    /// Documents that were published: generation and digest.
    pub published: &'a [(u64, u64)],
    /// It decides nothing.
    pub evidence: bool,
}

impl Store {
    /// Opens the store, or makes it. A new store is a new incarnation: what an older one published is then lower.
    ///
    /// # Errors
    /// When another serin runs on the file, a newer one wrote it, or it is no store; the error names a remedy.
    pub fn open(path: &Path) -> Result<Self> {
        let opened = Self::open_or_make(path).map_err(|error| remedy::with_remedy(error, path));
        opened.with_context(|| format!("the store {} cannot be used", path.display()))
    }

    fn open_or_make(path: &Path) -> Result<Self> {
        let lock = lock(path)?;
        let mut connection = Connection::open(path)?;
        // A decision is on the disk before it is acted on, even if the machine loses power: in WAL mode that takes
        // FULL, where NORMAL would forget the last commits (never their order).
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.busy_timeout(OPENING)?;
        migrations::migrate(&mut connection)?;
        let failpoints = Failpoints::default();
        let mut store = Self {
            connection,
            incarnation: 0,
            failpoints,
            keep_ms: u64::MAX,
            path: path.to_owned(),
            reserve: None,
            replication: None,
            _lock: Some(lock),
        };
        store.incarnation = store.number("incarnation")?;
        Ok(store)
    }

    /// A second view of the same file, for reading while this one writes elsewhere.
    ///
    /// # Errors
    /// When the file cannot be opened once more.
    pub fn beside(&self) -> Result<Self> {
        let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(LOCKED)?;
        Ok(Self {
            connection,
            incarnation: self.incarnation,
            failpoints: Failpoints::default(),
            keep_ms: self.keep_ms,
            path: self.path.clone(),
            reserve: None,
            replication: None,
            _lock: None,
        })
    }

    /// From now on another program's lock on the file is waited for shortly, and then the write is refused.
    ///
    /// # Errors
    /// When SQLite takes no such order.
    pub fn wait_briefly_for_locks(&self) -> Result<()> {
        Ok(self.connection.busy_timeout(LOCKED)?)
    }

    /// The one way in: when this returns, all of `change` is on the disk; when it fails, nothing of it.
    fn write(&mut self, change: impl FnOnce(&Transaction<'_>) -> Result<()>) -> Result<()> {
        self.write_as(false, change)
    }

    /// `evidence`: it decides nothing.
    fn write_as(
        &mut self,
        evidence: bool,
        change: impl FnOnce(&Transaction<'_>) -> Result<()>,
    ) -> Result<()> {
        let Self { connection, failpoints, replication, .. } = self;
        let whole = || {
            failpoints.reached(Failpoint::Begin)?;
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            change(&transaction)?;
            failpoints.reached(Failpoint::Written)?;
            if let Some(replication) = replication.as_mut() {
                replication.send(&transaction, evidence)?;
            }
            transaction.commit()?;
            if let Some(replication) = replication {
                replication.committed();
            }
            // What is committed is committed, whatever a watch says.
            let _ = failpoints.reached(Failpoint::Committed);
            Ok(())
        };
        whole().map_err(|error| remedy::with_remedy(error, &self.path))
    }

    /// Every present run, by name.
    ///
    /// # Errors
    /// When the file cannot be read, or another serin wrote it in a way this one does not read.
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
        .collect::<Result<Vec<_>>>()
        .map_err(|error| remedy::with_remedy(error, &self.path))
    }

    /// Writes down what changes, all of it or nothing.
    ///
    /// # Errors
    /// When the disk refuses; then nothing was changed.
    pub fn commit(&mut self, change: &Change<'_>) -> Result<()> {
        let Change {
            runs,
            past,
            exercises,
            unqueue,
            gone,
            incarnation,
            generation,
            revoked,
            published,
            evidence,
        } = *change;
        self.write_as(evidence, |transaction| {
            for past in past {
                keep(transaction, past)?;
                transaction.execute("DELETE FROM rollout WHERE name = ?", [&past.state.plan.name])?;
            }
            for name in gone {
                transaction.execute("DELETE FROM rollout WHERE name = ?", [name])?;
            }
            for run in runs {
                put(transaction, run)?;
            }
            for exercise in exercises {
                exercises::put(transaction, exercise)?;
            }
            for name in unqueue {
                transaction.execute("DELETE FROM queued WHERE name = ?", [name])?;
            }
            published::put(transaction, published)?;
            mesh::raise(transaction, (incarnation, generation), revoked)
        })
    }

    /// The last of the runs that were followed by another or deleted; of a fleet, of its members.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last(&self, name: &str) -> Result<Option<LastRun>> {
        let mut query = self.connection.prepare_cached(
            "SELECT run, max(json_extract(state, '$.epoch')), json_extract(state, '$.stable_version') FROM past_run
             WHERE name = ?1 OR json_extract(state, '$.plan.member.fleet') = ?1
             GROUP BY run ORDER BY run DESC LIMIT 1",
        )?;
        let found =
            query.query_row([name], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get(2)?)));
        found
            .optional()?
            .map(|(run, epoch, stable_version)| {
                Ok(LastRun { run: u64::try_from(run)?, epoch: u64::try_from(epoch)?, stable_version })
            })
            .transpose()
    }

    /// What was applied under a name and followed by another: a run, or the members of a fleet.
    ///
    /// # Errors
    /// When the file cannot be read, or another serin wrote it in a way this one does not read.
    pub fn past_runs(&self, name: &str, run: u64) -> Result<Vec<State>> {
        let mut query = self.connection.prepare(
            "SELECT state FROM past_run
             WHERE run = ?2 AND (name = ?1 OR json_extract(state, '$.plan.member.fleet') = ?1) ORDER BY name",
        )?;
        let rows = query.query_map(params![name, i64::try_from(run)?], |row| row.get::<_, String>(0))?;
        rows.map(|text| Ok(serde_json::from_str(&text?)?)).collect()
    }
}

/// Another program's lock is waited for this long before the store is opened, and from then on.
const OPENING: Duration = Duration::from_secs(5);
const LOCKED: Duration = Duration::from_millis(150);

const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// Two controllers on one store would each undo the other's decisions.
fn lock(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(&name);
    let file = file.context("its folder must exist and be writable by this user")?;
    // A serin that is on its way out, or a hook of it that has just been started, holds it a moment longer.
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error).context("it cannot be locked"),
        }
    }
    bail!("another serin runs on it; end that one, or give this one another --store")
}

fn put(change: &Transaction<'_>, run: &Writing<'_>) -> Result<()> {
    let state = run.state;
    change
        .prepare_cached(
            "INSERT INTO rollout VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO UPDATE
             SET spec = ?2, state = ?3, generation = ?4, unix_ms = ?5",
        )?
        .execute(params![
            state.plan.name,
            run.spec,
            serde_json::to_string(state)?,
            i64::try_from(run.generation)?,
            i64::try_from(unix_ms())?
        ])?;
    tell(change, run)
}

/// What is to be said and kept of a run beside its state.
fn tell(change: &Transaction<'_>, run: &Writing<'_>) -> Result<()> {
    let (name, number) = (&run.state.plan.name, run.state.run);
    journal::add(change, name, number, run.entries)?;
    measured::add(change, name, number, run.samples, false)
}

fn keep(change: &Transaction<'_>, run: &Writing<'_>) -> Result<()> {
    let state = run.state;
    change.execute(
        "INSERT OR REPLACE INTO past_run VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            state.plan.name,
            i64::try_from(state.run)?,
            run.spec,
            serde_json::to_string(state)?,
            i64::try_from(unix_ms())?
        ],
    )?;
    tell(change, run)
}

/// When a row is written; nothing is decided by it.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Stored {
    /// The run as it is, to be written once more.
    #[must_use]
    pub fn writing(&self) -> Writing<'_> {
        Writing {
            spec: &self.spec,
            state: &self.state,
            generation: self.generation,
            entries: &[],
            samples: &[],
        }
    }
}

#[cfg(test)]
mod tests;
