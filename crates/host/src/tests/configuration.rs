//! Configuration pushes and ticks.

use std::time::Duration;

use super::{module, process, process_with, said};
use crate::{Error, Process, ProcessOptions, Request, Upstream, VmName};

/// Says its configuration, refuses one that begins with `n`, traps on one that begins with `t`; a root's streams say
/// the root's number. Tells of done and delete.
const ROOTS: &str = r#"(data (i32.const 1024) "donedelete")
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (drop (call $buffer (i32.const 7) (i32.const 0) (local.get 1) (i32.const 0) (i32.const 4)))
      (call $say)
      (if (i32.eq (i32.load8_u (i32.load (i32.const 0))) (i32.const 116)) (then (unreachable)))
      (i32.ne (i32.load8_u (i32.load (i32.const 0))) (i32.const 110)))
    (func (export "proxy_on_context_create") (param $context i32) (param $root i32)
      (if (local.get $root) (then (call $note (local.get $root)))))
    (func (export "proxy_on_done") (param i32) (result i32)
      (call $tell (i32.const 1024) (i32.const 4)) (i32.const 1))
    (func (export "proxy_on_delete") (param i32) (call $tell (i32.const 1028) (i32.const 6)))"#;

fn two_workers() -> ProcessOptions {
    ProcessOptions { workers: 2, ..ProcessOptions::default() }
}

#[test]
fn a_push_is_tried_first_and_then_given_to_every_vm() {
    let mut process = Process::new(&module(ROOTS), two_workers()).unwrap();
    assert!(matches!(process.open(0, Request::bare()), Err(Error::NotConfigured)));
    let configured = process.configure(b"alpha").unwrap();
    assert!(configured.accepted && !configured.unchanged && configured.refused_by.is_empty());
    let vms: Vec<VmName> = configured.log.iter().map(|line| line.vm).collect();
    assert_eq!(vms, [VmName::Trial, VmName::Main, VmName::Worker(0), VmName::Worker(1)]);
    assert_eq!(process.vm_count(), 3);
    let again = process.configure(b"alpha").unwrap();
    assert!(again.accepted && again.unchanged && again.log.is_empty());
}

#[test]
fn a_refused_push_leaves_the_old_one_in_force() {
    let mut process = process_with(ROOTS, two_workers(), "alpha");
    for (bad, why) in [("no", "proxy_on_configure returned false"), ("trap", "unreachable")] {
        let configured = process.configure(bad.as_bytes()).unwrap();
        assert!(!configured.accepted);
        assert!(configured.reason.as_deref().is_some_and(|reason| reason.contains(why)), "{configured:?}");
        assert_eq!(said(&process), [bad], "the trial VM alone");
        let exchange = process.request(0, Request::bare(), Upstream::status(200)).unwrap();
        assert_eq!(exchange.status(), Some(200));
        assert_eq!(said(&process), ["1", "done", "delete"]);
    }
}

#[test]
fn streams_in_flight_stay_on_the_root_they_began_with() {
    let mut process = process(ROOTS);
    let old = process.open(0, Request::bare()).unwrap();
    assert_eq!(said(&process), ["1"]);
    process.configure(b"beta").unwrap();
    assert_eq!(
        said(&process),
        ["beta", "beta", "done", "delete", "beta"],
        "the main thread's old root ends at once"
    );
    let new = process.open(0, Request::bare()).unwrap();
    assert_eq!(said(&process), ["3"]);
    process.respond(old, Upstream::status(200)).unwrap();
    process.finish(old).unwrap();
    assert_eq!(said(&process), ["done", "delete", "done", "delete"], "the stream's, then its root's");
    process.respond(new, Upstream::status(200)).unwrap();
    process.finish(new).unwrap();
    assert_eq!(said(&process), ["done", "delete"]);
}

#[test]
fn a_worker_that_refuses_what_the_trial_accepted_is_left_out() {
    // Accepts as long as the shared key is absent, and writes it.
    let callbacks = r#"(data (i32.const 1024) "kv")
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (call $get_shared (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 4) (i32.const 16))
          (drop (call $set_shared (i32.const 1024) (i32.const 1) (i32.const 1025) (i32.const 1) (i32.const 0))))"#;
    let mut process = Process::new(&module(callbacks), two_workers()).unwrap();
    let configured = process.configure(b"x").unwrap();
    assert!(configured.accepted);
    assert_eq!(configured.refused_by, [VmName::Main, VmName::Worker(0), VmName::Worker(1)]);
    let exchange = process.request(0, Request::get("x", "/"), Upstream::status(200)).unwrap();
    assert!(exchange.bypassed && exchange.status() == Some(200) && exchange.host_calls.total() == 0);
}

#[test]
fn ticks_run_on_every_vm_when_the_clock_says() {
    let callbacks = r#"
        (global $period (mut i32) (i32.const 100))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $tick (i32.const 100))) (i32.const 1))
        (func (export "proxy_on_tick") (param i32)
          (drop (call $time (i32.const 16)))
          (call $note (i32.wrap_i64 (i64.rem_u
            (i64.div_u (i64.load (i32.const 16)) (i64.const 100000000)) (i64.const 10))))
          ;; the third tick stops them
          (global.set $period (i32.add (global.get $period) (i32.const 100)))
          (drop (call $tick (select (i32.const 0) (global.get $period)
            (i32.gt_u (global.get $period) (i32.const 300))))))"#;
    let mut process = process_with(callbacks, two_workers(), "v1");
    process.advance(Duration::from_millis(99)).unwrap();
    assert!(said(&process).is_empty());
    process.advance(Duration::from_millis(1)).unwrap();
    assert_eq!(said(&process).concat(), "111");
    process.advance(Duration::from_secs(10)).unwrap();
    assert_eq!(said(&process).concat(), "333666", "after 200 ms, then after 300 ms, then never");
    assert_eq!(process.now() - ProcessOptions::default().now, Duration::from_millis(10_100));
}

#[test]
fn an_old_root_may_ask_for_time_to_end() {
    let callbacks = r#"(data (i32.const 1024) "delete")
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $tick (i32.const 100))) (i32.const 1))
        (func (export "proxy_on_done") (param i32) (result i32) (i32.const 0))
        (func (export "proxy_on_tick") (param i32) (call $note (call $done)))
        (func (export "proxy_on_delete") (param i32) (call $tell (i32.const 1024) (i32.const 6)))"#;
    let mut process =
        process_with(callbacks, ProcessOptions { workers: 0, ..ProcessOptions::default() }, "v1");
    process.advance(Duration::from_millis(100)).unwrap();
    assert_eq!(said(&process), ["1"], "nothing to end");
    process.configure(b"v2").unwrap();
    assert!(said(&process).is_empty());
    process.advance(Duration::from_millis(100)).unwrap();
    assert_eq!(said(&process), ["0", "delete", "1"]);
}
