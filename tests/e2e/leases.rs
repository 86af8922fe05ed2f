//! The dead-man's switch on a real Envoy.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{EnvoyOptions, EnvoyProcess, Lease, Models, Plane, a_core, arms, get, policy, until};

fn leased(generation: u64, on_lease_expired: &str) -> Value {
    let lease = json!({"cluster": "serin", "authority": "serin", "path": "/v1/lease", "interval_ms": 200, "ttl_ms": 1_000});
    policy(generation, json!({"arms": arms(1_000_000), "lease": lease, "on_lease_expired": on_lease_expired}))
}

async fn serves(envoy: &EnvoyProcess, version: &str) {
    until(&format!("requests to go to {version}"), async || {
        let answer = get(envoy.addr, "/", &[("x-user-id", "a")]).await.map_err(|error| error.to_string())?;
        if answer.model() == Some(version) { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_the_canary_ends_when_the_lease_says_and_comes_back_with_it() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut plane = Plane::start().await;
    let envoy = plane.envoy(&models, EnvoyOptions::default()).await;
    plane.put(|generation| leased(generation, "stable")).await;
    serves(&envoy, "v2").await;
    let asked = plane.asked();
    until("ten heartbeats", async || if plane.asked() >= asked + 10 { Ok(()) } else { Err(plane.asked()) })
        .await;
    serves(&envoy, "v2").await;

    plane.lease(Lease::Silent);
    let begun = Instant::now();
    serves(&envoy, "v1").await;
    println!("lease of 1,000 ms: stable {} ms after the controller fell silent", begun.elapsed().as_millis());
    let expired = envoy.counted().await.gauge("lease_expired_total", &[]);
    assert_eq!(expired, Some(1), "once for the process, not once for each worker");

    plane.lease(Lease::Renew);
    serves(&envoy, "v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_proxy_asks_once_per_interval_whatever_its_workers() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut plane = Plane::start().await;
    let _envoy = plane.envoy(&models, EnvoyOptions::default()).await;
    plane.put(|generation| leased(generation, "stable")).await;
    let (begun, before) = (Instant::now(), plane.asked());
    until(
        "twenty heartbeats",
        async || {
            if plane.asked() >= before + 20 { Ok(()) } else { Err(plane.asked()) }
        },
    )
    .await;
    // Three virtual machines that each asked would need a third of this.
    assert!(begun.elapsed() >= Duration::from_millis(200 * 20 / 2), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_lease_sends_everybody_to_stable_whatever_the_policy_says() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut plane = Plane::start().await;
    let envoy = plane.envoy(&models, EnvoyOptions::default()).await;
    plane.put(|generation| leased(generation, "hold")).await;
    serves(&envoy, "v2").await;
    plane.lease(Lease::Revoke);
    serves(&envoy, "v1").await;
    // A revoked policy stays revoked; only a newer one ends it.
    plane.lease(Lease::Renew);
    let asked = plane.asked();
    until(
        "three more heartbeats",
        async || if plane.asked() >= asked + 3 { Ok(()) } else { Err(plane.asked()) },
    )
    .await;
    serves(&envoy, "v1").await;
    plane.put(|generation| leased(generation, "hold")).await;
    serves(&envoy, "v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_holds_outlives_its_lease() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut plane = Plane::start().await;
    let envoy = plane.envoy(&models, EnvoyOptions::default()).await;
    plane.put(|generation| leased(generation, "hold")).await;
    plane.lease(Lease::Silent);
    until("the lease to run out", async || {
        envoy.counted().await.gauge("lease_expired_total", &[]).ok_or("not yet")
    })
    .await;
    serves(&envoy, "v2").await;
}
