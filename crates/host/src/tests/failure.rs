//! Traps, what Envoy does after them, and functions this host leaves out.

use std::time::Duration;

use super::{process, process_with, said};
use crate::{Error, FailurePolicy, ProcessOptions, Reloads, Request, Upstream, VmName};

/// Counts every request that gets through, and traps on header `b`: in request headers, or in the log when it is
/// the response that has it.
const BOOM: &str = r#"(data (i32.const 1024) "bcount")
    (global $count (mut i32) (i32.const 0))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (drop (call $define (i32.const 0) (i32.const 1025) (i32.const 5) (i32.const 16)))
      (global.set $count (i32.load (i32.const 16)))
      (i32.const 1))
    (func $boom_if (param $map i32)
      (if (i32.eqz (call $header (local.get $map) (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 4)))
        (then (unreachable))))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (call $boom_if (i32.const 0)) (i32.const 0))
    (func (export "proxy_on_log") (param i32)
      (drop (call $increment (global.get $count) (i64.const 1)))
      (call $boom_if (i32.const 2)))"#;

fn good() -> Request {
    Request::get("x", "/")
}

fn bad() -> Request {
    good().header("b", "1")
}

#[test]
fn a_trap_costs_the_request_and_those_in_flight_on_that_vm() {
    let options = ProcessOptions { workers: 2, ..ProcessOptions::default() };
    let mut process = process_with(BOOM, options, "v1");
    let (before_headers, after_headers) =
        (process.open(0, good()).unwrap(), process.open(0, good()).unwrap());
    let elsewhere = process.open(1, good()).unwrap();
    process.respond(after_headers, Upstream::status(200)).unwrap();
    let exchange = process.request(0, bad(), Upstream::status(200)).unwrap();
    assert_eq!(exchange.status(), Some(503));
    let why = exchange.failed.unwrap();
    assert!(why.contains("trap in proxy_on_request_headers") && why.contains("wasm backtrace"), "{why}");
    process.respond(before_headers, Upstream::status(200)).unwrap();
    assert_eq!(process.finish(before_headers).unwrap().status(), Some(503));
    let sent_already = process.finish(after_headers).unwrap();
    assert_eq!((sent_already.status(), sent_already.failed.is_some()), (Some(200), true));
    process.respond(elsewhere, Upstream::status(200)).unwrap();
    assert_eq!(process.finish(elsewhere).unwrap().failed, None);
    assert_eq!(process.metrics().counter("count"), 1, "neither of the first worker's was logged");
    assert_eq!(process.traps().iter().map(|trap| trap.vm).collect::<Vec<_>>(), [VmName::Worker(0)]);
}

#[test]
fn reload_brings_the_vm_back_at_most_once_per_interval_and_counters_go_on() {
    let mut process = process_with(BOOM, ProcessOptions::default(), "v1");
    let mut status = |request: Request, wait: u64| {
        process.advance(Duration::from_millis(wait)).unwrap();
        process.request(0, request, Upstream::status(200)).unwrap().status()
    };
    assert_eq!(status(good(), 0), Some(200));
    assert_eq!(status(bad(), 2000), Some(503));
    assert_eq!(status(good(), 0), Some(200), "back at once: the last load was two seconds ago");
    assert_eq!(status(bad(), 10), Some(503));
    assert_eq!(status(good(), 500), Some(503), "loaded 510 ms ago");
    assert_eq!(status(good(), 490), Some(200));
    assert_eq!(process.reloads(), Reloads { success: 2, failure: 0, backoff: 1 });
    assert_eq!(process.metrics().counter("count"), 3);
}

#[test]
fn a_trap_in_the_log_comes_after_the_answer() {
    let mut process = process(BOOM);
    let answer = crate::Answer::status(200).header("b", "1");
    let exchange = process.request(0, good(), answer).unwrap();
    assert_eq!((exchange.status(), exchange.failed.is_some()), (Some(200), true));
    assert_eq!(process.metrics().counter("count"), 1);
}

#[track_caller]
fn check_policy(policy: FailurePolicy, after_trap: Option<u16>, bypassed: bool) {
    let options = ProcessOptions { failure_policy: policy, ..ProcessOptions::default() };
    let mut process = process_with(BOOM, options, "v1");
    assert_eq!(process.request(0, bad(), Upstream::status(200)).unwrap().status(), Some(503));
    process.advance(Duration::from_secs(3600)).unwrap();
    let exchange = process.request(0, good(), Upstream::status(200)).unwrap();
    assert_eq!((exchange.status(), exchange.bypassed), (after_trap, bypassed));
    process.configure(b"v1").unwrap();
    let exchange = process.request(0, good(), Upstream::status(200)).unwrap();
    assert_eq!(
        (exchange.status(), exchange.bypassed),
        (after_trap, bypassed),
        "the same configuration changes nothing"
    );
    process.configure(b"v2").unwrap();
    let exchange = process.request(0, good(), Upstream::status(200)).unwrap();
    assert_eq!((exchange.status(), exchange.bypassed), (Some(200), false), "a changed one revives the VM");
}

#[test]
fn closed_and_open_hold_until_a_changed_configuration() {
    check_policy(FailurePolicy::Closed, Some(503), false);
    check_policy(FailurePolicy::Open, Some(200), true);
}

#[test]
fn a_function_left_out_stops_the_test_by_name() {
    let grpc = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $grpc_call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
          (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))"#;
    let error = process(grpc).request(0, good(), Upstream::status(200)).unwrap_err();
    assert!(matches!(error, Error::Unimplemented { .. }));
    assert_eq!(
        error.to_string(),
        "proxy_grpc_call is not implemented by this host (called in proxy_on_request_headers)"
    );
    let foreign = r#"(data (i32.const 1024) "compress")
        (func (export "proxy_on_log") (param i32)
        (drop (call $foreign (i32.const 1024) (i32.const 8) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4))))"#;
    let error = process(foreign).request(0, good(), Upstream::status(200)).unwrap_err();
    assert!(error.to_string().starts_with("foreign function compress is not implemented"), "{error}");
}

#[test]
fn a_trap_in_a_tick_is_kept_and_cancels_the_vms_calls() {
    let callbacks = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $tick (i32.const 100))) (i32.const 1))
        (func (export "proxy_on_tick") (param i32) (unreachable))"#;
    let mut process = process(callbacks);
    process.advance(Duration::from_secs(1)).unwrap();
    assert_eq!(process.traps().len(), 2, "the main thread's VM and the worker's, once each");
    assert!(process.http_calls().is_empty() && process.vm_count() == 0);
    assert!(said(&process).is_empty());
}
