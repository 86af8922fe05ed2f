//! Metrics and shared data: one store for all VMs, older than any of them.

use super::{process_with, said};
use crate::{ProcessOptions, Request, Upstream};

fn two_workers() -> ProcessOptions {
    ProcessOptions { workers: 2, ..ProcessOptions::default() }
}

#[test]
fn counters_gauges_and_histograms() {
    let callbacks = r#"(data (i32.const 1024) "hits.arm=.=canary;.;levelms")
        (global $hits (mut i32) (i32.const 0))
        (global $level (mut i32) (i32.const 0))
        (global $ms (mut i32) (i32.const 0))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $define (i32.const 0) (i32.const 1024) (i32.const 20) (i32.const 16)))
          (global.set $hits (i32.load (i32.const 16)))
          (drop (call $define (i32.const 1) (i32.const 1044) (i32.const 5) (i32.const 16)))
          (global.set $level (i32.load (i32.const 16)))
          (drop (call $define (i32.const 2) (i32.const 1049) (i32.const 2) (i32.const 16)))
          (global.set $ms (i32.load (i32.const 16)))
          (i32.const 1))
        (func (export "proxy_on_log") (param i32)
          (call $note (call $increment (global.get $hits) (i64.const 2)))
          (call $note (call $increment (global.get $hits) (i64.const 0)))
          (call $note (call $increment (global.get $level) (i64.const 3)))
          (call $note (call $increment (global.get $level) (i64.const -1)))
          (call $note (call $record (global.get $ms) (i64.const 40)))
          (call $note (call $increment (global.get $ms) (i64.const 1)))
          (call $note (call $metric (global.get $ms) (i32.const 16)))
          (call $note (call $metric (global.get $hits) (i32.const 16)))
          (call $note (i32.load (i32.const 16)))
          (call $note (call $increment (i32.const 99) (i64.const 1)))
          (call $note (call $increment (i32.const 96) (i64.const 1)))
          (call $note (call $record (i32.const 99) (i64.const 1)))
          (call $note (call $define (i32.const 7) (i32.const 1024) (i32.const 4) (i32.const 16))))"#;
    let mut process = process_with(callbacks, two_workers(), "v1");
    let before = process.metrics();
    process.request(0, Request::bare(), Upstream::status(200)).unwrap();
    assert_eq!(said(&process).concat(), "0200022022112");
    process.request(1, Request::bare(), Upstream::status(200)).unwrap();
    assert_eq!(said(&process).concat(), "0200022042112", "the second worker counts on");
    let metrics = process.metrics();
    assert_eq!(metrics.counter("hits.arm=.=canary;.;"), 4);
    assert_eq!(
        metrics.counters_since(&before).into_iter().collect::<Vec<_>>(),
        [("hits.arm=.=canary;.;".into(), 4)]
    );
    assert_eq!(process.counters(), metrics.counters());
    assert_eq!((metrics.gauge("level"), metrics.gauges().len()), (Some(4), 1));
    assert_eq!(metrics.histogram("ms"), [40, 40]);
    assert_eq!((metrics.len(), metrics.counter("never")), (3, 0));
}

#[test]
fn shared_data_is_one_store_with_compare_and_swap() {
    // Says what is under "k" with its number, then writes "v": first with that number, then with a stale one.
    let callbacks = r#"(data (i32.const 1024) "kv")
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (i32.store (i32.const 16) (i32.const 0))
          (call $note (call $get_shared (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 4) (i32.const 16)))
          (call $note (i32.load (i32.const 16)))
          (call $note (call $set_shared (i32.const 1024) (i32.const 1) (i32.const 1025) (i32.const 1)
            (i32.load (i32.const 16))))
          (call $note (call $set_shared (i32.const 1024) (i32.const 1) (i32.const 1025) (i32.const 1)
            (i32.add (i32.load (i32.const 16)) (i32.const 7))))
          (i32.const 0))"#;
    let mut process = process_with(callbacks, two_workers(), "v1");
    process.request(0, Request::bare(), Upstream::status(200)).unwrap();
    assert_eq!(said(&process).concat(), "1008", "absent; written without a number; stale");
    process.request(1, Request::bare(), Upstream::status(200)).unwrap();
    assert_eq!(said(&process).concat(), "0108", "the other worker sees it");
    assert_eq!(process.shared_data("k").as_deref(), Some(&b"v"[..]));
    assert_eq!(process.shared_data("other"), None);
}
