//! How long the canary still gets requests after it was decided that it should not: both ways, one beside the other.

use api::PhaseName;
use demo::load::{Latencies, Load};

use tests::{Serin, alone, free_port, left_alone, stages_by_hand, tools, until};

use crate::stage::{Stage, cluster, module, weight};

const TIMES: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn taking_back_is_measured_both_ways() {
    let _machine = alone().await;
    let plugin = by_plugin().await;
    let lane = by_fast_lane().await;
    for (way, latencies) in
        [("plugin, from the write's answer", &plugin), ("fast lane, from the decision", &lane)]
    {
        let quantile = |share| latencies.quantile_ms(share).expect("some were recorded");
        println!(
            "last canary request after taking back (100 requests/s), {way}: median {:.0} ms, largest of {TIMES} {:.0} ms",
            quantile(0.5),
            quantile(0.99)
        );
    }
}

async fn by_plugin() -> Latencies {
    const FILE: &str = "trafficextension.yaml";
    let labels = &[("app", "storefront"), ("serin.dev/decide", "true")];
    let (cluster, stage) = (cluster().await, Stage::set("slow", labels).await);
    let mut generation = 0;
    let mut plugin = |ppm| {
        generation += 1;
        stage.plugin(FILE, &module(), "", weight(ppm, generation))
    };
    cluster.apply(&plugin(0)).await;
    let _sidecar = stage.sidecar(&[]).await;
    stage.answered_by("v1", Some("v1")).await;
    let load = stage.load();
    let mut latencies = Latencies::default();
    for _ in 0..TIMES {
        cluster.apply(&plugin(1_000_000)).await;
        some_canary(&stage).await;
        cluster.apply(&plugin(0)).await;
        let written = demo::clock::monotonic_ns();
        stage.answered_by("v1", Some("v1")).await;
        latencies.record_ns(last_canary(&stage, &load).await.saturating_sub(written));
    }
    stage.nothing_was_lost(load).await;
    latencies
}

async fn by_fast_lane() -> Latencies {
    let labels = &[("app", "storefront"), ("serin.dev/fast-lane", "true")];
    let (cluster, stage) = (cluster().await, Stage::set("fast", labels).await);
    cluster.apply(&stage.service.fast_lane(&tools::wasm())).await;
    let [http, ecds] = [free_port(), free_port()];
    let envoy = stage.sidecar(&[("serin-ecds", ecds), ("serin", http)]).await;
    let serin = Serin::beside(envoy, [http, ecds]).await;
    stage.answered_by("v1", None).await;
    let load = stage.load();
    let mut latencies = Latencies::default();
    for run in 1..=TIMES {
        serin.apply(&stages_by_hand(&["50%", "100%"], "")).await;
        serin
            .until("ranker", "the stage", |view| view.run.run == run && view.is(PhaseName::Progressing))
            .await;
        some_canary(&stage).await;
        let (code, text) = serin.command(&["abort", "ranker", "--reason", "measured"]).await;
        assert_eq!(code, 0, "{text}");
        let view = serin.until("ranker", "the rollback", |view| view.is(PhaseName::RolledBack)).await;
        let decided = view.run.rollback.clone().expect("a decision").decided_monotonic_ns;
        latencies.record_ns(last_canary(&stage, &load).await.saturating_sub(decided));
    }
    stage.nothing_was_lost(load).await;
    latencies
}

async fn some_canary(stage: &Stage) {
    let arrived = stage.models.canary.log().len();
    until("canary traffic", async || {
        let now = stage.models.canary.log().len();
        if now >= arrived + 10 { Ok(()) } else { Err(now) }
    })
    .await;
}

/// When the canary got its last request.
async fn last_canary(stage: &Stage, load: &Load) -> u64 {
    left_alone(&stage.models, load).await;
    stage.models.canary.log().last_arrival_ns().expect("an arrival")
}
