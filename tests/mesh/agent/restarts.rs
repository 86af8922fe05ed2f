//! The agent goes and comes back in the middle of a rollout that the controller drives by the plugin, and the lease is asked for
//! at a service that istiod knows.

use api::PhaseName;

use tests::{Evidence, Serin, alone, free_port, until};

use super::{FILE, LABELS, module, serve, sha256};
use crate::stage::{CONTROLLER, Stage, cluster};

const POD: &str = "restarted/storefront-1:app=storefront,serin.dev/decide=true";
const AGENT: &str = "agent-restarted-storefront-1";

fn rollout(stage: &Stage) -> String {
    format!(
        "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: ranker}}
spec:
  stable: {{version: v1}}
  canary: {{version: v2}}
  match: {{authority: [{}]}}
  noData: {{after: 5m}}
  stages:
    - {{weight: 50%, bake: 1h, deadline: 2h}}
    - {{weight: 60%, bake: 1h, deadline: 2h}}
    - {{weight: 100%, bake: 1h, deadline: 2h}}
",
        stage.service.host()
    )
}

async fn more_canary(stage: &Stage, what: &str) {
    let arrived = stage.models.canary.log().len();
    until(what, async || {
        let now = stage.models.canary.log().len();
        if now >= arrived + 20 { Ok(()) } else { Err(now) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn the_agent_is_restarted_in_the_middle() {
    let _machine = alone().await;
    let (cluster, stage) = (cluster().await, Stage::set("restarted", LABELS).await);
    let server = serve().await;
    let [http, ecds, service] = [free_port(), free_port(), free_port()];
    cluster.apply(&stage.text("envoyfilter-early-removal.yaml")).await;
    for manifest in stage.controller(service.port(), http) {
        cluster.apply(&manifest).await;
    }
    let url = format!("http://{server}/filter.wasm");
    cluster.apply(&stage.plugin(FILE, &url, &sha256(&module()), |_| {})).await;
    cluster.up(&["--agent", POD]).await;
    stage.answered_by("v1", Some("v1")).await;

    let page = format!("http://{}/stats/prometheus", cluster.address(AGENT, "metrics"));
    let arguments = [
        "--istio-plugin",
        "restarted/serin",
        "--istio-lease",
        &format!("{CONTROLLER}:{}", service.port()),
        "--kubeconfig",
        &cluster.kubeconfig(),
    ]
    .map(str::to_owned);
    let options = Evidence::Options(vec!["--proxy-metrics".to_owned(), page]);
    let serin = Serin::alone([http, ecds], options, arguments.to_vec()).await;
    serin.apply(&rollout(&stage)).await;
    let in_stage = async |number: usize| {
        serin.until("ranker", "the stage", |view| view.is_at(PhaseName::Progressing, number)).await
    };
    in_stage(1).await;
    let load = stage.load();
    more_canary(&stage, "canary traffic before").await;
    let counted = |view: &tests::Seen| view.run.exposed.requests;
    serin.until("ranker", "counts of the canary", |view| counted(view) > 0).await;
    stage.nothing_was_lost(load).await;

    // Gone: nothing is decided by that, and who is missing is named.
    cluster.stop(AGENT).await;
    let address = cluster.address(AGENT, "metrics").to_string();
    let silent = |view: &tests::Seen| view.to_string().contains(&address);
    serin.until("ranker", "the name of who is missing", silent).await;

    // Back: it runs the weights of the stage, its lease holds, and its counts go on.
    cluster.up(&["--agent", POD]).await;
    let load = stage.load();
    more_canary(&stage, "canary traffic after").await;
    let before = counted(&in_stage(1).await);
    serin.until("ranker", "counts after", |view| counted(view) > before).await;
    let (code, text) = serin.command(&["promote", "ranker", "--reason", "told so"]).await;
    assert_eq!(code, 0, "{text}");
    in_stage(2).await;
    more_canary(&stage, "canary traffic of the second stage").await;

    // Back at once, and not by istiod.
    cluster.kill("istiod");
    let (code, text) = serin.command(&["abort", "ranker", "--reason", "told so"]).await;
    assert_eq!(code, 0, "{text}");
    tests::left_alone(&stage.models, &load).await;
    stage.a_forged_header_is_worth_nothing().await;

    // As long as it is gone nothing new begins, and why is said.
    serin.apply(&rollout(&stage)).await;
    let waits = |view: &tests::Seen| view.run.run == 2 && view.to_string().contains("0 of 1 proxies");
    serin.until("ranker", "the word on istiod's silence", waits).await;
    tests::left_alone(&stage.models, &load).await;
    let (code, text) = serin.command(&["abort", "ranker", "--reason", "told so"]).await;
    assert_eq!(code, 0, "{text}");
    let requests = stage.nothing_was_lost(load).await;
    println!(
        "agent restarted in a stage, then istiod gone for good: {requests} requests after it, none failed"
    );
    cluster.up(&[]).await;
    stage.answered_by("v1", Some("v1")).await;
}
