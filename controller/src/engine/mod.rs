//! The one task that owns every run: events in, one at a time; decisions to the store first, then to the world.

mod act;
mod apply;
mod back;
mod command;
mod delete;
mod demand;
mod ending;
mod exercise;
mod fleets;
mod latency;
mod practice;
mod pulse;
mod queue;
mod readings;
mod ready;
mod receive;
mod record;
mod report;
mod roster;
mod run;
mod triggers;
mod views;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use envoy::ecds::Nodes;
use rollout::{Acks, Event, ExerciseEvent, Now};
use split::Arm;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

pub use apply::Refusal;
pub use back::GoBack;
pub use command::Command;
pub use exercise::Order;
use exercise::Slot;
pub use pulse::Pulse;
pub use readings::Figure;
pub use receive::Applied;
pub use triggers::{Gone, TriggerCommand, TriggerView, TriggerViews};
pub use views::Views;

use crate::clock;
use crate::evidence::Increments;
use crate::hook::Hooks;
use crate::lease::LeaseBook;
use crate::publish::Publisher;
use crate::scrape::Wanted;
use crate::traffic::TrafficLog;
use latency::Latency;
use queue::Waiting;
use report::Report;
use roster::Roster;
use run::Run;
use sources::Sources;
use store::{Mesh, Store};
use triggers::Trigger;

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
    pub refusals: watch::Receiver<BTreeMap<String, u64>>,
}

pub struct Engine {
    store: Store,
    publisher: Publisher,
    lease: LeaseBook,
    hooks: Hooks,
    sources: Sources,
    runs: BTreeMap<String, Run>,
    /// What comes after the present run of each name.
    waiting: BTreeMap<String, Waiting>,
    /// What is tried between runs.
    exercises: BTreeMap<String, Slot>,
    /// The proxies, as they last stood.
    roster: Roster,
    /// The Envoys whose word on endpoints is taken.
    admins: Vec<envoy::stats::Admin>,
    triggers: BTreeMap<String, Trigger>,
    trigger_views: watch::Sender<TriggerViews>,
    generation: u64,
    /// Are there weights that no push has told of yet?
    unsent: bool,
    /// When the last push went out.
    sent: Option<Instant>,
    revoked_below: u64,
    /// When runs were last written without a decision.
    kept_up_ns: u64,
    /// The same of runs that are over.
    seldom_kept_up_ns: u64,
    /// The clocks at the last look at counters.
    looked_at: Now,
    /// When what is old was last looked after, and how often that is wanted.
    kept_house_ns: u64,
    house_every_ns: u64,
    /// When practice was last looked after.
    practised_ns: u64,
    /// How it keeps up, for the metrics.
    pub pulse: Pulse,
    /// What the machine could not take while the store refused, by run.
    refused: Vec<(String, u64, Event)>,
    /// Did the store refuse the last write?
    disk_refuses: bool,
    views: watch::Sender<Views>,
    /// What is wanted of every Envoy.
    wanted: watch::Sender<Wanted>,
    reports: mpsc::Sender<Report>,
    reported: mpsc::Receiver<Report>,
    /// Keeps what is counted; `None`: nobody asked for it.
    traffic: Option<TrafficLog>,
}

/// When the two clocks disagree by more, the wall clock was set.
const LARGEST_DRIFT_MS: i64 = 1_000;

/// How often time itself is an event.
const TICK: Duration = Duration::from_millis(250);

impl Engine {
    /// Takes up what the store holds: the same runs, at the same weights, under the same generation.
    pub fn open(
        store: Store,
        publisher: Publisher,
        lease: LeaseBook,
        sources: Sources,
        hooks: Hooks,
    ) -> Result<(Self, watch::Receiver<Views>)> {
        let (views, seen) = watch::channel(Views::default());
        let (reports, reported) = mpsc::channel(64);
        let Mesh { generation, revoked_below } = store.mesh()?;
        lease.revoke_below(revoked_below);
        let runs =
            store.rollouts()?.into_iter().map(|stored| (stored.state.plan.name.clone(), Run::new(stored)));
        let runs = runs.collect();
        let waiting = store
            .queued()?
            .into_iter()
            .map(|queued| (queued.name.clone(), Waiting::stored(queued)))
            .collect();
        let triggers = store.triggers()?.into_iter().filter_map(Trigger::stored).collect();
        let mut engine = Self {
            store,
            publisher,
            lease,
            hooks,
            sources,
            runs,
            waiting,
            exercises: BTreeMap::new(),
            roster: Roster::default(),
            admins: Vec::new(),
            triggers,
            trigger_views: watch::Sender::default(),
            generation,
            unsent: false,
            sent: None,
            revoked_below,
            looked_at: clock::now(),
            kept_up_ns: clock::monotonic_ns(),
            seldom_kept_up_ns: clock::monotonic_ns(),
            kept_house_ns: clock::monotonic_ns(),
            house_every_ns: 0,
            practised_ns: 0,
            pulse: Pulse::default(),
            refused: Vec::new(),
            disk_refuses: false,
            views,
            wanted: watch::Sender::default(),
            reports,
            reported,
            traffic: None,
        };
        engine.load_exercises()?;
        engine.load_practice()?;
        Ok((engine, seen))
    }

    /// Keeps what is counted from now on.
    pub fn record(&mut self, traffic: TrafficLog) {
        self.traffic = Some(traffic);
    }

    /// What begins rollouts by itself, for people and tools.
    pub fn trigger_views(&self) -> watch::Receiver<TriggerViews> {
        self.trigger_views.subscribe()
    }

    /// What is wanted of every Envoy now.
    pub fn wanted(&self) -> watch::Receiver<Wanted> {
        self.wanted.subscribe()
    }

    /// Runs until the commands end or `stop` resolves.
    pub async fn run(mut self, mut inputs: Inputs, stop: impl Future<Output = ()>) -> Result<()> {
        self.take_up().await;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            let push_due = self.push_due();
            tokio::select! {
                () = &mut stop => {
                    self.keep_up(0);
                    return Ok(());
                }
                command = inputs.commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => return Ok(()),
                },
                Some(report) = self.reported.recv() => self.report(report).await,
                Ok(()) = inputs.nodes.changed() => self.acknowledged(&mut inputs).await,
                Ok(()) = inputs.refusals.changed() => self.acknowledged(&mut inputs).await,
                Some(increments) = inputs.increments.recv() => self.counted(&increments).await,
                _ = ticks.tick() => self.tick().await,
                () = tokio::time::sleep_until(push_due), if self.unsent => {}
            }
            if self.unsent && self.push_due() <= Instant::now() {
                self.publish().await;
            }
            self.lease.alive();
        }
    }

    async fn tick(&mut self) {
        self.keep_up(act::KEEP_UP_NS);
        self.keep_house();
        self.tell_again().await;
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

    async fn counted(&mut self, increments: &Increments) {
        let begun_ns = clock::monotonic_ns();
        self.look_at_clocks();
        let mut news = Vec::new();
        for run in self.runs.values_mut() {
            run.measured.take(&run.state, increments);
            if let Some(latency) = Latency::of(&run.state, increments)
                && !run.latency.is_some_and(|known| known.complete)
                && run.latency.replace(latency) != Some(latency)
            {
                news.push(run.state.plan.name.clone());
            }
        }
        news.iter().for_each(|name| self.show_run(name));
        for name in self.live() {
            let Some(run) = self.runs.get_mut(&name) else { continue };
            let interval = increments.interval(&mut run.accumulator, &run.state);
            if let Some(traffic) = self.traffic.as_mut().filter(|_| !run.state.is_over()) {
                traffic.keep(&name, &interval);
            }
            self.advance(&name, &Event::Interval(Box::new(interval))).await;
        }
        self.exercises_counted(increments).await;
        self.pulse.looked(increments.due_ns, begun_ns, clock::monotonic_ns());
    }

    /// Was the wall clock set, or did the machine sleep? Then what was dated by it is dated anew.
    pub(super) fn look_at_clocks(&mut self) {
        let now = clock::now();
        let before = std::mem::replace(&mut self.looked_at, now);
        let passed = i64::try_from(now.since_ms(before)).unwrap_or(i64::MAX);
        let by_ms = now.unix_ms.cast_signed() - before.unix_ms.cast_signed() - passed;
        if by_ms.abs() > LARGEST_DRIFT_MS {
            tracing::warn!("the wall clock was set, by {by_ms} ms");
            self.runs.values_mut().for_each(|run| run.accumulator.clock_set(by_ms));
        }
    }

    async fn acknowledged(&mut self, inputs: &mut Inputs) {
        // Proxies wait while this is read, so nothing is awaited before all of it is.
        let (of_runs, of_exercises) = {
            let nodes = inputs.nodes.borrow_and_update();
            let reasons = inputs.refusals.borrow_and_update();
            let mut heard = self.roster.hear(&nodes, &reasons);
            let of_runs = self.runs.iter_mut();
            let of_runs: Vec<(String, Acks)> = of_runs
                .filter_map(|(name, run)| Some((name.clone(), run.acknowledged(&mut heard)?)))
                .collect();
            let region = |name: &String| self.runs.get(name).and_then(|run| act::region(&run.state));
            let of_exercises = self.exercises.iter_mut();
            let of_exercises: Vec<(String, Acks)> = of_exercises
                .filter_map(|(name, slot)| Some((name.clone(), slot.acknowledged(&mut heard, region(name))?)))
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
