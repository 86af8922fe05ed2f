use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tally::{Reading, Series};

use super::Upstream;
use super::age::Age;
use super::upstream::quote;
use crate::{NAME, Version};

/// Everything of ours one Envoy had counted at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Where it was read, as configured.
    pub source: String,
    /// `node.id` of that Envoy, as in [`crate::ecds::Nodes`].
    pub node: String,
    /// `node.locality.region` of that Envoy; empty when it names none.
    #[serde(default)]
    pub region: String,
    /// Names the process: the instant Envoy took its bootstrap, in its own words. Compared, never computed with. Empty where
    /// the process says no more than its age.
    pub process: String,
    /// What the process says of its age, where nothing else names it.
    #[serde(skip)]
    pub age: Option<Age>,
    /// When it was read, milliseconds since 1970; for people.
    pub unix_ms: u64,
    /// When it was read, by `CLOCK_MONOTONIC` of this machine ([`crate::monotonic_ns`]).
    pub monotonic_ns: u64,
    /// The counters, by what they count. One that is absent is 0.
    #[serde(with = "by_name")]
    pub counters: BTreeMap<Series, u64>,
    /// The clusters that were asked for.
    #[serde(skip)]
    pub clusters: BTreeSet<String>,
    /// What Envoy counted of these clusters. One that is absent is 0.
    #[serde(skip)]
    pub upstreams: BTreeMap<Upstream, u64>,
    /// The rollouts and versions whose counters were asked for; `None`: all.
    #[serde(skip)]
    pub scope: Option<Arc<BTreeSet<(String, String)>>>,
    /// Did the process take over from another while that was running (a hot restart)? Then its counters hold counts of
    /// that other's, and its gauges are sums as long as both live.
    #[serde(default)]
    pub inherits: bool,
    /// The epoch of each rollout under the policy in force, when whoever reads knows it by [`Snapshot::accepted`]; else
    /// what the filter's own gauges say is taken.
    #[serde(skip)]
    pub epochs: Option<Arc<BTreeMap<String, u64>>>,
    /// Other numbers of the filter's, by their name without Envoy's `wasmcustom.`.
    pub others: BTreeMap<String, u64>,
    /// The version of the policy in force: the one reliable word on what Envoy accepted. Absent when that is the
    /// pass-through default.
    pub accepted: Option<String>,
    /// The outcome of VMs that trapped.
    pub reloads: Reloads,
}

/// The outcome of VMs that trapped, since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloads {
    /// VMs made anew.
    pub succeeded: u64,
    /// VMs that could not be made anew.
    pub failed: u64,
    /// Requests refused because the last reload was less than a second ago.
    pub refused_requests: u64,
}

impl Snapshot {
    /// Does this Envoy show the filter: a policy it accepted, or a number that only the filter counts?
    #[must_use]
    pub fn runs_filter(&self) -> bool {
        self.accepted.is_some() || !self.counters.is_empty() || !self.others.is_empty()
    }

    /// What [`tally::Follower`] takes.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let (before, after) = around(tally::epoch_gauge("|"));
        let epochs = self.others.iter().filter_map(|(name, epoch)| {
            let rollout = name.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
            Some((rollout.to_owned(), *epoch))
        });
        let known = self.epochs.as_ref().map(|known| known.as_ref().clone());
        Reading {
            process: self.process.clone(),
            counters: self.counters.clone(),
            inherits: self.inherits,
            epochs: known.unwrap_or_else(|| epochs.collect()),
            scope: self.scope.clone(),
        }
    }

    /// The generation in force, if it is one of this incarnation.
    #[must_use]
    pub fn accepted_generation(&self, incarnation: u64) -> Option<u64> {
        let version: Version = self.accepted.as_deref()?.parse().ok()?;
        (version.incarnation == incarnation).then_some(version.generation)
    }

    /// How often the filter refused a policy, by reason. Each VM that is asked counts, so one push may count several
    /// times; which push it was, [`crate::ecds::Refused`] says.
    #[must_use]
    pub fn refusals(&self) -> BTreeMap<&str, u64> {
        let (before, after) = refusal_name();
        self.others
            .iter()
            .filter_map(|(name, count)| {
                Some((name.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?, *count))
            })
            .collect()
    }

    /// A number of the filter's by its short name and tags, as [`tally::gauge`] writes it.
    #[must_use]
    pub fn gauge(&self, what: &str, tags: &[(&str, &str)]) -> Option<u64> {
        self.others.get(&tally::gauge(what, tags)).copied()
    }

    /// Takes in one line of `/stats`; what is not ours, or no number, is passed over.
    pub(super) fn line(&mut self, line: &str) {
        let Some((name, value)) = line.rsplit_once(": ") else { return };
        if name == version_text() {
            let text = value.trim_matches('"');
            self.accepted = (!text.is_empty()).then(|| text.to_owned());
            return;
        }
        let Ok(value) = value.parse::<u64>() else { return };
        if name == HOT_RESTART_EPOCH {
            self.inherits = value > 0;
            return;
        }
        if let Some(rest) = name.strip_prefix("wasm.").and_then(|rest| rest.strip_prefix(NAME)) {
            match rest {
                ".vm_reload_success" => self.reloads.succeeded = value,
                ".vm_reload_failure" => self.reloads.failed = value,
                ".vm_reload_backoff" => self.reloads.refused_requests = value,
                _ => {}
            }
        } else if let Some(series) = Series::parse(name) {
            self.counters.insert(series, value);
        } else if let Some(ours) = name.strip_prefix(CUSTOM).filter(|name| name.starts_with(tally::PREFIX)) {
            self.others.insert(ours.to_owned(), value);
        }
    }
}

/// How many processes this one took over from: unlike other gauges it is no sum.
const HOT_RESTART_EPOCH: &str = "server.hot_restart_epoch";

/// What Envoy puts before the names of metrics that filters define.
const CUSTOM: &str = "wasmcustom.";

fn version_text() -> String {
    format!("extension_config_discovery.http_filter.{NAME}.version_text")
}

/// An address longer than this asks for too much; then all is asked for.
const LONGEST_FILTER: usize = 32_000;

/// The regular expression that keeps Envoy's answer to what [`Snapshot::line`] reads: of the counters, those of the
/// rollouts and versions in scope, however many came before.
pub(super) fn filter(scope: Option<&BTreeSet<(String, String)>>) -> String {
    let ours = scope.map(counters_of).filter(|ours| ours.len() < LONGEST_FILTER);
    let ours = ours.unwrap_or_else(|| r"\w+_total\.rollout".to_owned());
    let prefix = tally::PREFIX;
    format!(
        r"^(wasmcustom\.{prefix}({ours}|policy|lease|epoch|last_canary)|server\.hot_restart_epoch$|wasm\.{NAME}\.vm_reload_|extension_config_discovery\.http_filter\.{NAME}\.version_text)"
    )
}

fn counters_of(scope: &BTreeSet<(String, String)>) -> String {
    let mut versions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (rollout, version) in scope {
        versions.entry(rollout).or_default().push(quote(version));
    }
    let of = |(rollout, versions): (&str, Vec<String>)| {
        format!(r"{};.*version=\.=({});", quote(rollout), versions.join("|"))
    };
    let rollouts: Vec<String> = versions.into_iter().map(of).collect();
    // Without a rollout no counter is asked for.
    if rollouts.is_empty() {
        "none".to_owned()
    } else {
        format!(r"\w+_total\.rollout=\.=({})", rollouts.join("|"))
    }
}

/// What stands before and after the reason in the name of a refusal counter.
fn refusal_name() -> (String, String) {
    around(tally::policy_refused("|"))
}

/// What stands before and after the bar in a name.
fn around(name: String) -> (String, String) {
    let (before, after) = name.split_once('|').unwrap_or_default();
    (before.to_owned(), after.to_owned())
}

mod by_name {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer, de::Error, ser::SerializeMap};
    use tally::Series;

    pub(super) fn serialize<S: Serializer>(
        counters: &BTreeMap<Series, u64>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(Some(counters.len()))?;
        for (series, value) in counters {
            map.serialize_entry(&series.to_string(), value)?;
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Series, u64>, D::Error> {
        BTreeMap::<String, u64>::deserialize(from)?
            .into_iter()
            .map(|(name, value)| {
                let series =
                    Series::parse(&name).ok_or_else(|| D::Error::custom(format!("no counter '{name}'")))?;
                Ok((series, value))
            })
            .collect()
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
