//! One look at the counters of all proxies, whichever way they are read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use envoy::ecds::{Acknowledged, Node, Nodes, Refused};
use envoy::stats::{Counters, Interval, Snapshot};
use tally::Counted;
use tokio::sync::watch;

use super::trouble::{self, Trouble, TroubleKind, Troubles};
use super::{HOW, Wanted};
use crate::{Increments, Source};

/// The look that is open, and what is remembered from look to look.
pub struct Look {
    counters: Counters,
    /// Where each proxy is: as its operator says, else as it says itself, once it has answered.
    regions: BTreeMap<String, String>,
    /// Why a proxy was not read last.
    errors: BTreeMap<String, String>,
    gauges: BTreeMap<String, BTreeMap<String, u64>>,
    /// Refusals since this process began, by the filter's own reason.
    refusals: watch::Sender<BTreeMap<String, u64>>,
    /// Which policy each proxy says it runs: the acknowledgements of what does not travel by ECDS.
    nodes: watch::Sender<Nodes>,
    seen: BTreeMap<String, BTreeMap<String, u64>>,
    /// Those whose end is announced: they acknowledge nothing, and nobody waits for them.
    leaving: BTreeSet<String>,
    troubles: Troubles,
}

/// What looks tell beside counts.
pub struct Signals {
    /// The filters' refusals since this process began, by reason.
    pub refusals: watch::Receiver<BTreeMap<String, u64>>,
    /// Which policy each proxy says it runs.
    pub nodes: watch::Receiver<Nodes>,
    /// The proxies that do not do what all should.
    pub troubles: watch::Receiver<Vec<Trouble>>,
}

impl Look {
    /// A proxy that was not read for `stale_after` is stale.
    pub fn new(stale_after: Duration) -> (Self, Signals) {
        let (refusals, refused) = watch::channel(BTreeMap::new());
        let (nodes, known) = watch::channel(Nodes::default());
        let (troubles, troubled) = Troubles::new();
        let look = Self {
            counters: Counters::new(stale_after, clock::monotonic_ns()),
            regions: BTreeMap::new(),
            errors: BTreeMap::new(),
            gauges: BTreeMap::new(),
            refusals,
            nodes,
            seen: BTreeMap::new(),
            leaving: BTreeSet::new(),
            troubles,
        };
        (look, Signals { refusals: refused, nodes: known, troubles: troubled })
    }

    /// Readings of a proxy are to come, so that its silence is noticed.
    pub fn expect(&mut self, source: &str, region: Option<&str>) {
        self.regions.extend(region.map(|region| (source.to_owned(), region.to_owned())));
        self.counters.expect(source);
    }

    /// A proxy that was not read for so long is stale, from now on.
    pub const fn stale_after(&mut self, stale_after: Duration) {
        self.counters.stale_after(stale_after);
    }

    /// A proxy was read.
    pub fn take(&mut self, mut snapshot: Snapshot, wanted: &Wanted) {
        snapshot.epochs = wanted.epochs_of(&snapshot);
        self.regions.entry(snapshot.source.clone()).or_insert_with(|| snapshot.region.clone());
        let refused = note(&self.refusals, &mut self.seen, &snapshot);
        if !self.leaving.contains(&snapshot.source) {
            let region = self.regions.get(&snapshot.source).cloned().unwrap_or_default();
            self.nodes.send_if_modified(|nodes| know(nodes, &snapshot, wanted, &region, &refused));
            self.troubles.read(&snapshot, wanted, &refused);
        }
        self.errors.remove(&snapshot.source);
        self.gauges.insert(snapshot.source.clone(), snapshot.others.clone());
        self.counters.observe(snapshot);
    }

    /// A proxy could not be read.
    pub fn fail(&mut self, source: &str, error: String) {
        tracing::debug!("{source}: {error}");
        self.nodes.send_if_modified(|nodes| lose(nodes, source));
        self.troubles.set(source, TroubleKind::Silent, error.clone());
        self.errors.insert(source.to_owned(), error);
    }

    /// A proxy is gone for good: its last reading stands, and what it counted after it is lost, which this look says.
    pub fn retire(&mut self, source: &str) {
        self.counters.retire(source);
        self.drop(source);
    }

    /// The same of one whose end was announced; where it had nothing to do any more, nothing is lost.
    pub fn left(&mut self, source: &str) {
        self.counters.leave(source);
        self.drop(source);
    }

    /// The end of a proxy is announced: what it still counts is evidence, and nobody waits for it.
    pub fn leaves(&mut self, source: &str) {
        self.leaving.insert(source.to_owned());
        self.nodes.send_if_modified(|nodes| nodes.0.remove(source).is_some());
        self.troubles.forget(source);
    }

    /// Its end was announced, and it stays.
    pub fn stays(&mut self, source: &str) {
        self.leaving.remove(source);
    }

    /// A proxy is new, or is another than the one that had its name.
    pub fn renew(&mut self, source: &str, region: Option<&str>) {
        self.counters.renew(source);
        self.drop(source);
        self.expect(source, region);
    }

    fn drop(&mut self, source: &str) {
        self.nodes.send_if_modified(|nodes| nodes.0.remove(source).is_some());
        for known in [&mut self.regions, &mut self.errors] {
            known.remove(source);
        }
        self.seen.remove(source);
        self.leaving.remove(source);
        self.troubles.forget(source);
    }

    /// An expected proxy does not exist after all: it is reported no longer.
    pub fn forget(&mut self, source: &str) {
        self.counters.remove(source);
        self.errors.remove(source);
        self.regions.remove(source);
        self.troubles.forget(source);
    }

    /// Ends the look and begins the next.
    pub fn close(&mut self) -> Increments {
        let interval = self.counters.close(clock::monotonic_ns());
        let gauges = std::mem::take(&mut self.gauges).into_values().collect();
        self.troubles.tell();
        increments(interval, gauges, &self.regions, &self.errors)
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
            delay_ms: interval.to_ns.saturating_sub(span.to_ns) / 1_000_000,
        })
        .collect();
    let gap = if sources.is_empty() {
        Some(format!("no Envoy's counters are read: {HOW}"))
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

/// Counts the filter's refusals since this process began; what stood there before belongs to the past. Those of this proxy
/// that are new, by reason.
fn note(
    refusals: &watch::Sender<BTreeMap<String, u64>>,
    seen: &mut BTreeMap<String, BTreeMap<String, u64>>,
    snapshot: &Snapshot,
) -> BTreeMap<String, u64> {
    let now: BTreeMap<String, u64> =
        snapshot.refusals().into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect();
    let Some(before) = seen.insert(snapshot.source.clone(), now.clone()) else { return now };
    let more = |(reason, count): (String, u64)| {
        let more = count.saturating_sub(before.get(&reason).copied().unwrap_or(0));
        (more > 0).then_some((reason, more))
    };
    let more: BTreeMap<String, u64> = now.into_iter().filter_map(more).collect();
    if !more.is_empty() {
        refusals.send_modify(|total| {
            for (reason, more) in &more {
                *total.entry(reason.clone()).or_default() += more;
            }
        });
    }
    more
}

/// Notes what an Envoy has accepted, and what its filter refused; says whether that is news.
fn know(
    nodes: &mut Nodes,
    snapshot: &Snapshot,
    wanted: &Wanted,
    region: &str,
    refused: &BTreeMap<String, u64>,
) -> bool {
    let node = nodes
        .0
        .entry(snapshot.source.clone())
        .or_insert_with(|| Node { connected_unix_ms: snapshot.unix_ms, ..Node::default() });
    let generation = snapshot.accepted_generation(wanted.incarnation);
    let mut news = node.streams == 0
        || node.acknowledged.map(|ack| ack.generation) != generation
        || node.region != region;
    node.streams = 1;
    region.clone_into(&mut node.region);
    node.disconnected_unix_ms = None;
    node.acknowledged =
        generation.map(|generation| Acknowledged { generation, unix_ms: snapshot.unix_ms, latency_ms: None });
    // Which policy it was the page does not say; whoever does not run the newest has refused that.
    let newest = wanted.newest().filter(|newest| generation < Some(*newest));
    if let (Some(generation), Some(reason)) = (newest, trouble::refusal(refused)) {
        news = true;
        node.refused = Some(Refused { generation, unix_ms: snapshot.unix_ms, reason });
    }
    news
}

/// Notes that an Envoy does not answer; says whether that is news.
fn lose(nodes: &mut Nodes, source: &str) -> bool {
    let Some(node) = nodes.0.get_mut(source).filter(|node| node.streams > 0) else { return false };
    node.streams = 0;
    node.disconnected_unix_ms = Some(clock::unix_ms());
    true
}
