use std::{collections::BTreeMap, fmt, time::Duration};

use tally::{Follower, Loss, Series};

use super::age::ProcessTracker;
use super::{Snapshot, Upstream};

/// Turns successive snapshots of any number of Envoys into counts per interval.
///
/// Pure: time comes with the snapshots. What was missed is marked on the source it was missed from, and costs the others
/// nothing.
#[derive(Clone, Debug)]
pub struct Counters {
    stale_after_ns: u64,
    from_ns: u64,
    counts: BTreeMap<(Series, Option<u64>), u64>,
    upstreams: BTreeMap<Upstream, u64>,
    sources: BTreeMap<String, Source>,
}

#[derive(Clone, Debug, Default)]
struct Source {
    follower: Follower,
    processes: ProcessTracker,
    last: Option<Snapshot>,
    /// Begin of the span that the open interval knows of.
    from_ns: u64,
    mark: Option<Mark>,
    gone: bool,
    /// Did it count anything between its last two readings?
    busy: bool,
}

/// Why an interval is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A reading that is not the whole truth.
    Lost(Loss),
    /// No answer for longer than allowed.
    Stale {
        /// How long, in milliseconds.
        silent_ms: u64,
    },
    /// No answer at all yet.
    Unread,
    /// It is there no more: what it counted after its last reading is lost.
    Gone,
}

impl Mark {
    /// Did the source contribute all it knows, if not at once?
    #[must_use]
    pub const fn is_lossless(&self) -> bool {
        matches!(self, Self::Lost(Loss::Torn))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(loss) => loss.fmt(f),
            Self::Stale { silent_ms } => write!(f, "stale source: no answer for {silent_ms} ms"),
            Self::Unread => f.write_str("stale source: never answered"),
            Self::Gone => f.write_str("went away; what it counted after its last reading is lost"),
        }
    }
}

/// What one source contributed to an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The source.
    pub source: String,
    /// Its `node.id`; empty until it has answered.
    pub node: String,
    /// Does what was read last show the filter: an accepted policy, or a number of its own?
    pub runs_filter: bool,
    /// From which reading, `CLOCK_MONOTONIC`.
    pub from_ns: u64,
    /// To which reading; equal to `from_ns` when nothing new was read.
    pub to_ns: u64,
    /// Why it is not whole; absent when it is.
    pub mark: Option<Mark>,
}

/// What happened in an interval, summed over all sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// When it began, `CLOCK_MONOTONIC`.
    pub from_ns: u64,
    /// When it ended.
    pub to_ns: u64,
    /// How often, by counter and by the epoch of the weights; what is absent did not happen, or was missed: see the
    /// marks.
    pub counts: BTreeMap<(Series, Option<u64>), u64>,
    /// What Envoys counted of the clusters they were asked for.
    pub upstreams: BTreeMap<Upstream, u64>,
    /// What each source contributed, in the order of their names.
    pub spans: Vec<Span>,
}

impl Interval {
    /// Is there a source, and did every one contribute all it counted?
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.spans.is_empty() && self.spans.iter().all(|span| span.mark.is_none())
    }

    /// The sources that did not contribute all they counted, and why.
    pub fn marks(&self) -> impl Iterator<Item = (&str, &Mark)> {
        self.spans.iter().filter_map(|span| Some((span.source.as_str(), span.mark.as_ref()?)))
    }
}

impl Counters {
    /// A source that has not answered for `stale_after` is stale; take several times the reading interval.
    #[must_use]
    pub fn new(stale_after: Duration, now_ns: u64) -> Self {
        Self {
            stale_after_ns: u64::try_from(stale_after.as_nanos()).unwrap_or(u64::MAX),
            from_ns: now_ns,
            counts: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            sources: BTreeMap::new(),
        }
    }

    /// Expects readings from a source, so that its silence is noticed.
    pub fn expect(&mut self, source: &str) {
        // One that left and is back within the same look stays.
        self.sources.entry(source.to_owned()).or_default().gone = false;
    }

    /// A source that has not answered for `stale_after` is stale, from now on.
    pub const fn stale_after(&mut self, stale_after: Duration) {
        // 584 years, if somebody asks for more.
        let ns = stale_after.as_nanos();
        self.stale_after_ns = if ns > u64::MAX as u128 { u64::MAX } else { ns as u64 };
    }

    /// Nothing more comes from a source: what it counted up to its last reading stands, the open interval says that the rest
    /// is lost, and then it is forgotten.
    pub fn retire(&mut self, source: &str) {
        if let Some(source) = self.sources.get_mut(source) {
            source.mark = Some(Mark::Gone);
            source.gone = true;
        }
    }

    /// The same of one whose end was announced: where nothing happened between its last two readings, nothing is lost.
    pub fn leave(&mut self, source: &str) {
        if let Some(known) = self.sources.get_mut(source) {
            if known.busy {
                known.mark = Some(Mark::Gone);
            }
            known.gone = true;
        }
    }

    /// Another is read under this name from now on: what the one before counted up to its last reading stands.
    pub fn renew(&mut self, source: &str) {
        if let Some(known) = self.sources.get_mut(source) {
            let mark = known.busy.then_some(Mark::Gone);
            *known = Source { mark, ..Source::default() };
        }
    }

    /// Expects nothing more from a source, and forgets it.
    pub fn remove(&mut self, source: &str) {
        self.sources.remove(source);
    }

    /// Takes in a reading.
    pub fn observe(&mut self, mut snapshot: Snapshot) {
        let source = self.sources.entry(snapshot.source.clone()).or_default();
        source.gone = false;
        if let Some(age) = &snapshot.age {
            // Two may tell of one proxy, each with a delay of its own: the past is known already.
            if source.last.as_ref().is_some_and(|last| last.monotonic_ns >= snapshot.monotonic_ns) {
                return;
            }
            let less = source.last.as_ref().is_some_and(|last| is_less(&snapshot, last));
            snapshot.process = source.processes.name(age, snapshot.monotonic_ns, less);
        }
        let (counted, loss) = source.follower.take(snapshot.reading());
        // What is not whole is not known to be nothing.
        source.busy = !counted.is_empty() || loss.is_some();
        for one in counted {
            *self.counts.entry((one.series, one.epoch)).or_default() += one.n;
        }
        match &source.last {
            None => source.from_ns = snapshot.monotonic_ns,
            Some(last) => {
                for (upstream, count) in grown(last, &snapshot) {
                    *self.upstreams.entry(upstream).or_default() += count;
                }
            }
        }
        // A source that was silent tells it all now: its requests carry the weights they were assigned by.
        source.mark = source.mark.take().or(loss.map(Mark::Lost));
        source.last = Some(snapshot);
    }

    /// Ends the interval and begins the next.
    pub fn close(&mut self, now_ns: u64) -> Interval {
        let stale_after_ns = self.stale_after_ns;
        let spans = self
            .sources
            .iter_mut()
            .map(|(name, source)| source.close(name, now_ns, stale_after_ns))
            .collect();
        let from_ns = std::mem::replace(&mut self.from_ns, now_ns);
        self.sources.retain(|_, source| !source.gone);
        Interval {
            from_ns,
            to_ns: now_ns,
            counts: std::mem::take(&mut self.counts),
            upstreams: std::mem::take(&mut self.upstreams),
            spans,
        }
    }
}

impl Source {
    fn close(&mut self, name: &str, now_ns: u64, stale_after_ns: u64) -> Span {
        let mark = self.mark.take();
        let Some(last) = &self.last else {
            // One that left before it was read has lost nothing that anybody counted on.
            let unread = (!self.gone).then_some(Mark::Unread);
            return Span {
                source: name.to_owned(),
                node: String::new(),
                runs_filter: false,
                from_ns: now_ns,
                to_ns: now_ns,
                mark: mark.or(unread),
            };
        };
        let silent_ns = now_ns.saturating_sub(last.monotonic_ns);
        let from_ns = std::mem::replace(&mut self.from_ns, last.monotonic_ns);
        // Whoever was read is not silent, however long the others kept the reader waiting.
        let silent = last.monotonic_ns == from_ns && silent_ns > stale_after_ns;
        let stale = silent.then_some(Mark::Stale { silent_ms: silent_ns / 1_000_000 });
        Span {
            source: name.to_owned(),
            node: last.node.clone(),
            runs_filter: last.runs_filter(),
            from_ns,
            to_ns: last.monotonic_ns,
            mark: mark.or(stale),
        }
    }
}

/// Does a counter stand lower than it did? One that is missing does not say so: the reading may lack it.
fn is_less(next: &Snapshot, last: &Snapshot) -> bool {
    next.counters.iter().any(|(series, now)| last.counters.get(series).is_some_and(|before| now < before))
}

/// By how much the counters of clusters grew that both readings asked for: what one had counted before belongs to
/// nobody. Nothing, when one of them is less than it was.
fn grown(last: &Snapshot, next: &Snapshot) -> Vec<(Upstream, u64)> {
    let restarted = last.process != next.process;
    let asked = |key: &Upstream| restarted || last.clusters.contains(&key.cluster);
    let before = |key: &Upstream| if restarted { 0 } else { last.upstreams.get(key).copied().unwrap_or(0) };
    let now = |key: &Upstream| next.upstreams.get(key).copied().unwrap_or(0);
    let shrunk = |key: &Upstream| next.clusters.contains(&key.cluster) && now(key) < before(key);
    if last.upstreams.keys().any(shrunk) {
        return Vec::new();
    }
    let news = next.upstreams.keys().filter(|key| asked(key));
    news.map(|key| (key.clone(), now(key) - before(key))).filter(|(_, by)| *by > 0).collect()
}

#[cfg(test)]
#[path = "counters_tests.rs"]
mod tests;
