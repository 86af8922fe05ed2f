use std::net::Ipv4Addr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;

use super::*;
use crate::load::{Ledger, Load, LoadPlan, Protocol};
use crate::model::{ModelKind, Outcome};

async fn start(behaviour: Behaviour) -> ModelServer {
    ModelServer::start((Ipv4Addr::LOCALHOST, 0).into(), behaviour).await.unwrap()
}

/// Sends one request and gives status, headers, body and trailers.
async fn send(
    server: &ModelServer,
    http2: bool,
    request: http::request::Builder,
    body: &str,
) -> (StatusCode, HeaderMap, String, Option<HeaderMap>) {
    let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http::<Full<Bytes>>();
    let mut request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    *request.uri_mut() = format!("http://{}{}", server.addr(), request.uri().path()).parse().unwrap();
    let (head, body) = client.request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned();
    (head.status, head.headers, String::from_utf8(body.to_bytes().to_vec()).unwrap(), trailers)
}

#[tokio::test]
async fn a_prediction_tells_version_and_confidence() {
    let server = start(Behaviour::plain("v1")).await;
    for http2 in [false, true] {
        let request =
            Request::post("/v1/predict").header("x-request-id", "a").header("x-serin-arm", "canary");
        let (status, headers, body, _) = send(&server, http2, request, "{}").await;
        assert_eq!(status, 200);
        assert_eq!(headers["x-model-version"], "v1");
        let confidence: f64 = headers["x-model-confidence"].to_str().unwrap().parse().unwrap();
        assert!((0.0..=1.0).contains(&confidence));
        let prediction: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(prediction["prediction"].is_f64() && prediction["label"].is_string(), "{body}");
    }
    let arrivals = server.log().arrivals();
    assert_eq!(arrivals.len(), 2);
    assert_eq!((&*arrivals[0].request_id, arrivals[0].arm.as_deref()), ("a", Some("canary")));
    assert_eq!(arrivals[0].outcome, Outcome::Answered { status: 200, grpc: None });
}

#[tokio::test]
async fn a_chat_is_answered_whole_or_in_parts() {
    let chatty = Behaviour { token_ms: 0.01, tokens_mean: 40.0, ..Behaviour::plain("v1") };
    for (refusal_share, member) in [(0.0, "content"), (1.0, "refusal")] {
        let server = start(Behaviour { refusal_share, ..chatty.clone() }).await;
        let ask = || Request::post(ModelKind::Chat.path()).header("x-request-id", "a");
        let (status, headers, body, _) = send(&server, false, ask(), "{}").await;
        assert_eq!(
            (status.as_u16(), &headers["content-type"]),
            (200, &HeaderValue::from_static("application/json"))
        );
        let whole: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(whole["choices"][0]["message"][member].is_string(), "{body}");
        let tokens = whole["usage"]["completion_tokens"].as_u64().unwrap();
        let (_, headers, body, _) = send(&server, true, ask(), &ModelKind::Chat.question(7)).await;
        assert_eq!(headers["content-type"], "text/event-stream");
        let events: Vec<&str> = body.split_terminator("\n\n").collect();
        // Five parts, why it ended, its tokens, and the end.
        assert_eq!((events.len(), events[7]), (8, "data: [DONE]"), "{body}");
        let event = |at: usize| {
            serde_json::from_str::<serde_json::Value>(events[at].strip_prefix("data: ").unwrap()).unwrap()
        };
        assert!((0..5).all(|at| event(at)["choices"][0]["delta"][member].is_string()), "{body}");
        assert_eq!(event(5)["choices"][0]["finish_reason"], "stop");
        assert_eq!(event(6)["usage"]["completion_tokens"], tokens, "the same question has the same answer");
    }
}

#[tokio::test]
async fn the_parts_of_a_chat_come_at_the_pace_of_its_tokens() {
    let slow = Behaviour { token_ms: 20.0, tokens_mean: 20.0, ..Behaviour::plain("v1") };
    let server = start(slow.clone()).await;
    let tokens = slow.draw("a").tokens;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::post(format!("http://{}{}", server.addr(), ModelKind::Chat.path()))
        .header("x-request-id", "a")
        .body(Full::new(Bytes::from(ModelKind::Chat.question(7))))
        .unwrap();
    let asked = tokio::time::Instant::now();
    let body = client.request(request).await.unwrap().into_body();
    body.collect().await.unwrap();
    // No more is said: a busy machine may take longer, and never less.
    assert!(
        asked.elapsed() >= Duration::from_millis(18) * tokens,
        "{tokens} tokens in {:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn grpc_gets_its_status_in_the_trailers() {
    let server = start(Behaviour::plain("v1")).await;
    let request = || Request::post("/models.Ranker/Predict").header("content-type", "application/grpc");
    let (status, headers, body, trailers) = send(&server, true, request(), "").await;
    assert_eq!(
        (status.as_u16(), &headers["content-type"]),
        (200, &HeaderValue::from_static("application/grpc"))
    );
    assert_eq!(body.as_bytes()[..5], [0, 0, 0, 0, u8::try_from(body.len() - 5).unwrap()]);
    assert_eq!(trailers.unwrap()["grpc-status"], "0");

    server.set(Behaviour { error_share: 1.0, ..Behaviour::plain("v1") }).unwrap();
    let (status, headers, body, trailers) = send(&server, true, request(), "").await;
    assert_eq!((status.as_u16(), body.as_str()), (200, ""));
    assert_eq!(headers["x-model-version"], "v1");
    assert_eq!(trailers.unwrap()["grpc-status"], "13");
    assert!(server.log().arrivals()[1].outcome.is_server_failure());
}

#[tokio::test]
async fn a_deploy_changes_the_version() {
    let server = start(Behaviour::healthy("v1", 7)).await;
    let (_, _, body, _) = send(&server, false, Request::get("/version"), "").await;
    assert_eq!(body, "{\"version\":\"v1\"}");
    let deploy = |version: &str| format!("{{\"rollout\":\"ranker\",\"from\":\"v1\",\"to\":\"{version}\"}}");
    let (status, ..) = send(&server, false, Request::post("/admin/version"), &deploy("v2")).await;
    assert_eq!(status, 200);
    assert_eq!(server.behaviour(), Behaviour::healthy("v2", 7));
    let (_, headers, body, _) = send(&server, false, Request::get("/version"), "").await;
    assert_eq!(
        (body.as_str(), &headers["x-model-version"]),
        ("{\"version\":\"v2\"}", &HeaderValue::from_static("v2"))
    );

    let (status, _, body, _) = send(&server, false, Request::post("/admin/version"), &deploy("v 3")).await;
    assert_eq!(status, 400);
    assert!(body.contains("use 1 to 63 letters"), "{body}");
    let (status, _, body, _) =
        send(&server, false, Request::post("/admin/behaviour"), "{\"eror_share\":1}").await;
    assert_eq!(status, 400);
    assert!(body.contains("unknown field `eror_share`"), "{body}");
    assert_eq!(server.behaviour(), Behaviour::healthy("v2", 7), "what is refused changes nothing");
    assert!(server.log().is_empty(), "only predictions are logged");
}

#[tokio::test]
async fn a_hanging_model_answers_nobody_until_they_give_up() {
    let server = start(Behaviour { hang_share: 1.0, ..Behaviour::plain("v2") }).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let timeout = Duration::from_millis(50);
        let plan = LoadPlan { protocol, timeout, requests: Some(3), ..LoadPlan::to(server.addr()) };
        let records = Load::start(plan).unwrap().wait().await;
        assert_eq!(records.len(), 3);
        assert!(records.iter().all(|record| record.failed() && record.model_version.is_none()));
        let totals = Ledger::new(&records, &[], &server.log().arrivals()).totals();
        assert_eq!((totals.failed_seen, totals.failed_by_us), (3, 0), "{totals:?}");
    }
    // The server notices that its clients left: each request is closed, still as hung.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while server.log().with(|arrivals| arrivals.iter().any(|arrival| arrival.finished_ns.is_none())) {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", server.log().arrivals());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(server.log().arrivals().iter().all(|arrival| arrival.outcome == Outcome::Hung));
}

/// Load straight onto one server: every request is recorded once on both sides, and both agree on the outcome of it.
#[track_caller]
fn check_agreement(records: &[crate::load::Record], server: &ModelServer, behaviour: &Behaviour) {
    let arrivals = server.log().arrivals();
    let totals = Ledger::new(records, &arrivals, &[]).totals();
    assert_eq!((totals.total, totals.stable, arrivals.len()), (300, 300, 300), "{totals:?}");
    assert_eq!((totals.failed_by_us, totals.mis_tagged, totals.untagged), (0, 0, 300), "{totals:?}");
    for record in records {
        let expected = if behaviour.draw(&record.request_id).fate == Fate::Answer { 200 } else { 500 };
        assert_eq!(record.result, Ok(expected));
        assert_eq!(record.model_version.as_deref(), Some("v1"));
    }
}

#[tokio::test]
async fn client_and_server_agree() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let behaviour = Behaviour { error_share: 0.2, ..Behaviour::healthy("v1", 2) };
        let server = start(behaviour.clone()).await;
        let plan = LoadPlan { protocol, rate: 1_000.0, requests: Some(300), ..LoadPlan::to(server.addr()) };
        let records = Load::start(plan).unwrap().wait().await;
        check_agreement(&records, &server, &behaviour);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_our_failure() {
    let server = start(Behaviour::plain("v1")).await;
    let addr = server.addr();
    drop(server);
    let records = Load::start(LoadPlan { requests: Some(2), ..LoadPlan::to(addr) }).unwrap().wait().await;
    let totals = Ledger::new(&records, &[], &[]).totals();
    assert_eq!((totals.failed_by_us, totals.unserved), (2, 2), "{totals:?}");
}

#[tokio::test]
async fn a_rate_that_is_none_is_refused() {
    let addr = (Ipv4Addr::LOCALHOST, 1).into();
    let refused = Load::start(LoadPlan { rate: 0.0, ..LoadPlan::to(addr) }).unwrap_err();
    assert_eq!(refused, "rate is 0; it must be above 0 and at most 100000 requests/s");
}

/// A request of which a body of 100 bytes is said and less is sent, or more than a megabyte.
#[track_caller]
fn check_body(outcome: Outcome, failure: bool) {
    assert_eq!(outcome.is_server_failure(), failure, "{outcome:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_the_model_s_failure_and_one_too_large_is() {
    use tokio::io::AsyncWriteExt;
    let server = start(Behaviour::plain("v1")).await;
    let mut client = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    let head = "POST /v1/predict HTTP/1.1\r\nhost: a\r\nx-request-id: a\r\ncontent-length: 100\r\n\r\nfew";
    client.write_all(head.as_bytes()).await.unwrap();
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    let logged = |outcome: fn(Outcome) -> bool| {
        server.log().with(|all| all.first().is_some_and(|arrival| outcome(arrival.outcome)))
    };
    let wait = async |outcome: fn(Outcome) -> bool| {
        while !logged(outcome) {
            assert!(tokio::time::Instant::now() < until, "{:?}", server.log().arrivals());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    wait(|outcome| outcome == Outcome::Open).await;
    drop(client);
    wait(|outcome| outcome != Outcome::Open).await;
    check_body(server.log().arrivals()[0].outcome, false);

    let request = Request::post("/v1/predict").header("x-request-id", "b");
    let (status, ..) = send(&server, true, request, &"x".repeat(MAX_BODY_BYTES + 1)).await;
    assert_eq!(status, 413);
    check_body(server.log().arrivals()[1].outcome, true);
}

#[tokio::test]
async fn told_to_stop_it_answers_what_is_under_way_and_ends() {
    let slow = Behaviour { latency_median_ms: 300.0, ..Behaviour::plain("v1") };
    let server = start(slow).await;
    let (addr, log) = (server.addr(), server.log().clone());
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::get(format!("http://{addr}/predict")).body(Full::default()).unwrap();
    let asked = tokio::spawn(client.request(request));
    while log.arrivals().is_empty() {
        tokio::task::yield_now().await;
    }
    server.serve_until(std::future::ready(()), Duration::from_secs(60)).await;
    assert_eq!(asked.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn what_hangs_has_its_grace_and_no_more() {
    let server = start(Behaviour { hang_share: 1.0, ..Behaviour::plain("v1") }).await;
    let (addr, log) = (server.addr(), server.log().clone());
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::get(format!("http://{addr}/predict")).body(Full::default()).unwrap();
    let asked = tokio::spawn(client.request(request));
    while log.arrivals().is_empty() {
        tokio::task::yield_now().await;
    }
    server.serve_until(std::future::ready(()), Duration::from_millis(50)).await;
    assert!(asked.await.unwrap().is_err());
}
