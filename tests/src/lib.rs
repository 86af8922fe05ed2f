//! The harness: what stories are told with. It starts real processes (Envoy with the built filter, the controller,
//! Prometheus) between sample model servers, waits for what they do, and ends them.
//!
//! What the controller answers is read by the types of `api`, as every client reads it. Stories that check the JSON itself
//! (a field that is absent, a document of Envoy's, Prometheus' or the user's own) say so.
//!
//! `SERIN_BIN`, `SERIN_ENVOY` and their like name the programs ([`tools`]); `cargo xtask test` sets them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a story fails by panicking, wherever it is told; Clippy's own exemption ends at the tests themselves"
)]

mod cluster;
mod documents;
mod envoy_process;
mod http;
mod look;
mod plane;
mod prometheus_process;
mod relay;
mod seen;
mod serin;
mod sidecar;
pub mod tools;
mod wait;

use std::sync::Arc;

pub use api::path;
pub use cluster::{Cluster, kubectl};
pub use documents::stages_by_hand;
pub use envoy_process::{EnvoyOptions, EnvoyProcess};
pub use http::{Answer, get, page};
pub use look::{Counts, Look};
pub use plane::{Lease, Plane};
pub use prometheus_process::PrometheusProcess;
pub use relay::Relay;
pub use seen::Seen;
pub use serin::{Evidence, Serin, Ways, free_port};
pub use sidecar::sidecar;
pub use wait::{left_alone, until, within};

use demo::model::{Behaviour, ModelServer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Two cores carry two stories at once; one under load wants both.
static CORES: std::sync::LazyLock<Arc<Semaphore>> = std::sync::LazyLock::new(|| Arc::new(Semaphore::new(2)));

/// Waits for one of the two places.
pub async fn a_core() -> OwnedSemaphorePermit {
    CORES.clone().acquire_owned().await.expect("never closed")
}

/// Waits until nothing else runs.
pub async fn alone() -> OwnedSemaphorePermit {
    CORES.clone().acquire_many_owned(2).await.expect("never closed")
}

/// The two model servers of a story.
pub struct Models {
    pub stable: ModelServer,
    pub canary: ModelServer,
}

impl Models {
    /// Both answer at once and never fail.
    pub async fn plain() -> Self {
        Self::behaving(Behaviour::plain("v1"), Behaviour::plain("v2")).await
    }

    pub async fn behaving(stable: Behaviour, canary: Behaviour) -> Self {
        let any = "127.0.0.1:0".parse().expect("an address");
        Self {
            stable: ModelServer::start(any, stable).await.expect("the stable server"),
            canary: ModelServer::start(any, canary).await.expect("the canary server"),
        }
    }
}

/// A policy of one rollout; `with` is merged over the defaults, field by field.
pub fn policy(generation: u64, with: serde_json::Value) -> serde_json::Value {
    let mut policy = serde_json::json!({
        "schema": 1, "incarnation": 1, "generation": generation,
        "rollouts": [{
            "name": "ranker", "epoch": generation, "header": "x-serin-arm", "version_header": "x-serin-version",
            "assignment": {"mode": "sticky", "salt": "ranker/1", "keys": [{"header": "x-user-id"}]},
            "arms": {"stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": 500_000}},
        }],
    });
    for (field, value) in with.as_object().expect("an object") {
        match field.as_str() {
            "lease" | "incarnation" => policy[field] = value.clone(),
            _ => policy["rollouts"][0][field] = value.clone(),
        }
    }
    policy
}

/// The arms at a weight.
pub fn arms(canary_ppm: u32) -> serde_json::Value {
    serde_json::json!({"stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": canary_ppm}})
}
