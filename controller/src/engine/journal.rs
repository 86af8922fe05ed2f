//! What must outlive the process, as the engine sees it: SQLite today, another place tomorrow.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::Result;
use manifest::ExerciseKind;
use rollout::{Exercise, PracticeSchedule, State};
use store::{
    Decision, Entry, Failpoint, LastRun, Mesh, Pending, Queued, Store, Stored, StoredTrigger, Triggered,
};

/// How a write went.
pub enum Written {
    /// It is done, or refused; `None`: that was told.
    Done(Option<Result<()>>),
    /// Another thread is at it.
    WriteInFlight(Receiver<Result<()>>),
}

impl Written {
    /// How it went, if that is known within a time.
    pub fn wait(&mut self, patience: Duration) -> Option<Result<()>> {
        match self {
            Self::Done(outcome) => outcome.take(),
            Self::WriteInFlight(outcome) => super::store_writer::waited(outcome, patience),
        }
    }
}

/// What people, schedules and registries want and nothing follows from yet: no weight, no generation, no publication. What is
/// wished for becomes a decision when its turn has come; one that is not written down is refused and changes nothing.
#[derive(Clone, Debug)]
pub enum Wish {
    /// A specification waits until the present run of its name is over, in place of what waited before.
    Queue(Queued),
    /// Nothing waits under this name any more.
    Unqueue(String),
    /// How far the practice of one kind is; `None`: there is none any more.
    Practice {
        /// The rollout, and the run that lines of the journal belong to.
        of: (String, u64),
        what: ExerciseKind,
        schedule: Option<PracticeSchedule>,
        entries: Vec<Entry>,
    },
    /// A trigger, in place of the one of its name.
    Trigger { name: String, spec: String },
    /// What a trigger did with versions, and which one waits now.
    Triggered { name: String, triggered: Vec<Triggered>, pending: Option<Pending> },
    /// There is no such trigger any more.
    DropTrigger(String),
}

impl Wish {
    pub(super) fn write(&self, store: &mut Store) -> Result<()> {
        match self {
            Self::Queue(queued) => store.queue(queued),
            Self::Unqueue(name) => store.unqueue(name),
            Self::Practice { of: (name, run), what, schedule, entries } => {
                store.save_schedule((name, *run), *what, schedule.as_ref(), entries)
            }
            Self::Trigger { name, spec } => store.keep_trigger(name, spec),
            Self::Triggered { name, triggered, pending } => {
                store.note_triggered(name, triggered, pending.as_ref())
            }
            Self::DropTrigger(name) => store.drop_trigger(name),
        }
    }
}

/// Keeps what was decided. Each write is whole or not at all; when it returns without an error, it is there after a power
/// cut.
pub trait Journal: Send {
    /// What the whole mesh is to know.
    fn mesh(&self) -> Result<Mesh>;
    /// Documents that were published, each as generation and digest.
    fn published(&self) -> Result<Vec<(u64, u64)>>;
    /// Every present run.
    fn rollouts(&self) -> Result<Vec<Stored>>;
    /// The last of the runs that were followed by another or deleted.
    fn last(&self, name: &str) -> Result<Option<LastRun>>;
    /// An earlier run; of a fleet, its members.
    fn past_runs(&self, name: &str, run: u64) -> Result<Vec<State>>;
    /// The versions that were behind the stable route, the latest first.
    fn stable_versions(&self, name: &str) -> Result<Vec<String>>;
    /// The last exercise of each kind of each rollout.
    fn exercises(&self) -> Result<Vec<Exercise>>;
    /// Those of one rollout and kind, the newest first.
    fn past_exercises(&self, name: &str, what: ExerciseKind) -> Result<Vec<Exercise>>;
    /// When one of each rollout and kind last passed, in milliseconds since 1970.
    fn passed_exercises(&self) -> Result<Vec<(String, ExerciseKind, u64)>>;
    /// How far the practice of each rollout is that begins by itself.
    fn practice_schedules(&self) -> Result<Vec<(String, ExerciseKind, PracticeSchedule)>>;
    /// What waits until the present run of its name is over.
    fn queued(&self) -> Result<Vec<Queued>>;
    /// What begins rollouts by itself.
    fn triggers(&self) -> Result<Vec<StoredTrigger>>;

    /// What holds since the last process and the tables do not have; told once.
    fn held(&mut self) -> Option<Decision>;
    /// Begins to write down what changes in the mesh; one after the other.
    fn begin(&mut self, decision: Decision) -> Written;
    /// Writes down what is wished for.
    fn note(&mut self, wish: Wish) -> Result<()>;
    /// Adds up a little of what was measured long ago, and deletes a few of the runs that were followed by another longer
    /// ago than they are kept; says whether there is more.
    fn prune(&mut self, now_ms: u64) -> Result<bool>;

    /// A seam for tests that end the process here.
    fn reached(&mut self, point: Failpoint) -> Result<()>;
    /// From now on as on a disk that may only be read.
    #[cfg(test)]
    fn refuse_writes(&mut self, refuse: bool) -> Result<()>;
}

impl Journal for Store {
    fn mesh(&self) -> Result<Mesh> {
        self.mesh()
    }

    fn published(&self) -> Result<Vec<(u64, u64)>> {
        self.published()
    }

    fn rollouts(&self) -> Result<Vec<Stored>> {
        self.rollouts()
    }

    fn last(&self, name: &str) -> Result<Option<LastRun>> {
        self.last(name)
    }

    fn past_runs(&self, name: &str, run: u64) -> Result<Vec<State>> {
        self.past_runs(name, run)
    }

    fn stable_versions(&self, name: &str) -> Result<Vec<String>> {
        self.stable_versions(name)
    }

    fn exercises(&self) -> Result<Vec<Exercise>> {
        self.exercises()
    }

    fn past_exercises(&self, name: &str, what: ExerciseKind) -> Result<Vec<Exercise>> {
        self.past_exercises(name, what)
    }

    fn passed_exercises(&self) -> Result<Vec<(String, ExerciseKind, u64)>> {
        self.passed_exercises()
    }

    fn practice_schedules(&self) -> Result<Vec<(String, ExerciseKind, PracticeSchedule)>> {
        self.practice_schedules()
    }

    fn queued(&self) -> Result<Vec<Queued>> {
        self.queued()
    }

    fn triggers(&self) -> Result<Vec<StoredTrigger>> {
        self.triggers()
    }

    fn held(&mut self) -> Option<Decision> {
        None
    }

    fn begin(&mut self, decision: Decision) -> Written {
        Written::Done(Some(self.keep(&decision)))
    }

    fn note(&mut self, wish: Wish) -> Result<()> {
        wish.write(self)
    }

    fn prune(&mut self, now_ms: u64) -> Result<bool> {
        self.prune(now_ms)
    }

    fn reached(&mut self, point: Failpoint) -> Result<()> {
        self.failpoints.reached(point)
    }

    #[cfg(test)]
    fn refuse_writes(&mut self, refuse: bool) -> Result<()> {
        Self::refuse_writes(self, refuse)
    }
}
