//! The plugin way with the controller: it writes the policy into the object, istiod takes it to the proxy, the proxy's own page
//! says what it runs, and the lease does not pass through istiod.

use api::PhaseName;
use demo::load::Latencies;
use serde_json::json;

use tests::{EnvoyProcess, Evidence, Serin, alone, free_port, left_alone, stages_by_hand, until};

use crate::stage::{Stage, cluster, module};

const LABELS: &[(&str, &str)] = &[("app", "storefront"), ("serin.dev/decide", "true")];
const TIMES: u64 = 5;
const LEASE: &str = "serin.serin-system.svc.cluster.local:7070";

fn rollout(stage: &Stage) -> String {
    let more = format!("  match: {{authority: [{}]}}\n  noData: {{after: 60s}}\n", stage.service.host());
    stages_by_hand(&["50%", "60%", "100%"], &more)
}

async fn controller(stage: &Stage, file: &str, namespace: &str) -> Serin {
    let cluster = cluster().await;
    cluster.apply(&stage.text("envoyfilter-early-removal.yaml")).await;
    cluster.apply(&stage.plugin(file, &module(), "", |_| {})).await;
    let [http, ecds] = [free_port(), free_port()];
    // What istiod calls the controller's service; there is no such service here, so the proxy is started with it.
    let lease =
        LEASE.rsplit_once(':').map(|(host, port)| format!("outbound|{port}||{host}")).expect("a port");
    let envoy: EnvoyProcess = stage.sidecar(&[(&lease, http)]).await;
    stage.answered_by("v1", Some("v1")).await;
    let arguments = [
        "--istio-plugin",
        &format!("{namespace}/serin"),
        "--istio-lease",
        LEASE,
        "--kubeconfig",
        &cluster.kubeconfig(),
    ]
    .map(str::to_owned)
    .to_vec();
    Serin::beside_with(envoy, [http, ecds], Evidence::Pages, arguments).await
}

async fn more_canary(stage: &Stage, serin: &Serin, what: &str) {
    let arrived = stage.models.canary.log().len();
    until(what, async || {
        let now = stage.models.canary.log().len();
        if now >= arrived + 20 {
            return Ok(());
        }
        // Where it does not come, the lease says why.
        let said = serin.envoy().ask("/stats?filter=serin_(lease|policy)").await;
        Err((now, said.map_err(|error| error.to_string())))
    })
    .await;
}

async fn done(serin: &Serin, arguments: &[&str]) {
    let (code, text) = serin.command(arguments).await;
    assert_eq!(code, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn the_controller_writes_the_plugin() {
    let _machine = alone().await;
    let (cluster, stage) = (cluster().await, Stage::set("written", LABELS).await);
    let serin = controller(&stage, "trafficextension.yaml", "written").await;
    let load = stage.load();
    serin.apply(&rollout(&stage)).await;
    let in_stage = async |number: usize| {
        serin.until("ranker", "the stage", |view| view.is_at(PhaseName::Progressing, number)).await
    };
    in_stage(1).await;
    more_canary(&stage, &serin, "canary traffic of the first stage").await;
    let counted = |view: &tests::Seen| view.run.exposed.requests > 0;
    serin.until("ranker", "counts of the canary", counted).await;

    // Somebody edits the policy: it is put right.
    let plugin = ["-n", "written", "patch", "trafficextension", "serin", "--type=merge", "-p"];
    let edit = json!({"spec": {"wasm": {"pluginConfig": {"generation": 1, "forgotten": true}}}}).to_string();
    cluster.kubectl(&[&plugin[..], &[&edit]].concat(), "").await.expect("patched");
    until("the repair", async || {
        let path = "jsonpath={.spec.wasm.pluginConfig.forgotten}";
        let left =
            cluster.kubectl(&["-n", "written", "get", "trafficextension", "serin", "-o", path], "").await?;
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    done(&serin, &["promote", "ranker", "--reason", "told so"]).await;
    in_stage(2).await;

    // istiod is gone: what takes back does not need it.
    cluster.kill("istiod");
    done(&serin, &["abort", "ranker", "--reason", "told so"]).await;
    stage.answered_by("v1", Some("v1")).await;
    left_alone(&stage.models, &load).await;
    stage.a_forged_header_is_worth_nothing().await;
    cluster.up(&[]).await;
    stage.answered_by("v1", Some("v1")).await;
    let requests = stage.nothing_was_lost(load).await;
    println!("plugin written by the controller, istiod killed: {requests} requests, none failed");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn taking_back_by_the_plugin_is_measured_from_the_decision() {
    let _machine = alone().await;
    let stage = Stage::set("back", LABELS).await;
    let serin = controller(&stage, "wasmplugin.yaml", "back").await;
    let load = stage.load();
    let mut latencies = Latencies::default();
    for run in 1..=TIMES {
        serin.apply(&rollout(&stage)).await;
        let begun = |view: &tests::Seen| view.run.run == run && view.is(PhaseName::Progressing);
        serin.until("ranker", "the stage", begun).await;
        more_canary(&stage, &serin, "canary traffic").await;
        done(&serin, &["abort", "ranker", "--reason", "measured"]).await;
        let view = serin.until("ranker", "the rollback", |view| view.is(PhaseName::RolledBack)).await;
        let decided = view.run.rollback.clone().expect("a decision").decided_monotonic_ns;
        left_alone(&stage.models, &load).await;
        let last = stage.models.canary.log().last_arrival_ns().expect("an arrival");
        latencies.record_ns(last.saturating_sub(decided));
    }
    stage.nothing_was_lost(load).await;
    let quantile = |share| latencies.quantile_ms(share).expect("some were recorded");
    println!(
        "last canary request after an abort (100 requests/s), plugin written by the controller: median {:.0} ms, largest of {TIMES} {:.0} ms",
        quantile(0.5),
        quantile(0.99)
    );
}
