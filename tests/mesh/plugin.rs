//! The plugin way: the policy stands in an object and travels through istiod.

use std::time::Instant;

use tests::{alone, until};

use crate::stage::{Stage, cluster, module, weight};

const LABELS: &[(&str, &str)] = &[("app", "storefront"), ("serin.dev/decide", "true")];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn a_traffic_extension_decides() {
    decides("trafficextension.yaml", "extension").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn a_wasm_plugin_decides() {
    decides("wasmplugin.yaml", "plugin").await;
}

/// What is shipped puts the filter into the chain, at weight 0; a change of its policy is obeyed; one that the filter
/// refuses changes nothing.
async fn decides(file: &str, namespace: &'static str) {
    let _machine = alone().await;
    let (cluster, stage) = (cluster().await, Stage::set(namespace, LABELS).await);
    cluster.apply(&stage.text("envoyfilter-early-removal.yaml")).await;
    cluster.apply(&stage.plugin(file, &module(), "", |_| {})).await;
    let sidecar = stage.sidecar(&[]).await;
    stage.answered_by("v1", Some("v1")).await;
    let counted = async |name: &str| {
        let stats = sidecar.ask(&format!("/stats?filter={name}")).await.expect("stats");
        stats.lines().filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok()).sum::<u64>()
    };
    assert_eq!(counted("serin_policy_generation").await, 1, "the policy is in force");
    stage.a_forged_header_is_worth_nothing().await;

    cluster.apply(&stage.plugin(file, &module(), "", weight(1_000_001, 2))).await;
    let load = stage.load();
    until(
        "requests after the refused policy",
        async || if load.sent() > 100 { Ok(()) } else { Err(load.sent()) },
    )
    .await;
    stage.nothing_was_lost(load).await;
    assert_eq!(stage.models.canary.log().len(), 0, "weight 0 is still in force");
    stage.a_forged_header_is_worth_nothing().await;

    let load = stage.load();
    let written = Instant::now();
    cluster.apply(&stage.plugin(file, &module(), "", weight(1_000_000, 3))).await;
    let obeyed = stage.answered_by("v2", Some("v2")).await;
    println!(
        "{file}: a change of pluginConfig was obeyed {} ms after it was written",
        obeyed.duration_since(written).as_millis()
    );
    let requests = stage.nothing_was_lost(load).await;
    println!("{file}: {requests} requests meanwhile, none failed");
}

/// istiod is no part of the way of a request, nor of what was decided before it left.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn istiod_is_killed_and_comes_back() {
    let _machine = alone().await;
    let (cluster, stage) = (cluster().await, Stage::set("killed", LABELS).await);
    let file = "trafficextension.yaml";
    cluster.apply(&stage.text("envoyfilter-early-removal.yaml")).await;
    cluster.apply(&stage.plugin(file, &module(), "", weight(1_000_000, 1))).await;
    let _sidecar = stage.sidecar(&[]).await;
    stage.answered_by("v2", Some("v2")).await;

    let load = stage.load();
    let some_more = async |what: &str| {
        let sent = load.sent();
        until(what, async || if load.sent() > sent + 50 { Ok(()) } else { Err(load.sent()) }).await;
    };
    some_more("requests before").await;
    cluster.kill("istiod");
    some_more("requests without istiod").await;
    stage.answered_by("v2", Some("v2")).await;
    // Written while nobody reads it.
    cluster.apply(&stage.plugin(file, &module(), "", weight(0, 2))).await;
    let written = Instant::now();
    cluster.up(&[]).await;
    let obeyed = stage.answered_by("v1", Some("v1")).await;
    println!(
        "what was written while istiod was gone was obeyed {} ms after it was started",
        obeyed.duration_since(written).as_millis()
    );
    some_more("requests after").await;
    let requests = stage.nothing_was_lost(load).await;
    println!("istiod killed and started again: {requests} requests meanwhile, none failed");
    stage.a_forged_header_is_worth_nothing().await;
}
