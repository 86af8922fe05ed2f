//! Reads every Envoy's counters, again and again, and says what happened between two looks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use envoy::ecds::{Acknowledged, Node, Nodes};
use envoy::stats::{Admin, Counters, Interval, Snapshot};
use futures::stream::{FuturesUnordered, StreamExt as _};
use tally::Counted;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::clock;
use crate::evidence::{Increments, Source};

/// A source is stale after this many periods without an answer.
const STALE_PERIODS: u32 = 5;

/// A look is closed after this long, whoever has not answered: others may show harm meanwhile.
const LONGEST_PATIENCE: Duration = Duration::from_millis(200);

/// What is wanted of every Envoy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of the policies published last.
    pub incarnation: u64,
    /// The clusters whose own counters are evidence: those of shadows.
    pub clusters: BTreeSet<String>,
    /// The rollouts and versions whose counters are: a look costs what is live, not what ever was.
    pub scope: Arc<BTreeSet<(String, String)>>,
    /// The epoch of each rollout under the generations published last: gauges are sums while two processes of an Envoy
    /// live, the version it names is not.
    pub epochs: Arc<BTreeMap<u64, Arc<BTreeMap<String, u64>>>>,
}

/// Generations whose epochs are remembered: a proxy that lags further behind says its epochs by itself.
const GENERATIONS_KEPT: usize = 64;

impl Wanted {
    /// A policy goes out.
    pub fn published(&mut self, generation: u64, epochs: BTreeMap<String, u64>) {
        let known = Arc::make_mut(&mut self.epochs);
        known.insert(generation, Arc::new(epochs));
        while known.len() > GENERATIONS_KEPT {
            known.pop_first();
        }
    }
}

pub struct Scraper {
    admins: Vec<(Option<String>, Admin)>,
    period: Duration,
    /// Refusals since this process began, by the filter's own reason.
    refusals: watch::Sender<BTreeMap<String, u64>>,
    /// What each Envoy's admin says it has accepted: the acknowledgements of a policy that travels as a file.
    nodes: watch::Sender<Nodes>,
    seen: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Scraper {
    pub fn new(
        admins: Vec<(Option<String>, Admin)>,
        period: Duration,
    ) -> (Self, watch::Receiver<BTreeMap<String, u64>>, watch::Receiver<Nodes>) {
        let (refusals, refused) = watch::channel(BTreeMap::new());
        let (nodes, known) = watch::channel(Nodes::default());
        (Self { admins, period, refusals, nodes, seen: BTreeMap::new() }, refused, known)
    }

    /// Runs until nobody listens any more.
    pub async fn run(mut self, out: mpsc::Sender<Increments>, wanted: watch::Receiver<Wanted>) {
        let mut counters = Counters::new(self.period * STALE_PERIODS, clock::monotonic_ns());
        // Where each is: as its operator says, else as it says itself, once it has answered.
        let mut regions: BTreeMap<String, String> = BTreeMap::new();
        for (region, admin) in &self.admins {
            regions.extend(region.clone().map(|region| (admin.source().to_owned(), region)));
            counters.expect(admin.source());
        }
        let mut ticks = tokio::time::interval(self.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // One that hangs keeps nobody waiting: what it says is part of the look that is open when it has said it.
        let mut readings = FuturesUnordered::new();
        let mut idle: BTreeSet<usize> = (0..self.admins.len()).collect();
        let mut errors: BTreeMap<String, String> = BTreeMap::new();
        let mut gauges: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        loop {
            let due = ticks.tick().await;
            let due_ns = clock::monotonic_ns()
                .saturating_sub(u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX));
            for index in std::mem::take(&mut idle) {
                let Some((_, admin)) = self.admins.get(index).cloned() else { continue };
                let wanted = wanted.borrow().clone();
                readings.push(async move {
                    let reading = admin.read_with(&wanted.clusters, Some(&wanted.scope)).await;
                    (index, admin, wanted, reading)
                });
            }
            let patience = tokio::time::sleep_until(due + self.patience());
            tokio::pin!(patience);
            while !readings.is_empty() {
                let (index, admin, wanted, reading) = tokio::select! {
                    Some(read) = readings.next() => read,
                    () = &mut patience => break,
                };
                idle.insert(index);
                match reading {
                    Ok(mut snapshot) => {
                        let generation = snapshot.accepted_generation(wanted.incarnation);
                        snapshot.epochs =
                            generation.and_then(|generation| wanted.epochs.get(&generation).cloned());
                        regions.entry(snapshot.source.clone()).or_insert_with(|| snapshot.region.clone());
                        note(&self.refusals, &mut self.seen, &snapshot);
                        self.nodes.send_if_modified(|nodes| know(nodes, &snapshot, wanted.incarnation));
                        errors.remove(admin.source());
                        gauges.insert(snapshot.source.clone(), snapshot.others.clone());
                        counters.observe(snapshot);
                    }
                    Err(error) => {
                        tracing::debug!("{}: {error}", admin.source());
                        self.nodes.send_if_modified(|nodes| lose(nodes, admin.source()));
                        errors.insert(admin.source().to_owned(), error.to_string());
                    }
                }
            }
            let interval = counters.close(clock::monotonic_ns());
            let gauges = std::mem::take(&mut gauges).into_values().collect();
            let increments = Increments { due_ns, ..increments(interval, gauges, &regions, &errors) };
            if out.send(increments).await.is_err() {
                return;
            }
        }
    }

    /// For how long a look waits for proxies that have not answered.
    fn patience(&self) -> Duration {
        (self.period / 2).min(LONGEST_PATIENCE)
    }
}

/// What a look at all Envoys means: everything, or why not everything.
fn increments(
    interval: Interval,
    gauges: Vec<BTreeMap<String, u64>>,
    regions: &BTreeMap<String, String>,
    errors: &BTreeMap<String, String>,
) -> Increments {
    let wall = clock::now();
    let unix_ms = |ns: u64| wall.unix_ms.saturating_sub(wall.monotonic_ns.saturating_sub(ns) / 1_000_000);
    // What the slowest source tells of began before the interval itself did.
    let from_ns = interval.spans.iter().map(|span| span.from_ns).fold(interval.from_ns, u64::min);
    let sources: Vec<Source> = interval
        .spans
        .iter()
        .map(|span| Source {
            address: span.source.clone(),
            region: regions.get(&span.source).cloned(),
            from_ms: unix_ms(span.from_ns.min(interval.from_ns)),
            lacks: span.mark.as_ref().filter(|mark| !mark.is_lossless()).map(|mark| {
                match errors.get(&span.source) {
                    // It names the address itself, and says what to look at.
                    Some(error) => format!("{mark}: {error}"),
                    None => format!("{}: {mark}", span.source),
                }
            }),
            node: span.node.clone(),
            runs_filter: span.runs_filter,
            told: span.to_ns > span.from_ns,
        })
        .collect();
    let gap = if sources.is_empty() {
        Some("no Envoy's counters are read: give serin run --envoy-admin".to_owned())
    } else if sources.iter().any(|source| source.told) {
        None
    } else if sources.iter().any(|source| source.lacks.is_none()) {
        Some("no proxy has answered since the last look".to_owned())
    } else {
        let lacks: Vec<&str> = sources.iter().filter_map(|source| source.lacks.as_deref()).collect();
        Some(lacks.join("; "))
    };
    let counted = interval.counts.into_iter().map(|((series, epoch), n)| Counted { series, epoch, n });
    Increments {
        sources,
        from_ms: unix_ms(from_ns),
        to_ms: unix_ms(interval.to_ns),
        counted: counted.collect(),
        upstreams: interval.upstreams,
        gap,
        gauges,
        ..Increments::default()
    }
}

/// Counts the filter's refusals since this process began; what stood there before belongs to the past.
fn note(
    refusals: &watch::Sender<BTreeMap<String, u64>>,
    seen: &mut BTreeMap<String, BTreeMap<String, u64>>,
    snapshot: &Snapshot,
) {
    let now: BTreeMap<String, u64> =
        snapshot.refusals().into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect();
    let Some(before) = seen.insert(snapshot.source.clone(), now.clone()) else { return };
    refusals.send_if_modified(|total| {
        let mut news = false;
        for (reason, count) in &now {
            let more = count.saturating_sub(before.get(reason).copied().unwrap_or(0));
            if more > 0 {
                *total.entry(reason.clone()).or_default() += more;
                news = true;
            }
        }
        news
    });
}

/// Notes what an Envoy has accepted; says whether that is news.
fn know(nodes: &mut Nodes, snapshot: &Snapshot, incarnation: u64) -> bool {
    let node = nodes
        .0
        .entry(snapshot.source.clone())
        .or_insert_with(|| Node { connected_unix_ms: snapshot.unix_ms, ..Node::default() });
    let generation = snapshot.accepted_generation(incarnation);
    let news = node.streams == 0 || node.acknowledged.map(|ack| ack.generation) != generation;
    node.streams = 1;
    node.region.clone_from(&snapshot.region);
    node.disconnected_unix_ms = None;
    node.acknowledged =
        generation.map(|generation| Acknowledged { generation, unix_ms: snapshot.unix_ms, latency_ms: None });
    news
}

/// Notes that an Envoy does not answer; says whether that is news.
fn lose(nodes: &mut Nodes, source: &str) -> bool {
    let Some(node) = nodes.0.get_mut(source).filter(|node| node.streams > 0) else { return false };
    node.streams = 0;
    node.disconnected_unix_ms = Some(clock::unix_ms());
    true
}
