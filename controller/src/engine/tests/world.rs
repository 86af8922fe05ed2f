//! The whole world of an engine, on a clock of its own: a mesh that follows, traffic, a deploy tool, people who try
//! again when they get no answer; and a process that can end at any point.

mod disk;
mod fate;
mod seen;
mod traffic;

pub use disk::{Disk, Loss};
pub use fate::{Fate, Jump};
pub use traffic::{Admins, Canary};

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use api::{Applied, RunView};
use envoy::ecds::{Acknowledged, Node};
use envoy::{EcdsFile, Resource};
use futures::FutureExt as _;
use rollout::{Human, Now, State};
use tokio::sync::oneshot;

use super::super::*;
use scrape::Source;
use seen::note;
use {
    sources::{Hosts, Secrets},
    store::{Failpoint, Failpoints, Store},
    tally::lease::Question,
};

/// How often a person tries again.
const PATIENCE: usize = 50;

/// The process has ended.
struct Ended;

/// What people and proxies have seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Every policy: generation, and the weight of each rollout.
    pub policies: Vec<(u64, BTreeMap<String, u64>)>,
    /// The journal without its numbers: name, run, kind, who, what.
    pub journal: Vec<(String, u64, String, Option<String>, String)>,
    /// The keys the deploy tool was asked with.
    pub asked: Vec<String>,
    /// Phase, run, stage and weight of each rollout.
    pub ends: BTreeMap<String, (String, u64, usize, u32)>,
}

#[derive(Default)]
struct Watched {
    points: Vec<Failpoint>,
    fates: BTreeMap<usize, Fate>,
    /// Where the store is copied to when the process ends.
    copies: usize,
    policies: Vec<(u64, BTreeMap<String, u64>)>,
}

pub struct World {
    dir: tempfile::TempDir,
    watched: Arc<Mutex<Watched>>,
    engine: Option<Engine>,
    sources: Sources,
    nodes: watch::Sender<Nodes>,
    pub inputs: Inputs,
    counted_to_ms: u64,
    now: Now,
    /// Seconds told so far.
    pub seconds: usize,
    /// What happens to the clocks before which second.
    pub jumps: BTreeMap<usize, Jump>,
    /// How the versions on trial answer.
    pub canary: Canary,
    /// The version that answers with errors, whatever the others do.
    pub fails: Option<String>,
    /// The policy a proxy named when it connected.
    pub brought: Option<(u64, u64)>,
    /// The policy that somebody named who connected as a proxy nobody knows.
    pub stranger: Option<(u64, u64)>,
    /// Do proxies prove who they are?
    pub proxies_prove: bool,
    /// Does the process that starts next go on from what another replica decided?
    pub takes_over: Option<Succession>,
    /// What an Envoy's counters say of its policy.
    pub gauges: BTreeMap<String, u64>,
    /// Whose counters are read; `None`: that does not matter.
    pub second_admin: Option<Admins>,
    /// Where the store lies.
    disk: Disk,
}

impl World {
    /// `fates`: what happens at which point, counted from 0.
    pub async fn new(fates: impl IntoIterator<Item = (usize, Fate)>) -> Self {
        Self::on(Disk::default(), fates).await
    }

    /// The same, with the store on a disk that can be lost.
    pub async fn on(disk: Disk, fates: impl IntoIterator<Item = (usize, Fate)>) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (nodes, known) = watch::channel(Nodes::default());
        let (_, refusals) = watch::channel(BTreeMap::new());
        let (commands, increments) = (mpsc::channel(1).1, mpsc::channel(1).1);
        let inputs = Inputs { commands, increments, nodes: known.clone(), connected: known, refusals };
        let watched = Watched { fates: fates.into_iter().collect(), ..Watched::default() };
        let now = Now { unix_ms: 1_700_000_000_000, monotonic_ns: 5_000_000_000 };
        let watched = Arc::new(Mutex::new(watched));
        // Reading the machine's certificates takes longer than all the rest.
        static SOURCES: LazyLock<Sources> = LazyLock::new(|| {
            Sources::new(Secrets::default(), outbound::system(), Hosts::default()).expect("sources")
        });
        let mut world = Self {
            sources: SOURCES.clone(),
            dir,
            watched,
            engine: None,
            nodes,
            inputs,
            counted_to_ms: now.unix_ms,
            now,
            seconds: 0,
            jumps: BTreeMap::new(),
            canary: Canary::Good,
            fails: None,
            brought: None,
            stranger: None,
            proxies_prove: false,
            takes_over: None,
            gauges: BTreeMap::new(),
            second_admin: None,
            disk,
        };
        clock::fake::set(now);
        world.boot().await;
        world
    }

    fn file(&self, copy: usize) -> PathBuf {
        self.dir.path().join(format!("serin-{copy}.db"))
    }

    /// Starts the process on what the last one left. It may end in the middle of that, too.
    async fn boot(&mut self) {
        loop {
            let copy = self.watched.lock().expect("not poisoned").copies;
            let file = self.file(copy);
            let mut store = Store::open(&file).expect("the store opens");
            store.without_sync().expect("a switch");
            store.failpoints = self.points(copy);
            let incarnation = store.incarnation;
            let resource = || Resource::local("/filter.wasm");
            let policy = EcdsFile::new(self.dir.path(), resource(), incarnation);
            let publisher = Publisher::new(vec![Box::new(policy)], incarnation, 1_000);
            let sources = self.sources.clone();
            let leases = Leases::new(incarnation, 5_000);
            let engine = match self.disk.takes(&mut store) {
                None => Engine::open(store, publisher, leases, sources, Hooks::any()),
                Some(()) => {
                    let writer = StoreWriter::new(store).expect("a thread");
                    Engine::open(writer, publisher, leases, sources, Hooks::any())
                }
            };
            let mut engine = engine.expect("an engine").0;
            if self.proxies_prove {
                engine.believe_proxies();
            }
            self.engine = Some(engine);
            if let Some(succession) = self.takes_over.take() {
                self.engine_mut().takes_over(succession);
                self.live(async |engine, inputs| engine.take_over(inputs).await).await;
            }
            if self.live(async |engine, _| engine.recover().await).await.is_some() {
                return;
            }
        }
    }

    fn points(&self, copy: usize) -> Failpoints {
        let (watched, file, to) = (self.watched.clone(), self.file(copy), self.file(copy + 1));
        let policy = self.dir.path().join("serin.json");
        Failpoints::watched(move |point| {
            let mut watched = watched.lock().expect("not poisoned");
            note(&mut watched.policies, &policy);
            let at = watched.points.len();
            watched.points.push(point);
            match watched.fates.get(&at) {
                Some(Fate::Crash) => {
                    watched.copies += 1;
                    drop(watched);
                    for part in ["", "-wal"] {
                        let name = |file: &PathBuf| format!("{}{part}", file.display());
                        let _ = std::fs::copy(name(&file), name(&to));
                    }
                    resume_unwind(Box::new(Ended));
                }
                Some(Fate::Refuse) if matches!(point, Failpoint::Begin | Failpoint::Written) => {
                    anyhow::bail!("the disk refuses")
                }
                _ => Ok(()),
            }
        })
    }

    /// Lets the process do something; `None`: it ended over that.
    async fn live<T>(&mut self, what: impl AsyncFnOnce(&mut Engine, &mut Inputs) -> T) -> Option<T> {
        let engine = self.engine.as_mut().expect("a process");
        let turn = async {
            let done = what(engine, &mut self.inputs).await;
            if engine.publication.pending {
                engine.publish().await;
            }
            done
        };
        let done = AssertUnwindSafe(turn).catch_unwind().await;
        let policies = &mut self.watched.lock().expect("not poisoned").policies;
        note(policies, &self.dir.path().join("serin.json"));
        match done {
            Ok(done) => Some(done),
            Err(ended) if ended.is::<Ended>() => {
                self.engine = None;
                None
            }
            Err(other) => resume_unwind(other),
        }
    }

    /// As `live`, and when the process ends it is started again, a little later.
    async fn living<T>(&mut self, what: impl AsyncFnOnce(&mut Engine, &mut Inputs) -> T) -> Option<T> {
        let done = self.live(what).await;
        if done.is_none() {
            self.pass(2_500);
            self.boot().await;
        }
        done
    }

    fn pass(&mut self, ms: u64) {
        self.now.unix_ms += ms;
        self.now.monotonic_ns += ms * 1_000_000;
        clock::fake::set(self.now);
    }

    async fn jump(&mut self, jump: Jump) {
        match jump {
            Jump::Set(by_ms) => self.now.unix_ms = self.now.unix_ms.saturating_add_signed(by_ms),
            Jump::Sleep(ms) => self.now.unix_ms += ms,
            Jump::PowerCycle => {
                let copy = self.watched.lock().expect("not poisoned").copies;
                self.watched.lock().expect("not poisoned").copies += 1;
                self.engine = None;
                std::fs::copy(self.file(copy), self.file(copy + 1)).expect("the store");
                self.now = Now { unix_ms: self.now.unix_ms + 30_000, monotonic_ns: 1_000_000_000 };
                clock::fake::set(self.now);
                return self.boot().await;
            }
        }
        clock::fake::set(self.now);
        // A scraper dates its next look by the wall clock as it is then.
        self.counted_to_ms = self.now.unix_ms;
    }

    pub fn state(&self, name: &str) -> Option<&State> {
        self.engine.as_ref().and_then(|engine| engine.runs.get(name)).map(|run| &run.state)
    }

    /// A rollout as people see it.
    pub fn view(&self, name: &str) -> Arc<RunView> {
        self.engine.as_ref().expect("a process").views.borrow()[name].clone()
    }

    /// A person applies a specification, and hears what becomes of it.
    pub async fn apply_once(&mut self, text: &str) -> Result<Applied, Refusal> {
        self.engine.as_mut().expect("a process").apply(text, "anna".to_owned(), false).await
    }

    /// A person wants something tried.
    pub async fn order(&mut self, name: &str, order: Order) -> Result<u64, Refusal> {
        let human = Human { who: "ben".to_owned(), reason: String::new() };
        let engine = self.engine.as_mut().expect("a process");
        engine.order(name, order, human, false).await
    }

    /// So many seconds, one after the other.
    pub async fn seconds(&mut self, seconds: usize) {
        for _ in 0..seconds {
            self.second().await;
        }
    }

    /// The machine sleeps; then it is a second later.
    pub async fn sleep(&mut self, ms: u64) {
        self.jump(Jump::Sleep(ms)).await;
        self.second().await;
    }

    /// The machine is started again.
    pub async fn restart(&mut self) {
        self.jump(Jump::PowerCycle).await;
    }

    /// A refusal that took long, as on a busy machine, is believed for a second of the machine's own clock.
    async fn until_the_store_is_asked(&self) {
        while self.engine.as_ref().is_some_and(|engine| engine.maintenance.pauses()) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// A person applies a specification, again and again until there is an answer.
    pub async fn apply(&mut self, text: &str) {
        for _ in 0..PATIENCE {
            let applied =
                self.living(async |engine, _| engine.apply(text, "anna".to_owned(), true).await).await;
            match applied {
                Some(Ok(_)) => return,
                Some(Err(Refusal::Failed(_))) | None => self.until_the_store_is_asked().await,
                Some(Err(other)) => panic!("{other:?}"),
            }
        }
        panic!("never applied: {text}");
    }

    /// A person does something, and samples into the history before trying it again.
    pub async fn act(&mut self, name: &str, act: Act, reason: &str) {
        for _ in 0..PATIENCE {
            let human = || Human { who: "ben".to_owned(), reason: reason.to_owned() };
            let did = self.seen().journal.iter().any(|line| line.4.ends_with(&format!("/{reason}")));
            if did {
                return;
            }
            // As the command does: it is meant for what is there.
            let did = self.living(async |engine, _| {
                let conditions = Conditions { expect: Some(engine.revision_of(name)), key: None };
                engine.act_if(name, act, human(), &conditions).await
            });
            match did.await {
                Some(Ok(())) => return,
                Some(Err(Refusal::Failed(_))) | None => self.until_the_store_is_asked().await,
                Some(Err(other)) => panic!("{act:?} {reason}: {other:?}"),
            }
        }
        panic!("{act:?} never done");
    }

    /// A person goes back to the version before, and samples into the history before trying it again.
    pub async fn roll_back(&mut self, name: &str, reason: &str) {
        for _ in 0..PATIENCE {
            if self.seen().journal.iter().any(|line| line.4 == format!("rollback/{reason}")) {
                return;
            }
            let went = self.living(async |engine, _| {
                let human = Human { who: "ben".to_owned(), reason: reason.to_owned() };
                let order = RollbackOrder { to: None, unverified: true };
                let (answer, mut answered) = oneshot::channel();
                engine.roll_back(name.to_owned(), order, human, Conditions::default(), answer).await;
                loop {
                    match answered.try_recv() {
                        Ok(said) => return said,
                        Err(_) => {
                            let report = engine.external.reported.recv().await.expect("an answer");
                            engine.report(report).await;
                        }
                    }
                }
            });
            match went.await {
                Some(Ok(_)) => return,
                Some(Err(Refusal::Failed(_))) | None => self.until_the_store_is_asked().await,
                Some(Err(other)) => panic!("{reason}: {other:?}"),
            }
        }
        panic!("never gone back");
    }

    /// Second by second, until the run is as wanted.
    pub async fn until(&mut self, name: &str, what: &str, wanted: impl Fn(&State) -> bool) {
        for _ in 0..90 {
            if self.state(name).is_some_and(&wanted) {
                return;
            }
            self.second().await;
        }
        panic!("{name} never gets to {what}: {:?}", self.state(name).map(State::message));
    }

    pub async fn second(&mut self) {
        if let Some(jump) = self.jumps.remove(&self.seconds) {
            self.jump(jump).await;
        }
        self.seconds += 1;
        self.pass(1_000);
        let generation = self.engine.as_ref().map_or(0, |engine| engine.mesh.generation);
        let unix_ms = self.now.unix_ms;
        let node = Node {
            streams: 1,
            acknowledged: Some(Acknowledged { generation, unix_ms, latency_ms: None }),
            brought: self.brought,
            ..Node::default()
        };
        if let Some(engine) = &self.engine {
            engine.publication.leases.note_alive();
            for node in ["a", "b"].map(str::to_owned) {
                let incarnation = engine.mesh.incarnation;
                engine
                    .publication
                    .leases
                    .answer(&Question { incarnation, generation, node, by_rollout: true }, None);
            }
        }
        let mut nodes: BTreeMap<String, Node> = ["a", "b"].map(|name| (name.to_owned(), node.clone())).into();
        if self.stranger.is_some() {
            nodes.insert("stranger".to_owned(), Node { brought: self.stranger, ..node });
        }
        self.nodes.send_replace(Nodes(nodes));
        self.living(async |engine, inputs| engine.take_acknowledgements(inputs).await).await;
        let news = self.increments();
        self.living(async |engine, _| engine.take_increments(&news).await).await;
        self.living(async |engine, _| engine.tick().await).await;
        // The deploy tool is a real process; the world waits for it.
        let asks = |engine: &Engine| {
            engine.runs.values().any(|run| {
                let state = &run.state;
                state.ending.calls.iter().any(|call| call.asked)
                    || state.plan.hand_back.how != manifest::HandBackHow::Manual
                        && matches!(
                            state.phase,
                            rollout::Phase::HandBack(rollout::HandBackProgress::Asked {
                                done: false,
                                failed: None,
                                ..
                            })
                        )
            })
        };
        while self.engine.as_ref().is_some_and(asks) {
            self.living(async |engine, _| {
                let patience = Duration::from_secs(20);
                let report = tokio::time::timeout(patience, engine.external.reported.recv()).await;
                if let Some(report) = report.expect("the deploy tool answers") {
                    engine.report(report).await;
                }
                // What the disk refused is told again by the next tick.
                engine.tick().await;
            })
            .await;
        }
    }
}
