use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::response::IntoResponse;
use envoy::bootstrap::PolicySource;
use envoy::{Ecds, Resource};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{EnvoyOptions, EnvoyProcess, Models, tools, until};

/// What the story's control plane says when a proxy asks for its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    Renew,
    Revoke,
    Silent,
}

/// A control plane without a controller: it publishes what the story says, and keeps what proxies answer.
pub struct Plane {
    pub ecds: Ecds,
    pub ecds_addr: SocketAddr,
    pub lease_addr: SocketAddr,
    lease: Arc<Mutex<(Lease, u64)>>,
    generation: u64,
}

impl Plane {
    pub async fn start() -> Self {
        Self::with(Resource::local(tools::wasm())).await
    }

    pub async fn with(resource: Resource) -> Self {
        let ecds = Ecds::new(resource, 1);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let ecds_addr = listener.local_addr().expect("its address");
        tokio::spawn(ecds.clone().serve(listener, std::future::pending()));

        let lease = Arc::new(Mutex::new((Lease::Renew, 0)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let lease_addr = listener.local_addr().expect("its address");
        let router =
            axum::Router::new().route(api::path::LEASE, axum::routing::get(answer)).with_state(lease.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { ecds, ecds_addr, lease_addr, lease, generation: 0 }
    }

    /// An Envoy under this plane.
    pub async fn envoy(&self, models: &Models, options: EnvoyOptions) -> EnvoyProcess {
        let options = EnvoyOptions {
            policy: Some(PolicySource::Grpc(self.ecds_addr.into())),
            lease: Some(self.lease_addr),
            ..options
        };
        EnvoyProcess::with_models(models, options).await
    }

    /// Publishes under the next generation, which it returns, and waits for no one.
    pub fn publish(&mut self, policy: impl FnOnce(u64) -> Value) -> u64 {
        self.generation += 1;
        assert!(self.ecds.publish(self.generation, policy(self.generation).to_string()));
        self.generation
    }

    /// Publishes, and waits until every connected proxy has it in force.
    pub async fn put(&mut self, policy: impl FnOnce(u64) -> Value) -> u64 {
        let generation = self.publish(policy);
        self.in_force(generation).await;
        generation
    }

    pub async fn in_force(&self, generation: u64) {
        let nodes = self.ecds.nodes();
        until("every proxy to take the policy", async || {
            let nodes = nodes.borrow().clone();
            let quorum = nodes.quorum(generation);
            if quorum.connected > 0 && quorum.behind.is_empty() { Ok(()) } else { Err(nodes) }
        })
        .await;
    }

    pub fn lease(&self, lease: Lease) {
        self.lease.lock().expect("not poisoned").0 = lease;
    }

    /// How often proxies have asked.
    pub fn asked(&self) -> u64 {
        self.lease.lock().expect("not poisoned").1
    }
}

async fn answer(
    State(lease): State<Arc<Mutex<(Lease, u64)>>>,
    Query(question): Query<std::collections::BTreeMap<String, String>>,
) -> impl IntoResponse {
    let lease = {
        let mut lease = lease.lock().expect("not poisoned");
        lease.1 += 1;
        lease.0
    };
    let word = match lease {
        Lease::Renew => "renew",
        Lease::Revoke => "revoke",
        Lease::Silent => std::future::pending().await,
    };
    let number = |name: &str| question.get(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    axum::Json(json!({
        "incarnation": number("incarnation"), "generation": number("generation"), "lease": word, "ttl_ms": 1_000,
    }))
}
