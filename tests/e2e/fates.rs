//! What becomes of a request on a real Envoy, and what is counted of it: one fate, charged to whoever caused it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use split::Cause;
use tally::{Class, Progress, What};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use tests::{EnvoyOptions, EnvoyProcess, Plane, a_core, arms, policy, until};

/// At which age requests are counted here; what must wait that long waits for two seconds, and what must not leaves at
/// once, so that a busy machine has room to be late.
const AGE_MS: u32 = 500;

/// A model that does to its connection what the path says.
async fn model() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let tries = Arc::new(Tries::default());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, tries.clone()));
        }
    });
    address
}

/// How often each path was tried that answers better later on.
#[derive(Default)]
struct Tries {
    flaky: AtomicUsize,
    hedged: AtomicUsize,
    refused: AtomicUsize,
}

async fn serve(mut stream: TcpStream, tries: Arc<Tries>) -> std::io::Result<()> {
    let mut kept = Vec::new();
    loop {
        let mut part = [0; 4_096];
        while !kept.windows(4).any(|four| four == b"\r\n\r\n") {
            let n = stream.read(&mut part).await?;
            if n == 0 {
                return Ok(());
            }
            kept.extend_from_slice(&part[..n]);
        }
        let head = String::from_utf8_lossy(&kept).into_owned();
        kept.clear();
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        match path.as_str() {
            "/cut" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this").await?;
                return Ok(());
            }
            "/no-last-chunk" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n").await?;
                return Ok(());
            }
            "/reset" => return Ok(()),
            "/silent" | "/idle-before" => std::future::pending().await,
            "/stream" | "/idle-within" | "/too-long" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n").await?;
                std::future::pending().await
            }
            "/socket" => {
                stream
                    .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
                    .await?;
                std::future::pending().await
            }
            "/flaky" if tries.flaky.fetch_add(1, Ordering::Relaxed) == 0 => std::future::pending().await,
            "/hedged" if tries.hedged.fetch_add(1, Ordering::Relaxed) == 0 => std::future::pending().await,
            "/followed" => {
                stream
                    .write_all(
                        b"HTTP/1.1 302 Found\r\nlocation: http://models/ok\r\ncontent-length: 0\r\n\r\n",
                    )
                    .await?;
            }
            "/refused-twice" if tries.refused.fetch_add(1, Ordering::Relaxed) >= 2 => {
                stream.write_all(ok.as_bytes()).await?;
            }
            "/error" | "/refused-twice" | "/refused-always" => {
                stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await?;
            }
            "/forged" => {
                let head =
                    "HTTP/1.1 200 OK\r\nx-serin-confidence: 0.99\r\nx-serin-confidence-source: rollout\r\n";
                stream.write_all(format!("{head}content-length: 0\r\n\r\n").as_bytes()).await?;
            }
            _ => stream.write_all(ok.as_bytes()).await?,
        }
    }
}

/// Routes before the usual ones, for what Envoy does by itself.
fn edit(config: &mut Value) {
    let hosts = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes";
    let routes = config.pointer_mut(hosts).and_then(Value::as_array_mut).expect("routes");
    let of = |path: &str, route: Value| json!({"match": {"path": path}, "route": route});
    let tries =
        |n: u32| json!({"retry_on": "5xx", "num_retries": n, "retry_back_off": {"base_interval": "0.001s"}});
    let own = [
        json!({"match": {"path": "/moved"}, "redirect": {"path_redirect": "/ok"}}),
        json!({"match": {"path": "/direct"}, "direct_response": {"status": 503}}),
        of("/idle-before", json!({"cluster": "stable", "timeout": "0s", "idle_timeout": "2s"})),
        of("/idle-within", json!({"cluster": "stable", "timeout": "0s", "idle_timeout": "2s"})),
        of("/too-long", json!({"cluster": "stable", "max_stream_duration": {"max_stream_duration": "1s"}})),
        of("/full", json!({"cluster": "canary"})),
        of(
            "/socket",
            json!({"cluster": "stable", "timeout": "0s", "upgrade_configs": [{"upgrade_type": "websocket"}]}),
        ),
        of(
            "/flaky",
            json!({"cluster": "stable", "retry_policy":
                {"retry_on": "5xx,reset,connect-failure", "num_retries": 2, "per_try_timeout": "2s"}}),
        ),
        of(
            "/hedged",
            json!({"cluster": "stable", "hedge_policy": {"hedge_on_per_try_timeout": true}, "retry_policy":
                {"retry_on": "5xx,reset,connect-failure", "num_retries": 2, "per_try_timeout": "2s"}}),
        ),
        of("/refused-twice", json!({"cluster": "stable", "retry_policy": tries(3)})),
        of("/refused-always", json!({"cluster": "stable", "retry_policy": tries(2)})),
        of(
            "/followed",
            json!({"cluster": "stable", "internal_redirect_policy": {"redirect_response_codes": [302]}}),
        ),
    ];
    routes.splice(0..0, own);
    // A cluster that takes nothing.
    let clusters =
        config.pointer_mut("/static_resources/clusters").and_then(Value::as_array_mut).expect("clusters");
    let canary =
        clusters.iter_mut().find(|cluster| cluster["name"] == "canary").expect("the canary's cluster");
    canary["circuit_breakers"] = json!({"thresholds": [{"max_requests": 0, "max_pending_requests": 0}]});
}

/// What was counted of requests by weight, by class; of ages and answer times, by what it says.
async fn counted(envoy: &EnvoyProcess) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (series, n) in envoy.counted().await.counters {
        let what = match series.what {
            What::Finished(Cause::Weight, class, Some(_)) => class.as_str().to_owned(),
            What::Latency(bin) if bin == tally::LATENCY_TOP => "never".to_owned(),
            What::Latency(bin) if tally::latency_upper_ms(bin) > 1_500.0 => "long".to_owned(),
            What::Latency(_) => "quick".to_owned(),
            What::Aged { age_ms: AGE_MS, progress: Progress::Left | Progress::LeftSoon, .. } => {
                "left".to_owned()
            }
            What::Aged { age_ms: AGE_MS, progress: Progress::Waiting, .. } => "waiting".to_owned(),
            What::Retried => "retried".to_owned(),
            _ => continue,
        };
        *all.entry(what).or_default() += n;
    }
    all
}

/// One request by hand, and a client that leaves after `patience`.
async fn ask(envoy: SocketAddr, path: &str, headers: &str, patience: Duration) -> String {
    let mut stream = TcpStream::connect(envoy).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nhost: models\r\nx-user-id: u\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // What comes until the patience is over, or the connection.
    let _ = tokio::time::timeout(patience, stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_one_fate_and_it_is_charged_to_whoever_caused_it() {
    let _core = a_core().await;
    let model = model().await;
    let mut plane = Plane::start().await;
    let options = EnvoyOptions {
        policy: Some(envoy::bootstrap::PolicySource::Grpc(plane.ecds_addr.into())),
        lease: Some(plane.lease_addr),
        route_timeout: Duration::from_secs(2),
        edit: Box::new(edit),
        ..EnvoyOptions::default()
    };
    let envoy = EnvoyProcess::start(model, model, options).await;
    let confidence = json!({"from_header": "x-confidence", "header": "x-serin-confidence",
        "source_header": "x-serin-confidence-source", "min": 0.0, "max": 1.0});
    let count = json!({"ages_ms": [AGE_MS]});
    plane
        .put(|generation| {
            policy(generation, json!({"arms": arms(0), "confidence": confidence, "count": count}))
        })
        .await;
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n";
    let web = "content-type: application/grpc-web+proto\r\nconnection: close\r\n";
    // Envoy closes once it has answered; a client that leaves does so before, or after the beginning of a stream.
    let closing = "connection: close\r\n";
    let (stays, leaves, stops) =
        (Duration::from_secs(20), Duration::from_millis(50), Duration::from_millis(1_000));
    for (path, headers, patience, wanted) in [
        ("/ok", closing, stays, &[("ok", 1), ("quick", 1)][..]),
        ("/error", closing, stays, &[("server_error", 1), ("quick", 1)]),
        // Bodies that break off, and answers that never come.
        ("/cut", closing, stays, &[("reset", 1), ("never", 1)]),
        ("/no-last-chunk", closing, stays, &[("reset", 1), ("never", 1)]),
        ("/reset", closing, stays, &[("reset", 1), ("never", 1)]),
        ("/silent", closing, stays, &[("timeout", 1), ("never", 1), ("waiting", 1)]),
        ("/idle-before", closing, stays, &[("timeout", 1), ("never", 1), ("waiting", 1)]),
        ("/idle-within", closing, stays, &[("timeout", 1), ("never", 1)]),
        ("/too-long", closing, stays, &[("timeout", 1), ("never", 1)]),
        // Clients that leave: one that waits, and one that stops a stream.
        ("/silent", "", leaves, &[("gone", 1), ("left", 1)]),
        ("/stream", "", stops, &[("gone", 1)]),
        // What no model was asked.
        ("/moved", closing, stays, &[("local", 1)]),
        ("/direct", closing, stays, &[("local", 1)]),
        ("/full", closing, stays, &[("overflow", 1)]),
        // Open by design.
        ("/socket", upgrade, stops, &[("upgrade", 1)]),
        // A second try: what the client waited for. A redirect that Envoy follows: the answer, once.
        ("/flaky", closing, stays, &[("ok", 1), ("long", 1), ("waiting", 1), ("retried", 1)]),
        ("/hedged", closing, stays, &[("ok", 1), ("long", 1), ("waiting", 1), ("retried", 1)]),
        // However often it was tried, and whatever came of it.
        ("/refused-twice", closing, stays, &[("ok", 1), ("quick", 1), ("retried", 1)]),
        ("/refused-always", closing, stays, &[("server_error", 1), ("quick", 1), ("retried", 1)]),
        ("/followed", closing, stays, &[("ok", 1), ("quick", 1), ("local", 1)]),
        // gRPC-Web says its status in the body.
        ("/ok", web, stays, &[("ok", 1), ("quick", 1)]),
    ] {
        let before = counted(&envoy).await;
        let answer = ask(envoy.addr, path, headers, patience).await;
        let wanted: BTreeMap<String, u64> = wanted.iter().map(|&(what, n)| (what.to_owned(), n)).collect();
        until(&format!("{path} to be counted as {wanted:?} ({answer:?})"), async || {
            let now = counted(&envoy).await;
            let news =
                now.into_iter().map(|(what, n)| (what.clone(), n - before.get(&what).copied().unwrap_or(0)));
            let news: BTreeMap<String, u64> = news.filter(|(_, n)| *n > 0).collect();
            if news == wanted { Ok(()) } else { Err(news) }
        })
        .await;
    }
    let forged = ask(envoy.addr, "/forged", closing, stays).await;
    assert!(forged.contains("200 OK") && !forged.contains("x-serin-confidence"), "{forged}");
    assert!(Class::ALL.len() == 11, "a class that is new wants its row here");
}
