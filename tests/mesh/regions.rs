//! Two clusters with an API server each, as two regions of one controller.

use std::path::Path;

use api::{PhaseName, RunView};
use demo::load::{Load, LoadPlan};
use serde_json::{Value, json};

use tests::{Cluster, EnvoyOptions, Evidence, Models, Seen, Serin, alone, stages_by_hand, until};

use crate::stage::cluster;

const NAMESPACE: &str = "regions";

/// A sidecar's pod, as a kubelet would have it: an Envoy of this machine.
async fn place(cluster: &Cluster) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    cluster.apply(&namespace.to_string()).await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "storefront-1", "namespace": NAMESPACE, "labels": {"app": "storefront"}},
        "spec": {"containers": [{"name": "app", "image": "app"}]},
    });
    cluster.apply(&pod.to_string()).await;
    let status = json!({"status": {
        "phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }});
    let patch =
        ["-n", NAMESPACE, "patch", "pod", "storefront-1", "--subresource=status", "--type=merge", "-p"];
    let status = status.to_string();
    cluster.kubectl(&[&patch[..], &[&status]].concat(), "").await.expect("patched");
}

/// A kubeconfig with a context for each.
fn contexts(clusters: &[(&str, &Cluster)]) -> String {
    let (mut of_clusters, mut users, mut contexts) = (Vec::new(), Vec::new(), Vec::new());
    for (name, cluster) in clusters {
        let text = std::fs::read_to_string(cluster.kubeconfig()).expect("a kubeconfig");
        let config: Value = serde_saphyr::from_str(&text).expect("YAML");
        of_clusters.push(json!({"name": name, "cluster": config["clusters"][0]["cluster"]}));
        users.push(json!({"name": name, "user": config["users"][0]["user"]}));
        contexts.push(json!({"name": name, "context": {"cluster": name, "user": name}}));
    }
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": clusters[0].0, "clusters": of_clusters, "users": users,
        "contexts": contexts,
    });
    config.to_string()
}

fn member<'v>(view: &'v Seen, name: &str) -> &'v RunView {
    view.members.iter().find(|member| member.run.name == name).expect("the member")
}

fn requests(view: &Seen, name: &str) -> u64 {
    member(view, name).run.exposed.requests
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn a_region_that_cannot_be_reached_is_said_and_goes_by_its_own_policy() {
    let _machine = alone().await;
    let here = cluster().await;
    here.up(&[]).await;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mesh-{}-us", std::process::id()));
    let there = tokio::task::spawn_blocking(move || Cluster::start(&folder)).await.expect("a second cluster");
    place(here).await;
    place(&there).await;
    let (eu, us) = (Models::plain().await, Models::plain().await);
    let options = |node, region| EnvoyOptions { node, region: Some(region), ..EnvoyOptions::default() };
    let mut serin = Serin::start(&eu, options("eu-1", "eu")).await;
    serin.add(&us, options("us-1", "us")).await;
    let kubeconfig = serin.file("contexts.json", &contexts(&[("eu", here), ("us", &there)]));
    let pods = |region: &str, port: u16| {
        format!("{region}=pods://{region}@{NAMESPACE}/app=storefront:{port}/stats/prometheus")
    };
    let read = [pods("eu", serin.envoy().admin.port()), pods("us", serin.more[0].admin.port())];
    let arguments = ["--proxy-metrics", &read[0], "--proxy-metrics", &read[1], "--kubeconfig", &kubeconfig]
        .map(str::to_owned);
    serin.read_by(Evidence::Options(arguments.to_vec())).await;
    let load = |at| Load::start(LoadPlan { rate: 50.0, ..LoadPlan::to(at) }).expect("a load");
    let loads = (load(serin.envoy().addr), load(serin.more[0].addr));

    // Two rollbacks take all back, one does not.
    let more = "  regions: {waves: [[eu, us]], abort: 2}\n  noData: {after: 10s}\n";
    serin.apply(&stages_by_hand(&["50%", "100%"], more)).await;
    let counted = |view: &Seen| ["ranker.eu", "ranker.us"].iter().all(|name| requests(view, name) > 20);
    serin.until("ranker", "counts of both", counted).await;

    // Its API server alone is gone: who was there last is read, and that is said. Nothing waits for it.
    there.kill("kube-apiserver");
    until("what is not known", async || {
        let (_, text) = serin.command(&["get", "ranker.us"]).await;
        if text.contains("that were there last are read") { Ok(()) } else { Err(text) }
    })
    .await;
    let before = serin.view("ranker").await;
    let goes_on = |view: &Seen, name: &str| requests(view, name) > requests(&before, name) + 20;
    serin.until("ranker", "more", |view| goes_on(view, "ranker.eu") && goes_on(view, "ranker.us")).await;
    let (_, text) = serin.command(&["get", "ranker.eu"]).await;
    assert!(!text.contains("that were there last are read"), "it is the other region's: {text}");

    // So are its proxies: it goes back by its own noData, and the other goes on.
    serin.more[0].stand_still(true);
    let back = |view: &Seen| member(view, "ranker.us").run.phase == PhaseName::RolledBack;
    let view = serin.until("ranker", "the way back of one", back).await;
    let of = member(&view, "ranker.us");
    println!("the region that could not be reached: {}", of.run.message);
    assert_eq!((of.run.weight_ppm, member(&view, "ranker.eu").run.weight_ppm), (0, 500_000), "{view}");
    let before = requests(&view, "ranker.eu");
    serin.until("ranker", "counts of the other", |view| requests(view, "ranker.eu") > before + 20).await;
    serin.more[0].stand_still(false);
    loads.0.stop().await;
    loads.1.stop().await;
}
