use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};
use tally::Series;

use super::{Snapshot, Upstream};

/// Turns successive snapshots of any number of Envoys into counts per interval.
///
/// Pure: time comes with the snapshots. A count enters an interval only when it certainly happened in it; what was
/// missed is marked on the source it was missed from.
#[derive(Clone, Debug)]
pub struct Counters {
    stale_after_ns: u64,
    from_ns: u64,
    counts: BTreeMap<Series, u64>,
    upstreams: BTreeMap<Upstream, u64>,
    sources: BTreeMap<String, Source>,
}

#[derive(Clone, Debug, Default)]
struct Source {
    last: Option<Snapshot>,
    /// Begin of the span that the open interval knows of.
    from_ns: u64,
    mark: Option<Mark>,
}

/// Why an interval is not whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The source was read for the first time: what it had counted before belongs to nobody.
    First,
    /// Another process answers: what the old one counted after its last reading is lost.
    Restarted,
    /// The same process counts less than before: someone reset its counters.
    Reset,
    /// No answer for longer than allowed. When it answers again, what it counted meanwhile cannot be told apart by
    /// interval and is left out.
    Stale {
        /// How long, in milliseconds.
        silent_ms: u64,
    },
    /// No answer at all yet.
    Unread,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("first reading"),
            Self::Restarted => f.write_str("envoy restarted"),
            Self::Reset => f.write_str("counters were reset"),
            Self::Stale { silent_ms } => write!(f, "stale source: no answer for {silent_ms} ms"),
            Self::Unread => f.write_str("stale source: never answered"),
        }
    }
}

/// What one source contributed to an interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The source.
    pub source: String,
    /// Its `node.id`; empty until it has answered.
    pub node: String,
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
    /// How often; what is absent did not happen, or was missed: see the marks.
    pub counts: BTreeMap<Series, u64>,
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
        self.sources.entry(source.to_owned()).or_default();
    }

    /// Goes on from a reading kept from before a restart of this process: what happened since is then counted, unless
    /// too much time has passed.
    pub fn resume(&mut self, last: Snapshot) {
        let from_ns = last.monotonic_ns;
        self.sources.insert(last.source.clone(), Source { last: Some(last), from_ns, mark: None });
    }

    /// Expects nothing more from a source, and forgets it.
    pub fn remove(&mut self, source: &str) {
        self.sources.remove(source);
    }

    /// The last reading of every source that has answered; what [`Counters::resume`] takes.
    pub fn last(&self) -> impl Iterator<Item = &Snapshot> {
        self.sources.values().filter_map(|source| source.last.as_ref())
    }

    /// Takes in a reading.
    pub fn observe(&mut self, snapshot: Snapshot) {
        let source = self.sources.entry(snapshot.source.clone()).or_default();
        let certain = match &source.last {
            None => Err(Mark::First),
            Some(last) => delta(last, &snapshot, self.stale_after_ns),
        };
        match certain {
            Ok(Delta { counts, upstreams, mark }) => {
                for (upstream, count) in upstreams {
                    *self.upstreams.entry(upstream).or_default() += count;
                }
                for (series, count) in counts {
                    *self.counts.entry(series).or_default() += count;
                }
                source.mark = source.mark.take().or(mark);
            }
            Err(mark) => {
                source.from_ns = snapshot.monotonic_ns;
                source.mark = source.mark.take().or(Some(mark));
            }
        }
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
            return Span {
                source: name.to_owned(),
                node: String::new(),
                from_ns: now_ns,
                to_ns: now_ns,
                mark: Some(Mark::Unread),
            };
        };
        let silent_ns = now_ns.saturating_sub(last.monotonic_ns);
        let stale = (silent_ns > stale_after_ns).then_some(Mark::Stale { silent_ms: silent_ns / 1_000_000 });
        let from_ns = std::mem::replace(&mut self.from_ns, last.monotonic_ns);
        Span {
            source: name.to_owned(),
            node: last.node.clone(),
            from_ns,
            to_ns: last.monotonic_ns,
            mark: mark.or(stale),
        }
    }
}

struct Delta {
    counts: Vec<(Series, u64)>,
    upstreams: Vec<(Upstream, u64)>,
    mark: Option<Mark>,
}

/// What certainly happened between two readings; an error when nothing can be said.
fn delta(last: &Snapshot, next: &Snapshot, stale_after_ns: u64) -> Result<Delta, Mark> {
    let silent_ns = next.monotonic_ns.saturating_sub(last.monotonic_ns);
    let stale = silent_ns > stale_after_ns;
    if next.process != last.process {
        if stale {
            return Err(Mark::Restarted);
        }
        // All the new process has counted happened since the last reading; only the old one's end is missing.
        let counts = next.counters.iter().map(|(series, value)| (series.clone(), *value)).collect();
        let upstreams = next.upstreams.iter().map(|(upstream, value)| (upstream.clone(), *value)).collect();
        return Ok(Delta { counts, upstreams, mark: Some(Mark::Restarted) });
    }
    if stale {
        return Err(Mark::Stale { silent_ms: silent_ns / 1_000_000 });
    }
    let counts = grown(&last.counters, &next.counters).ok_or(Mark::Reset)?;
    // What a cluster had counted before it was asked for belongs to nobody.
    let known = |upstreams: &BTreeMap<Upstream, u64>| -> BTreeMap<Upstream, u64> {
        let both = upstreams
            .iter()
            .filter(|(key, _)| last.clusters.contains(&key.cluster) && next.clusters.contains(&key.cluster));
        both.map(|(key, value)| (key.clone(), *value)).collect()
    };
    let upstreams = grown(&known(&last.upstreams), &known(&next.upstreams)).ok_or(Mark::Reset)?;
    Ok(Delta { counts, upstreams, mark: None })
}

/// By how much counters grew; `None` when one is less than it was.
fn grown<K: Ord + Clone>(last: &BTreeMap<K, u64>, next: &BTreeMap<K, u64>) -> Option<Vec<(K, u64)>> {
    if last.iter().any(|(key, value)| next.get(key).copied().unwrap_or(0) < *value) {
        return None;
    }
    let before = |key| last.get(key).copied().unwrap_or(0);
    let news = next.iter().map(|(key, value)| (key.clone(), value.saturating_sub(before(key))));
    Some(news.filter(|(_, count)| *count > 0).collect())
}

#[cfg(test)]
#[path = "counters_tests.rs"]
mod tests;
