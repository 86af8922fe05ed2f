//! Writes on a thread of its own: a slow disk, or a file that another program has locked, delays decisions that raise a
//! weight and no others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use manifest::ExerciseKind;
use rollout::{Exercise, PracticeSchedule, State};
use store::{Decision, Failpoint, LastRun, Mesh, Queued, Store, Stored, StoredTrigger};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::journal::{Journal, Wish, Written};

/// A write that a decision needs is waited for this long; then it goes on in the background.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

type Job = Box<dyn FnOnce(&mut Store) + Send>;

/// The store as the engine uses it: it reads on this thread and writes on another.
pub struct StoreWriter {
    reading: Store,
    jobs: Sender<Job>,
    /// Jobs that were handed over and are not done.
    open: Arc<AtomicUsize>,
    /// Did the last one that was waited for take too long?
    late: bool,
    /// Is there more that is old?
    more: Arc<AtomicBool>,
    /// What the last process put into the reserve.
    held: Option<Decision>,
}

impl StoreWriter {
    /// Takes the store to a thread of its own.
    pub fn new(mut store: Store) -> Result<Self> {
        let held = match store.with_reserve() {
            Ok(held) => held,
            Err(error) => {
                tracing::warn!(
                    "{error:#}; what is taken back while the store refuses is kept in memory alone"
                );
                None
            }
        };
        store.wait_briefly_for_locks()?;
        let reading = store.beside()?;
        let (jobs, todo) = channel::<Job>();
        let write = move || todo.into_iter().for_each(|job| job(&mut store));
        std::thread::Builder::new().name("store".to_owned()).spawn(write)?;
        let (open, more) = (Arc::default(), Arc::default());
        Ok(Self { reading, jobs, open, late: false, more, held })
    }

    /// Hands a write over; its outcome comes by the channel.
    fn hand_over<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Store) -> Result<T> + Send + 'static,
    ) -> Receiver<Result<T>> {
        let (said, outcome) = channel();
        let open = self.open.clone();
        open.fetch_add(1, Ordering::SeqCst);
        let job = move |store: &mut Store| {
            let written = write(store);
            open.fetch_sub(1, Ordering::SeqCst);
            // The receiver may have stopped waiting; the write is done all the same.
            let _ = said.send(written);
        };
        // The thread ends with this alone.
        let _ = self.jobs.send(Box::new(job));
        outcome
    }

    /// Writes something small that is not a decision.
    fn write<T: Send + 'static>(
        &mut self,
        write: impl FnOnce(&mut Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.late &= self.open.load(Ordering::SeqCst) > 0;
        if self.late {
            bail!("the store is slow: what was to be written before is not on the disk yet");
        }
        match waited(&self.hand_over(write), PATIENCE) {
            Some(written) => written,
            None => {
                self.late = true;
                bail!("the store is slow: it took longer than {} ms", PATIENCE.as_millis())
            }
        }
    }
}

/// What came within a time. The threads that serve others are not held up by it.
pub(super) fn waited<T>(outcome: &Receiver<Result<T>>, patience: Duration) -> Option<Result<T>> {
    let wait = || match outcome.recv_timeout(patience) {
        Ok(written) => Some(written),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => Some(Err(anyhow::anyhow!("the store's thread has ended"))),
    };
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) if !patience.is_zero() => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}

impl Journal for StoreWriter {
    fn mesh(&self) -> Result<Mesh> {
        self.reading.mesh()
    }

    fn published(&self) -> Result<Vec<(u64, u64)>> {
        self.reading.published()
    }

    fn rollouts(&self) -> Result<Vec<Stored>> {
        self.reading.rollouts()
    }

    fn last(&self, name: &str) -> Result<Option<LastRun>> {
        self.reading.last(name)
    }

    fn past_runs(&self, name: &str, run: u64) -> Result<Vec<State>> {
        self.reading.past_runs(name, run)
    }

    fn stable_versions(&self, name: &str) -> Result<Vec<String>> {
        self.reading.stable_versions(name)
    }

    fn exercises(&self) -> Result<Vec<Exercise>> {
        self.reading.exercises()
    }

    fn past_exercises(&self, name: &str, what: ExerciseKind) -> Result<Vec<Exercise>> {
        self.reading.past_exercises(name, what)
    }

    fn passed_exercises(&self) -> Result<Vec<(String, ExerciseKind, u64)>> {
        self.reading.passed_exercises()
    }

    fn practice_schedules(&self) -> Result<Vec<(String, ExerciseKind, PracticeSchedule)>> {
        self.reading.practice_schedules()
    }

    fn queued(&self) -> Result<Vec<Queued>> {
        self.reading.queued()
    }

    fn triggers(&self) -> Result<Vec<StoredTrigger>> {
        self.reading.triggers()
    }

    fn held(&mut self) -> Option<Decision> {
        self.held.take()
    }

    fn begin(&mut self, decision: Decision) -> Written {
        Written::WriteInFlight(self.hand_over(move |store| store.keep(&decision)))
    }

    fn note(&mut self, wish: Wish) -> Result<()> {
        self.write(move |store| wish.write(store))
    }

    /// Begun, and not waited for; whether there is more was said by the time before.
    fn prune(&mut self, now_ms: u64) -> Result<bool> {
        if self.open.load(Ordering::SeqCst) == 0 {
            let more = self.more.clone();
            let pruned = self.hand_over(move |store| {
                let left = store.prune(now_ms).context("what is old cannot be taken out");
                more.store(left.as_ref().is_ok_and(|left| *left), Ordering::SeqCst);
                left.map(drop).inspect_err(|error| tracing::debug!("{error:#}"))
            });
            drop(pruned);
        }
        Ok(self.more.load(Ordering::SeqCst))
    }

    fn reached(&mut self, _: Failpoint) -> Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn refuse_writes(&mut self, refuse: bool) -> Result<()> {
        self.write(move |store| store.refuse_writes(refuse))
    }
}
