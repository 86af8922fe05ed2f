//! Policies that are not taken: stale, bad, bad as the very first.

use host::{Configured, Process, ProcessOptions, Request, Upstream};
use serde_json::{Value, json};

use super::on_host::FILTER;
use tests::{arms, policy};

fn process(options: ProcessOptions) -> Process {
    Process::new(&FILTER, ProcessOptions { workers: 2, ..options }).expect("a process")
}

fn push(process: &mut Process, policy: &Value) -> Configured {
    process.configure(policy.to_string().as_bytes()).expect("a configuration")
}

/// The routing header behind the filter, the same on both workers.
#[track_caller]
fn arm(process: &mut Process) -> Option<String> {
    let mut on = |worker| {
        let request = Request::get("models.local", "/").header("x-user-id", "u1");
        let exchange = process.request(worker, request, Upstream::status(200)).expect("an exchange");
        assert_eq!((exchange.failed, exchange.bypassed), (None, false));
        exchange.request.text("x-serin-arm")
    };
    let (first, second) = (on(0), on(1));
    assert_eq!(first, second, "the workers agree");
    first
}

fn at(generation: u64, canary_ppm: u32) -> Value {
    policy(generation, json!({"arms": arms(canary_ppm)}))
}

fn refused(process: &Process, reason: &str) -> u64 {
    process.metrics().counter(&tally::policy_refused(reason))
}

#[test]
fn a_stale_policy_is_ignored_and_counted() {
    let mut process = process(ProcessOptions::default());
    assert!(push(&mut process, &at(2, 1_000_000)).accepted);
    let of_the_past = policy(9, json!({"arms": arms(0), "incarnation": 0}));
    for (stale, counted) in [(at(1, 0), 1), (of_the_past, 2)] {
        let configured = push(&mut process, &stale);
        // Refusing would cost a worker whose turn comes late its VM.
        assert!(configured.accepted && configured.refused_by.is_empty(), "{configured:?}");
        assert!(configured.log.iter().any(|line| line.message.contains("stale")), "{configured:?}");
        assert_eq!(arm(&mut process).as_deref(), Some("canary"), "the newest stays in force");
        // Each VM that is asked counts it: the trial, the main thread's, two workers'.
        assert_eq!(refused(&process, "stale"), 4 * counted);
        assert_eq!(process.metrics().gauge("serin_policy_generation"), Some(2));
    }
    assert!(push(&mut process, &at(3, 0)).accepted);
    assert_eq!(arm(&mut process).as_deref(), Some("stable"), "a newer one is taken as ever");
    assert_eq!(refused(&process, "stale"), 8);
}

#[test]
fn a_bad_policy_is_refused_and_changes_nothing() {
    let mut process = process(ProcessOptions::default());
    assert!(push(&mut process, &at(1, 1_000_000)).accepted);
    for (bad, reason, says) in [
        (at(2, 1_000_001), "weight", "1000001"),
        (policy(3, json!({"weihgt": 1})), "malformed", "weihgt"),
        (json!("{"), "malformed", "policy"),
        (json!(null), "malformed", "policy"),
    ] {
        let before = refused(&process, reason);
        let configured = push(&mut process, &bad);
        assert!(!configured.accepted && configured.reason.is_some(), "{configured:?}");
        assert!(
            configured.log.iter().any(|line| line.message.contains(says)),
            "{says}: {:?}",
            configured.log
        );
        // Only the trial is asked; no worker ever sees it.
        assert_eq!(refused(&process, reason), before + 1);
        assert_eq!(arm(&mut process).as_deref(), Some("canary"));
    }
    assert_eq!(process.metrics().gauge("serin_policy_generation"), Some(1));
    assert!(push(&mut process, &at(4, 0)).accepted);
    assert_eq!(arm(&mut process).as_deref(), Some("stable"));
}

/// A refusal with nothing to fall back on would make Envoy answer 500.
#[test]
fn a_bad_policy_that_is_the_very_first_passes_through() {
    let mut process = process(ProcessOptions::default());
    let configured = push(&mut process, &at(1, 1_000_001));
    assert!(configured.accepted && configured.refused_by.is_empty(), "{configured:?}");
    assert!(configured.log.iter().any(|line| line.message.contains("passing through")), "{configured:?}");
    assert!(refused(&process, "weight") > 0);
    assert_eq!(arm(&mut process), None, "nothing is touched");
    assert!(push(&mut process, &at(2, 1_000_000)).accepted);
    assert_eq!(arm(&mut process).as_deref(), Some("canary"));
    assert!(
        !push(&mut process, &at(3, 1_000_001)).accepted,
        "from then on there is something to fall back on"
    );
    assert_eq!(arm(&mut process).as_deref(), Some("canary"));
}

/// As a manifest is checked before it is shipped: there a bad first policy must not pass.
#[test]
fn a_strict_vm_refuses_a_bad_policy_even_as_the_first() {
    let strict = ProcessOptions { vm_configuration: b"strict".to_vec(), ..ProcessOptions::default() };
    let mut process = process(strict);
    for bad in [at(1, 1_000_001), json!({"schema": 1})] {
        let configured = push(&mut process, &bad);
        assert!(!configured.accepted, "{configured:?}");
    }
    assert!(push(&mut process, &at(1, 1_000_000)).accepted);
    assert_eq!(arm(&mut process).as_deref(), Some("canary"));
}

#[test]
fn no_policy_at_all_passes_through() {
    let mut process = process(ProcessOptions::default());
    assert!(process.configure(b"").expect("a configuration").accepted);
    assert_eq!(arm(&mut process), None);
    assert_eq!(process.counters().len(), 0);
    assert!(!push(&mut process, &at(1, 1_000_001)).accepted, "passing through is something to fall back on");
    assert!(push(&mut process, &at(2, 1_000_000)).accepted);
    assert_eq!(arm(&mut process).as_deref(), Some("canary"));
}
