//! What a policy may not say.

use serde_json::json;

use super::policy;
use crate::Splitter;

#[track_caller]
fn refused(with: serde_json::Value, field: &str, reason: &str) {
    let error = Splitter::compile(&policy(with)).expect_err("a bad policy");
    assert_eq!((error.field.as_str(), error.reason), (field, reason), "{error}");
    assert!(!error.remedy.is_empty());
}

#[test]
fn a_bad_field_is_named_with_its_path() {
    let arms = |canary: u32, baseline: u32| {
        json!({"arms": {"stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": canary},
                        "baseline": {"weight_ppm": baseline}}})
    };
    let sticky =
        |keys: serde_json::Value| json!({"assignment": {"mode": "sticky", "salt": "s", "keys": keys}});
    refused(json!({"name": "a b"}), "rollouts[0].name", "name");
    refused(json!({"name": "x".repeat(64)}), "rollouts[0].name", "name");
    refused(json!({"header": "X-Arm"}), "rollouts[0].header", "header");
    refused(json!({"version_header": ""}), "rollouts[0].version_header", "header");
    refused(arms(1_000_001, 0), "rollouts[0].arms.canary.weight_ppm", "weight");
    refused(arms(600_000, 500_000), "rollouts[0].arms.baseline.weight_ppm", "weight");
    refused(sticky(json!([])), "rollouts[0].assignment.keys", "keys");
    refused(
        sticky(json!([{"source_address": false}])),
        "rollouts[0].assignment.keys[0].source_address",
        "keys",
    );
    refused(
        json!({"assignment": {"mode": "random", "source": "request_id"}}),
        "rollouts[0].assignment.salt",
        "salt",
    );
    refused(json!({"match": {"path_prefix": "rank"}}), "rollouts[0].match.path_prefix", "match");
    refused(json!({"match": {"authority": ["a:80"]}}), "rollouts[0].match.authority[0]", "match");
    refused(json!({"role": {"follow": {"peers": []}}}), "rollouts[0].role.follow.peers", "role");
    refused(
        json!({"overrides": [{"when": [], "arm": "canary"}]}),
        "rollouts[0].overrides[0].when",
        "condition",
    );
    refused(
        json!({"overrides": [{"when": [{"header": "a", "cookie": "b", "present": true}], "arm": "canary"}]}),
        "rollouts[0].overrides[0].when[0]",
        "condition",
    );
    refused(
        json!({"cohorts": [{"name": "c", "when": [{"header": "a"}], "weight_ppm": 1}]}),
        "rollouts[0].cohorts[0].when[0]",
        "condition",
    );
    refused(
        json!({"confidence": {"from_header": "a", "header": "b", "source_header": "c", "min": 1.0, "max": 0.0}}),
        "rollouts[0].confidence.max",
        "range",
    );
}

#[test]
fn arms_may_not_meet_and_must_be_there() {
    let arms = |others: serde_json::Value| {
        json!({"arms": {"stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": 100_000},
            "baseline": {"weight_ppm": 100_000}, "others": others}})
    };
    let arm = |name: &str, start: u32, weight: u32| json!({"name": name, "version": "v3", "start_ppm": start, "weight_ppm": weight});
    let field = |name: &str| format!("rollouts[0].arms.others{name}");
    for (start, weight) in [(0, 1), (99_999, 1), (200_000, 700_001), (950_000, 1), (500_000, 1_000_000)] {
        refused(arms(json!([arm("b", start, weight)])), &field("[0].weight_ppm"), "weight");
    }
    for (start, weight) in [(0, 0), (100_000, 800_000), (950_000, 0)] {
        assert!(
            Splitter::compile(&policy(arms(json!([arm("b", start, weight)])))).is_ok(),
            "{start} {weight}"
        );
    }
    refused(
        arms(json!([arm("b", 200_000, 100_001), arm("c", 300_000, 1)])),
        &field("[1].weight_ppm"),
        "weight",
    );
    refused(arms(json!([arm("b", 200_000, 1), arm("b", 300_000, 1)])), &field("[1].name"), "duplicate");
    refused(arms(json!([arm("b", 1_000_000, 1)])), &field("[0].start_ppm"), "weight");
    let many: Vec<_> = (0..7).map(|i| arm(&format!("b{i}"), 200_000, 0)).collect();
    refused(arms(json!(many)), &field(""), "arms");
    refused(
        json!({"overrides": [{"when": [{"header": "a", "present": true}], "arm": "b"}]}),
        "rollouts[0].overrides[0].arm",
        "arms",
    );
    for arm in ["b", "stable"] {
        refused(
            json!({"cohorts": [{"name": "c", "when": [{"header": "a", "present": true}], "weight_ppm": 1, "arm": arm}]}),
            "rollouts[0].cohorts[0].arm",
            "arms",
        );
    }
    for name in ["", "B", "canary", "baseline", "1b", "b_1", "b.1", "a-name-too-long-by-1"] {
        let mut document = serde_json::to_value(policy(arms(json!([arm("b", 200_000, 0)])))).expect("JSON");
        document["rollouts"][0]["arms"]["others"][0]["name"] = json!(name);
        let error = serde_json::from_value::<crate::policy::Policy>(document).expect_err("no name");
        assert!(error.to_string().contains("cannot name a further arm"), "{error}");
    }
}

#[test]
fn the_document_as_a_whole_is_checked_too() {
    let good = policy(json!({}));
    let mut other_schema = good.clone();
    other_schema.schema = 2;
    let mut twice = good.clone();
    twice.rollouts.push(good.rollouts[0].clone());
    let mut short_lease = good.clone();
    short_lease.lease = Some(crate::policy::Lease {
        cluster: "serin".into(),
        authority: "serin".into(),
        path: "/v1/lease".into(),
        interval_ms: 1_000,
        ttl_ms: 1_000,
    });
    for (policy, field) in
        [(other_schema, "schema"), (twice, "rollouts[1].name"), (short_lease, "lease.ttl_ms")]
    {
        assert_eq!(Splitter::compile(&policy).expect_err("bad").field, field);
    }
}

#[test]
fn an_unknown_field_is_an_error_at_every_depth() {
    let good = serde_json::to_value(policy(json!({}))).expect("a document");
    for pointer in
        ["", "/rollouts/0", "/rollouts/0/arms", "/rollouts/0/arms/canary", "/rollouts/0/assignment"]
    {
        let mut bad = good.clone();
        bad.pointer_mut(pointer).expect("there")["weihgt"] = json!(1);
        let error = serde_json::from_value::<crate::policy::Policy>(bad).expect_err("strict").to_string();
        assert!(error.contains("weihgt"), "{pointer}: {error}");
    }
}

#[test]
fn a_policy_survives_a_round_trip_through_doubles() {
    let mut good = policy(json!({}));
    good.incarnation = 1_763_700_000_000;
    let text = serde_json::to_string(&good).expect("a document");
    assert_eq!(serde_json::from_str::<crate::policy::Policy>(&text).expect("read back"), good);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let through_double = good.incarnation as f64 as u64;
    assert_eq!(through_double, good.incarnation);
}
