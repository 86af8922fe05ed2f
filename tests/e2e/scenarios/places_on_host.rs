//! How many answers a worker reads at once: those that are read, and no others, have a place.

use host::{Answer, Module, Process, ProcessOptions, Request};
use serde_json::json;
use split::Arm;
use tally::{AnswerClass, Series, What};

use tests::{arms, policy, tools};

#[test]
fn only_an_answer_that_is_read_has_a_place() {
    let module = Module::from_file(tools::wasm()).expect("the filter");
    let mut process = Process::new(&module, ProcessOptions::default()).expect("a process");
    let answer = json!({"read": {"format": "json", "failed_when": [{"at": "/error"}], "max_bytes": 1_024}, "max_open": 1});
    let policy = policy(7, json!({"arms": arms(1_000_000), "answer": answer}));
    assert!(process.configure(policy.to_string().as_bytes()).expect("a configuration").accepted);
    let user = || Request::get("models.local", "/").header("x-user-id", "u1");
    let says = |content_type: &str, body: &str| {
        let mut answer = Answer::status(200).header("content-type", content_type);
        answer.body = vec![body.as_bytes().to_vec()];
        answer
    };
    let json = |body: &str| says("application/json", body);
    let counted = |process: &Process, class| {
        let (rollout, version) = ("ranker".to_owned(), "v2".to_owned());
        let series = Series { rollout, version, arm: Arm::Canary, what: What::Answer(class) };
        process.metrics().counter(&series.to_string())
    };
    // Each is not over yet while the next comes: two that are not read, one that is too long to be, one that is.
    let open: Vec<_> = [
        json("{}").header("content-encoding", "gzip"),
        says("image/png", "x"),
        json(&format!("[{}", "1,".repeat(1_000))),
        json("{}"),
        json("{}"),
        // It would have none, and needs none.
        says("image/png", "x"),
    ]
    .into_iter()
    .map(|answer| {
        let stream = process.open(0, user()).expect("a stream");
        process.respond(stream, answer).expect("an answer");
        stream
    })
    .collect();
    for stream in open {
        process.finish(stream).expect("an end");
    }
    let classes = [
        (AnswerClass::Compressed, 1),
        (AnswerClass::OtherType, 2),
        (AnswerClass::TooLarge, 1),
        (AnswerClass::Ok, 1),
        (AnswerClass::Crowded, 1),
    ];
    for (class, n) in classes {
        assert_eq!(counted(&process, class), n, "{class:?}");
    }
    // A status without a body is no empty answer.
    let mut without = Answer::status(204);
    without.body = Vec::new();
    process.request(0, user(), without).expect("an exchange");
    assert_eq!(counted(&process, AnswerClass::Empty), 0);
    process.request(0, user(), Answer::status(200)).expect("an exchange");
    assert_eq!(counted(&process, AnswerClass::Empty), 1);
    // The place is free again.
    process.request(0, user(), json("{}")).expect("an exchange");
    assert_eq!(counted(&process, AnswerClass::Ok), 2);
}
