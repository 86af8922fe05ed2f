//! The real Flagger asks Serin: it moves weights of routes when the version is proven, waits while it is not, and goes back
//! when Serin has taken it back.

use std::time::Duration;

use demo::load::{Load, LoadPlan};
use serde_json::{Value, json};

use tests::{EnvoyOptions, Models, Serin, a_core, within};

use crate::peers::{Kubelet, rollout, shown};
use crate::stage::cluster;

const NAMESPACE: &str = "flagger";

/// Flagger looks every ten seconds, which is the shortest it can be told.
const LOOKS: Duration = Duration::from_secs(240);

fn deployment(name: &str) -> String {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "model", "image": "model:v1", "ports": [{"containerPort": 8080}]}]},
            },
        },
    })
    .to_string()
}

fn canary(name: &str, analysis: &Value) -> String {
    json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "service": {"port": 80, "targetPort": 8080},
            "analysis": analysis,
        },
    })
    .to_string()
}

/// By webhooks alone: every one that has an answer of ours.
fn by_hooks(serin: &Serin, version: &str) -> String {
    let hooks = [
        "confirm-rollout",
        "pre-rollout",
        "rollout",
        "confirm-traffic-increase",
        "confirm-promotion",
        "rollback",
    ];
    let hooks: Vec<Value> = hooks
        .iter()
        .map(|hook| {
            let url = serin.url(&format!("/v1/rollouts/ranker/hooks/{hook}?version={version}"));
            json!({"name": format!("serin-{hook}"), "type": hook, "url": url})
        })
        .collect();
    let analysis = json!({"interval": "10s", "threshold": 2, "stepWeights": [25, 50, 75], "webhooks": hooks, "metrics": []});
    canary("ranker", &analysis)
}

/// By the metric alone, one percent after the other.
fn by_metric() -> String {
    let metric = json!({
        "name": "taken back", "interval": "1m", "thresholdRange": {"max": 0}, "templateRef": {"name": "serin-verdict"},
    });
    let analysis =
        json!({"interval": "10s", "threshold": 1, "stepWeight": 1, "maxWeight": 90, "metrics": [metric]});
    canary("scorer", &analysis)
}

/// The MetricTemplate of the documentation, asked whether the version was taken back.
fn template(serin: &Serin, version: &str) -> String {
    let mut template = shown("MetricTemplate");
    template["metadata"]["namespace"] = NAMESPACE.into();
    let provider = &mut template["spec"]["provider"];
    assert_eq!(provider["type"], "prometheus");
    provider["address"] = serin.url("").into();
    let query = template["spec"]["query"].as_str().expect("a query");
    let query = query.replace("version=\"v3\"", &format!("version=\"{version}\""));
    template["spec"]["query"] = query.replace("verdict=\"pass\"", "verdict=\"fail\"").into();
    template.to_string()
}

async fn field(kind: &str, name: &str, path: &str) -> String {
    let path = format!("jsonpath={{{path}}}");
    let asked = ["-n", NAMESPACE, "get", kind, name, "-o", &path];
    cluster().await.kubectl(&asked, "").await.unwrap_or_default()
}

/// The weights of the route that Flagger writes: stable's and the canary's.
async fn weights(name: &str) -> Vec<u32> {
    let said = field("virtualservice", name, ".spec.http[0].route[*].weight").await;
    said.split(' ').filter_map(|weight| weight.parse().ok()).collect()
}

async fn until(what: &str, look: impl AsyncFn() -> Result<(), String>) {
    within(LOOKS, what, async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        look().await
    })
    .await;
}

async fn phase(name: &str, wanted: &str) {
    until(&format!("{name}: {wanted}"), async || {
        let found = field("canary", name, ".status.phase").await;
        if found == wanted { Ok(()) } else { Err(found + &log()) }
    })
    .await;
}

async fn release(name: &str, version: &str) {
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "model", "image": format!("model:{version}")},
    ]}}}});
    let patch = patch.to_string();
    let patched =
        cluster().await.kubectl(&["-n", NAMESPACE, "patch", "deploy", name, "-p", &patch], "").await;
    patched.expect("patched");
}

/// The end of what Flagger says.
fn log() -> String {
    let said = cluster_log();
    let lines: Vec<&str> = said.lines().rev().take(12).collect();
    format!("\n{}", lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
}

fn cluster_log() -> String {
    crate::stage::started().map(|cluster| cluster.log("flagger")).unwrap_or_default()
}

/// How often Flagger said that.
fn said(words: &str) -> usize {
    cluster_log().lines().filter(|line| line.contains(words) && line.contains("ranker.flagger")).count()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants Flagger: SERIN_MESH=flagger cargo xtask test"]
async fn flagger_goes_on_waits_and_goes_back_as_serin_says() {
    let _core = a_core().await;
    let cluster = cluster().await;
    cluster.up(&["--with", "flagger"]).await;
    let models = Models::plain().await;
    let serin = Serin::start(&models, EnvoyOptions::default()).await;
    cluster
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}).to_string())
        .await;
    let _kubelet = Kubelet::of(NAMESPACE);
    for manifest in [
        deployment("ranker"),
        deployment("scorer"),
        template(&serin, "v2"),
        by_hooks(&serin, "v2"),
        by_metric(),
    ] {
        cluster.apply(&manifest).await;
    }
    phase("ranker", "Initialized").await;
    phase("scorer", "Initialized").await;

    // Nothing is proven: the release begins, and no traffic goes to it.
    serin.apply(&rollout("v2")).await;
    release("ranker", "v2").await;
    release("scorer", "v2").await;
    until("Flagger to wait", async || {
        let waits = said("waiting for traffic increase approval");
        if waits >= 2 { Ok(()) } else { Err(log()) }
    })
    .await;
    assert_eq!(weights("ranker").await, [100, 0], "{}", log());
    assert!(said("Confirm-rollout check serin-confirm-rollout passed") > 0, "{}", log());

    // Proven: it goes on.
    let load = Load::start(LoadPlan { rate: 100.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    until("traffic for the canary", async || {
        let found = (weights("ranker").await, weights("scorer").await);
        let moved = |weights: &[u32]| weights.get(1).is_some_and(|weight| *weight > 0);
        if moved(&found.0) && moved(&found.1) { Ok(()) } else { Err(format!("{found:?}{}", log())) }
    })
    .await;

    // Taken back: so does Flagger, by the hook and by the metric.
    let (code, text) = serin.command(&["abort", "ranker", "--reason", "told so"]).await;
    assert_eq!(code, 0, "{text}");
    phase("ranker", "Failed").await;
    phase("scorer", "Failed").await;
    assert!(said("Rollback check serin-rollback passed") > 0, "{}", log());
    assert_eq!((weights("ranker").await, weights("scorer").await), (vec![100, 0], vec![100, 0]), "{}", log());

    // The next one is good to its end.
    serin.apply(&rollout("v3")).await;
    cluster.apply(&by_hooks(&serin, "v3")).await;
    release("ranker", "v3").await;
    phase("ranker", "Succeeded").await;
    let image = field("deploy", "ranker-primary", ".spec.template.spec.containers[0].image").await;
    assert_eq!((image.as_str(), weights("ranker").await), ("model:v3", vec![100, 0]));
    load.stop().await;
}
