use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tally::Series;

use super::Upstream;
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
    /// Names the process: the instant Envoy took its bootstrap, in its own words. Compared, never computed with.
    pub process: String,
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
    /// Other numbers of the filter's, by their name without Envoy's `wasmcustom.`.
    pub others: BTreeMap<String, u64>,
    /// The version of the policy in force: the one reliable word on what Envoy accepted. Absent when that is the
    /// pass-through default.
    pub accepted: Option<String>,
    /// What became of VMs that trapped.
    pub reloads: Reloads,
}

/// What became of VMs that trapped, since the process began.
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

/// What Envoy puts before the names of metrics that filters define.
const CUSTOM: &str = "wasmcustom.";

fn version_text() -> String {
    format!("extension_config_discovery.http_filter.{NAME}.version_text")
}

/// The regular expression that keeps Envoy's answer to what [`Snapshot::line`] reads.
pub(super) fn filter() -> String {
    format!(
        r"^(wasmcustom\.{prefix}|wasm\.{NAME}\.vm_reload_|extension_config_discovery\.http_filter\.{NAME}\.version_text)",
        prefix = tally::PREFIX
    )
}

/// What stands before and after the reason in the name of a refusal counter.
fn refusal_name() -> (String, String) {
    let name = tally::policy_refused("|");
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
