//! The one task that owns every run: events in, one at a time; decisions to the store first, then to the world.

mod acknowledged;
mod act;
mod admission;
mod apply;
mod claims;
mod command;
mod commit;
mod conditions;
mod deferred;
mod delete;
mod demand;
mod ending;
mod exercise;
mod fence;
mod fleets;
mod journal;
mod latency;
mod maintenance;
mod metrics;
mod practice;
mod publication;
mod queue;
mod readings;
mod ready;
mod record;
mod registry;
mod report;
mod rollback;
mod run;
mod store_writer;
mod triggers;
mod views;
mod writing;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use envoy::ecds::Nodes;
use envoy::stats::Admin;
use rollout::{Acks, Event, ExerciseEvent};
use split::Arm;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use api::Refusal;
pub use apply::compiles;
pub use command::Command;
pub use conditions::Conditions;
use exercise::ExerciseState;
pub use exercise::Order;
pub use fence::{Leadership, Succession};
pub use metrics::EngineMetrics;
pub use rollback::RollbackOrder;
pub use store_writer::StoreWriter;
pub use triggers::{RegistryEvent, TriggerCommand, TriggerViews};
pub use views::Views;

use crate::health::Health;
use crate::publish::Publisher;
use hooks::Hooks;
use journal::Journal;
use lease::Leases;
use maintenance::Maintenance;
use publication::Publication;
use queue::QueuedRun;
use registry::ProxyRegistry;
use report::Report;
use run::Run;
use scrape::{Increments, Unread, Wanted};
use sources::Sources;
use store::{Mesh, TrafficLog};
use triggers::Trigger;
use writing::{WriteBacklog, WriteInFlight};

/// What a person can do to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Abort,
    /// One of several challengers is to go.
    Drop(Arm),
    /// One of several challengers is to go on alone.
    Choose(Arm),
    Promote,
    Approve,
    Pause,
    Resume,
    /// In parts per million.
    SetWeight(u32),
}

/// What the engine listens to.
pub struct Inputs {
    pub commands: mpsc::Receiver<Command>,
    pub increments: mpsc::Receiver<Increments>,
    pub nodes: watch::Receiver<Nodes>,
    /// Those that are connected here, where `nodes` are others: what they brought is known by their streams alone.
    pub connected: watch::Receiver<Nodes>,
    pub refusals: watch::Receiver<BTreeMap<String, u64>>,
}

/// Everything but the clocks and the sockets.
pub struct Engine {
    journal: Box<dyn Journal>,
    /// What the whole mesh knows, as it was decided last.
    mesh: Mesh,
    publication: Publication,
    external: External,
    runs: BTreeMap<String, Run>,
    /// What comes after the present run of each name.
    waiting: BTreeMap<String, QueuedRun>,
    /// What is tried between runs.
    exercises: BTreeMap<String, ExerciseState>,
    /// The proxies, as they last stood.
    registry: ProxyRegistry,
    triggers: BTreeMap<String, Trigger>,
    trigger_views: watch::Sender<TriggerViews>,
    maintenance: Maintenance,
    /// What holds and the store does not have, beside what runs and exercises know of themselves.
    backlog: WriteBacklog,
    /// The write that is under way.
    writing: Option<WriteInFlight>,
    /// How it keeps up, for the metrics.
    pub metrics: EngineMetrics,
    views: watch::Sender<Views>,
    /// Keeps what is counted; `None`: traffic is not recorded.
    traffic: Option<TrafficLog>,
}

/// What is asked elsewhere, so that the engine waits for nothing but the store; answers come back as reports.
struct External {
    hooks: Hooks,
    sources: Sources,
    /// The admin addresses that are asked how many endpoints are ready.
    admins: Vec<Admin>,
    reports: mpsc::Sender<Report>,
    reported: mpsc::Receiver<Report>,
}

/// How soon a write under way is heard of.
const HEAR: Duration = Duration::from_millis(20);

/// How often time itself is an event.
const TICK: Duration = Duration::from_millis(250);

/// How long a stop waits for hooks that are under way.
pub const GRACE: Duration = Duration::from_secs(20);

impl Engine {
    /// Begins with what the journal holds: the same runs, at the same weights, under the same generation.
    pub fn open(
        mut journal: impl Journal + 'static,
        publisher: Publisher,
        leases: Leases,
        sources: Sources,
        hooks: Hooks,
    ) -> Result<(Self, watch::Receiver<Views>)> {
        let (views, seen) = watch::channel(Views::default());
        let (reports, reported) = mpsc::channel(64);
        let (mesh, held) = (journal.mesh()?, journal.held());
        let runs =
            journal.rollouts()?.into_iter().map(|stored| (stored.state.plan.name.clone(), Run::new(stored)));
        let runs = runs.collect();
        let waiting = journal
            .queued()?
            .into_iter()
            .map(|queued| (queued.name.clone(), QueuedRun::stored(queued)))
            .collect();
        let triggers = journal.triggers()?.into_iter().filter_map(Trigger::stored).collect();
        let mut engine = Self {
            journal: Box::new(journal),
            mesh,
            publication: Publication::new(publisher, leases),
            external: External { hooks, sources, admins: Vec::new(), reports, reported },
            runs,
            waiting,
            exercises: BTreeMap::new(),
            registry: ProxyRegistry::default(),
            triggers,
            trigger_views: watch::Sender::default(),
            maintenance: Maintenance::new(),
            backlog: WriteBacklog::default(),
            writing: None,
            metrics: EngineMetrics::default(),
            views,
            traffic: None,
        };
        engine.load_exercises()?;
        engine.load_held(held);
        engine.publication.leases.note_earlier(&engine.journal.published()?);
        engine.publication.leases.revoke(&engine.mesh);
        engine.load_practice()?;
        // Before the API serves: a rollout that is not shown would be taken for one that does not exist.
        engine.show();
        engine.show_triggers();
        Ok((engine, seen))
    }

    /// Keeps what is counted from now on.
    pub fn record(&mut self, traffic: TrafficLog) {
        self.traffic = Some(traffic);
    }

    /// Says how it stands, from now on.
    pub fn send_health(&mut self, health: Health) {
        self.maintenance.health = Some(health);
    }

    /// Proxies prove who they are, wherever they are heard: what they say they run is believed.
    pub const fn believe_proxies(&mut self) {
        self.maintenance.proxies_prove = true;
    }

    /// It goes on from what another replica decided, which may have taken back what it could not write down any more.
    pub fn takes_over(&mut self, succession: Succession) {
        self.maintenance.succession = Some(succession);
    }

    /// What begins rollouts by itself, for people and tools.
    pub fn trigger_views(&self) -> watch::Receiver<TriggerViews> {
        self.trigger_views.subscribe()
    }

    /// What is wanted of every Envoy now.
    pub fn wanted(&self) -> watch::Receiver<Wanted> {
        self.publication.wanted.subscribe()
    }

    /// Runs until the commands end or `stop` resolves.
    pub async fn run(mut self, mut inputs: Inputs, stop: impl Future<Output = ()>) -> Result<()> {
        tokio::pin!(stop);
        if self.maintenance.succession.is_some() {
            tokio::select! {
                () = Box::pin(self.take_over(&mut inputs)) => {}
                () = &mut stop => {
                    self.close();
                    return Ok(());
                }
            }
        }
        self.recover().await;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Once it is to stop: until when it waits for hooks.
        let mut until: Option<Instant> = None;
        loop {
            let push_due = self.publication.due();
            let stop_due = until.unwrap_or_else(Instant::now);
            tokio::select! {
                () = &mut stop, if until.is_none() => {
                    self.external.hooks.close();
                    until = Some(Instant::now() + GRACE);
                }
                () = self.external.hooks.idle(), if until.is_some() => return self.finish().await,
                () = tokio::time::sleep_until(stop_due), if until.is_some() => {
                    tracing::warn!("a hook did not end within {GRACE:?}; it is ended, and called again by the next start");
                    return self.finish().await;
                }
                command = inputs.commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => return Ok(()),
                },
                Some(report) = self.external.reported.recv() => self.report(report).await,
                Ok(()) = inputs.nodes.changed() => self.take_acknowledgements(&mut inputs).await,
                Ok(()) = inputs.refusals.changed() => self.take_acknowledgements(&mut inputs).await,
                Some(increments) = inputs.increments.recv() => self.take_increments(&increments).await,
                _ = ticks.tick() => {
                    // Proxies that are there and take nothing do nothing that would be heard of.
                    if self.publication.unheard {
                        self.take_acknowledgements(&mut inputs).await;
                    }
                    self.tick().await;
                }
                () = tokio::time::sleep_until(push_due), if self.publication.pending => {}
                () = tokio::time::sleep(HEAR), if self.writing.is_some() => {}
            }
            self.settle_deferred().await;
            if self.publication.pending && self.publication.due() <= Instant::now() {
                self.publish().await;
            }
            self.publication.leases.note_alive();
        }
    }

    /// Takes in what hooks have said, and writes all of it down.
    async fn finish(&mut self) -> Result<()> {
        while let Ok(report) = self.external.reported.try_recv() {
            self.report(report).await;
        }
        if self.publication.pending {
            self.publish().await;
        }
        self.publication.leaves().await;
        self.close();
        Ok(())
    }

    async fn tick(&mut self) {
        self.checkpoint(maintenance::CHECKPOINT_NS);
        self.maintenance.health.iter().for_each(|health| health.note_turn(self.maintenance.disk_refuses));
        self.prune();
        self.settle_deferred().await;
        self.look_at_leases().await;
        for name in self.live() {
            self.advance(&name, &Event::Tick).await;
            self.probe(&name);
            self.ask_sources(&name);
            self.read_pushed(&name).await;
            self.count_endpoints(&name);
            self.look_at_kept(&name);
        }
        self.exercises_tick().await;
        self.serve_all().await;
        // Beginning a run is rare and its future large; the loop's own frame is not to hold it.
        Box::pin(self.settle_triggers()).await;
        Box::pin(self.practise()).await;
    }

    async fn take_increments(&mut self, increments: &Increments) {
        let begun_ns = clock::monotonic_ns();
        self.maintenance.health.iter().for_each(|health| health.note_look(increments));
        self.look_at_clocks();
        let mut news = Vec::new();
        for run in self.runs.values_mut() {
            run.measured.take(&run.state, increments);
            if let Some(latency) = latency::of(&run.state, increments)
                && !run.latency.is_some_and(|known| known.complete)
                && run.latency.replace(latency) != Some(latency)
            {
                news.push(run.state.plan.name.clone());
            }
        }
        news.iter().for_each(|name| self.show_run(name));
        let mut unread: BTreeMap<Option<String>, Unread> = BTreeMap::new();
        for name in self.live() {
            let Some(run) = self.runs.get_mut(&name) else { continue };
            let region = scrape::region(&run.state);
            let unread = unread
                .entry(region.map(str::to_owned))
                .or_insert_with(|| increments.unread(region, self.registry.connected_in(region)));
            let interval = increments.interval(&mut run.accumulator, &run.state, unread);
            if let Some(traffic) = self.traffic.as_mut().filter(|_| !run.state.is_over()) {
                traffic.keep(&name, &interval);
            }
            self.advance(&name, &Event::Interval(Box::new(interval))).await;
        }
        self.exercises_counted(increments).await;
        Box::pin(self.look_at_gauges(increments)).await;
        self.metrics.record_delay(increments.delay_ms());
        self.metrics.record_look(increments.due_ns, begun_ns, clock::monotonic_ns());
    }

    async fn take_acknowledgements(&mut self, inputs: &mut Inputs) {
        self.publication.unheard = false;
        Box::pin(self.look_at_nodes(inputs)).await;
        // Proxies wait while this is read, so nothing is awaited before all of it is.
        let (of_runs, of_exercises) = {
            let nodes = inputs.nodes.borrow_and_update();
            let reasons = inputs.refusals.borrow_and_update();
            let mut heard = self.registry.update(&nodes, &reasons);
            let of_runs = self.runs.iter_mut();
            let of_runs: Vec<(String, Acks)> =
                of_runs.filter_map(|(name, run)| Some((name.clone(), run.news(&mut heard)?))).collect();
            let region = |name: &String| self.runs.get(name).and_then(|run| publication::region(&run.state));
            let of_exercises = self.exercises.iter_mut();
            let of_exercises: Vec<(String, Acks)> = of_exercises
                .filter_map(|(name, known)| Some((name.clone(), known.news(&mut heard, region(name))?)))
                .collect();
            (of_runs, of_exercises)
        };
        for (name, acks) in of_runs {
            self.advance(&name, &Event::Acks(acks)).await;
        }
        for (name, acks) in of_exercises {
            self.exercise(&name, &ExerciseEvent::Acks(acks)).await;
        }
    }
}

#[cfg(test)]
mod tests;
