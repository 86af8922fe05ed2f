//! Replays that cannot fail prove nothing: an expectation that is wrong on purpose must fail in each of the three.

use envoy::bootstrap::Role;

use super::on_envoy::Replay;
use super::table::{Scenario, Way};
use super::{on_host, on_split};
use tests::a_core;

const ROW: &str = "{arm: canary, cause: weight}";
const EVERY: &[Way] = &[Way::Split, Way::Host, Way::Envoy];
/// `split` sees no answer and counts nothing.
const FILTERS: &[Way] = &[Way::Host, Way::Envoy];

/// What the row expects instead, what is expected of counters besides, which replays notice, and by what.
const WRONG: &[(&str, &str, &[Way], &str)] = &[
    (ROW, "", &[], ""),
    ("{arm: stable, cause: weight}", "", EVERY, ""),
    ("{arm: canary, cause: override}", "", EVERY, ""),
    ("untouched", "", EVERY, ""),
    ("{arm: stable, cause: weight}", "", FILTERS, "x-serin-arm"),
    ("{arm: stable, cause: weight}", "", &[Way::Envoy], "cluster"),
    ("{arm: canary}", "", FILTERS, "serin_assigned_total{arm=canary,cause=weight,rollout=ranker,version=v2}"),
    ("{arm: canary, cause: weight, class: server_error}", "", FILTERS, "class=server_error"),
    ("{arm: canary, cause: weight, status: 201}", "", FILTERS, "status"),
    ("{arm: canary, cause: weight, response: {x-serin-version: v1}}", "", FILTERS, "x-serin-version"),
    ("{arm: canary, cause: weight, response: {x-serin-version: null}}", "", FILTERS, "x-serin-version"),
    ("{arm: canary, cause: weight, response: {x-absent: there}}", "", FILTERS, "x-absent"),
    (
        ROW,
        "{what: confidence_invalid, rollout: ranker, version: v2, arm: canary, by: 1}",
        FILTERS,
        "confidence_invalid",
    ),
    (ROW, "{what: policy_refused, reason: stale, by: 1}", FILTERS, "policy_refused"),
    // Counted once by the row already.
    (
        ROW,
        "{what: assigned, rollout: ranker, version: v2, arm: canary, cause: weight, by: 1}",
        FILTERS,
        "serin_assigned_total",
    ),
];

fn scenario(expect: &str, counter: &str) -> Scenario {
    let text = format!(
        "
about: One row.
policy:
  rollouts:
  - name: ranker
    epoch: 1
    header: x-serin-arm
    version_header: x-serin-version
    assignment: {{mode: sticky, salt: ranker/1, keys: [{{header: x-user-id}}]}}
    arms: {{stable: {{version: v1}}, canary: {{version: v2, weight_ppm: 500000}}}}
requests:
- why: on purpose
  headers: {{x-user-id: u1}}
  expect: {expect}
counters: [{counter}]
"
    );
    Scenario::read("wrong.yaml", &text).unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_expectation_fails_in_each_replay() {
    let _core = a_core().await;
    let mut replay = Replay::start(Role::Decide).await;
    // What never comes is waited for in vain; what comes late would only make this test fail.
    replay.patience = std::time::Duration::from_secs(1);
    for (expect, counter, ways, about) in WRONG {
        let scenario = scenario(expect, counter);
        for way in EVERY {
            let failures = match way {
                Way::Split => on_split::replay(&scenario),
                Way::Host => on_host::replay(&scenario),
                Way::Envoy => replay.run(&scenario).await,
            };
            let lines: Vec<String> = failures.iter().map(ToString::to_string).collect();
            let row = if counter.is_empty() { "row 1 (on purpose)" } else { "all rows together" };
            let names =
                |line: &String| line.starts_with(&format!("wrong.yaml, {row}, on ")) && line.contains(about);
            let noticed = lines.iter().any(names);
            if ways.contains(way) {
                assert!(noticed, "{way:?} does not notice {expect} {counter}: {lines:?}");
                println!("{}", lines.iter().find(|line| names(line)).expect("one"));
            } else if about.is_empty() {
                assert!(lines.is_empty(), "{way:?} finds fault with {expect}: {lines:?}");
            }
        }
    }
    // A row that was judged wrongly leaves nothing behind for the next.
    let failures = replay.run(&scenario(ROW, "")).await;
    assert_eq!(failures, []);
}
