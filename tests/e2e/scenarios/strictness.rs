//! A scenario that says what nobody understands is an error that names the place.

use super::table::Scenario;

const GOOD: &str = r#"
about: A row.
policy:
  rollouts:
  - name: ranker
    epoch: 1
    header: x-serin-arm
    version_header: x-serin-version
    assignment: {mode: sticky, salt: ranker/1, keys: [{header: x-user-id}]}
    arms: {stable: {version: v1}, canary: {version: v2, weight_ppm: 500000}}
requests:
- {headers: {x-user-id: u1}, expect: {arm: canary, cause: weight}}
- why: a second
  headers: {x-user-id: {hex: 61ff}}
  answer: {status: 200}
  expect: {arm: stable, cause: weight, class: ok}
counters:
- {what: group, group: "22", by: 1}
"#;

#[track_caller]
fn check(from: &str, to: &str, place: &str, says: &str) {
    let text = GOOD.replacen(from, to, 1);
    assert_ne!(text, GOOD, "`{from}` is not in the text");
    let error = Scenario::read("x.yaml", &text).expect_err("an error");
    assert!(error.starts_with(&format!("x.yaml, {place}: ")) && error.contains(says), "{error}");
}

#[test]
fn the_good_one_is_read() {
    let scenario = Scenario::read("x.yaml", GOOD).expect("a scenario");
    assert_eq!((scenario.rows.len(), scenario.row_name(1).as_str()), (2, "row 2 (a second)"));
}

#[test]
fn an_unknown_field_is_an_error_wherever_it_stands() {
    check("about:", "remark: x\nabout:", "the file", "remark");
    check("epoch: 1", "epohc: 1", "policy", "epohc");
    check("epoch: 1", "epoch: 1\n    colour: red", "policy", "colour");
    check("epoch: 1", "epoch: 1\n    epoch: 2", "the file", "epoch");
    check("arm: canary", "arm: canary, arm: stable", "the file", "arm");
    check("headers: {x-user-id: u1}", "header: {x-user-id: u1}", "row 1", "header");
    check("arm: canary", "arm: canary, casue: weight", "row 1", "casue");
    check("{status: 200}", "{status: 200, statsu: 1}", "row 2 (a second)", "statsu");
    check("{hex: 61ff}", "{hex: 61ff, base: 16}", "row 2 (a second)", "base");
    check("{hex: 61ff}", "{fill: x, sise: 16}", "row 2 (a second)", "sise");
    check("group: \"22\"", "grup: \"22\"", "counter 1", "grup");
}

#[test]
fn an_impossible_value_is_an_error() {
    check("arm: canary, cause", "arm: gold, cause", "row 1", "gold");
    check("cause: weight}", "cause: chance}", "row 1", "chance");
    check("class: ok", "class: good", "row 2 (a second)", "good");
    check("cause: weight, class: ok", "class: reset", "row 2 (a second)", "without `cause`");
    check("expect: {arm: canary", "expect: {rollout: other, arm: canary", "row 1", "other");
    check("{arm: canary, cause: weight}", "untuched", "row 1", "untuched");
    check("{status: 200}", "refused", "row 2 (a second)", "refused");
    check("{status: 200}", "{status: 200, trailers: {grpc-status: \"0\"}}", "row 2 (a second)", "http: 2");
    check("answer: {status: 200}", "bare: true", "row 2 (a second)", "Envoy");
    check("answer: {status: 200}", "ways: [wasm]", "row 2 (a second)", "wasm");
    check("answer: {status: 200}", "http: 3", "row 2 (a second)", "`http`");
    check("{hex: 61ff}", "{hex: 61f}", "row 2 (a second)", "61f");
    check("{hex: 61ff}", "{start: abc, fill: x, size: 2}", "row 2 (a second)", "size: 2");
    check("{hex: 61ff}", "17", "row 2 (a second)", "quoted");
    check("\"22\"", "22", "counter 1", "quote it");
    check("by: 1", "by: 0", "counter 1", "`by`");
    let follower = "  - {name: other, epoch: 1, role: {follow: {peers: []}}, header: x-serin-arm, \
        version_header: x-serin-version, assignment: {mode: random}, \
        arms: {stable: {version: v1}, canary: {version: v2, weight_ppm: 0}}}\nrequests:";
    check("requests:", follower, "policy", "two files");
    check("policy:", "policy:\n  generation: 7", "policy", "generation");
}
