//! Proxies that are pods: objects of a real API server, whose addresses are an Envoy of this machine's and nobody's.

use std::time::Instant;

use api::PhaseName;
use demo::load::{Load, LoadPlan};
use serde_json::{Value, json};

use tests::{EnvoyOptions, Evidence, Models, Serin, alone, stages_by_hand, until};

use crate::stage::cluster;

/// A pod; nobody runs it.
fn pod(namespace: &str, name: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "storefront", "serin.dev/decide": "true"}},
        "spec": {"containers": [{"name": "app", "image": "app"}]},
    })
    .to_string()
}

async fn kubectl(arguments: &[&str]) -> String {
    cluster().await.kubectl(arguments, "").await.unwrap_or_else(|said| panic!("{arguments:?}: {said}"))
}

/// What a kubelet would write of it.
async fn status(namespace: &str, name: &str, ip: &str, phase: &str, ready: bool) {
    let ready = if ready { "True" } else { "False" };
    let status = json!({"status": {
        "phase": phase, "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": ready}],
    }});
    let patch = status.to_string();
    let patch = ["-n", namespace, "patch", "pod", name, "--subresource=status", "--type=merge", "-p", &patch];
    kubectl(&patch).await;
}

async fn place(namespace: &str, pods: &[(&str, &str)]) {
    let cluster = cluster().await;
    cluster
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}).to_string())
        .await;
    for (name, ip) in pods {
        cluster.apply(&pod(namespace, name)).await;
        status(namespace, name, ip, "Running", true).await;
    }
}

/// The proxies in trouble, by name, as the metrics say it.
async fn troubled(serin: &Serin) -> Vec<String> {
    let page = serin.metrics().await;
    let of = |line: &str| Some(line.strip_prefix("serin_proxy_trouble{")?.split('}').next()?.to_owned());
    page.lines().filter_map(of).collect()
}

async fn until_troubled(serin: &Serin, expected: &[&str]) {
    until(&format!("trouble of {expected:?}"), async || {
        let found = troubled(serin).await;
        let same = found.len() == expected.len()
            && expected.iter().all(|name| found.iter().any(|found| found.contains(name)));
        if same { Ok(()) } else { Err(found.join("; ")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn pods_are_read_while_they_are_there() {
    let _machine = alone().await;
    let cluster = cluster().await;
    cluster.up(&[]).await;
    let models = Models::plain().await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    let port = serin.envoy().admin.port();
    place("followed", &[("storefront-1", "127.0.0.1"), ("storefront-2", "127.0.0.2")]).await;
    let pods = |namespace: &str| {
        format!("pods://{namespace}/app=storefront,serin.dev/decide=true:{port}/stats/prometheus")
    };
    let options =
        ["--proxy-metrics", &pods("followed"), "--kubeconfig", &cluster.kubeconfig()].map(str::to_owned);
    serin.read_by(Evidence::Options(options.to_vec())).await;

    // Nobody answers at the address of the second; both are called by their names.
    until_troubled(&serin, &["proxy=\"followed/storefront-2\",kind=\"silent\""]).await;
    // Not ready, evicted, being deleted: nobody waits for it. Ready again: it is missed again.
    for (phase, ready) in [("Running", false), ("Failed", false)] {
        status("followed", "storefront-2", "127.0.0.2", phase, ready).await;
        until_troubled(&serin, &[]).await;
        if phase == "Running" {
            status("followed", "storefront-2", "127.0.0.2", "Running", true).await;
            until_troubled(&serin, &["followed/storefront-2"]).await;
        }
    }
    kubectl(&["-n", "followed", "delete", "pod", "storefront-2", "--force", "--grace-period=0"]).await;

    // What the other one counts is evidence, by the pod's name, and without Prometheus.
    serin.apply(&stages_by_hand(&["50%", "100%"], "  noData: {after: 60s}\n")).await;
    serin.until("ranker", "the stage", |view| view.is_at(PhaseName::Progressing, 1)).await;
    let load = Load::start(LoadPlan { rate: 50.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.until("ranker", "counts", |view| view.run.exposed.requests > 20).await;

    // The API server is gone: who was there last is read, and that is said.
    cluster.kill("kube-apiserver");
    until("what is not known", async || {
        let (_, text) = serin.command(&["get", "ranker"]).await;
        if text.contains("that were there last are read") { Ok(()) } else { Err(text) }
    })
    .await;
    let before = serin.view("ranker").await.run.exposed.requests;
    serin.until("ranker", "more counts", |view| view.run.exposed.requests > before + 20).await;
    cluster.up(&[]).await;
    until("that it is known", async || {
        let (_, text) = serin.command(&["get", "ranker"]).await;
        if text.contains("that were there last are read") { Err(text) } else { Ok(()) }
    })
    .await;
    drop(load);
    serin.until("ranker", "no rollback", |view| view.is_at(PhaseName::Progressing, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn a_selector_without_pods_and_a_right_that_lacks_are_said() {
    let _machine = alone().await;
    let cluster = cluster().await;
    cluster.up(&[]).await;
    let models = Models::plain().await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    place("unmatched", &[]).await;
    let read_by = |kubeconfig: &str| {
        let options = ["--proxy-metrics", "pods://unmatched/app=nobody", "--kubeconfig", kubeconfig];
        Evidence::Options(options.map(str::to_owned).to_vec())
    };
    serin.read_by(read_by(&cluster.kubeconfig())).await;
    serin.apply(&stages_by_hand(&["50%", "100%"], "  noData: {after: 60s}\n")).await;
    let says = async |serin: &Serin, part: &str| {
        until(part, async || {
            let (_, text) = serin.command(&["get", "ranker"]).await;
            if text.contains(part) { Ok(()) } else { Err(text) }
        })
        .await;
    };
    says(&serin, "pods with app=nobody in namespace unmatched: there is no such pod").await;

    // A service account without any right.
    cluster
        .apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody", "namespace": "unmatched"}}).to_string())
        .await;
    let token = kubectl(&["create", "token", "nobody", "-n", "unmatched"]).await;
    let text = std::fs::read_to_string(cluster.kubeconfig()).expect("a kubeconfig");
    let mut config: Value = serde_saphyr::from_str(&text).expect("YAML");
    config["users"][0]["user"] = json!({"token": token.trim()});
    let weak = serin.file("weak.json", &config.to_string());
    serin.read_by(read_by(&weak)).await;
    says(&serin, "may not list pods in namespace unmatched").await;
}

/// 5,000 pods without kubelets: what following them costs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn five_thousand_pods_are_followed() {
    let _machine = alone().await;
    let cluster = cluster().await;
    cluster.up(&[]).await;
    let pods: usize = std::env::var("SERIN_PODS").ok().and_then(|text| text.parse().ok()).unwrap_or(5_000);
    place("many", &[]).await;
    let begun = Instant::now();
    for part in (0..pods).collect::<Vec<_>>().chunks(500) {
        let all: Vec<String> = part.iter().map(|n| pod("many", &format!("storefront-{n:05}"))).collect();
        let all: Vec<Value> = all.iter().map(|pod| serde_json::from_str(pod).expect("JSON")).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": all});
        let said = cluster.kubectl(&["create", "--filename", "-"], &list.to_string()).await;
        // Those of a story before this one may be there.
        if let Err(said) = said {
            assert!(said.contains("AlreadyExists"), "{said}");
        }
    }
    println!("{pods} pods made in {:.0} s", begun.elapsed().as_secs_f64());
    let models = Models::plain().await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    serin.read_by(Evidence::Admin).await;
    let before = serin.memory_kib();
    let options = ["--proxy-metrics", "pods://many/app=storefront", "--kubeconfig", &cluster.kubeconfig()];
    let started = Instant::now();
    serin.read_by(Evidence::Options(options.map(str::to_owned).to_vec())).await;
    serin.apply(&stages_by_hand(&["50%", "100%"], "  noData: {after: 60s}\n")).await;
    let expected = format!("none of the {pods} runs and has an address");
    until("the list", async || {
        let (_, text) = serin.command(&["get", "ranker"]).await;
        if text.contains(&expected) { Ok(()) } else { Err(text) }
    })
    .await;
    let listed = started.elapsed();
    let (after, cpu) = (serin.memory_kib(), serin.cpu_ms());
    println!(
        "{pods} pods: known {:.1} s after the start of the controller; resident {} MiB, without them {} MiB; {cpu} ms of processor in all",
        listed.as_secs_f64(),
        after / 1_024,
        before / 1_024,
    );
    kubectl(&["-n", "many", "delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false"]).await;
}
