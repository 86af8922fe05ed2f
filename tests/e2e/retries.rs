//! A proxy that tries again hides a failure from the client, and none from the rollout: real Envoy's retry policy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::PhaseName::RolledBack;
use demo::load::{Load, LoadPlan};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use tests::{EnvoyOptions, Models, Serin, a_core};

/// A model that fails one try of four, whichever request it is of.
async fn model() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let tries = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, tries.clone()));
        }
    });
    address
}

async fn serve(mut stream: TcpStream, tries: Arc<AtomicUsize>) -> std::io::Result<()> {
    let (mut kept, mut part) = (Vec::new(), [0; 4_096]);
    loop {
        while !kept.windows(4).any(|four| four == b"\r\n\r\n") {
            let n = stream.read(&mut part).await?;
            if n == 0 {
                return Ok(());
            }
            kept.extend_from_slice(&part[..n]);
        }
        kept.clear();
        let status = match tries.fetch_add(1, Ordering::Relaxed) % 4 {
            0 => "503 Service Unavailable",
            _ => "200 OK",
        };
        stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await?;
    }
}

fn tries_again(config: &mut Value) {
    let host =
        "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0";
    let host = config.pointer_mut(host).expect("a virtual host");
    host["retry_policy"] =
        json!({"retry_on": "5xx", "num_retries": 6, "retry_back_off": {"base_interval": "0.001s"}});
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_whose_first_tries_fail_is_taken_back_though_every_client_is_answered() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let options = EnvoyOptions { edit: Box::new(tries_again), ..EnvoyOptions::default() };
    let serin = Serin::start_at(models.stable.addr(), model().await, options).await;
    let load = Load::start(LoadPlan { rate: 100.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    // No gate finds this; what is left is the preset's guardrails.
    let spec = "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  gates: [{name: errors, metric: error_rate, max: 90%}]
  stages:
    - {weight: 50%, bake: 1h, deadline: 2h}
    - {weight: 100%, bake: 1s, deadline: 10s}
";
    serin.apply(spec).await;
    let view = serin.until("ranker", "the rollback", |view| view.is(RolledBack)).await;
    load.stop().await;
    let reason = &view.run.rollback.as_ref().expect("a rollback").reason;
    assert!(reason.contains("retries-limit") && reason.contains("retry_rate"), "{view}");
}
