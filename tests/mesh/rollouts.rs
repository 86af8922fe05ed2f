//! Rollouts as objects of a real API server: from `kubectl apply` to the promotion, and what goes wrong between.

use std::time::{Duration, Instant};

use api::PhaseName;
use demo::model::Behaviour;
use serde_json::{Value, json};

use tests::{Evidence, Serin, alone, free_port, left_alone, until, within};

use crate::stage::{Stage, cluster, module, text};

const LABELS: &[(&str, &str)] = &[("app", "storefront"), ("serin.dev/decide", "true")];
const LEASE: &str = "serin.serin-system.svc.cluster.local:7070";

/// A whole way that ends by time, under a guardrail.
fn rollout(stage: &Stage, canary: &str, bake: &str) -> String {
    format!(
        "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: ranker}}
spec:
  stable: {{version: v1}}
  canary: {{version: {canary}}}
  match: {{authority: [{}]}}
  noData: {{after: 60s}}
  stages:
    - {{weight: 1%, bake: {bake}, deadline: 2h, gates: []}}
    - {{weight: 10%, bake: 2s, deadline: 10m, gates: []}}
    - {{weight: 50%, bake: 2s, deadline: 10m, gates: []}}
    - {{weight: 100%, bake: 2s, deadline: 10m, gates: []}}
  guardrails:
    - {{name: errors-limit, metric: error_rate, max: 5%}}
  handBack: {{steps: [0%]}}
",
        stage.service.host()
    )
}

async fn installed() {
    let cluster = cluster().await;
    cluster.apply(&text("chart/crds/rollouts.yaml")).await;
    let established = ["wait", "--for=condition=Established", "crd/rollouts.serin.dev", "--timeout=60s"];
    cluster.kubectl(&established, "").await.expect("the kind is served");
}

async fn controller(stage: &Stage, namespace: &str) -> Serin {
    let cluster = cluster().await;
    installed().await;
    cluster.apply(&stage.text("envoyfilter-early-removal.yaml")).await;
    cluster.apply(&stage.plugin("trafficextension.yaml", &module(), "", |_| {})).await;
    let [http, ecds] = [free_port(), free_port()];
    let lease =
        LEASE.rsplit_once(':').map(|(host, port)| format!("outbound|{port}||{host}")).expect("a port");
    let envoy = stage.sidecar(&[(&lease, http)]).await;
    stage.answered_by("v1", Some("v1")).await;
    let arguments = [
        "--istio-plugin",
        &format!("{namespace}/serin"),
        "--istio-lease",
        LEASE,
        "--kubernetes-rollouts",
        namespace,
        "--kubeconfig",
        &cluster.kubeconfig(),
    ]
    .map(str::to_owned)
    .to_vec();
    Serin::beside_with(envoy, [http, ecds], Evidence::Pages, arguments).await
}

/// kubectl in a namespace; what it printed.
async fn kubectl(namespace: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    cluster().await.kubectl(&[&["-n", namespace], arguments].concat(), input).await
}

async fn apply(namespace: &str, manifest: &str) -> Result<String, String> {
    kubectl(namespace, &["apply", "-f", "-"], manifest).await
}

async fn status(namespace: &str, name: &str) -> Result<Value, String> {
    let object = kubectl(namespace, &["get", "rollouts.serin.dev", name, "-o", "json"], "").await?;
    let object: Value = serde_json::from_str(&object).map_err(|error| error.to_string())?;
    Ok(object["status"].clone())
}

/// Waits until the status of `ranker` is as wanted.
async fn until_status(namespace: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until(what, async || {
        let status = status(namespace, "ranker").await?;
        if wanted(&status) { Ok(status) } else { Err(status.to_string()) }
    })
    .await
}

fn condition(status: &Value, kind: &str) -> (String, String) {
    let all = status["conditions"].as_array().cloned().unwrap_or_default();
    let found = all.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default();
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message"))
}

async fn described(namespace: &str) -> String {
    kubectl(namespace, &["describe", "rollouts.serin.dev", "ranker"], "").await.unwrap_or_else(|said| said)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn an_object_goes_from_one_percent_to_everybody() {
    let _machine = alone().await;
    let stage = Stage::set("promoted", LABELS).await;
    let mut serin = controller(&stage, "promoted").await;
    let load = stage.load();
    // One document for laptop and cluster; what is wrong is refused with the field and the remedy.
    let good = rollout(&stage, "v2", "2s");
    let wrong = good.replace("    - {weight: 100%, bake: 2s, deadline: 10m, gates: []}\n", "");
    let said = apply("promoted", &wrong).await.expect_err("it has no last stage");
    assert!(said.contains("spec.stages") && said.contains("add a stage with weight 100%"), "{said}");
    apply("promoted", &good).await.expect("applied");
    serin.until("ranker", "the hand-back", |view| view.is(PhaseName::HandBack)).await;
    until_status("promoted", "its status", |status| status["phase"] == "HandBack").await;
    // The controller is restarted: it goes on, and begins nothing twice.
    serin.kill();
    serin.run().await;
    stage.models.stable.set(Behaviour::plain("v2")).expect("a behaviour");
    let (code, said) = serin.command(&["promote", "ranker"]).await;
    assert_eq!(code, 0, "{said}");
    let wait = ["wait", "--for=condition=Promoted", "rollout.serin.dev/ranker", "--timeout=120s"];
    kubectl("promoted", &wait, "").await.expect("promoted");
    let table = kubectl("promoted", &["get", "srn"], "").await.expect("a table");
    assert!(table.contains("WEIGHT") && table.contains("Succeeded") && table.contains("4/4"), "{table}");
    let told = described("promoted").await;
    for part in [
        "Started run 1: v1 to v2 in 4 stages",
        "Raised weight of v2 from 0% to 1% (stage 1 of 4)",
        "Promoted v2",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    assert_eq!(serin.view("ranker").await.run.run, 1);
    let requests = stage.nothing_was_lost(load).await;
    println!("an object from 1 % to 100 % and handed back: {requests} requests, none failed\n{table}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn a_bad_version_of_an_object_is_rolled_back_and_a_deleted_one_ends_on_stable() {
    let _machine = alone().await;
    let stage = Stage::set("refused", LABELS).await;
    let serin = controller(&stage, "refused").await;
    stage.models.canary.set(Behaviour { error_share: 0.6, ..Behaviour::plain("v2") }).expect("a behaviour");
    let load = stage.load();
    apply("refused", &rollout(&stage, "v2", "1h").replace("weight: 1%", "weight: 9%"))
        .await
        .expect("applied");
    let wait = ["wait", "--for=condition=RolledBack", "rollout.serin.dev/ranker", "--timeout=120s"];
    kubectl("refused", &wait, "").await.expect("rolled back");
    left_alone(&stage.models, &load).await;
    let told = described("refused").await;
    assert!(told.contains("Rolled back v2 to v1 from 9%"), "{told}");

    // Mended, and on its way; then somebody writes nonsense over it, which the API server cannot tell.
    stage.models.canary.set(Behaviour::plain("v3")).expect("a behaviour");
    let next = rollout(&stage, "v3", "1h");
    apply("refused", &next).await.expect("applied");
    let on_its_way = |status: &Value| status["phase"] == "Progressing" && status["canary"] == "v3";
    until_status("refused", "the next run", on_its_way).await;
    apply("refused", &next.replace("weight: 10%", "weight: 0.5%")).await.expect("the API server cannot tell");
    let status =
        until_status("refused", "the refusal", |status| condition(status, "Accepted").0 == "False").await;
    let (_, message) = condition(&status, "Accepted");
    assert!(
        message.contains("spec.stages[1].weight") && message.contains("a rollout only goes up"),
        "{message}"
    );
    assert!(on_its_way(&status), "what runs goes on: {status}");

    // A person does not change beside the object what it keeps.
    let file = serin.file("mine.yaml", &next);
    let (code, said) = serin.command(&["apply", "-f", &file]).await;
    assert!(code == 1 && said.contains("kubectl -n refused edit rollouts.serin.dev ranker"), "{code} {said}");
    let (code, said) = serin.command(&["delete", "ranker"]).await;
    assert!(code == 1 && said.contains("kubectl -n refused delete"), "{code} {said}");

    // Status by hand is put right.
    let edit = json!({"status": {"weight": "99%"}}).to_string();
    let patch =
        ["patch", "rollouts.serin.dev", "ranker", "--subresource=status", "--type=merge", "-p", &edit];
    kubectl("refused", &patch, "").await.expect("patched");
    until_status("refused", "the repair", |status| status["weight"] == "1%").await;

    // The API server is killed and is back: nothing of the run changes, and the status follows again.
    cluster().await.kill("kube-apiserver");
    let (code, said) = serin.command(&["pause", "ranker", "--reason", "told so"]).await;
    assert_eq!(code, 0, "{said}");
    serin.until("ranker", "the pause", |view| view.is(PhaseName::Paused)).await;
    cluster().await.up(&[]).await;
    until_status("refused", "what happened meanwhile", |status| status["phase"] == "Paused").await;

    // Deleted in mid-run: the traffic ends on stable first, then the object goes.
    kubectl("refused", &["delete", "rollouts.serin.dev", "ranker", "--timeout=120s"], "")
        .await
        .expect("deleted");
    left_alone(&stage.models, &load).await;
    assert!(!serin.metrics().await.contains("rollout=\"ranker\""), "it is gone here too");
    load.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn five_hundred_objects_all_have_a_status() {
    let _machine = alone().await;
    const MANY: usize = 500;
    let stage = Stage::set("many", LABELS).await;
    let serin = controller(&stage, "many").await;
    let document = |number: usize| {
        json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": format!("model-{number}")},
            "spec": {
                "stable": {"version": "v1"}, "canary": {"version": "v2"},
                "match": {"authority": [format!("model-{number}.local")]}, "baseline": false,
            },
        })
    };
    let all: Vec<Value> = (0..MANY).map(document).collect();
    let began = Instant::now();
    for part in all.chunks(100) {
        apply("many", &json!({"apiVersion": "v1", "kind": "List", "items": part}).to_string())
            .await
            .expect("applied");
    }
    let applied = began.elapsed();
    let path = "jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Accepted\")].status} {end}";
    within(Duration::from_secs(240), "all statuses", async || {
        let said = kubectl("many", &["get", "rollouts.serin.dev", "-o", path], "").await?;
        let accepted = said.split_whitespace().filter(|status| *status == "True").count();
        if accepted == MANY { Ok(()) } else { Err(format!("{accepted} of {MANY}: {said:.80}")) }
    })
    .await;
    let done = began.elapsed();
    println!(
        "{MANY} objects: applied by kubectl in {:.1} s, all have a status after {:.1} s; {} MiB resident, {:.1} s of processor",
        applied.as_secs_f64(),
        done.as_secs_f64(),
        serin.memory_kib() / 1024,
        Duration::from_millis(serin.cpu_ms()).as_secs_f64()
    );
    let delete = ["delete", "rollouts.serin.dev", "--all", "--timeout=300s"];
    kubectl("many", &delete, "").await.expect("deleted");
}
