//! The chart before a real API server: its objects are taken, and an upgrade leaves the policy that the controller wrote.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use tests::{alone, tools};

use crate::stage::cluster;

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../istio/chart")
}

/// Runs Helm; what it printed, or what it complained of.
async fn helm(arguments: &[&str]) -> Result<String, String> {
    let mut command = tokio::process::Command::new(tools::helm());
    command.args(arguments).env("KUBECONFIG", cluster().await.kubeconfig()).stdin(Stdio::null());
    let output = command.output().await.expect("helm runs");
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

async fn namespace(name: &str) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    cluster().await.apply(&namespace.to_string()).await;
}

/// Kinds of the Prometheus Operator and of the Gateway API, which this server does not know.
const FOREIGN: [&str; 4] = ["ServiceMonitor", "PodMonitor", "PrometheusRule", "HTTPRoute"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn the_server_takes_what_every_example_gives() {
    let _machine = alone().await;
    for name in ["serin-system", "models", "search", "monitoring"] {
        namespace(name).await;
    }
    let mut examples: Vec<PathBuf> = std::fs::read_dir(chart().join("examples"))
        .expect("examples")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    examples.sort();
    let mut kinds = std::collections::BTreeSet::new();
    for values in examples {
        let (chart, values) = (chart(), values.display().to_string());
        let arguments = ["template", "serin", &chart.display().to_string(), "--namespace", "serin-system"];
        let more = ["--values", &values, "--include-crds"];
        // What Helm asks a server for: it would refuse the kinds that this one does not know.
        let served = [
            "--api-versions=extensions.istio.io/v1alpha1/TrafficExtension",
            "--api-versions=security.istio.io/v1/AuthorizationPolicy",
        ];
        let text = helm(&[&arguments[..], &more, &served].concat())
            .await
            .unwrap_or_else(|said| panic!("{values}: {said}"));
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        let ours = documents.iter().filter(|document| {
            let kind = document["kind"].as_str().unwrap_or_default();
            kinds.insert(kind.to_owned());
            !kind.is_empty() && !FOREIGN.contains(&kind)
        });
        let ours: Vec<&Value> = ours.collect();
        assert!(ours.len() >= 4, "{values}: {text}");
        let list = json!({"apiVersion": "v1", "kind": "List", "items": ours});
        let arguments =
            ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--filename", "-"];
        let said = cluster().await.kubectl(&arguments, &list.to_string()).await;
        assert!(said.is_ok(), "{values}: {said:?}");
    }
    for kind in ["TrafficExtension", "EnvoyFilter", "AuthorizationPolicy", "VirtualService", "HTTPRoute"] {
        assert!(kinds.contains(kind), "no example gives a {kind}: {kinds:?}");
    }
}

const RELEASE: &str = "chart-system";
const CALLERS: &str = "chart-callers";

async fn upgrade(verb: &str, more: &[&str]) -> Result<String, String> {
    let chart = chart().display().to_string();
    let values = format!("{chart}/examples/plugin.yaml");
    let namespaces = format!("plugin.namespaces={{{CALLERS}}},services[0].namespace={CALLERS}");
    let arguments = [
        verb,
        "serin",
        &chart,
        "--namespace",
        RELEASE,
        "--create-namespace",
        "--values",
        &values,
        "--set",
        &namespaces,
    ];
    helm(&[&arguments[..], more].concat()).await
}

async fn get(namespace: &str, kind: &str, name: &str) -> Option<Value> {
    let arguments = ["-n", namespace, "get", kind, name, "--ignore-not-found", "--output", "json"];
    let text = cluster().await.kubectl(&arguments, "").await.expect("an answer");
    serde_json::from_str(&text).ok()
}

async fn may(verb: &str, resource: &str) -> bool {
    let account = format!("system:serviceaccount:{RELEASE}:serin");
    let arguments = ["-n", CALLERS, "auth", "can-i", verb, resource, "--as", &account];
    cluster().await.kubectl(&arguments, "").await.is_ok_and(|said| said.trim() == "yes")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn an_upgrade_leaves_the_policy_that_the_controller_wrote() {
    let _machine = alone().await;
    namespace(CALLERS).await;
    upgrade("install", &[]).await.expect("installed");
    let plugin = get(CALLERS, "trafficextension", "serin").await.expect("the plugin");
    assert_eq!(plugin["spec"]["wasm"].get("pluginConfig"), None, "the policy is the controller's");
    for kind in [
        "envoyfilter/serin-early-removal",
        "virtualservice/ranker",
        "destinationrule/ranker",
        "role/serin-plugin",
    ] {
        let (kind, name) = kind.split_once('/').expect("a name");
        assert!(get(CALLERS, kind, name).await.is_some(), "{kind} {name}");
    }
    assert!(get(RELEASE, "authorizationpolicy", "serin").await.is_some(), "the mesh is Istio's");
    let deployment = get(RELEASE, "deployment", "serin").await.expect("the controller");
    assert!(deployment.to_string().contains(&format!("--istio-plugin={CALLERS}/serin")), "{deployment}");

    // It may read and write this object, and nothing else.
    for (verb, resource, expected) in [
        ("get", "trafficextensions.extensions.istio.io/serin", true),
        ("patch", "trafficextensions.extensions.istio.io/serin", true),
        ("patch", "trafficextensions.extensions.istio.io/other", false),
        ("delete", "trafficextensions.extensions.istio.io/serin", false),
        ("get", "secrets", false),
        ("patch", "deployments.apps", false),
        ("patch", "virtualservices.networking.istio.io", false),
    ] {
        assert_eq!(may(verb, resource).await, expected, "{verb} {resource}");
    }

    let policy = json!({"schema": 1, "incarnation": 9, "generation": 7, "rollouts": []});
    let patch = json!([{"op": "add", "path": "/spec/wasm/pluginConfig", "value": policy}]).to_string();
    let arguments = [
        "-n",
        CALLERS,
        "patch",
        "trafficextension",
        "serin",
        "--type=json",
        "--field-manager=serin",
        "-p",
        &patch,
    ];
    cluster().await.kubectl(&arguments, "").await.expect("written as the controller writes");
    for (set, priority) in [("plugin.priority=20", 20), ("plugin.priority=30", 30)] {
        upgrade("upgrade", &["--set", set]).await.expect("upgraded");
        let plugin = get(CALLERS, "trafficextension", "serin").await.expect("the plugin");
        assert_eq!(plugin["spec"]["priority"], priority);
        assert_eq!(plugin["spec"]["wasm"]["pluginConfig"], policy, "{set}");
    }
    let refused = upgrade("upgrade", &["--set", "plugin.urll=x"]).await.expect_err("a typo");
    assert!(refused.contains("urll") && refused.contains("/plugin"), "{refused}");

    // Several controllers, rollouts as objects, hand-back: a right for each, and for nothing beside it.
    let namespaces = format!(
        "replicas=2,rollouts.enabled=true,rollouts.namespaces={{{CALLERS}}},workloads.namespaces={{{CALLERS}}},\
         workloads.deployments={{ranker}}"
    );
    upgrade("upgrade", &["--set", &namespaces]).await.expect("upgraded");
    assert!(get(RELEASE, "deployment", "serin").await.is_none());
    assert!(get(RELEASE, "statefulset", "serin").await.is_some());
    let plugin = get(CALLERS, "trafficextension", "serin").await.expect("the plugin");
    assert_eq!(plugin["spec"]["wasm"]["pluginConfig"], policy, "whatever else is switched on");
    for (verb, resource, expected) in [
        ("watch", "rollouts.serin.dev", true),
        ("delete", "rollouts.serin.dev", false),
        ("patch", "deployments.apps/ranker", true),
        ("patch", "deployments.apps/other", false),
        ("patch", "services/ranker", false),
        ("watch", "pods", false),
        ("get", "configmaps", false),
    ] {
        assert_eq!(may(verb, resource).await, expected, "{verb} {resource}");
    }

    helm(&["uninstall", "serin", "--namespace", RELEASE]).await.expect("uninstalled");
    assert!(get(RELEASE, "deployment", "serin").await.is_none());
    assert!(get(CALLERS, "trafficextension", "serin").await.is_none());
    assert!(get(RELEASE, "persistentvolumeclaim", "serin-store").await.is_some(), "the store is kept");
    // Definitions, and by them every Rollout, outlive the release.
    for file in std::fs::read_dir(chart().join("crds")).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(file.path()).expect("a definition");
        let definition: Value = serde_saphyr::from_str(&text).expect("YAML");
        let name = definition["metadata"]["name"].as_str().expect("a name");
        let arguments = ["get", "crd", name, "--output", "name"];
        assert!(cluster().await.kubectl(&arguments, "").await.is_ok(), "{name} is kept");
    }
}
