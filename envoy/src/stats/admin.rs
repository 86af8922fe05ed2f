use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde::Deserialize;

use super::{Snapshot, Upstream, endpoints, snapshot, upstream};
use crate::clock::{monotonic_ns, unix_ms};

/// An Envoy is on loopback or one hop away; one that takes longer is as good as silent.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What one Envoy's counters are read with.
pub(super) fn client() -> reqwest::Result<Client> {
    // An Envoy is never behind a proxy, whatever the environment says.
    // Each look has connections of its own: after a hot restart a connection that was kept leads to the old process,
    // whose counters stand still and look whole.
    Client::builder().no_proxy().redirect(Policy::none()).timeout(TIMEOUT).pool_max_idle_per_host(0).build()
}

/// The admin endpoint of one Envoy.
#[derive(Clone, Debug)]
pub struct Admin {
    source: String,
    url: Url,
    client: Client,
}

/// No snapshot could be had; the next may.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not an `http://` address.
    #[error("'{0}' is no admin address; write http://HOST:PORT, the address of Envoy's admin interface")]
    Address(String),
    /// Nobody answers there.
    #[error(
        "no answer from Envoy's admin interface at {0}: {1}; is Envoy running, and is that its `admin` address?"
    )]
    Silent(String, String),
    /// Not the `http://` address of a page for Prometheus.
    #[error(
        "'{0}' is no page of metrics; write http://HOST:PORT/PATH, such as http://10.0.0.7:15020/stats/prometheus"
    )]
    Page(String),
    /// Nobody answers there.
    #[error(
        "no metrics from {0}: {1}; does the proxy run, and may this machine ask it (NetworkPolicy, mTLS)?"
    )]
    NoPage(String, String),
    /// Something answers that is not an Envoy this crate knows.
    #[error("{0} does not answer like Envoy: {1}")]
    Foreign(String, String),
    /// The process changed between two questions of one reading.
    #[error("Envoy at {0} restarted while it was read")]
    Changed(String),
}

impl ReadError {
    /// A short constant name for logs and metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Address(_) | Self::Page(_) => "address",
            Self::Silent(..) | Self::NoPage(..) => "silent",
            Self::Foreign(..) => "foreign",
            Self::Changed(_) => "changed",
        }
    }
}

impl Admin {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When `url` is no `http://HOST:PORT`.
    pub fn new(url: &str) -> Result<Self, ReadError> {
        let address = || ReadError::Address(url.to_owned());
        let parsed = Url::parse(url)
            .ok()
            .filter(|url| url.scheme() == "http" && url.has_host())
            .ok_or_else(address)?;
        let client = client().map_err(|_| address())?;
        Ok(Self { source: url.trim_end_matches('/').to_owned(), url: parsed, client })
    }

    /// The address, as given; what [`Snapshot::source`] will say.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Reads everything of ours.
    ///
    /// # Errors
    /// When Envoy does not answer, or not as Envoy does, or restarts meanwhile.
    pub async fn read(&self) -> Result<Snapshot, ReadError> {
        self.read_with(&BTreeSet::new(), None).await
    }

    /// Reads everything of ours, of the counters those in scope (pairs of rollout and version; `None`: all), and what Envoy
    /// itself counts of these clusters.
    ///
    /// # Errors
    /// As [`Admin::read`].
    pub async fn read_with(
        &self,
        clusters: &BTreeSet<String>,
        scope: Option<&Arc<BTreeSet<(String, String)>>>,
    ) -> Result<Snapshot, ReadError> {
        let before = self.identity().await?;
        let stats = self
            .get("stats", &[("usedonly", ""), ("filter", &snapshot::filter(scope.map(Arc::as_ref)))])
            .await?;
        let upstreams = if clusters.is_empty() { BTreeMap::new() } else { self.upstreams(clusters).await? };
        let (unix_ms, monotonic_ns) = (unix_ms(), monotonic_ns());
        // Counters of one process under the name of another would pass for a delta.
        if self.identity().await? != before {
            return Err(ReadError::Changed(self.source.clone()));
        }
        let mut snapshot = Snapshot {
            source: self.source.clone(),
            node: before.node,
            region: before.region,
            process: before.process,
            unix_ms,
            monotonic_ns,
            clusters: clusters.clone(),
            upstreams,
            scope: scope.cloned(),
            ..Snapshot::default()
        };
        stats.lines().for_each(|line| snapshot.line(line));
        Ok(snapshot)
    }

    async fn upstreams(&self, clusters: &BTreeSet<String>) -> Result<BTreeMap<Upstream, u64>, ReadError> {
        let filter = upstream::filter(clusters);
        let query =
            [("usedonly", ""), ("format", "json"), ("histogram_buckets", "detailed"), ("filter", &filter)];
        let text = self.get("stats", &query).await?;
        upstream::parse(&text, clusters)
            .map_err(|why| ReadError::Foreign(self.source.clone(), format!("/stats: {why}")))
    }

    async fn identity(&self) -> Result<Identity, ReadError> {
        let text = self
            .get("config_dump", &[("mask", "bootstrap.node.id,bootstrap.node.locality.region,last_updated")])
            .await?;
        Identity::parse(&text).map_err(|why| ReadError::Foreign(self.source.clone(), why))
    }

    /// Healthy endpoints by cluster, as this Envoy sees them: by its own health checks and outlier detection, and by
    /// what its discovery service says.
    ///
    /// # Errors
    /// When Envoy does not answer, or not as Envoy does.
    pub async fn healthy(&self) -> Result<std::collections::BTreeMap<String, u32>, ReadError> {
        let text = self.get("clusters", &[("format", "json")]).await?;
        endpoints::healthy(&text).map_err(|why| ReadError::Foreign(self.source.clone(), why))
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<String, ReadError> {
        let mut url = self.url.clone();
        url.set_path(path);
        let silent = |error: reqwest::Error| ReadError::Silent(self.source.clone(), root_cause(&error));
        let response = self.client.get(url).query(query).send().await.map_err(silent)?;
        let status = response.status();
        if !status.is_success() {
            return Err(ReadError::Foreign(self.source.clone(), format!("/{path} answers {status}")));
        }
        response.text().await.map_err(silent)
    }
}

/// Which process answers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    node: String,
    region: String,
    process: String,
}

impl Identity {
    /// Out of a configuration dump masked to the node's id and the time the bootstrap was taken.
    fn parse(dump: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Dump {
            configs: Vec<Config>,
        }
        #[derive(Deserialize)]
        struct Config {
            #[serde(rename = "@type")]
            kind: String,
            #[serde(default)]
            last_updated: String,
            #[serde(default)]
            bootstrap: Bootstrap,
        }
        #[derive(Default, Deserialize)]
        struct Bootstrap {
            #[serde(default)]
            node: Node,
        }
        #[derive(Default, Deserialize)]
        struct Node {
            #[serde(default)]
            id: String,
            #[serde(default)]
            locality: Locality,
        }
        #[derive(Default, Deserialize)]
        struct Locality {
            #[serde(default)]
            region: String,
        }
        let dump: Dump = serde_json::from_str(dump).map_err(|error| format!("/config_dump: {error}"))?;
        let config = dump
            .configs
            .into_iter()
            .find(|config| config.kind.ends_with("BootstrapConfigDump"))
            .ok_or("/config_dump names no bootstrap")?;
        if config.last_updated.is_empty() {
            return Err("/config_dump does not say when the bootstrap was taken".to_owned());
        }
        let Node { id: node, locality } = config.bootstrap.node;
        Ok(Self { node, region: locality.region, process: config.last_updated })
    }
}

/// The innermost reason: "connection refused" rather than "error sending request".
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
