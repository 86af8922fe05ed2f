//! A scenario on the built filter in a real Envoy.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use envoy::bootstrap::{PolicySource, Role, Upstream};
use http::HeaderMap;
use serde_json::{Value, json};

use super::client;
use super::ledger::Ledger;
use super::stage::Stage;
use super::table::{Answer, Missing, Row, Scenario, Way};
use super::verdict::{Failure, Seen, Verdict};
use tests::{EnvoyOptions, EnvoyProcess, Plane};

/// Longer than anything but `timeout` rows take, even on a busy machine.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(3);

/// An Envoy, and what it needs to replay one scenario after the other.
pub struct Replay {
    plane: Plane,
    stage: Stage,
    envoy: EnvoyProcess,
    /// Everything counted so far.
    counted: Ledger,
    /// How long counters may take to move as expected: a request is counted just after its client has the answer.
    pub patience: Duration,
}

impl Replay {
    /// With [`Role::Decide`] Envoy takes a client's routing header off, with [`Role::Follow`] it leaves it.
    pub async fn start(role: Role) -> Self {
        let (plane, stage) = (Plane::start().await, Stage::start().await);
        let options = EnvoyOptions {
            policy: Some(PolicySource::Grpc(plane.ecds_addr.into())),
            role,
            upstream: Upstream::AsClient,
            others: vec![("b", stage.b)],
            route_timeout: ROUTE_TIMEOUT,
            edit: Box::new(every_routing_header),
            ..EnvoyOptions::default()
        };
        let envoy = EnvoyProcess::start(stage.stable, stage.canary, options).await;
        let mut replay =
            Self { plane, stage, envoy, counted: Ledger::default(), patience: Duration::from_secs(20) };
        replay.counted = replay.read().await;
        replay
    }

    pub async fn run(&mut self, scenario: &Scenario) -> Vec<Failure> {
        self.plane.put(|generation| scenario.policy(generation)).await;
        let mut verdict = Verdict::new(scenario, Way::Envoy);
        let begun = self.counted.clone();
        for (index, row) in verdict.rows() {
            self.stage.set(&row.answer);
            match self.send(row).await {
                Ok(seen) => verdict.request(index, row, &seen),
                Err(got) => verdict.fail(index, "the exchange", "one", got),
            }
            let before = self.counted.clone();
            let (expected, besides) = (verdict.row_ledger(row), &scenario.besides);
            self.settle(|now| now.since(&before).without(besides) == expected).await;
            verdict.row_counters(index, row, &self.counted.since(&before));
        }
        let expected = verdict.ledger();
        self.settle(|now| now.since(&begun) == expected).await;
        verdict.counters(&self.counted.since(&begun));
        verdict.failures
    }

    /// Nothing may have been counted since the last row was judged.
    pub async fn is_quiet(&mut self) -> bool {
        self.read().await == self.counted
    }

    async fn send(&mut self, row: &Row) -> Result<Seen, String> {
        let target = self.envoy.addr;
        let got = if matches!(row.answer, Answer::None(Missing::Disconnect)) {
            let arrival = tokio::select! {
                arrival = self.stage.arrival() => arrival,
                got = client::send(target, row) => return Err(format!("{got:?} where no answer comes")),
            };
            return Ok(Seen {
                request: plain(&arrival.headers),
                cluster: Some(arrival.cluster),
                ..Seen::default()
            });
        } else {
            client::send(target, row).await?
        };
        let mut arrived = self.stage.arrived();
        let (Some(arrival), true) = (arrived.pop(), arrived.is_empty()) else {
            return Err(format!("{got:?} and not one arrival at one cluster: {arrived:?}"));
        };
        Ok(Seen {
            request: plain(&arrival.headers),
            cluster: Some(arrival.cluster),
            status: Some(got.status),
            response: plain(&got.headers),
        })
    }

    async fn read(&self) -> Ledger {
        let counted = self.envoy.counted().await;
        let series = counted.counters.iter().map(|(series, value)| (series.to_string(), *value));
        Ledger::of(series.chain(counted.others.iter().map(|(name, value)| (name.clone(), *value))))
    }

    /// Reads counters until they are as expected, or patience is at its end; who called will see which.
    async fn settle(&mut self, settled: impl Fn(&Ledger) -> bool) {
        let begun = Instant::now();
        loop {
            self.counted = self.read().await;
            if settled(&self.counted) || begun.elapsed() > self.patience {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn plain(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// Scenarios may use routing headers besides the usual one, and headers larger than Envoy takes by default.
fn every_routing_header(config: &mut Value) {
    let manager = config
        .pointer_mut("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
        .expect("the connection manager");
    manager["max_request_headers_kb"] = json!(192);
    let scenarios = Scenario::all();
    let headers =
        scenarios.iter().flat_map(|scenario| &scenario.parsed.rollouts).map(|rollout| &rollout.header);
    let headers: BTreeSet<&String> = headers.filter(|header| *header != "x-serin-arm").collect();
    for header in headers {
        // An Envoy that follows takes nothing off.
        let early = manager.pointer_mut("/early_header_mutation_extensions/0/typed_config/mutations");
        if let Some(mutations) = early.and_then(Value::as_array_mut) {
            mutations.push(json!({"remove": header}));
        }
        let routes =
            manager.pointer_mut("/route_config/virtual_hosts/0/routes").and_then(Value::as_array_mut);
        let routes = routes.expect("routes");
        for (index, arm) in ["canary", "b"].into_iter().enumerate() {
            let at = routes.iter().position(|route| route["name"] == format!("r-{arm}"));
            let mut route = routes[at.expect("the arm's route")].clone();
            route["name"] = json!(format!("r-{header}-{arm}"));
            route["match"]["headers"][0]["name"] = json!(header);
            routes.insert(index, route);
        }
    }
}
