use super::*;

fn report() -> Report {
    let gate = VerdictView {
        name: "errors".to_owned(),
        answer: Answer::Fail.into(),
        estimate: Some(0.071),
        bound: Some(0.015),
        n_canary: 300,
        n_control: 5_700,
        why: "Worse than stable.".to_owned(),
        ..VerdictView::default()
    };
    Report {
        scenario: Scenario::Errors,
        outcome: Outcome::RolledBack,
        why: "errors failed.".to_owned(),
        seed: 1,
        speed: 1.0,
        rate: 700.0,
        ground: Ground { asked: super::super::Rate::UpTo(700.0), rate: 700.0, tried: Vec::new() },
        strained_share: 0.01,
        envoy: "1.40.0".to_owned(),
        wasm_sha256: "ab".to_owned(),
        assignment: Assignment::Sticky,
        spec: "apiVersion: serin.dev/v1alpha1\n".to_owned(),
        took_ms: 41_234.0,
        stages: vec![StageReport {
            weight_ppm: 50_000,
            entered_ms: 150.0,
            left_ms: Some(30_150.0),
            observed_share: Some(0.0497),
            observed_of: 9_812,
            gates: vec![
                gate.clone(),
                VerdictView {
                    name: "latency".to_owned(),
                    answer: Answer::Pass.into(),
                    estimate: Some(20.4),
                    bound: Some(26.5),
                    ..gate.clone()
                },
                VerdictView {
                    name: "confidence".to_owned(),
                    answer: Answer::Insufficient.into(),
                    estimate: Some(0.84),
                    bound: Some(0.808),
                    ..gate.clone()
                },
                VerdictView { name: "overdue".to_owned(), answer: Answer::NotApplicable.into(), ..gate },
            ],
        }],
        requests: Requests {
            totals: Totals {
                total: 30_000,
                stable: 27_000,
                canary: 1_500,
                baseline: 1_500,
                failed_by_servers: 460,
                ..Totals::default()
            },
            unsent: 0,
        },
        users: UsersReport {
            distinct: 12_000,
            left_canary: Some(0),
            lost_by_lease: Some(0),
            lost_by_machine: Some(0),
            requests_without_lease: 0,
            examples: Vec::new(),
        },
        latency_ms: BTreeMap::from([("canary", Latency { p50: 8.9, p99: 23.4 })]),
        rollback: Some(Rollback {
            decided_ms: 41_000.0,
            last_canary_ms: Some(41_031.5),
            latency_ms: 31.5,
            arrived_after: 4,
            open_at_decision: 1,
            reason: "errors failed.".to_owned(),
        }),
        acks: vec![Ack { node: "envoy-1".to_owned(), generation: 2, ms: Some(31.5) }],
        refusals: Vec::new(),
        next: None,
        self_test: SelfTestReport { failed_by_us: 1, mis_tagged: 1 },
        history: Vec::new(),
    }
}

/// Every path of the agreed form, and a value it must have.
#[track_caller]
fn check(json: &serde_json::Value, pointer: &str, expected: serde_json::Value) {
    assert_eq!(json.pointer(pointer), Some(&expected), "{pointer} in {json:#}");
}

#[test]
fn the_file_has_the_agreed_form() {
    use serde_json::json;
    let file = serde_json::to_value(report()).unwrap();
    check(&file, "/scenario", json!("errors"));
    check(&file, "/outcome", json!("rolled_back"));
    check(&file, "/seed", json!(1));
    check(&file, "/envoy", json!("1.40.0"));
    check(&file, "/stages/0/weight_ppm", json!(50_000));
    check(&file, "/stages/0/entered_ms", json!(150.0));
    check(&file, "/stages/0/left_ms", json!(30_150.0));
    check(&file, "/stages/0/observed_share", json!(0.0497));
    for (field, value) in [
        ("name", json!("errors")),
        ("verdict", json!("fail")),
        ("estimate", json!(0.071)),
        ("bound", json!(0.015)),
        ("n_canary", json!(300)),
        ("n_control", json!(5_700)),
        ("why", json!("Worse than stable.")),
    ] {
        check(&file, &format!("/stages/0/gates/0/{field}"), value);
    }
    for (field, value) in
        [("total", 30_000), ("stable", 27_000), ("canary", 1_500), ("baseline", 1_500), ("failed_by_us", 0)]
    {
        check(&file, &format!("/requests/{field}"), json!(value));
    }
    check(&file, "/rollback/decided_ms", json!(41_000.0));
    check(&file, "/rollback/last_canary_ms", json!(41_031.5));
    check(&file, "/rollback/latency_ms", json!(31.5));
    check(&file, "/acks/0", json!({"node": "envoy-1", "generation": 2, "ms": 31.5}));
    let promoted = Report { outcome: Outcome::Promoted, rollback: None, ..report() };
    check(&serde_json::to_value(promoted).unwrap(), "/rollback", json!(null));
    assert_eq!(serde_json::to_value(Outcome::Undecided).unwrap(), json!("undecided"));
}

#[test]
fn the_report_for_people() {
    assert_eq!(
        report().in_words(),
        "\
Rolled back after 41.2 s. errors failed.
Stage 1    weight 5 %, observed 4.97 % of 9,812 users, left after 30.0 s
           passed: latency 20.4 ms, bound 26.5 ms
           errors      fail          7.1 %, bound 1.5 %; canary n 300, stable n 5,700. Worse than stable.
           no verdict yet: confidence 0.84, bound 0.808
Rollback   decided at 41.0 s; 4 requests still reached the canary, the last one 31.5 ms later; open there at that \
moment: 1
Requests   30,000 (stable 27,000, canary 1,500, baseline 1,500); 460 failed by the models, 0 by us; 0 mis-tagged
Users      12,000; 0 left the canary while its weight rose
Latency    canary: p50 8.9 ms, p99 23.4 ms
Policies   1 acknowledged, 32 to 32 ms after the push; 0 refused
Self-test  one failure and one wrong tag put in: failed-by-us +1, mis-tagged +1"
    );
}

#[test]
fn exit_codes() {
    let codes = [Outcome::Promoted, Outcome::RolledBack, Outcome::Undecided].map(Outcome::exit_code);
    assert_eq!(codes, [0, 1, 2]);
}
