//! What Envoy itself counts of a cluster: the only word on mirrored requests, whose answers no filter sees.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// A cluster's counter. Envoy counts every request the cluster got, whichever way it came there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Upstream {
    /// The cluster's name, as in Envoy's configuration.
    pub cluster: String,
    /// What is counted.
    pub what: UpstreamWhat,
}

/// What is counted of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UpstreamWhat {
    /// Requests that ended with an answer, the cluster's own or Envoy's for it.
    Completed,
    /// Of these, answers 4xx, 429 included.
    ClientError,
    /// Of these, answers 429.
    TooMany,
    /// Of these, answers 5xx; timeouts and resets are among them as 504 and 503.
    ServerError,
    /// Requests that were not answered in the route's time.
    Timeout,
    /// Answer times, in the bin of `tally::latency_bin` that holds the middle of Envoy's own bin (at most 5 % wide to
    /// either side). Envoy shows them with a delay of up to its flush interval, 5 s as a rule.
    Latency(u16),
}

impl UpstreamWhat {
    const COUNTERS: [(&str, Self); 5] = [
        ("upstream_rq_completed", Self::Completed),
        ("upstream_rq_4xx", Self::ClientError),
        ("upstream_rq_429", Self::TooMany),
        ("upstream_rq_5xx", Self::ServerError),
        ("upstream_rq_timeout", Self::Timeout),
    ];
}

const TIME: &str = "upstream_rq_time";

/// A cluster's name within the names of its statistics: Envoy allows no colon there.
pub(super) fn in_names(cluster: &str) -> String {
    cluster.replace(':', "_")
}

/// The regular expression that keeps Envoy's answer to these clusters.
pub(super) fn filter(clusters: &BTreeSet<String>) -> String {
    let quoted: Vec<String> = clusters.iter().map(|cluster| quote(&in_names(cluster))).collect();
    let names: Vec<&str> = UpstreamWhat::COUNTERS.iter().map(|(name, _)| *name).chain([TIME]).collect();
    format!(r"^cluster\.({})\.({})$", quoted.join("|"), names.join("|"))
}

/// A text as a regular expression that fits only itself.
pub(super) fn quote(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let plain = c.is_ascii_alphanumeric() || c == '_' || c == '-' || !c.is_ascii();
            (!plain).then_some('\\').into_iter().chain([c])
        })
        .collect()
}

/// Reads Envoy's `/stats?format=json&histogram_buckets=detailed`.
pub(super) fn parse(
    text: &str,
    clusters: &BTreeSet<String>,
) -> Result<BTreeMap<Upstream, u64>, serde_json::Error> {
    let answer: Answer = serde_json::from_str(text)?;
    let mut counts = BTreeMap::new();
    let by_prefix: BTreeMap<String, &String> =
        clusters.iter().map(|cluster| (format!("cluster.{}.", in_names(cluster)), cluster)).collect();
    let find = |name: &str| {
        let (at, _) = name.rmatch_indices('.').next()?;
        let (prefix, what) = name.split_at(at + 1);
        Some(((*by_prefix.get(prefix)?).clone(), what.to_owned()))
    };
    for stat in answer.stats {
        match stat {
            Stat::Counter { name, value } => {
                let Some((cluster, name)) = find(&name) else { continue };
                let known = UpstreamWhat::COUNTERS.iter().find(|(known, _)| *known == name);
                if let Some((_, what)) = known {
                    counts.insert(Upstream { cluster, what: *what }, value);
                }
            }
            Stat::Histograms { histograms } => {
                for histogram in histograms.details {
                    let Some((cluster, _)) = find(&histogram.name) else { continue };
                    for bin in histogram.totals {
                        let what = UpstreamWhat::Latency(bin.ours());
                        *counts.entry(Upstream { cluster: cluster.clone(), what }).or_default() += bin.count;
                    }
                }
            }
            Stat::Other(_) => {}
        }
    }
    Ok(counts)
}

#[derive(Deserialize)]
struct Answer {
    stats: Vec<Stat>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stat {
    Counter { name: String, value: u64 },
    Histograms { histograms: Histograms },
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Histograms {
    #[serde(default)]
    details: Vec<Histogram>,
}

#[derive(Deserialize)]
struct Histogram {
    name: String,
    #[serde(default)]
    totals: Vec<Bin>,
}

/// In milliseconds.
#[derive(Deserialize)]
struct Bin {
    lower_bound: f64,
    width: f64,
    count: u64,
}

impl Bin {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // milliseconds, saturates
    fn ours(&self) -> u16 {
        tally::latency_bin(((self.lower_bound + self.width / 2.0).max(0.0) * 1e6) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters() -> BTreeSet<String> {
        ["canary", "outbound|8080|v1|ranker.default.svc.cluster.local", "a:b"].map(str::to_owned).into()
    }

    #[test]
    fn a_clusters_name_is_taken_by_the_letter() {
        assert_eq!(
            filter(&clusters()),
            r"^cluster\.(a_b|canary|outbound\|8080\|v1\|ranker\.default\.svc\.cluster\.local)\.(upstream_rq_completed|upstream_rq_4xx|upstream_rq_429|upstream_rq_5xx|upstream_rq_timeout|upstream_rq_time)$"
        );
    }

    #[track_caller]
    fn check(stats: &str, want: &[(&str, UpstreamWhat, u64)]) {
        let counts = parse(&format!("{{\"stats\":[{stats}]}}"), &clusters()).expect("JSON");
        let got: Vec<_> = counts.iter().map(|(key, n)| (key.cluster.as_str(), key.what, *n)).collect();
        assert_eq!(got, want, "{stats}");
    }

    #[test]
    fn counters_and_histograms_are_read_of_the_clusters_asked_for() {
        let counter = |name: &str, value: u64| format!(r#"{{"name":"{name}","value":{value}}}"#);
        check(&counter("cluster.canary.upstream_rq_5xx", 16), &[("canary", UpstreamWhat::ServerError, 16)]);
        check(&counter("cluster.a_b.upstream_rq_429", 2), &[("a:b", UpstreamWhat::TooMany, 2)]);
        check(&counter("cluster.canary.internal.upstream_rq_5xx", 16), &[]);
        check(&counter("cluster.other.upstream_rq_5xx", 16), &[]);
        check(&counter("cluster.canary.upstream_rq_active", 1), &[]);
        check(
            r#"{"histograms":{"supported_percentiles":[50],"details":[
                {"name":"cluster.canary.upstream_rq_time","percentiles":[],"intervals":[],
                 "totals":[{"lower_bound":20,"width":1,"count":30},{"lower_bound":1500,"width":100,"count":3}]}]}}"#,
            &[
                ("canary", UpstreamWhat::Latency(tally::latency_bin(20_500_000)), 30),
                ("canary", UpstreamWhat::Latency(tally::latency_bin(1_550_000_000)), 3),
            ],
        );
        check(r#"{"histograms":{"supported_percentiles":[50]}}, {"name":"x","value":"text"}"#, &[]);
    }
}
