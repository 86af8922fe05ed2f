//! From samples as they were scraped to readings of each proxy, as its own page would have given them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use envoy::stats::{Age, Labels, Snapshot};
use tally::TAGS;

use super::answer::Series;
use crate::Wanted;
use rollout::Now;

/// A scrape that lacks counters of the one before is waited for so many times: parts of one come at different times where
/// samples are sent on. Then the counters are taken to be gone.
const WAITED: u8 = 3;

/// The proxies that one Prometheus tells of, and how far each has been read.
#[derive(Debug, Default)]
pub struct Fleet {
    known: BTreeMap<String, Known>,
    /// The usual time between two scrapes, in milliseconds; `None`: not known yet.
    pub interval_ms: Option<u64>,
}

#[derive(Debug)]
struct Known {
    /// The labels by which Prometheus tells its target.
    target: String,
    /// The newest sample that was taken, in milliseconds since 1970 by Prometheus' clock.
    last_ms: u64,
    /// What its process said of its age, and when that was by our own clock.
    age: Option<Age>,
    read_ns: u64,
    /// What stood in it, as hashes in their order.
    counters: Vec<u64>,
    scope: Arc<BTreeSet<(String, String)>>,
    waited: u8,
    /// When that was, by our own clock.
    seen_ns: u64,
}

/// What each scrape of a target held, by its time.
type Scrapes = BTreeMap<u64, Snapshot>;

/// The samples of one answer.
pub struct Gathered<'w> {
    wanted: &'w Wanted,
    labels: Labels<'w>,
    /// By target: the name of its proxy, and its scrapes by their time.
    targets: BTreeMap<String, (String, Scrapes)>,
    error: Option<String>,
}

/// What an answer means.
#[derive(Debug, Default)]
pub struct Readings {
    /// In the order of their times, by proxy.
    pub snapshots: Vec<Snapshot>,
    /// Proxies that are the target of more than one job: one of them is read.
    pub twice: Vec<String>,
    /// Proxies of whose newest scrape a part is missing.
    pub partial: Vec<String>,
}

impl<'w> Gathered<'w> {
    pub fn new(wanted: &'w Wanted) -> Self {
        let labels = Labels::new(Some(&wanted.scope), &wanted.clusters);
        Self { wanted, labels, targets: BTreeMap::new(), error: None }
    }

    /// Takes in one series.
    pub fn take(&mut self, series: &Series<'_>) {
        let Some(name) = series.metric.get("__name__") else { return };
        let (target, proxy) = whose(series);
        let (_, scrapes) = self.targets.entry(target).or_insert_with(|| (proxy, BTreeMap::new()));
        for (seconds, value) in &series.values {
            let (Some(at_ms), Ok(value)) = (milliseconds(*seconds), value.0.parse()) else { continue };
            let snapshot = scrapes.entry(at_ms).or_default();
            let label = |name: &str| series.metric.get(name);
            if let Err(why) = self.labels.take(snapshot, name, label, value) {
                self.error.get_or_insert_with(|| why.to_string());
            }
        }
    }
}

impl Fleet {
    /// How many proxies are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// What is new. `ahead_ms`: by how much Prometheus' clock is ahead of ours.
    ///
    /// # Errors
    /// When what two proxies or versions are cannot be told apart.
    pub fn settle(&mut self, gathered: Gathered<'_>, now: Now, ahead_ms: i64) -> Result<Readings, String> {
        let Gathered { wanted, labels, targets, error, .. } = gathered;
        if let Some(error) = error {
            return Err(error);
        }
        let mut readings = Readings::default();
        let mut gaps = Vec::new();
        let mut of_proxies: BTreeMap<String, Vec<(String, Scrapes)>> = BTreeMap::new();
        for (target, (proxy, scrapes)) in targets {
            gaps.extend(scrapes.keys().zip(scrapes.keys().skip(1)).map(|(one, next)| next - one));
            of_proxies.entry(proxy).or_default().push((target, scrapes));
        }
        gaps.sort_unstable();
        self.interval_ms = gaps.get(gaps.len() / 2).copied().or(self.interval_ms);
        for (proxy, mut targets) in of_proxies {
            if targets.len() > 1 {
                readings.twice.push(proxy.clone());
                // The one that was read before, so that no counter is counted by two.
                let before = self.known.get(&proxy).map(|known| known.target.clone());
                targets.sort_by_key(|(target, _)| (Some(target) != before.as_ref(), target.clone()));
            }
            let Some((target, scrapes)) = targets.into_iter().next() else { continue };
            for (at_ms, mut snapshot) in scrapes {
                labels.finish(&mut snapshot);
                snapshot.source.clone_from(&proxy);
                snapshot.node.clone_from(&proxy);
                snapshot.scope = Some(wanted.scope.clone());
                let ours_ms = at_ms.saturating_add_signed(-ahead_ms).min(now.unix_ms);
                snapshot.unix_ms = ours_ms;
                snapshot.monotonic_ns =
                    now.monotonic_ns.saturating_sub((now.unix_ms - ours_ms).saturating_mul(1_000_000));
                match self.admit(&proxy, &target, at_ms, &snapshot, wanted, now) {
                    Admitted::Yes => readings.snapshots.push(snapshot),
                    Admitted::Known => {}
                    Admitted::Partial => {
                        readings.partial.push(proxy.clone());
                        break;
                    }
                }
            }
        }
        Ok(readings)
    }

    fn admit(
        &mut self,
        proxy: &str,
        target: &str,
        at_ms: u64,
        snapshot: &Snapshot,
        wanted: &Wanted,
        now: Now,
    ) -> Admitted {
        let counters: Vec<u64> = {
            let mut all: Vec<u64> = snapshot.counters.keys().map(hash).collect();
            all.sort_unstable();
            all
        };
        if let Some(known) = self.known.get_mut(proxy) {
            if at_ms <= known.last_ms {
                return Admitted::Known;
            }
            let ages = snapshot.age.as_ref().zip(known.age.as_ref());
            let restarted =
                ages.is_some_and(|(age, last)| age.is_of_another(snapshot.monotonic_ns, last, known.read_ns));
            let same = known.scope == wanted.scope && !restarted;
            let lacks = |one: &u64| counters.binary_search(one).is_err();
            if same && known.waited < WAITED && known.counters.iter().any(lacks) {
                known.waited += 1;
                return Admitted::Partial;
            }
        }
        let known = Known {
            target: target.to_owned(),
            last_ms: at_ms,
            age: snapshot.age.clone(),
            read_ns: snapshot.monotonic_ns,
            counters,
            scope: wanted.scope.clone(),
            waited: 0,
            seen_ns: now.monotonic_ns,
        };
        self.known.insert(proxy.to_owned(), known);
        Admitted::Yes
    }

    /// The proxies of which nothing new was heard for so long, and not since `since_ns` either, with the labels of their
    /// targets.
    pub fn silent(&self, now: Now, since_ns: u64, for_ms: u64) -> Vec<(String, String)> {
        let silent = |known: &Known| {
            now.monotonic_ns.saturating_sub(known.seen_ns.max(since_ns)) > for_ms.saturating_mul(1_000_000)
        };
        let all = self.known.iter().filter(|(_, known)| silent(known));
        all.map(|(proxy, known)| (proxy.clone(), known.target.clone())).collect()
    }

    /// A proxy is there no more.
    pub fn forget(&mut self, proxy: &str) {
        self.known.remove(proxy);
    }

    /// All that are known.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.known.keys()
    }
}

enum Admitted {
    Yes,
    /// It was taken before.
    Known,
    /// A part of it is missing.
    Partial,
}

fn hash(series: &tally::Series) -> u64 {
    let mut hasher = DefaultHasher::new();
    series.hash(&mut hasher);
    hasher.finish()
}

/// A moment of an answer.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked
fn milliseconds(seconds: f64) -> Option<u64> {
    (0.0..1e11).contains(&seconds).then(|| (seconds * 1e3).round() as u64)
}

/// The labels of the target that a series was scraped from, and what its proxy is called: by its pod, so that two jobs that
/// scrape one pod are one proxy.
pub fn whose(series: &Series<'_>) -> (String, String) {
    let own = |name: &str| {
        let tag = name.strip_prefix("exported_").unwrap_or(name);
        name == "__name__" || name == "le" || name.starts_with("envoy_") || TAGS.contains(&tag)
    };
    let mut labels: Vec<(&str, &str)> = series
        .metric
        .0
        .iter()
        .map(|(name, value)| (name.0.as_ref(), value.0.as_ref()))
        .filter(|(name, _)| !own(name))
        .collect();
    labels.sort_unstable();
    let target = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(",");
    let get = |names: &[&str]| names.iter().find_map(|name| series.metric.get(name));
    let pod = get(&["pod", "kubernetes_pod_name", "pod_name"]);
    let namespace = get(&["namespace", "kubernetes_namespace"]);
    let cluster = get(&["cluster"]).map(|cluster| format!("@{cluster}")).unwrap_or_default();
    let proxy = match (pod, namespace, get(&["instance"])) {
        (Some(pod), Some(namespace), _) => format!("{pod}.{namespace}{cluster}"),
        (_, _, Some(instance)) => format!("{instance}{cluster}"),
        _ => target.clone(),
    };
    (target, proxy)
}

#[cfg(test)]
mod tests;
