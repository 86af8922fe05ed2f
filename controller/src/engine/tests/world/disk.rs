//! Disks that are lost while something is decided.

use std::sync::{Condvar, MutexGuard};

use tally::lease::LeaseStatus;

use super::*;

/// What goes wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It takes nothing.
    Full,
    /// Another program has locked the file.
    Locked,
    /// What is written does not come to an end.
    Stuck,
}

/// Where a store lies. By default it is written by the engine's own thread, on a disk that fails by points alone.
#[derive(Clone, Default)]
pub struct Disk(Option<Arc<Gate>>);

#[derive(Default)]
struct Gate {
    lost: Mutex<Option<Loss>>,
    found: Condvar,
}

impl Disk {
    /// One that can be lost, written by a thread of its own.
    pub fn apart() -> Self {
        Self(Some(Arc::default()))
    }

    /// Is the store on it written by a thread of its own? Then it is lost as this says.
    pub(super) fn takes(&self, store: &mut Store) -> Option<()> {
        let gate = self.0.clone()?;
        store.failpoints = Failpoints::watched(move |point| {
            let lost = gate.lost();
            if point != Failpoint::Begin {
                return Ok(());
            }
            match *lost {
                Some(Loss::Full) => anyhow::bail!("the disk is full"),
                Some(Loss::Stuck) => {
                    let stuck = |lost: &mut Option<Loss>| *lost == Some(Loss::Stuck);
                    drop(gate.found.wait_while(lost, stuck).expect("not poisoned"));
                    Ok(())
                }
                Some(Loss::Locked) | None => Ok(()),
            }
        });
        Some(())
    }
}

impl Gate {
    fn lost(&self) -> MutexGuard<'_, Option<Loss>> {
        self.lost.lock().expect("not poisoned")
    }
}

/// Another program at the store; the lock ends with it.
pub struct Lost(Option<rusqlite::Connection>, Arc<Gate>);

impl Drop for Lost {
    fn drop(&mut self) {
        *self.1.lost() = None;
        self.1.found.notify_all();
        if let Some(other) = &self.0 {
            other.execute_batch("ROLLBACK").expect("the lock is given back");
        }
    }
}

impl World {
    /// The disk is lost until what this returns is dropped.
    pub fn lose(&self, loss: Loss) -> Lost {
        let gate = self.disk.0.clone().expect("a disk that can be lost");
        let copy = self.watched.lock().expect("not poisoned").copies;
        let other = (loss == Loss::Locked).then(|| {
            let other = rusqlite::Connection::open(self.file(copy)).expect("the store");
            other.busy_timeout(Duration::from_secs(20)).expect("a time");
            other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
            other
        });
        *gate.lost() = Some(loss);
        Lost(other, gate)
    }

    pub fn engine_mut(&mut self) -> &mut Engine {
        self.engine.as_mut().expect("a process")
    }

    /// Until the thread that writes has done what it was told; the world's clock stands still.
    pub async fn until_written(&mut self) {
        for _ in 0..500 {
            let engine = self.engine_mut();
            engine.maintenance.refusal = None;
            engine.tick().await;
            if engine.writing.is_none() && !engine.owes() {
                self.second().await;
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never written");
    }

    /// Until no write is under way; nothing else happens meanwhile.
    pub async fn until_idle(&mut self) {
        for _ in 0..1_000 {
            self.engine_mut().settle_deferred().await;
            if self.engine_mut().writing.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never idle");
    }

    /// Until the table of present runs speaks of a version.
    pub async fn until_stored(&self, version: &str) {
        let copy = self.watched.lock().expect("not poisoned").copies;
        let store = rusqlite::Connection::open(self.file(copy)).expect("the store");
        for _ in 0..1_000 {
            let found: i64 = store
                .query_row("SELECT count(*) FROM rollout WHERE instr(spec, ?)", [version], |row| row.get(0))
                .expect("a number");
            if found > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never stored");
    }

    /// The process ends without a word, and another begins on what it left.
    pub async fn kill(&mut self) {
        self.engine = None;
        // The file is free when the thread that writes it has ended.
        self.pass(2_500);
        self.boot().await;
    }

    /// The process ends, and is started again after so long; the new one's first look begins with it.
    pub async fn stay_away(&mut self, ms: u64) {
        self.engine = None;
        self.pass(ms);
        self.counted_to_ms = self.now.unix_ms;
        self.boot().await;
    }

    /// A copy of the store, as it is now.
    pub fn backup(&self) -> PathBuf {
        let copy = self.watched.lock().expect("not poisoned").copies;
        let backup = self.dir.path().join("backup.db");
        let store = rusqlite::Connection::open(self.file(copy)).expect("the store");
        store.execute("VACUUM INTO ?", [backup.to_str()]).expect("a backup");
        backup
    }

    /// The process ends, and another begins on the copy.
    pub async fn restore(&mut self, backup: &std::path::Path) {
        self.engine = None;
        let copy = {
            let mut watched = self.watched.lock().expect("not poisoned");
            watched.copies += 1;
            watched.copies
        };
        std::fs::copy(backup, self.file(copy)).expect("the copy");
        self.kill().await;
    }

    /// The digest that the policy in force names itself by.
    pub fn digest(&self) -> u64 {
        let text = std::fs::read_to_string(self.dir.path().join("serin.json")).expect("a policy");
        let (_, rest) = text.split_once("/v1/lease/").expect("a lease");
        u64::from_str_radix(&rest[..16], 16).expect("a digest")
    }

    /// What a proxy that runs this hears of its lease.
    pub fn asks(&self, shown: (u64, u64)) -> LeaseStatus {
        self.asked(shown, None)
    }

    /// The same of one that says which document of that number it runs.
    pub fn asks_of(&self, shown: (u64, u64), document: u64) -> LeaseStatus {
        self.asked(shown, Some(document))
    }

    fn asked(&self, (incarnation, generation): (u64, u64), document: Option<u64>) -> LeaseStatus {
        let node = "a".to_owned();
        let question = Question { incarnation, generation, node, by_rollout: true };
        let engine = self.engine.as_ref().expect("a process");
        engine.publication.leases.answer(&question, document).expect("an answer").lease
    }

    /// The last policy that lies where proxies read it: its generation, and the canary's weight.
    pub fn in_force(&self, name: &str) -> (u64, u64) {
        let policies = &self.watched.lock().expect("not poisoned").policies;
        let (generation, weights) = policies.last().expect("a policy");
        (*generation, weights.get(name).copied().unwrap_or(0))
    }
}
