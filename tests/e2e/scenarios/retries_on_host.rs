//! Requests that took more than one try, as the filter counts them.

use host::{Answer, Module, Process, ProcessOptions, Request};
use serde_json::json;
use split::Arm;
use tally::{Series, What};

use tests::{arms, policy, tools};

#[test]
fn a_request_of_many_tries_is_one_that_was_retried() {
    let module = Module::from_file(tools::wasm()).expect("the filter");
    let mut process = Process::new(&module, ProcessOptions::default()).expect("a process");
    let policy = |generation, epoch, canary_ppm| {
        let mut policy = policy(generation, json!({"arms": arms(canary_ppm)}));
        policy["rollouts"][0]["epoch"] = json!(epoch);
        policy.to_string()
    };
    let configured = |process: &mut Process, text: String| {
        assert!(process.configure(text.as_bytes()).expect("a configuration").accepted);
    };
    configured(&mut process, policy(7, 7, 1_000_000));
    let user = || Request::get("models.local", "/").header("x-user-id", "u1");
    let ask = |process: &mut Process, answer: Answer| {
        process.request(0, user(), answer).expect("an exchange");
    };
    let retried = |process: &Process, version: &str, arm| {
        let what = What::Retried;
        let series = Series { rollout: "ranker".to_owned(), version: version.to_owned(), arm, what };
        process.metrics().counter(&series.to_string())
    };
    for tries in [1, 2, 5, 1] {
        ask(&mut process, Answer::status(200).tries(tries));
    }
    // What fails after all its tries, too.
    ask(&mut process, Answer::status(503).tries(3));
    assert_eq!(retried(&process, "v2", Arm::Canary), 3);
    // One that was assigned before the weights changed is of another age.
    let open = process.open(0, user()).expect("a stream");
    configured(&mut process, policy(8, 8, 0));
    process.respond(open, Answer::status(200).tries(2)).expect("an answer");
    process.finish(open).expect("an end");
    ask(&mut process, Answer::status(200).tries(2));
    assert_eq!(retried(&process, "v2", Arm::Canary), 3);
    assert_eq!(retried(&process, "v1", Arm::Stable), 1);
}
