//! A trapped virtual machine costs what it costs, is counted, and comes back.

use envoy::Resource;
use serde_json::json;
use tally::What;

use tests::{EnvoyOptions, Models, Plane, a_core, arms, get, policy, tools, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_trapped_vm_recovers_and_loses_no_counter() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let wasm = tools::wasm_trap();
    let mut plane = Plane::with(Resource::local(wasm.clone())).await;
    let envoy = plane.envoy(&models, EnvoyOptions { wasm, ..EnvoyOptions::default() }).await;
    plane.put(|generation| policy(generation, json!({"arms": arms(1_000_000)}))).await;
    let user = ("x-user-id", "a");
    let assigned = |series: &tally::Series| matches!(series.what, What::Assigned(..));
    let mut served = 0;
    for _ in 0..20 {
        served += u64::from(get(envoy.addr, "/", &[user]).await.expect("an answer").status == 200);
    }
    assert_eq!((served, envoy.count(assigned).await), (20, 20));

    let trapped = get(envoy.addr, "/", &[user, ("x-serin-test-trap", "1")]).await.expect("an answer");
    assert_eq!(trapped.status, 503, "the request that traps is lost");
    // Every worker serves the canary again; the one that trapped has made its VM anew.
    let mut answered = 0;
    let mut refused = 0;
    until("twenty good answers in a row", async || {
        let answer = get(envoy.addr, "/", &[user]).await.map_err(|error| error.to_string())?;
        if answer.status == 200 && answer.version() == Some("v2") {
            answered += 1;
            served += 1;
        } else {
            refused += 1;
            answered = 0;
        }
        if answered == 20 { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    let counted = envoy.counted().await;
    println!(
        "a trap: 1 request lost, {refused} refused while the VM came back; reloads {:?}",
        counted.reloads
    );
    assert!(counted.reloads.succeeded >= 1, "{:?}", counted.reloads);
    assert_eq!(envoy.count(assigned).await, served, "what was counted before the trap is still counted");
}
