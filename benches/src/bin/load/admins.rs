//! Admin endpoints as Envoy has them, with counters that move like those of traffic.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::routing::get;
use split::{Arm, Cause};
use tally::{Class, Progress, Series, Slot, What};
use tokio::net::TcpListener;

/// How often a request of each kind is counted: what, and the part of all requests of the rollout.
type Rates = Vec<(String, f64)>;

pub struct Traffic {
    pub urls: Vec<String>,
    rates: Arc<Rates>,
}

#[derive(Clone)]
struct Endpoint {
    node: usize,
    rates: Arc<Rates>,
    rollouts: Arc<Vec<String>>,
    /// Requests per second and rollout at this endpoint.
    rate: f64,
    since: Instant,
}

impl Traffic {
    pub async fn start(rollouts: usize, endpoints: usize, rate: f64) -> Self {
        let rollouts: Arc<Vec<String>> = Arc::new((0..rollouts).map(super::name).collect());
        let rates: Arc<Rates> = Arc::new(rollouts.iter().flat_map(|rollout| rates(rollout)).collect());
        let mut urls = Vec::new();
        for node in 0..endpoints {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            urls.push(format!("http://{}", listener.local_addr().expect("its address")));
            let endpoint = Endpoint {
                node,
                rates: rates.clone(),
                rollouts: rollouts.clone(),
                rate: rate / endpoints as f64,
                since: Instant::now(),
            };
            let router = axum::Router::new()
                .route("/stats", get(stats))
                .route("/config_dump", get(identity))
                .with_state(endpoint);
            tokio::spawn(axum::serve(listener, router).into_future());
        }
        Self { urls, rates }
    }

    /// Counters of each endpoint.
    pub fn series(&self) -> usize {
        self.rates.len()
    }
}

async fn stats(State(endpoint): State<Endpoint>) -> String {
    let requests = endpoint.since.elapsed().as_secs_f64() * endpoint.rate;
    let mut text = String::with_capacity(endpoint.rates.len() * 120);
    for (name, share) in endpoint.rates.iter() {
        let _ = writeln!(text, "wasmcustom.{name}: {}", (requests * share) as u64);
    }
    for rollout in endpoint.rollouts.iter() {
        let _ = writeln!(text, "wasmcustom.{}: {EPOCH}", tally::epoch_gauge(rollout));
    }
    text
}

async fn identity(State(endpoint): State<Endpoint>) -> axum::Json<serde_json::Value> {
    axum::Json(serde_json::json!({"configs": [{
        "@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump",
        "bootstrap": {"node": {"id": format!("read-{}", endpoint.node)}},
        "last_updated": "2026-01-01T00:00:00Z",
    }]}))
}

/// The epoch of a rollout's first stage, after that of its probe.
const EPOCH: u64 = 2;

/// One tenth to the canary; 1 % errors; answer times around 50 ms.
fn rates(rollout: &str) -> Rates {
    let mut rates = Rates::new();
    for (arm, version, share) in [(Arm::Stable, "v1", 0.9), (Arm::Canary, "v2", 0.1)] {
        let mut add = |what: What, part: f64| {
            let series = Series { rollout: rollout.to_owned(), version: version.to_owned(), arm, what };
            rates.push((series.to_string(), share * part));
        };
        let slot = Some(Slot::at(EPOCH, EPOCH));
        add(What::Assigned(Cause::Weight, slot), 1.0);
        add(What::Finished(Cause::Weight, Class::Ok, slot), 0.98);
        add(What::Finished(Cause::Weight, Class::ServerError, slot), 0.01);
        add(What::Finished(Cause::Weight, Class::ClientError, slot), 0.01);
        for age_ms in tally::AGES_MS {
            let slot = Slot::at(EPOCH, EPOCH);
            add(What::Aged { slot, age_ms, progress: Progress::Answered }, 1.0);
        }
        let (from, to) = (tally::latency_bin(10_000_000), tally::latency_bin(250_000_000));
        let weight = |bin: u16| {
            let at = (tally::latency_upper_ms(bin) / 50.0).ln() / 0.5;
            (-at * at / 2.0).exp()
        };
        let all: f64 = (from..=to).map(weight).sum();
        (from..=to).for_each(|bin| add(What::Latency(bin), weight(bin) / all));
    }
    rates
}
