//! The real agent beside Envoy: it fetches the module, and says nothing to istiod when it cannot.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use ring::digest::{SHA256, digest};

use tests::{alone, tools, until};

use crate::stage::{Stage, cluster, weight};

mod identity;
mod image;
mod restarts;

const LABELS: &[(&str, &str)] = &[("app", "storefront"), ("serin.dev/decide", "true")];

const FILE: &str = "trafficextension.yaml";

fn module() -> Vec<u8> {
    std::fs::read(tools::wasm()).expect("the filter")
}

/// Serves the filter, as a registry would by https.
async fn serve() -> SocketAddr {
    let module = module();
    served(Router::new().route("/filter.wasm", get(async move || module))).await
}

async fn served(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("its address");
    tokio::spawn(axum::serve(listener, router).into_future());
    addr
}

fn sha256(content: &[u8]) -> String {
    digest(&SHA256, content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
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
    stage.takes_off_what_is_forged().await;
    stage.a_forged_header_is_worth_nothing().await;
    let log = "agent-agent-storefront-1";
    until("the agent's word", async || {
        let said = cluster.log(log);
        if said.contains("allow RBAC") { Ok(()) } else { Err(said.len()) }
    })
    .await;

    // Put right, the filter decides.
    apply(&url, &sha256(&module())).await;
    stage.answered_by("v2", Some("v2")).await;

    // A policy that the filter refuses: the one from before stands, and the refusal is counted, since the module is the same.
    let refused = weight(1_000_001, 2);
    cluster.apply(&stage.plugin(FILE, &url, &sha256(&module()), &refused)).await;
    let page = format!("http://{}/stats/prometheus", cluster.address(log, "metrics"));
    until("the refusal on the sidecar's page", async || {
        let page = tests::page(&page).await?;
        let refusal = |line: &&str| {
            line.starts_with("serin_policy_refused_total{")
                && !line.ends_with(" 0")
                && line.contains("reason=")
        };
        page.lines().find(refusal).map(str::to_owned).ok_or_else(|| format!("{} bytes", page.len()))
    })
    .await;
    stage.answered_by("v2", Some("v2")).await;

    // A module that nobody has.
    apply(&nowhere, &sha256(&module()).replace('0', "1")).await;
    stage.answered_by("v1", None).await;
    stage.a_forged_header_is_worth_nothing().await;
}
