//! What the controller asks and changes of workloads: objects of a real API server, whose status the story writes.

use api::PhaseName;
use demo::load::{Load, LoadPlan};
use serde_json::{Value, json};

use tests::{EnvoyOptions, Models, Seen, Serin, alone, until};

use crate::stage::cluster;

const NAMESPACE: &str = "handed";

async fn kubectl(arguments: &[&str]) -> String {
    let all = [&["-n", NAMESPACE][..], arguments].concat();
    cluster().await.kubectl(&all, "").await.unwrap_or_else(|said| panic!("{arguments:?}: {said}"))
}

async fn apply(object: Value) {
    cluster().await.apply(&object.to_string()).await;
}

async fn deployment(name: &str, arm: &str) {
    let labels = json!({"app": "ranker", "serin.dev/arm": arm});
    apply(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "model", "image": "reg/ranker:v1"}]}},
        },
    }))
    .await;
}

async fn image(name: &str) -> String {
    kubectl(&["get", "deployment", name, "-o", "jsonpath={.spec.template.spec.containers[0].image}"]).await
}

/// What the Deployment's controller would write.
async fn rolled_out(name: &str) {
    let generation = kubectl(&["get", "deployment", name, "-o", "jsonpath={.metadata.generation}"]).await;
    let generation: i64 = generation.parse().expect("a generation");
    let status = json!({"status": {
        "observedGeneration": generation, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
    }});
    kubectl(&[
        "patch",
        "deployment",
        name,
        "--subresource=status",
        "--type=merge",
        "-p",
        &status.to_string(),
    ])
    .await;
}

async fn pod(name: &str, arm: &str) {
    apply(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": "ranker", "serin.dev/arm": arm}},
        "spec": {"containers": [{"name": "model", "image": "any"}]},
    }))
    .await;
}

async fn slice(pods: &[&str]) {
    let endpoint = |(number, pod): (usize, &&str)| {
        json!({
            "addresses": [format!("10.1.0.{}", number + 1)], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": pod, "namespace": NAMESPACE},
        })
    };
    let endpoints: Vec<Value> = pods.iter().enumerate().map(endpoint).collect();
    apply(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "ranker-1", "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": "ranker"}},
        "endpoints": endpoints, "ports": [{"name": "http", "port": 8080}],
    }))
    .await;
}

const ROLLOUT: &str = "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker, namespace: handed}
spec:
  stable: {version: v1}
  canary: {version: v2}
  noData: {after: 60s}
  ready: {kubernetes: {service: ranker}}
  handBack:
    kubernetes: {deployment: ranker, image: 'reg/ranker:{{version}}', service: ranker}
    step: 1s
  keepWarm:
    for: 2s
    kubernetes: {deployment: ranker-canary, image: 'reg/ranker:{{version}}', replicas: 0}
  stages:
    - {weight: 100%, bake: 1h, deadline: 2h}
";

async fn says(serin: &Serin, part: &str) {
    until(part, async || {
        let (_, text) = serin.command(&["get", "ranker"]).await;
        if text.contains(part) { Ok(()) } else { Err(text) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn a_deployment_is_handed_back_and_what_was_kept_is_scaled_down() {
    let _machine = alone().await;
    let cluster = cluster().await;
    cluster.up(&[]).await;
    apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})).await;
    deployment("ranker", "stable").await;
    deployment("ranker-canary", "canary").await;
    for name in ["ranker", "ranker-canary"] {
        rolled_out(name).await;
    }
    pod("stable-1", "stable").await;
    pod("canary-1", "canary").await;
    slice(&["stable-1"]).await;

    let models = Models::plain().await;
    let kubeconfig = ["--kubeconfig", &cluster.kubeconfig()].map(str::to_owned);
    let serin = Serin::start_with(&models, EnvoyOptions::default(), &kubeconfig).await;
    // Nobody allowed it.
    let file = serin.file("rollout.yaml", ROLLOUT);
    let (code, text) = serin.command(&["apply", "-f", &file]).await;
    assert!(code != 0 && text.contains("serin run --kubernetes-workloads handed"), "{code}: {text}");
    drop(serin);

    let allowed = [&kubeconfig[..], &["--kubernetes-workloads", NAMESPACE].map(str::to_owned)].concat();
    let serin = Serin::start_with(&models, EnvoyOptions::default(), &allowed).await;
    let load = Load::start(LoadPlan { rate: 50.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(ROLLOUT).await;
    // A version without ready endpoints gets no weight.
    says(&serin, "the canary has 0 of the 1 ready endpoints").await;
    assert!(models.canary.log().is_empty());
    slice(&["stable-1", "canary-1"]).await;
    serin.until("ranker", "the stage", |view: &Seen| view.is_at(PhaseName::Promoting, 1)).await;

    // The canary's Deployment got v2 by whoever deployed it.
    let edit = json!({"spec": {"template": {"spec": {"containers": [{"name": "model", "image": "reg/ranker:v2"}]}}}});
    kubectl(&["patch", "deployment", "ranker-canary", "-p", &edit.to_string()]).await;
    rolled_out("ranker-canary").await;

    let (code, text) = serin.command(&["promote", "ranker", "--reason", "told so"]).await;
    assert_eq!(code, 0, "{text}");
    serin.until("ranker", "the hand-back", |view: &Seen| view.is(PhaseName::HandBack)).await;
    until("the image of stable", async || {
        let found = image("ranker").await;
        if found == "reg/ranker:v2" { Ok(()) } else { Err(found) }
    })
    .await;
    // Its pods are not there yet: all traffic stays with the canary.
    let view = serin.view("ranker").await;
    assert!(view.is(PhaseName::HandBack) && view.run.weight_ppm == 1_000_000, "{:?}", view.run.message);
    rolled_out("ranker").await;
    serin.until("ranker", "success", |view: &Seen| view.is(PhaseName::Succeeded)).await;

    // The old version is put behind the canary route, and away when its time is over.
    until("the old version", async || {
        let found = image("ranker-canary").await;
        if found == "reg/ranker:v1" { Ok(()) } else { Err(found) }
    })
    .await;
    rolled_out("ranker-canary").await;
    until("its end", async || {
        let left = kubectl(&["get", "deployment", "ranker-canary", "-o", "jsonpath={.spec.replicas}"]).await;
        if left == "0" { Ok(()) } else { Err(left) }
    })
    .await;
    assert_eq!(image("ranker").await, "reg/ranker:v2");
    let (code, text) = serin.command(&["rollback", "ranker", "--reason", "too late"]).await;
    assert!(code != 0 && text.contains("behind the canary route"), "{code}: {text}");
    drop(load);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn what_somebody_else_deployed_is_not_written_over() {
    let _machine = alone().await;
    let cluster = cluster().await;
    cluster.up(&[]).await;
    apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})).await;
    deployment("other", "stable").await;
    let edit = json!({"spec": {"template": {"spec": {"containers": [{"name": "model", "image": "reg/ranker:v7"}]}}}});
    kubectl(&["patch", "deployment", "other", "-p", &edit.to_string()]).await;
    let models = Models::plain().await;
    let options =
        ["--kubeconfig", &cluster.kubeconfig(), "--kubernetes-workloads", NAMESPACE].map(str::to_owned);
    let serin = Serin::start_with(&models, EnvoyOptions::default(), &options).await;
    let load = Load::start(LoadPlan { rate: 50.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    let rollout = ROLLOUT
        .replace("  ready: {kubernetes: {service: ranker}}\n", "")
        .replace("deployment: ranker,", "deployment: other,")
        .replace(", service: ranker}", "}");
    serin.apply(&rollout).await;
    serin.until("ranker", "the stage", |view: &Seen| view.is_at(PhaseName::Promoting, 1)).await;
    serin.command(&["promote", "ranker", "--reason", "told so"]).await;
    says(&serin, "image is reg/ranker:v7, which is neither reg/ranker:v1 nor reg/ranker:v2").await;
    assert_eq!(image("other").await, "reg/ranker:v7");
    let view = serin.view("ranker").await;
    assert_eq!(view.run.weight_ppm, 1_000_000, "all traffic stays with the canary");
    drop(load);
}
