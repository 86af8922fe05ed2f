//! The filter's numbers as Prometheus shows them: on a page of Envoy's or of Istio's agent, or in an answer of Prometheus'.

use std::collections::BTreeSet;
use std::fmt;

use tally::metric::filter::{self, EPOCH, LAST_CANARY_ASSIGNED_MS};
use tally::{FlatName, FlatNames, PREFIX, Series, TAGS, gauge};

use super::upstream::in_names;
use super::{Snapshot, Upstream, UpstreamWhat};
use crate::Version;

/// What Envoy puts before names that filters define, where whoever passes them on kept it.
const BEFORE: [&str; 2] = ["envoy_wasmcustom_", "wasmcustom_"];

const UPTIME: &str = "envoy_server_uptime";
const HOT_RESTART_EPOCH: &str = "envoy_server_hot_restart_epoch";
const INITIALISED: &str = "envoy_server_initialization_time_ms_sum";
const OF_CLUSTERS: &str = "envoy_cluster_upstream_rq";

/// Numbers above this are not exact in a double, and nothing of ours is counted so high.
const MOST: f64 = 9_007_199_254_740_992.0;

/// What is wanted of numbers with labels: the counters of some rollouts and versions, and what Envoy counted of some
/// clusters.
#[derive(Debug)]
pub struct Labels<'w> {
    scope: Option<&'w BTreeSet<(String, String)>>,
    clusters: &'w BTreeSet<String>,
    flat: FlatNames,
}

/// Two versions, or rollouts, have become one name, because Envoy made no labels of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlabelled(String, String);

impl fmt::Display for Unlabelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(one, other) = self;
        write!(
            f,
            "{one} and {other} have the same name there, since Envoy makes no labels of them: give its pods the \
             extraStatTags of istio/stats-tags.yaml"
        )
    }
}

impl<'w> Labels<'w> {
    /// `scope`: pairs of rollout and version; `None`: all that have labels.
    #[must_use]
    pub fn new(scope: Option<&'w BTreeSet<(String, String)>>, clusters: &'w BTreeSet<String>) -> Self {
        Self { scope, clusters, flat: scope.map(FlatNames::new).unwrap_or_default() }
    }

    /// The expression that fits every name which is looked at, for a matcher of Prometheus' (it is anchored there).
    #[must_use]
    pub fn names(&self) -> String {
        let clusters = if self.clusters.is_empty() {
            ""
        } else {
            "|envoy_cluster_upstream_rq(_completed|_xx|_timeout)?"
        };
        let before = BEFORE.join("|");
        format!(
            "({before})?{PREFIX}(\\\\w+_total|{EPOCH}|policy_\\\\w+|{LAST_CANARY_ASSIGNED_MS}|{EPOCH}_rollout___\\\\w+|\
             {LAST_CANARY_ASSIGNED_MS}_rollout___\\\\w+|\\\\w+_total_\\\\w+___)|{UPTIME}|{HOT_RESTART_EPOCH}|{INITIALISED}{clusters}"
        )
    }

    /// Is a number of this name looked at at all?
    #[must_use]
    pub fn wants(name: &str) -> bool {
        name.starts_with(PREFIX)
            || name.starts_with("envoy_server_")
            || name.starts_with(OF_CLUSTERS)
            || BEFORE.iter().any(|before| name.starts_with(before))
    }

    /// Takes in one number.
    ///
    /// # Errors
    /// When it may be of one or of another.
    pub fn take<'l>(
        &self,
        snapshot: &mut Snapshot,
        name: &str,
        label: impl Fn(&str) -> Option<&'l str>,
        value: f64,
    ) -> Result<(), Unlabelled> {
        let Some(count) = whole(value) else {
            // How long the start took has a fraction, and is compared as it is.
            if name == INITIALISED {
                snapshot.age.get_or_insert_default().initialised = Some(value.to_string());
            }
            return Ok(());
        };
        match name {
            UPTIME => snapshot.age.get_or_insert_default().uptime_s = count,
            INITIALISED => snapshot.age.get_or_insert_default().initialised = Some(value.to_string()),
            HOT_RESTART_EPOCH => snapshot.inherits = count > 0,
            _ if name.starts_with(OF_CLUSTERS) => self.of_cluster(snapshot, name, label, count),
            _ => {
                let ours = BEFORE.iter().find_map(|before| name.strip_prefix(before)).unwrap_or(name);
                // Prometheus renames a label where the target has one of that name, such as a pod's `version`.
                let label = |tag: &str| label(&format!("exported_{tag}")).or_else(|| label(tag));
                return self.of_filter(snapshot, ours, label, count);
            }
        }
        Ok(())
    }

    fn of_filter<'l>(
        &self,
        snapshot: &mut Snapshot,
        name: &str,
        label: impl Fn(&str) -> Option<&'l str>,
        count: u64,
    ) -> Result<(), Unlabelled> {
        if !name.starts_with(PREFIX) {
            return Ok(());
        }
        if let Some(series) = Series::labelled(name, &label) {
            let wanted = (series.rollout.clone(), series.version.clone());
            if self.scope.is_none_or(|scope| scope.contains(&wanted)) {
                snapshot.counters.insert(series, count);
            }
            return Ok(());
        }
        let tags: Vec<(&str, &str)> = TAGS.iter().filter_map(|tag| Some((*tag, label(tag)?))).collect();
        // A name with its tags in it has none beside it but those of whoever passes it on.
        match self.flat.read(name) {
            Some(FlatName::Counter(series)) => drop(snapshot.counters.insert(series, count)),
            Some(FlatName::Ambiguous(one, other)) => return Err(Unlabelled(one, other)),
            Some(FlatName::Other(other)) if other != name => drop(snapshot.others.insert(other, count)),
            // A histogram is for people; the rest is of rollouts that are not asked for.
            _ if ours(name).starts_with(filter::LATENCY_MS) || name.contains("___") => {}
            _ => {
                let read = gauge(ours(name), &of_gauge(name, &tags));
                snapshot.others.insert(read, count);
            }
        }
        Ok(())
    }

    fn of_cluster<'l>(
        &self,
        snapshot: &mut Snapshot,
        name: &str,
        label: impl Fn(&str) -> Option<&'l str>,
        count: u64,
    ) {
        let Some(known) = label("envoy_cluster_name") else { return };
        let Some(cluster) = self.clusters.iter().find(|cluster| in_names(cluster) == known) else { return };
        let class = label("envoy_response_code_class").unwrap_or_default();
        let what = match (name.strip_prefix(OF_CLUSTERS).unwrap_or_default(), class) {
            ("_completed", _) => UpstreamWhat::Completed,
            ("_timeout", _) => UpstreamWhat::Timeout,
            ("_xx", "4") => UpstreamWhat::ClientError,
            ("_xx", "5") => UpstreamWhat::ServerError,
            ("", _) if label("envoy_response_code") == Some("429") => UpstreamWhat::TooMany,
            _ => return,
        };
        snapshot.upstreams.insert(Upstream { cluster: cluster.clone(), what }, count);
    }

    /// All numbers of one moment were taken in: the policy in force is what the gauges say. Those are sums while two
    /// processes of an Envoy live, and a sum is no incarnation of anybody's.
    pub fn finish(&self, snapshot: &mut Snapshot) {
        let gauge = |what| snapshot.gauge(what, &[]);
        snapshot.accepted = gauge(filter::POLICY_INCARNATION)
            .zip(gauge(filter::POLICY_GENERATION))
            .map(|(incarnation, generation)| Version { incarnation, generation }.to_string());
        snapshot.clusters.clone_from(self.clusters);
    }
}

/// A name as the filter's constants have it.
fn ours(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// The tags by which the filter names its gauges; a target's own labels may be called alike.
fn of_gauge<'t>(name: &str, tags: &[(&'t str, &'t str)]) -> Vec<(&'t str, &'t str)> {
    let wanted = match ours(name) {
        filter::EPOCH | filter::LAST_CANARY_ASSIGNED_MS => "rollout",
        filter::POLICY_REFUSED_TOTAL => "reason",
        _ => return Vec::new(),
    };
    tags.iter().filter(|(tag, _)| *tag == wanted).copied().collect()
}

/// A number of a counter or a gauge of ours; `None`: it has a fraction, or is none.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked
fn whole(value: f64) -> Option<u64> {
    ((0.0..MOST).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

#[cfg(test)]
#[path = "labelled_tests.rs"]
mod tests;
