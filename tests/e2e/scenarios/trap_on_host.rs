//! A VM that traps under FAIL_RELOAD: what it costs, what comes back, what was never lost.

use std::sync::LazyLock;
use std::time::Duration;

use host::{Exchange, FailurePolicy, Module, Process, ProcessOptions, Request, Upstream};
use serde_json::json;
use split::{Arm, Cause};
use tally::{Class, Series, Slot, What};

use tests::{arms, policy, tools};

/// The filter with a request header that traps it.
pub static TRAPPING: LazyLock<Module> =
    LazyLock::new(|| Module::from_file(tools::wasm_trap()).expect("the filter that traps"));

const INTERVAL: Duration = Duration::from_secs(1);

fn ask(process: &mut Process, worker: usize) -> Exchange {
    process.request(worker, user(), Upstream::status(200)).expect("an exchange")
}

fn user() -> Request {
    Request::get("models.local", "/").header("x-user-id", "u1")
}

fn trap() -> Request {
    user().header("x-serin-test-trap", "1")
}

fn count(process: &Process, what: What) -> u64 {
    let series = Series { rollout: "ranker".to_owned(), version: "v2".to_owned(), arm: Arm::Canary, what };
    process.metrics().counter(&series.to_string())
}

#[test]
fn a_trapped_vm_comes_back_with_its_policy_and_no_counter_is_lost() {
    let options = ProcessOptions {
        workers: 2,
        failure_policy: FailurePolicy::Reload { base_interval: INTERVAL },
        ..ProcessOptions::default()
    };
    let mut process = Process::new(&TRAPPING, options).expect("a process");
    let policy = policy(7, json!({"arms": arms(1_000_000)}));
    assert!(process.configure(policy.to_string().as_bytes()).expect("a configuration").accepted);
    let (assigned, finished) = (
        What::Assigned(Cause::Weight, Some(Slot::at(7, 7))),
        What::Finished(Cause::Weight, Class::Ok, Some(Slot::at(7, 7))),
    );
    for worker in [0, 1, 0] {
        assert_eq!(ask(&mut process, worker).status(), Some(200));
    }
    assert_eq!((count(&process, assigned), count(&process, finished)), (3, 3));

    // One in flight on each worker when worker 0 traps.
    process.advance(INTERVAL).expect("time");
    let (lost, kept) =
        (process.open(0, user()).expect("a stream"), process.open(1, user()).expect("a stream"));
    let trapped = process.request(0, trap(), Upstream::status(200)).expect("an exchange");
    assert_eq!(trapped.status(), Some(503));
    assert!(trapped.failed.is_some());
    assert_eq!((process.traps().len(), process.vm_count()), (1, 2));
    for (stream, status) in [(lost, 503), (kept, 200)] {
        process.respond(stream, Upstream::status(200)).expect("an answer");
        assert_eq!(process.finish(stream).expect("an end").status(), Some(status));
    }
    assert_eq!(
        (count(&process, assigned), count(&process, finished)),
        (5, 4),
        "the one in flight has no end"
    );

    // The interval since the VM was loaded is over, so the next request brings it back, policy and all.
    let back = ask(&mut process, 0);
    assert_eq!((back.status(), back.request.text("x-serin-arm").as_deref()), (Some(200), Some("canary")));
    assert_eq!(back.response.expect("a response").text("x-serin-version").as_deref(), Some("v2"));
    assert_eq!((process.reloads().success, process.reloads().backoff, process.vm_count()), (1, 0, 3));
    assert_eq!(
        (count(&process, assigned), count(&process, finished)),
        (6, 5),
        "counted on from where it stood"
    );
    assert_eq!(process.metrics().gauge("serin_policy_generation"), Some(7));

    // A second trap at once: refused until the interval is over; the other worker never notices.
    process.request(0, trap(), Upstream::status(200)).expect("an exchange");
    for _ in 0..3 {
        let refused = ask(&mut process, 0);
        assert_eq!((refused.status(), refused.request.text("x-serin-arm")), (Some(503), None));
        assert_eq!(ask(&mut process, 1).status(), Some(200));
    }
    process.advance(INTERVAL - Duration::from_millis(1)).expect("time");
    assert_eq!(ask(&mut process, 0).status(), Some(503));
    process.advance(Duration::from_millis(1)).expect("time");
    assert_eq!(ask(&mut process, 0).status(), Some(200));
    assert_eq!((process.reloads().success, process.reloads().backoff, process.traps().len()), (2, 4, 2));
    assert_eq!((count(&process, assigned), count(&process, finished)), (10, 9));
}

/// A dead VM does not keep the process from newer policies, and a newer policy brings it back at once.
#[test]
fn a_push_revives_a_dead_vm() {
    let mut process = Process::new(&TRAPPING, ProcessOptions::default()).expect("a process");
    let at = |generation, weight| policy(generation, json!({"arms": arms(weight)})).to_string();
    assert!(process.configure(at(1, 1_000_000).as_bytes()).expect("a configuration").accepted);
    process.request(0, trap(), Upstream::status(200)).expect("an exchange");
    assert!(process.configure(at(2, 0).as_bytes()).expect("a configuration").accepted);
    assert_eq!(ask(&mut process, 0).request.text("x-serin-arm").as_deref(), Some("stable"));
}
