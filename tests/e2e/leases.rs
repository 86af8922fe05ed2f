//! The dead-man's switch on a real Envoy.

use std::time::{Duration, Instant};

use api::PhaseName::Progressing;
use serde_json::{Value, json};

use tests::{
    EnvoyOptions, EnvoyProcess, Lease, Models, Plane, Serin, a_core, alone, arms, get, policy, until,
};

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

/// Two rollouts at full weight, and a proxy whose pushes are held back. One rollout is taken back: its requests go to
/// stable by the lease, and nobody takes the other's.
#[tokio::test(flavor = "multi_thread")]
async fn taking_back_one_rollout_takes_nothing_from_another_on_a_proxy_that_lags() {
    let _machine = alone().await;
    let models = Models::plain().await;
    let mut serin = Serin::start(&models, EnvoyOptions { node: "near", ..EnvoyOptions::default() }).await;
    let ways = serin.add_behind(&models, EnvoyOptions { node: "far", ..EnvoyOptions::default() }).await;
    for name in ["ranker", "search"] {
        serin
            .apply(&format!(
                "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: {name}}}\nspec:\n  match: {{authority: [{name}.local]}}\n  stable: {{version: v1}}\n  canary: {{version: v2}}\n  assignment: {{mode: sticky, keys: [{{header: x-user-id}}]}}\n  stages: [{{weight: 99%, bake: 1h, deadline: 3h}}, {{weight: 100%, bake: 1h}}]\n"
            ))
            .await;
        serin.until(name, "the stage", |view| view.is(Progressing)).await;
    }
    let far = &serin.more[0];
    served_by(far, "search.local", "v2").await;
    served_by(far, "ranker.local", "v2").await;

    ways.policies.close();
    let (code, text) = serin.command(&["abort", "ranker", "--reason", "for the story"]).await;
    assert_eq!(code, 0, "{text}");
    served_by(far, "ranker.local", "v1").await;
    // It has asked since, and was told; what it does with the other rollout is what it did before.
    let told = far.counted().await.gauge("lease_revoked_total", &[]).unwrap_or(0);
    assert_eq!(told, 1);
    let renewed = far.counted().await.gauge("lease_renewed_total", &[]).unwrap_or(0);
    until("three more heartbeats", async || {
        let now = far.counted().await.gauge("lease_renewed_total", &[]).unwrap_or(0);
        let answer = ask(far, "search.local").await;
        assert_eq!(answer.as_deref(), Ok("v2"), "the other rollout keeps its canary all the while");
        if now >= renewed + 3 { Ok(()) } else { Err(now) }
    })
    .await;
    assert!(serin.view("search").await.is(Progressing));
    ways.policies.open();
    served_by(far, "ranker.local", "v1").await;
    served_by(far, "search.local", "v2").await;
}

/// Which model answers a user that both rollouts give to the canary.
async fn ask(envoy: &EnvoyProcess, authority: &str) -> Result<String, String> {
    let headers = [("x-user-id", "a"), ("host", authority)];
    let answer = get(envoy.addr, "/", &headers).await.map_err(|error| error.to_string())?;
    answer.model().map(str::to_owned).ok_or_else(|| format!("{answer:?}"))
}

async fn served_by(envoy: &EnvoyProcess, authority: &str, version: &str) {
    until(&format!("{authority} to be served by {version}"), async || {
        let model = ask(envoy, authority).await;
        if model.as_deref() == Ok(version) { Ok(()) } else { Err(model) }
    })
    .await;
}
