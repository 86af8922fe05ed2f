//! The configuration an Envoy starts with: static routes on a header, and the filter discovered at run time.

mod clusters;
mod credentials;
mod listener;
mod statistics;
mod yaml;

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};

use crate::{Endpoint, Resource};
pub use credentials::{Authority, Credentials, TokenFile};

/// The cluster that serves stable, and the baseline.
pub const STABLE: &str = "stable";
/// The cluster that serves the canary.
pub const CANARY: &str = "canary";
/// The routing header's value for requests that stable answers and the canary gets a copy of.
pub const SHADOW: &str = "shadow";
/// The cluster that leads to the ECDS server.
pub const XDS: &str = "xds";
/// The cluster that leads to the controller's HTTP port, for the lease.
pub const LEASE: &str = "serin";

/// Everything that differs from one Envoy to the next; the rest is the same everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Names this Envoy in acknowledgements; must be unique.
    pub node_id: String,
    /// Names the group of Envoys it belongs to.
    pub node_cluster: String,
    /// The region it serves, `node.locality.region`: rollouts that go region by region tell proxies apart by it.
    pub region: Option<String>,
    /// Where clients connect.
    pub listen: Endpoint,
    /// Envoy's own interface. It can stop Envoy and has no password: loopback, or a private network at most.
    pub admin: Endpoint,
    /// Where the stable version is served; at least one.
    pub stable: Vec<Endpoint>,
    /// Where the canary is served. None: a request sent there would get 503, so keep its weight at 0.
    pub canary: Vec<Endpoint>,
    /// Further versions on trial: the arm's name, which is also its cluster's, and where it is served.
    pub others: Vec<(String, Vec<Endpoint>)>,
    /// Where the policy comes from.
    pub policy: PolicySource,
    /// The controller's HTTP address, asked for the lease; none where no policy has one.
    pub lease: Option<Endpoint>,
    /// What it shows the controller, and by what it knows it.
    pub credentials: Credentials,
    /// The filter.
    pub resource: Resource,
    /// Does this proxy decide, or keep what an earlier one decided?
    pub role: Role,
    /// The header whose value picks the cluster; as in every policy this Envoy is sent.
    pub routing_header: String,
    /// Further headers that clients must not bring along; taken off before anything reads them.
    pub removed_headers: Vec<String>,
    /// A model must have answered in full by then; zero: no limit, for streams.
    pub route_timeout: Duration,
    /// What the models speak.
    pub upstream: Upstream,
    /// Upper bounds in ms of the buckets of `serin_latency_ms`, for dashboards.
    pub latency_buckets_ms: Vec<u32>,
}

/// Where the policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// The controller's ECDS server; the state of the world with each response.
    Grpc(Endpoint),
    /// The same in the protocol's delta form.
    DeltaGrpc(Endpoint),
    /// A directory into which [`crate::EcdsFile`] writes. Envoy does not start before the file is there.
    File(PathBuf),
}

/// Exactly one proxy on a path decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Takes a client's own routing header off, then lets the filter set it.
    #[default]
    Decide,
    /// Keeps the header: whoever can connect here is trusted to have decided.
    Follow,
}

/// What the models speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upstream {
    /// HTTP/1.1, whatever the client speaks.
    #[default]
    Http1,
    /// What the client speaks; gRPC needs it.
    AsClient,
}

/// The bootstrap cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// A field that must say something says nothing.
    #[error("bootstrap: {0} is empty; {1}")]
    Empty(&'static str, &'static str),
    /// An arm that cannot have that name, or not once more.
    #[error("bootstrap: '{0}' cannot name a further arm; {1}")]
    Arm(String, &'static str),
    /// A header name that no header has.
    #[error("bootstrap: '{0}' is no header name; use lower-case letters, digits and '-'")]
    Header(String),
    /// Envoy reads paths as text.
    #[error("bootstrap: {0} must be an absolute path in UTF-8; it is '{1}'")]
    Path(&'static str, PathBuf),
}

impl Bootstrap {
    /// An Envoy with one model server per version; the rest as most want it.
    #[must_use]
    pub fn new(
        listen: Endpoint,
        admin: Endpoint,
        stable: Endpoint,
        canary: Endpoint,
        policy: PolicySource,
        resource: Resource,
    ) -> Self {
        Self {
            node_id: "envoy".to_owned(),
            node_cluster: "serin".to_owned(),
            region: None,
            listen,
            admin,
            stable: vec![stable],
            canary: vec![canary],
            others: Vec::new(),
            policy,
            lease: None,
            credentials: Credentials::default(),
            resource,
            role: Role::Decide,
            routing_header: "x-serin-arm".to_owned(),
            removed_headers: Vec::new(),
            // Language models and streams take as long as they take: Envoy's own 15 s would cut both versions' answers. What
            // hangs is ended by its client, or by Envoy after five minutes without a byte.
            route_timeout: Duration::ZERO,
            upstream: Upstream::Http1,
            latency_buckets_ms: vec![1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000],
        }
    }

    /// The configuration as Envoy's JSON.
    ///
    /// # Errors
    /// When a field cannot stand as it is; the error names it.
    pub fn to_json(&self) -> Result<Value, BootstrapError> {
        self.check()?;
        Ok(json!({
            "node": self.node_json(),
            "admin": {"address": self.admin.to_json()},
            "stats_config": statistics::config(&self.latency_buckets_ms),
            "static_resources": self.resources(),
        }))
    }

    fn resources(&self) -> Value {
        let mut resources = json!({"listeners": [self.listener()], "clusters": self.clusters()});
        let secrets = self.credentials.secrets();
        if let (false, Some(fields)) = (secrets.is_empty(), resources.as_object_mut()) {
            fields.insert("secrets".to_owned(), Value::Array(secrets));
        }
        resources
    }

    fn node_json(&self) -> Value {
        let mut node = json!({"id": self.node_id, "cluster": self.node_cluster});
        if let (Some(region), Some(fields)) = (&self.region, node.as_object_mut()) {
            fields.insert("locality".to_owned(), json!({"region": region}));
        }
        node
    }

    /// The configuration as YAML, for people and files.
    ///
    /// # Errors
    /// As [`Bootstrap::to_json`].
    pub fn to_yaml(&self) -> Result<String, BootstrapError> {
        Ok(yaml::render(&self.to_json()?))
    }

    fn check(&self) -> Result<(), BootstrapError> {
        if self.node_id.is_empty() {
            return Err(BootstrapError::Empty("node_id", "acknowledgements are told apart by it"));
        }
        if self.stable.is_empty() {
            return Err(BootstrapError::Empty(
                "stable",
                "name at least one HOST:PORT that serves the stable version",
            ));
        }
        for (index, (name, endpoints)) in self.others.iter().enumerate() {
            let refuse = |why| Err(BootstrapError::Arm(name.clone(), why));
            if split::ArmName::new(name).is_none() {
                return refuse(
                    "use 1 to 16 lower-case letters, digits and dashes; not stable, canary, baseline",
                );
            }
            if [XDS, LEASE].contains(&name.as_str()) {
                return refuse("a cluster of the controller's has that name; call the arm something else");
            }
            if self.others.iter().take(index).any(|(earlier, _)| earlier == name) {
                return refuse("it is there twice; give every arm a name of its own");
            }
            if endpoints.is_empty() {
                return refuse("nobody serves it; name at least one HOST:PORT");
            }
        }
        let token = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        for header in std::iter::once(&self.routing_header).chain(&self.removed_headers) {
            if header.is_empty() || !header.chars().all(token) {
                return Err(BootstrapError::Header(header.clone()));
            }
        }
        let text = |what, path: &PathBuf| match path.to_str() {
            Some(_) if path.is_absolute() => Ok(()),
            _ => Err(BootstrapError::Path(what, path.clone())),
        };
        let crate::WasmCode::Local(wasm) = &self.resource.wasm;
        text("wasm", wasm)?;
        for (what, path) in self.credentials.paths() {
            text(what, path)?;
        }
        match &self.policy {
            PolicySource::File(directory) => text("the policy directory", directory),
            PolicySource::Grpc(_) | PolicySource::DeltaGrpc(_) => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
