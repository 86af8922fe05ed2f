//! What one look at the counters of all proxies says, and what of it is a run's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use envoy::stats::{Upstream, UpstreamWhat};
use manifest::ErrorClass;
use rollout::{
    Bins, CounterAccumulator, Counts, Interval, LookSummary, ProxyCoverage, State, UpstreamCounts,
};
use tally::Counted;

use crate::HOW;

/// Increments of counters between two looks at all proxies.
#[derive(Clone, Debug, Default)]
pub struct Increments {
    /// When the first of what is counted here can have happened, in milliseconds since 1970.
    pub from_ms: u64,
    /// When the look ended, in milliseconds since 1970.
    pub to_ms: u64,
    /// The filters' counters, by series and epoch.
    pub counted: Vec<Counted>,
    /// What Envoys counted of the clusters behind shadows.
    pub upstreams: BTreeMap<Upstream, u64>,
    /// Why nothing is known: no proxy told anything.
    pub gap: Option<String>,
    /// When this look was due, by `CLOCK_MONOTONIC`; 0: it had no due time.
    pub due_ns: u64,
    /// Where the counters of each rollout stand, found at the first question.
    pub by_rollout: OnceLock<BTreeMap<String, Vec<usize>>>,
    /// The filters' gauges, one set for each proxy that answered.
    pub gauges: Vec<BTreeMap<String, u64>>,
    /// What each proxy contributed; empty where that does not matter.
    pub sources: Vec<Source>,
    /// Why it is not known which proxies there are, each with the region it is about.
    pub unknown: Vec<(Option<String>, String)>,
}

/// What one proxy contributed.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The address it is read at.
    pub address: String,
    /// Its region; `None`: unknown.
    pub region: Option<String>,
    /// From when on.
    pub from_ms: u64,
    /// What it lacks, for people.
    pub lacks: Option<String>,
    /// Did it tell anything?
    pub told: bool,
    /// Its `node.id`; empty until it has answered.
    pub node: String,
    /// Does it show that it runs the filter?
    pub runs_filter: bool,
    /// How old its last reading was when this look ended, in milliseconds.
    pub delay_ms: u64,
}

impl Source {
    /// Is it read where nothing says which Envoy that is?
    fn is_nameless(&self) -> bool {
        self.node == self.address
    }
}

/// What those that are read do not show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// For people.
    pub text: String,
    /// Not a single proxy that takes the weights is read.
    pub blind: bool,
    /// Proxies that take the weights and are not read.
    pub missing: Vec<String>,
}

impl Increments {
    /// As the run sees them: one region's proxies are nothing to another's, whether they answer or not.
    pub fn of(&self, state: &State) -> LookSummary {
        let region = region(state);
        let there = || self.there(state);
        let lacking: Vec<&str> = there().filter_map(|source| source.lacks.as_deref()).collect();
        let gap = match region {
            Some(region) if there().next().is_none() => {
                Some(format!("no Envoy of region {region} is read: {HOW} with its address"))
            }
            Some(_) if !there().any(|source| source.told) => Some(lacking.join("; ")),
            Some(_) => None,
            None => self.gap.clone(),
        };
        let gap = gap.or_else(|| self.too_old(state));
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        LookSummary {
            // One that told nothing says nothing of when the others' counts began.
            from_ms: there()
                .filter(|source| source.told)
                .map(|source| source.from_ms)
                .min()
                .unwrap_or_else(|| self.since_ms(state)),
            to_ms: self.to_ms,
            gap,
            coverage: ProxyCoverage {
                told: number(there().filter(|source| source.lacks.is_none()).count()),
                asked: number(there().count()),
                lacking: lacking.join("; "),
                ..ProxyCoverage::default()
            },
        }
    }

    /// How old the newest counts are, where that is longer than the plan goes without any: the past of so long ago is no
    /// sight of the present.
    fn too_old(&self, state: &State) -> Option<String> {
        let told = self.there(state).filter(|source| source.told);
        let delay_ms = told.map(|source| source.delay_ms).min()?;
        let most_ms = state.plan.no_data.after_ms;
        (delay_ms >= most_ms).then(|| {
            format!(
                "the newest counts are {} s old, and noData.after is {} s",
                delay_ms / 1_000,
                most_ms / 1_000
            )
        })
    }

    /// The middle proxy's delay among those that told something, in milliseconds; `None`: none did.
    pub fn delay_ms(&self) -> Option<u64> {
        let told = self.sources.iter().filter(|source| source.told);
        let mut delays: Vec<u64> = told.map(|source| source.delay_ms).collect();
        delays.sort_unstable();
        delays.get(delays.len() / 2).copied()
    }

    /// Which of the proxies that are `connected` are not among those that are read, and which of those that are read run no
    /// filter; and is not a single one that takes the weights read?
    pub fn unread<'p>(&self, region: Option<&str>, connected: impl Iterator<Item = &'p str>) -> Unread {
        let answered: Vec<&Source> =
            self.sources_in(region).filter(|source| !source.node.is_empty()).collect();
        let known: BTreeSet<&str> =
            answered.iter().flat_map(|source| [source.node.as_str(), source.address.as_str()]).collect();
        // By way of Prometheus pods are POD.NAMESPACE, as in Istio's own names.
        let pod = |name: &str| {
            let of_istio = name.split('~').nth(2).filter(|pod| known.contains(pod));
            of_istio.is_some() || envoy::ecds::pod(name).is_some_and(|pod| known.contains(pod.as_str()))
        };
        let (read, missing): (Vec<&str>, Vec<&str>) =
            connected.partition(|name| known.contains(name) || pod(name));
        let mut text = Vec::new();
        // Until one has answered, what it lacks is said elsewhere.
        if let (false, [first, others @ ..]) = (answered.is_empty(), missing.as_slice()) {
            let more =
                if others.is_empty() { String::new() } else { format!(" (and {} more)", others.len()) };
            // A page of metrics does not say whose it is.
            let nameless = |source: &&&Source| source.runs_filter && source.is_nameless();
            let nameless = answered.iter().filter(nameless).count().saturating_sub(read.len());
            if nameless == 0 {
                let first = envoy::ecds::pod(first).unwrap_or_else(|| (*first).to_owned());
                text.push(format!(
                    "{first}{more} takes the weights, and its counters are not read: {HOW} with its address"
                ));
            } else if missing.len() > nameless {
                text.push(format!(
                    "{} proxies take the weights, and the counters of {} are read: {HOW}, so that all are read",
                    missing.len() + read.len(),
                    nameless + read.len()
                ));
            }
        }
        let is_read =
            |source: &Source| read.iter().any(|name| *name == source.node || *name == source.address);
        let without = answered.iter().filter(|source| !source.runs_filter && !is_read(source));
        text.extend(without.map(|source| match source.is_nameless() {
            true => format!("the Envoy at {} does not run the filter", source.address),
            false => format!("the Envoy at {} ({}) does not run the filter", source.address, source.node),
        }));
        let here = |of: &Option<String>| region.is_none() || of.is_none() || of.as_deref() == region;
        text.extend(self.unknown.iter().filter(|(of, _)| here(of)).map(|(_, why)| why.clone()));
        let runs = answered.iter().any(|source| source.runs_filter);
        let blind = !answered.is_empty() && read.is_empty() && !missing.is_empty() && !runs;
        let missing = if answered.is_empty() { Vec::new() } else { missing };
        Unread { text: text.join("; "), blind, missing: missing.into_iter().map(str::to_owned).collect() }
    }

    /// Up to when every proxy had told all it knew when this look began, the silent ones included.
    pub fn since_ms(&self, state: &State) -> u64 {
        self.there(state).map(|source| source.from_ms).min().unwrap_or(self.from_ms)
    }

    /// The proxies of the run's region.
    pub fn there(&self, state: &State) -> impl Iterator<Item = &Source> {
        self.sources_in(region(state))
    }

    /// The proxies of a region; `None`: all. One that never said where it is may be of it: then part of the truth is
    /// missing.
    fn sources_in(&self, region: Option<&str>) -> impl Iterator<Item = &Source> {
        let is_there = move |source: &&Source| {
            region.is_none() || source.region.as_deref().is_none_or(|known| Some(known) == region)
        };
        self.sources.iter().filter(is_there)
    }

    /// The evidence of this look for one run. A proxy that the run expects by name and that is not read lacks all it counted;
    /// others that are not read may not be meant to be.
    pub fn interval(&self, accumulator: &mut CounterAccumulator, state: &State, unread: &Unread) -> Interval {
        let mut seen = self.of(state);
        let coverage = &mut seen.coverage;
        coverage.unread.clone_from(&unread.text);
        coverage.blind = unread.blind;
        let expect = state.plan.acknowledge.expect.as_ref().filter(|expect| !expect.names.is_empty());
        let expected: Vec<&str> = unread
            .missing
            .iter()
            .filter(|name| expect.is_some_and(|expect| expect.knows(name)))
            .map(String::as_str)
            .collect();
        if let [first, others @ ..] = expected.as_slice() {
            coverage.asked = coverage.asked.saturating_add(u32::try_from(expected.len()).unwrap_or(u32::MAX));
            let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
            let lacking = format!("{first}{more}: expected, and no --envoy-admin reads it");
            coverage.lacking = [std::mem::take(&mut coverage.lacking), lacking]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join("; ");
        }
        let routed = state.shadows().then(|| {
            let clusters = &state.plan.traffic.clusters;
            let of = |cluster| routed(state, cluster, self);
            UpstreamCounts { canary: of(&clusters.canary), stable: of(&clusters.stable) }
        });
        accumulator.interval(state, &seen, self.counted_of(&state.plan.name), routed)
    }

    /// The counters of one rollout. A hundred rollouts ask at every look: each counter is looked at once for all of them.
    pub fn counted_of<'a>(&'a self, rollout: &str) -> impl Iterator<Item = &'a Counted> {
        let by_rollout = self.by_rollout.get_or_init(|| {
            let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for (at, one) in self.counted.iter().enumerate() {
                match places.get_mut(&one.series.rollout) {
                    Some(places) => places.push(at),
                    None => drop(places.insert(one.series.rollout.clone(), vec![at])),
                }
            }
            places
        });
        by_rollout.get(rollout).into_iter().flatten().filter_map(|&at| self.counted.get(at))
    }
}

/// The region whose proxies alone are the run's; `None`: all are.
pub fn region(state: &State) -> Option<&str> {
    state.plan.member.as_ref().and_then(|member| member.region.as_deref())
}

/// What Envoy's router counted of a cluster.
fn routed(state: &State, cluster: &str, news: &Increments) -> Counts {
    let of = |what| news.upstreams.get(&Upstream { cluster: cluster.to_owned(), what }).copied().unwrap_or(0);
    let counted = |class: ErrorClass| state.plan.error_classes.contains(&class);
    let mut errors = 0;
    // The router tells timeouts and resets from other answers 5xx only by their status.
    if [ErrorClass::ServerError, ErrorClass::Timeout, ErrorClass::Reset].into_iter().any(counted) {
        errors += of(UpstreamWhat::ServerError);
    }
    let too_many = of(UpstreamWhat::TooMany);
    if counted(ErrorClass::TooMany) {
        errors += too_many;
    }
    if counted(ErrorClass::ClientError) {
        errors += of(UpstreamWhat::ClientError).saturating_sub(too_many);
    }
    let completed = of(UpstreamWhat::Completed);
    let mut latency = Bins::default();
    for (upstream, &n) in &news.upstreams {
        if let (true, UpstreamWhat::Latency(bin)) = (upstream.cluster == cluster, upstream.what) {
            *latency.0.entry(bin).or_default() += n;
        }
    }
    let timeouts = of(UpstreamWhat::Timeout);
    if timeouts > 0 {
        *latency.0.entry(tally::LATENCY_TOP).or_default() += timeouts;
    }
    Counts {
        assigned: completed,
        finished: completed,
        outcomes: completed,
        errors,
        latency,
        ..Counts::default()
    }
}

#[cfg(test)]
mod tests;
