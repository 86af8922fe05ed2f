//! What the models say in the bodies of their answers, on a real Envoy: it decides, and changes nothing on its way.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tally::{AnswerClass, What};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use api::PhaseName;
use demo::load::{Load, LoadPlan};
use tests::{EnvoyOptions, EnvoyProcess, Plane, Serin, a_core, arms, policy, until};

/// How a model answers: head and chunks of the body, each written by itself.
type Says = Arc<dyn Fn(&str) -> Said + Send + Sync>;

struct Said {
    headers: String,
    chunks: Vec<Vec<u8>>,
    /// Before each chunk but the first.
    pause_ms: u64,
}

fn plain(headers: &str, body: Vec<u8>) -> Said {
    Said { headers: headers.to_owned(), chunks: vec![body], pause_ms: 0 }
}

/// A model that answers as the path says.
async fn model(says: Says) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, says.clone()));
        }
    });
    address
}

async fn serve(mut stream: TcpStream, says: Says) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
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
        let Said { headers, chunks, pause_ms } = says(head.split(' ').nth(1).unwrap_or_default());
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\n{headers}transfer-encoding: chunked\r\n\r\n").as_bytes())
            .await?;
        for (place, chunk) in chunks.into_iter().enumerate() {
            if place > 0 && pause_ms > 0 {
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
            stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
            stream.write_all(&chunk).await?;
            stream.write_all(b"\r\n").await?;
            stream.flush().await?;
        }
        stream.write_all(b"0\r\n\r\n").await?;
    }
}

const JSON: &str = "content-type: application/json\r\n";

/// One of each kind, by path.
fn kinds(path: &str) -> Said {
    let score = br#"{"predictions": [{"score": 1.0, "label": "cat"}]}"#.to_vec();
    match path {
        "/json" => plain(JSON, score),
        "/bytes" => Said {
            headers: JSON.to_owned(),
            chunks: score.into_iter().map(|byte| vec![byte]).collect(),
            pause_ms: 0,
        },
        "/nan" => plain(JSON, br#"{"predictions": [{"score": NaN, "label": "dog"}]}"#.to_vec()),
        "/failed" => plain(JSON, br#"{"error": "no such feature"}"#.to_vec()),
        "/large" => plain(JSON, format!(r#"{{"pad": "{}"}}"#, "x".repeat(100_000)).into_bytes()),
        // It only says so; whoever does not look cannot tell.
        "/gzip" => plain(&format!("{JSON}content-encoding: gzip\r\n"), vec![0x1f, 0x8b, 8, 0, 1, 2, 3]),
        _ => plain("content-type: image/png\r\n", vec![0x89, b'P', b'N', b'G']),
    }
}

fn rules() -> Value {
    json!({
        "read": {
            "format": "json",
            "score": "/predictions/0/score",
            "class": {"at": "/predictions/0/label", "names": ["cat", "dog"]},
            "failed_when": [{"at": "/error"}],
            "max_bytes": 50_000,
        },
        "max_open": 10,
    })
}

fn confidence() -> Value {
    json!({"header": "x-serin-confidence", "source_header": "x-serin-confidence-source", "min": 0.0, "max": 1.0})
}

/// What was counted of bodies.
async fn counted(envoy: &EnvoyProcess) -> BTreeMap<What, u64> {
    let mut sums = BTreeMap::new();
    for (series, n) in envoy.counted().await.counters {
        if matches!(
            series.what,
            What::Answer(_) | What::Predicted(_) | What::Confidence(_) | What::ConfidenceInvalid
        ) {
            *sums.entry(series.what).or_default() += n;
        }
    }
    sums
}

#[tokio::test]
async fn bodies_are_counted_and_pass_byte_for_byte() {
    let _core = a_core().await;
    let model = model(Arc::new(kinds)).await;
    let mut plane = Plane::start().await;
    let options = EnvoyOptions {
        policy: Some(envoy::bootstrap::PolicySource::Grpc(plane.ecds_addr.into())),
        lease: Some(plane.lease_addr),
        ..EnvoyOptions::default()
    };
    let envoy = EnvoyProcess::start(model, model, options).await;
    plane
        .put(|generation| {
            let parts = json!({"arms": arms(0), "confidence": confidence(), "answer": rules()});
            policy(generation, parts)
        })
        .await;
    let said = |class| What::Answer(class);
    for (path, wanted) in [
        ("/json", vec![said(AnswerClass::Ok), What::Confidence(63), What::Predicted(0)]),
        ("/bytes", vec![said(AnswerClass::Ok), What::Confidence(63), What::Predicted(0)]),
        ("/nan", vec![said(AnswerClass::Ok), What::ConfidenceInvalid, What::Predicted(1)]),
        ("/failed", vec![said(AnswerClass::Failed)]),
        ("/large", vec![said(AnswerClass::TooLarge)]),
        ("/gzip", vec![said(AnswerClass::Compressed)]),
        ("/image", vec![said(AnswerClass::OtherType)]),
    ] {
        let before = counted(&envoy).await;
        // Of a user that the weights decide about.
        let request = reqwest::Client::new().get(format!("http://{}{path}", envoy.addr));
        let answer = request.header("x-user-id", "u1").send().await.expect("an answer");
        assert_eq!(answer.headers().get("x-serin-confidence"), None, "{path}");
        let body = answer.bytes().await.expect("a body");
        assert_eq!(body, kinds(path).chunks.concat(), "{path}");
        let wanted: BTreeMap<What, u64> = wanted.into_iter().map(|what| (what, 1)).collect();
        until(&format!("{path} to be counted as {wanted:?}"), async || {
            let now = counted(&envoy).await;
            let news = now.into_iter().map(|(what, n)| (what, n - before.get(&what).copied().unwrap_or(0)));
            let news: BTreeMap<What, u64> = news.filter(|(_, n)| *n > 0).collect();
            if news == wanted { Ok(()) } else { Err(news) }
        })
        .await;
    }
}

/// A model that is so sure of its answers: the tenths of `sure`, and a little more or less.
fn scores(sure: u32) -> Says {
    let asked = AtomicU32::new(0);
    Arc::new(move |_| {
        let more = asked.fetch_add(1, Ordering::Relaxed) % 10;
        let body = format!(r#"{{"predictions": [{{"score": 0.{sure}{more}}}]}}"#);
        plain(JSON, body.into_bytes())
    })
}

const UNSURE: &str = "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  confidence: {fromBody: /predictions/0/score}
  gates:
    - {name: sure, metric: confidence_mean, against: stable, margin: 2%}
  stages:
    - {weight: 50%, bake: 1h, deadline: 2h}
    - {weight: 100%, bake: 1s, deadline: 10s}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_whose_answers_say_low_scores_is_rolled_back() {
    let _core = a_core().await;
    let (stable, canary) = (model(scores(8)).await, model(scores(6)).await);
    let serin = Serin::start_at(stable, canary, EnvoyOptions::default()).await;
    let load = Load::start(LoadPlan { rate: 100.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(UNSURE).await;
    let view = serin.until("ranker", "the rollback", |view| view.is(PhaseName::RolledBack)).await;
    load.stop().await;
    assert!(view.reason().contains("gate sure: harm is proven: confidence_mean is 0.6"), "{}", view.reason());
}

/// A language model that takes so many milliseconds for each token of a stream.
fn tokens(pause_ms: u64, says: &'static str) -> Says {
    Arc::new(move |_| {
        let event = |text: &str| format!("data: {text}\n\n").into_bytes();
        let mut chunks: Vec<Vec<u8>> = (0..10)
            .map(|n| event(&format!(r#"{{"object": "chat.completion.chunk", "choices": [{{"index": 0, "delta": {{"content": "{says}{n}"}}}}]}}"#)))
            .collect();
        let stop = r#"{"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}"#;
        let usage = r#"{"object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 10}}"#;
        chunks.extend([event(stop), event(usage), event("[DONE]")]);
        Said { headers: "content-type: text/event-stream\r\n".to_owned(), chunks, pause_ms }
    })
}

const TOKENS: &str = "
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  answer: {format: openai}
  gates:
    - {name: pace, metric: time_per_output_token_p95, against: stable, margin: 50%}
    - {name: failures, metric: answer_error_rate, against: stable, margin: 2x}
  stages:
    - {weight: 50%, bake: 1h, deadline: 2h}
    - {weight: 100%, bake: 1s, deadline: 10s}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_is_slower_per_token_is_rolled_back() {
    let _core = a_core().await;
    let (stable, canary) = (model(tokens(4, "a")).await, model(tokens(40, "b")).await);
    let serin = Serin::start_at(stable, canary, EnvoyOptions::default()).await;
    let load = Load::start(LoadPlan { rate: 60.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin.apply(TOKENS).await;
    let view = serin.until("ranker", "the rollback", |view| view.is(PhaseName::RolledBack)).await;
    load.stop().await;
    assert!(
        view.reason().contains("gate pace: harm is proven: time_per_output_token_p95"),
        "{}",
        view.reason()
    );
}

/// Failures that come with 200 are told by the body alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_whose_answers_say_that_they_failed_is_rolled_back() {
    let _core = a_core().await;
    let stable = model(scores(8)).await;
    let failed: Says = Arc::new(|_| plain(JSON, br#"{"error": "no such feature"}"#.to_vec()));
    let canary = model(failed).await;
    let serin = Serin::start_at(stable, canary, EnvoyOptions::default()).await;
    let load = Load::start(LoadPlan { rate: 60.0, ..LoadPlan::to(serin.envoy().addr) }).expect("a load");
    serin
        .apply(
            &UNSURE
                .replace(
                    "confidence: {fromBody: /predictions/0/score}",
                    "answer: {failedWhen: [{at: /error}]}",
                )
                .replace(
                    "metric: confidence_mean, against: stable, margin: 2%",
                    "metric: answer_error_rate, against: stable, margin: 2x",
                ),
        )
        .await;
    let view = serin.until("ranker", "the rollback", |view| view.is(PhaseName::RolledBack)).await;
    load.stop().await;
    assert!(view.reason().contains("answer_error_rate is 100%"), "{}", view.reason());
}
