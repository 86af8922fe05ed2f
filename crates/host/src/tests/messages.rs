//! Messages through the filter: bytes, bodies, pauses, answers of the filter's own, calls elsewhere.

use std::time::Duration;

use super::{process, process_with, said};
use crate::{Answer, CallAnswer, Callback, Error, Headers, ProcessOptions, Request, Upstream};

/// Copies header `a` of the request to header `b`.
const COPY: &str = r#"(data (i32.const 1024) "ab")
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (drop (call $header (i32.const 0) (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 4)))
      (drop (call $replace (i32.const 0) (i32.const 1025) (i32.const 1)
        (i32.load (i32.const 0)) (i32.load (i32.const 4))))
      (i32.const 0))"#;

#[test]
fn header_bytes_pass_unchanged_and_a_write_replaces_every_copy() {
    let mut process = process(COPY);
    let request = Request::bare().header("A", b"a\xff\xfeb".to_vec()).header("b", "1").header("B", "2");
    let exchange = process.request(0, request, Upstream::status(200)).unwrap();
    assert_eq!(exchange.request.all("b").collect::<Vec<_>>(), [b"a\xff\xfeb"]);
    assert_eq!(exchange.request.get("a"), Some(&b"a\xff\xfeb"[..]));
    assert_eq!(exchange.status(), Some(200));
}

#[test]
fn every_header_at_once() {
    let callbacks = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (call $note (local.get 1))
          (call $note (call $pairs (i32.const 0) (i32.const 0) (i32.const 4)))
          (call $note (call $set_pairs (i32.const 0) (i32.load (i32.const 0)) (i32.load (i32.const 4))))
          (i32.const 0))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
          (call $note (call $pairs (i32.const 0) (i32.const 0) (i32.const 4)))
          (call $note (i32.load (i32.const 4)))
          (i32.const 0))"#;
    let mut process = process(callbacks);
    let request = Request::get("x", "/").header("k", b"\xff".to_vec()).header("k", "");
    let sent = request.headers.clone();
    let exchange = process.request(0, request, Upstream::status(200)).unwrap();
    assert_eq!(exchange.request, sent);
    assert_eq!(said(&process), ["6", "0", "0", "0", "0"]);
}

#[test]
fn malformed_pairs_are_an_empty_map() {
    let good = Headers::from([("a", "1"), ("b", "")]);
    let bytes = good.encode();
    assert_eq!(Headers::decode(&bytes), good);
    for cut in 0..bytes.len() {
        assert!(Headers::decode(&bytes[..cut]).is_empty(), "{cut}");
    }
    assert!(Headers::decode(&[255, 255, 255, 255]).is_empty());
}

#[test]
fn memory_beyond_the_end_is_refused_with_its_own_status() {
    let callbacks = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $note (call $header (i32.const 0) (i32.const -8) (i32.const 4) (i32.const 0) (i32.const 4)))
        (call $note (call $header (i32.const 0) (i32.const -8) (i32.const 64) (i32.const 0) (i32.const 4)))
        (call $note (call $time (i32.const -2)))
        (i32.const 0))"#;
    let mut process = process(callbacks);
    process.request(0, Request::bare(), Upstream::status(200)).unwrap();
    assert_eq!(said(&process), ["6", "6", "6"]);
}

/// Says each chunk of the response body; pauses in headers and body as the two digits of the configuration say.
const BODY: &str = r#"(data (i32.const 1024) "done")
    (global $end (mut i32) (i32.const 0))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
      (drop (call $buffer (i32.const 1) (i32.const 0) (i32.const 100) (i32.const 0) (i32.const 4)))
      (call $say)
      (if (local.get 2) (then
        (call $note (call $replace (i32.const 2) (i32.const 1024) (i32.const 4) (i32.const 1024) (i32.const 4)))))
      (i32.eqz (local.get 2)))"#;

fn chunked() -> Answer {
    Answer { body: vec![b"one ".to_vec(), b"two ".to_vec(), b"three".to_vec()], ..Answer::status(200) }
}

#[test]
fn a_paused_response_is_buffered_when_the_plugin_may_stop_at_headers() {
    let options = ProcessOptions { allow_on_headers_stop_iteration: true, ..ProcessOptions::default() };
    let mut process = process_with(BODY, options, "v1");
    let exchange = process.request(0, Request::get("x", "/"), chunked()).unwrap();
    assert_eq!(said(&process), ["one ", "one two ", "one two three", "one two three", "0"]);
    assert_eq!(exchange.response.unwrap().text("done").as_deref(), Some("done"));
    assert_eq!(exchange.paused, None);
}

#[test]
fn without_that_permission_a_pause_at_headers_hangs() {
    let mut process = process(BODY);
    let stream = process.open(0, Request::get("x", "/")).unwrap();
    process.respond(stream, chunked()).unwrap();
    assert!(said(&process).is_empty());
    let exchange = process.finish(stream).unwrap();
    assert_eq!(exchange.paused, Some(Callback::ResponseHeaders));
}

#[test]
fn observed_chunks_come_one_by_one() {
    let callbacks = r#"(func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
          (call $note (local.get 1)) (call $note (local.get 2)) (i32.const 0))
        (func (export "proxy_on_request_trailers") (param i32 i32) (result i32)
          (call $note (local.get 1)) (i32.const 0))"#;
    let mut process = process(callbacks);
    let body = vec![b"abc".to_vec(), b"de".to_vec()];
    let request = Request { body: body.clone(), ..Request::get("x", "/") };
    process.request(0, request, Upstream::status(200)).unwrap();
    assert_eq!(said(&process).concat(), "302001", "an empty part ends it");
    let trailers = Some(Headers::from([("t", "1")]));
    let request = Request { body, trailers, ..Request::get("x", "/") };
    process.request(0, request, Upstream::status(200)).unwrap();
    assert_eq!(said(&process).concat(), "30201", "unless trailers do");
}

#[test]
fn a_reply_of_the_filters_own_passes_its_response_callback() {
    let callbacks = r#"(data (i32.const 1024) "go away")
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (drop (call $reply (i32.const 429) (i32.const 1024) (i32.const 2) (i32.const 1024) (i32.const 7)
            (i32.const 0) (i32.const 0) (i32.const -1)))
          (i32.const 0))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
          (call $note (i32.const 9))
          (drop (call $replace (i32.const 2) (i32.const 1024) (i32.const 2) (i32.const 1024) (i32.const 7)))
          (i32.const 0))"#;
    let mut process = process(callbacks);
    let request = Request { body: vec![b"never seen".to_vec()], ..Request::get("x", "/") };
    let exchange = process.request(0, request, Upstream::status(200)).unwrap();
    assert_eq!(exchange.status(), Some(429));
    assert_eq!(exchange.response.as_ref().unwrap().text("go").as_deref(), Some("go away"));
    assert_eq!(exchange.local_reply.unwrap().details, "go");
    assert_eq!(said(&process), ["9"]);
}

/// Calls out from request headers, pauses, and goes on when the answer is there.
const ASK: &str = r#"
    (data (i32.const 1024) "serin")
    (data (i32.const 1040) "other")
    ;; three pairs: :method GET, :path /, :authority x
    (data (i32.const 1100) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00x\00")
    (global $stream (mut i32) (i32.const 0))
    (func $ask (param $cluster i32) (param $size i32) (result i32)
      (call $http_call (local.get $cluster) (i32.const 5) (i32.const 1100) (local.get $size)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 250) (i32.const 16)))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (global.set $stream (local.get 0))
      (call $note (call $ask (i32.const 1040) (i32.const 61)))
      (call $note (call $ask (i32.const 1024) (i32.const 0)))
      (call $note (call $ask (i32.const 1024) (i32.const 61)))
      (i32.const 1))
    (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
      (call $note (local.get 2))
      (if (local.get 3) (then
        (drop (call $buffer (i32.const 4) (i32.const 0) (local.get 3) (i32.const 0) (i32.const 4)))
        (call $say)))
      (drop (call $effective (global.get $stream)))
      (drop (call $continue (i32.const 0))))"#;

#[test]
fn a_call_is_recorded_and_its_answer_goes_to_the_filter() {
    let mut process = process(ASK);
    let stream = process.open(0, Request::get("x", "/")).unwrap();
    assert_eq!(said(&process), ["2", "2", "0"], "unknown cluster, missing pseudo-headers, sent");
    let why = process.respond(stream, Upstream::status(200)).unwrap_err().to_string();
    assert!(why.contains("the filter holds the request back"), "{why}");
    let [call] = process.http_calls().try_into().unwrap();
    assert_eq!((call.cluster.as_str(), call.headers.text(":authority").as_deref()), ("serin", Some("x")));
    process.answer(call.id, CallAnswer::response(200, "yes")).unwrap();
    assert_eq!(said(&process), ["1", "yes"]);
    process.respond(stream, Upstream::status(200)).unwrap();
    let exchange = process.finish(stream).unwrap();
    assert_eq!((exchange.status(), exchange.paused), (Some(200), None));
    assert!(matches!(process.answer(call.id, CallAnswer::Reset), Err(Error::NoSuchCall(_))));
}

#[test]
fn an_unanswered_call_times_out_on_the_clock() {
    let mut process = process(ASK);
    process.open(0, Request::get("x", "/")).unwrap();
    said(&process);
    process.advance(Duration::from_millis(249)).unwrap();
    assert!(said(&process).is_empty());
    process.advance(Duration::from_millis(1)).unwrap();
    assert_eq!(said(&process), ["1", "upstream request timeout"]);
    process.open(0, Request::get("x", "/")).unwrap();
    said(&process);
    let [call] = process.http_calls().try_into().unwrap();
    process.answer(call.id, CallAnswer::Reset).unwrap();
    assert_eq!(said(&process), ["0"]);
}

#[test]
fn steps_out_of_order_are_named() {
    let mut process = process("");
    let stream = process.open(0, Request::get("x", "/")).unwrap();
    let why = process.finish(stream).unwrap_err().to_string();
    assert!(why.contains("no answer yet"), "{why}");
    process.respond(stream, Upstream::status(200)).unwrap();
    let why = process.respond(stream, Upstream::status(200)).unwrap_err().to_string();
    assert!(why.contains("has its answer"), "{why}");
    process.finish(stream).unwrap();
    assert!(matches!(process.finish(stream), Err(Error::NoSuchStream(_))));
    assert!(matches!(process.open(7, Request::bare()), Err(Error::NoSuchWorker { worker: 7, workers: 1 })));
}

#[test]
fn envoys_own_answers_speak_grpc_to_grpc_clients() {
    let mut process = process("");
    let request = Request::get("x", "/").header("content-type", "application/grpc+proto");
    let response = process.request(0, request, Upstream::timeout()).unwrap().response.unwrap();
    assert_eq!(
        (response.text(":status").unwrap(), response.text("grpc-status").unwrap()),
        ("200".into(), "14".into())
    );
    let exchange = process.request(0, Request::get("x", "/"), Upstream::timeout()).unwrap();
    assert_eq!(exchange.status(), Some(504));
}

#[test]
fn filter_state_and_route_clearing_are_seen() {
    let callbacks = r#"(data (i32.const 1024) "armcanaryclear_route_cachefilter_state\00wasm.arm")
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (call $note (call $set_property (i32.const 1024) (i32.const 3) (i32.const 1027) (i32.const 6)))
          (call $note (call $foreign (i32.const 1033) (i32.const 17) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 4)))
          (call $note (call $property (i32.const 1050) (i32.const 21) (i32.const 0) (i32.const 4)))
          (call $say)
          (call $note (call $foreign (i32.const 1024) (i32.const 3) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 4)))
          (i32.const 0))"#;
    let mut process = process(callbacks);
    let exchange = process.request(0, Request::bare(), Upstream::status(200)).unwrap();
    assert_eq!(said(&process), ["0", "0", "0", "canary", "1"]);
    assert_eq!(exchange.route_clears, 1);
    assert_eq!(exchange.filter_state["arm"], b"canary");
}

#[test]
fn host_calls_are_listed_by_callback_and_name() {
    let mut process = process(COPY);
    let before = process.host_calls();
    let exchange = process.request(0, Request::bare().header("a", "1"), Upstream::status(200)).unwrap();
    assert_eq!(exchange.host_calls, process.host_calls().since(&before));
    let listed: Vec<_> = exchange.host_calls.iter().collect();
    assert_eq!(
        listed,
        [
            (Callback::RequestHeaders, "proxy_get_header_map_value", 1),
            (Callback::RequestHeaders, "proxy_replace_header_map_value", 1),
        ]
    );
    assert_eq!(exchange.host_calls.within(Callback::RequestHeaders), 2);
    assert_eq!(exchange.host_calls.of("proxy_get_header_map_value"), 1);
    assert!(exchange.host_calls.to_string().ends_with("  2"), "{}", exchange.host_calls);
}
