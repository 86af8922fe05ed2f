//! Policies and leases by mutual TLS: the workload's own certificate, from istiod's authority by the agent, and nobody else's.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use api::PhaseName;
use serde_json::Value;

use tests::{Cluster, Evidence, Serin, alone, free_port, stages_by_hand, tools, until};

use crate::stage::{Stage, cluster, document, text};

const LABELS: &[(&str, &str)] = &[("app", "storefront"), ("serin.dev/fast-lane", "true")];

/// The identity that istio/fast-lane-bootstrap.yaml expects of the controller.
const CONTROLLER: &str = "serin-system/serin-0@serin";
const OURS: &str = "spiffe://cluster.local/ns/lane-tls/sa/storefront";
const LABELLED: &str = "app=storefront,serin.dev/fast-lane=true";

/// All agents are on one machine here and Envoys share ports: without it the controller's sidecar would open a listener for
/// every service of the mesh, and answer a part of what other stories ask their own sidecars.
const NO_LISTENERS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: serin-system}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: serin-system}
spec:
  egress: [{hosts: ['~/*']}]
";

/// The shipped bootstrap, for a controller at that address.
fn bootstrap(cluster: &Cluster, controller: SocketAddr) -> PathBuf {
    let manifest = document(&text("fast-lane-bootstrap.yaml"));
    let custom = manifest["data"]["custom_bootstrap.json"].as_str().expect("a bootstrap");
    let mut custom: Value = serde_json::from_str(custom).expect("JSON");
    for known in custom["static_resources"]["clusters"].as_array_mut().expect("clusters") {
        let address = &mut known["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"];
        address["socket_address"]["address"] = controller.ip().to_string().into();
        // The controller itself serves both at the address of policies.
        address["socket_address"]["port_value"] = controller.port().into();
    }
    let file = cluster.folder_of("istiod").join("custom_bootstrap.json");
    std::fs::write(&file, custom.to_string()).expect("a file");
    file
}

/// What istio-agent wrote of a workload's certificate, once it is there.
async fn certificate(cluster: &Cluster, agent: &str) -> [String; 3] {
    let folder = cluster.folder_of(agent).join("certificate");
    let files = ["cert-chain.pem", "key.pem", "root-cert.pem"].map(|name| folder.join(name));
    until("the certificate's files", async || {
        if files.iter().all(|file| file.is_file()) { Ok(()) } else { Err(folder.clone()) }
    })
    .await;
    files.map(|file| Path::new(&file).display().to_string())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn policies_and_leases_are_for_the_named_workload_alone() {
    let _machine = alone().await;
    let (cluster, stage) = (cluster().await, Stage::set("lane-tls", LABELS).await);
    let others = Stage::set("stranger", LABELS).await;
    for stage in [&stage, &others] {
        cluster.apply(&stage.service.fast_lane(&tools::wasm())).await;
    }
    cluster.apply(NO_LISTENERS).await;
    cluster.up(&["--agent", CONTROLLER]).await;
    let [chain, key, root] = certificate(cluster, "agent-serin-system-serin-0").await;
    let [http, ecds] = [free_port(), free_port()];
    let custom = bootstrap(cluster, ecds).display().to_string();
    let ours = format!("lane-tls/storefront-1@storefront:{LABELLED}");
    let stranger = format!("stranger/storefront-1@storefront:{LABELLED}");
    for pod in [&ours, &stranger] {
        cluster.up(&["--agent", pod, "--bootstrap-override", &custom]).await;
    }
    let admin = |namespace: &str| {
        let at = cluster.address(&format!("agent-{namespace}-storefront-1"), "admin");
        format!("http://{at}")
    };
    let arguments =
        ["--tls-cert", &chain, "--tls-key", &key, "--tls-client-ca", &root, "--tls-client-id", OURS]
            .map(str::to_owned);
    let options = Evidence::Options(vec!["--envoy-admin".to_owned(), admin("lane-tls")]);
    let serin = Serin::alone([http, ecds], options, arguments.to_vec()).await;

    serin.apply(&stages_by_hand(&["50%", "100%"], "")).await;
    serin.until("ranker", "the stage", |view| view.is_at(PhaseName::Progressing, 1)).await;
    let load = stage.load();
    let counted = |view: &tests::Seen| view.run.exposed.requests > 0 && view.acknowledged() == 1;
    serin.until("ranker", "counts of the canary", counted).await;
    // Without a lease the canary would be left within five seconds.
    let metrics = async |namespace: &str, name: &str| {
        let stats =
            tests::page(&format!("{}/stats?filter={name}", admin(namespace))).await.unwrap_or_default();
        stats.lines().filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok()).sum::<u64>()
    };
    until("leases by the certificate", async || {
        let renewed = metrics("lane-tls", "serin_lease").await;
        if renewed > 8 { Ok(()) } else { Err(renewed) }
    })
    .await;

    // The stranger has a certificate of the same authority and the same bootstrap.
    let refused = "its certificate is of spiffe://cluster.local/ns/stranger/sa/storefront";
    until("the refusal", async || if serin.log().contains(refused) { Ok(()) } else { Err(serin.log()) })
        .await;
    others.answered_by("v1", None).await;
    assert_eq!(metrics("stranger", "serin_policy_generation").await, 0, "no policy came there");
    let page = serin.metrics().await;
    let turned_away = |line: &str| {
        line.strip_prefix("serin_refused_requests_total{reason=\"credentials\"} ")
            .is_some_and(|count| count != "0")
    };
    assert!(page.lines().any(turned_away), "{page}");
    assert_eq!(serin.view("ranker").await.acknowledged(), 1);
    // Nor is a lease to be had in the clear any more.
    let clear = reqwest::get(serin.url("/v1/lease/x?incarnation=1&generation=1")).await.expect("an answer");
    assert!(clear.status().is_client_error(), "{clear:?}");

    let (code, said) = serin.command(&["abort", "ranker", "--reason", "told so"]).await;
    assert_eq!(code, 0, "{said}");
    tests::left_alone(&stage.models, &load).await;
    let requests = stage.nothing_was_lost(load).await;
    println!("fast lane and lease by the workload's certificate: {requests} requests, none failed");
}
