//! The real agent beside Envoy: it fetches the module, and says nothing to istiod when it cannot.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use ring::digest::{SHA256, digest};

use tests::{alone, tools, until};

use crate::stage::{Stage, cluster, weight};

const LABELS: &[(&str, &str)] = &[("app", "storefront"), ("serin.dev/decide", "true")];

const FILE: &str = "trafficextension.yaml";

/// Serves the filter, as a registry would by https.
async fn serve() -> SocketAddr {
    let module = std::fs::read(tools::wasm()).expect("the filter");
    let router = Router::new().route("/filter.wasm", get(async move || module));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("its address");
    tokio::spawn(axum::serve(listener, router).into_future());
    addr
}

fn sha256() -> String {
    let module = std::fs::read(tools::wasm()).expect("the filter");
    digest(&SHA256, &module).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn a_module_that_cannot_be_had_leaves_traffic_on_stable() {
    let _machine = alone().await;
    let (cluster, stage) = (cluster().await, Stage::set("agent", LABELS).await);
    let server = serve().await;
    let url = format!("http://{server}/filter.wasm");
    let nowhere = format!("http://{server}/nothing.wasm");
    cluster.apply(&stage.text("envoyfilter-early-removal.yaml")).await;
    let all = weight(1_000_000, 1);
    let wrong = "0".repeat(64);
    let apply = async |url: &str, sha256: &str| cluster.apply(&stage.plugin(FILE, url, sha256, &all)).await;

    // From the start: a digest that is another's.
    apply(&url, &wrong).await;
    cluster.up(&["--agent", "agent/storefront-1:app=storefront,serin.dev/decide=true"]).await;
    stage.answered_by("v1", None).await;
    stage.a_forged_header_is_worth_nothing().await;
    let log = "agent-agent-storefront-1";
    until("the agent's word", async || {
        let said = cluster.log(log);
        if said.contains("allow RBAC") { Ok(()) } else { Err(said.len()) }
    })
    .await;

    // Put right, the filter decides.
    apply(&url, &sha256()).await;
    stage.answered_by("v2", Some("v2")).await;

    // A module that nobody has.
    apply(&nowhere, &sha256().replace('0', "1")).await;
    stage.answered_by("v1", None).await;
    stage.a_forged_header_is_worth_nothing().await;
}
