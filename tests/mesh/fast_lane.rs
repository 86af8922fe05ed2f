//! The fast lane: istiod brings the filter, the controller the policy.

use api::PhaseName;

use tests::{Serin, alone, free_port, stages_by_hand, tools, until};

use crate::stage::{Stage, cluster};

const LABELS: &[(&str, &str)] = &[("app", "storefront"), ("serin.dev/fast-lane", "true")];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn the_controller_moves_weights_with_and_without_istiod() {
    let _machine = alone().await;
    let (cluster, stage) = (cluster().await, Stage::set("lane", LABELS).await);
    cluster.apply(&stage.service.fast_lane(&tools::wasm())).await;
    // The clusters of fast-lane-bootstrap.yaml, without the certificates that a plain Envoy has not.
    let [http, ecds] = [free_port(), free_port()];
    let envoy = stage.sidecar(&[("serin-ecds", ecds), ("serin", http)]).await;
    // Nobody answers for policies yet.
    stage.answered_by("v1", None).await;
    stage.takes_off_what_is_forged().await;
    stage.a_forged_header_is_worth_nothing().await;

    let serin = Serin::beside(envoy, [http, ecds]).await;
    let load = stage.load();
    serin.apply(&stages_by_hand(&["50%", "60%", "100%"], "")).await;
    let in_stage = async |stage: usize| {
        serin.until("ranker", "the stage", |view| view.is_at(PhaseName::Progressing, stage)).await
    };
    in_stage(1).await;
    let more_canary = async |what: &str| {
        let arrived = stage.models.canary.log().len();
        until(what, async || {
            let now = stage.models.canary.log().len();
            if now >= arrived + 20 { Ok(()) } else { Err(now) }
        })
        .await;
    };
    more_canary("canary traffic of the first stage").await;
    // What it sends and what its proxies counted.
    serin.until("ranker", "counts", |view| view.acknowledged() > 0).await;

    cluster.kill("istiod");
    let (code, text) = serin.command(&["promote", "ranker", "--reason", "told so"]).await;
    assert_eq!(code, 0, "{text}");
    in_stage(2).await;
    more_canary("canary traffic of the second stage").await;
    let (code, text) = serin.command(&["abort", "ranker", "--reason", "told so"]).await;
    assert_eq!(code, 0, "{text}");
    stage.answered_by("v1", Some("v1")).await;
    stage.a_forged_header_is_worth_nothing().await;
    cluster.up(&[]).await;
    stage.answered_by("v1", Some("v1")).await;
    let requests = stage.nothing_was_lost(load).await;
    println!(
        "fast lane: two stages and back, istiod killed and started again: {requests} requests, none failed"
    );
}
