use proptest::prelude::*;
use split::{Arm, Cause};

use super::*;

#[track_caller]
fn check_name(what: What, name: &str) {
    let series = Series { rollout: "ranker".into(), version: "v1.2.3-rc.1".into(), arm: Arm::Canary, what };
    assert_eq!(series.to_string(), name);
    assert_eq!(Series::parse(name), Some(series.clone()));
    assert_eq!(Series::parse(&format!("wasmcustom.{name}")), Some(series));
}

#[test]
fn names_are_read_back_as_written() {
    let tags = "rollout=.=ranker;.;version=.=v1.2.3-rc.1;.;arm=.=canary;.;";
    check_name(What::Assigned(Cause::NoKey, None), &format!("serin_assigned_total.{tags}cause=.=no_key;.;"));
    check_name(
        What::Assigned(Cause::Weight, Some(Slot::Of(3))),
        &format!("serin_assigned_total.{tags}cause=.=weight;.;slot=.=3;.;"),
    );
    check_name(
        What::Finished(Cause::Weight, Class::ServerError, Some(Slot::Late)),
        &format!("serin_finished_total.{tags}cause=.=weight;.;class=.=server_error;.;slot=.=late;.;"),
    );
    check_name(
        What::Aged { slot: Slot::Of(0), age_ms: 2000, progress: Progress::Left },
        &format!("serin_aged_total.{tags}slot=.=0;.;age=.=2000;.;progress=.=left;.;"),
    );
    check_name(What::Latency(309), &format!("serin_latency_total.{tags}bin=.=309;.;"));
    check_name(What::Confidence(0), &format!("serin_confidence_total.{tags}bin=.=0;.;"));
    check_name(What::Retried, &format!("serin_retried_total.{tags}"));
    check_name(What::ConfidenceInvalid, &format!("serin_confidence_invalid_total.{tags}"));
    check_name(
        What::Answer(AnswerClass::InvalidJson),
        &format!("serin_answer_total.{tags}class=.=invalid_json;.;"),
    );
    check_name(What::Predicted(32), &format!("serin_predicted_total.{tags}bin=.=32;.;"));
    check_name(
        What::Finish(Finish::ToolCalls),
        &format!("serin_finish_reason_total.{tags}reason=.=tool_calls;.;"),
    );
    check_name(What::InputTokens(0), &format!("serin_input_tokens_total.{tags}bin=.=0;.;"));
    check_name(What::OutputTokens(76), &format!("serin_output_tokens_total.{tags}bin=.=76;.;"));
    check_name(What::FirstToken(1), &format!("serin_time_to_first_token_total.{tags}bin=.=1;.;"));
    check_name(What::TokenTime(309), &format!("serin_time_per_output_token_total.{tags}bin=.=309;.;"));
    check_name(
        What::Group(99, GroupEvent::Error),
        &format!("serin_group_total.{tags}group=.=99;.;event=.=error;.;"),
    );
}

#[test]
fn a_further_arm_is_read_back_too() {
    let arm = Arm::parse("b-2").expect("a name");
    let series =
        Series { rollout: "r".into(), version: "v3".into(), arm, what: What::Assigned(Cause::Weight, None) };
    let name = "serin_assigned_total.rollout=.=r;.;version=.=v3;.;arm=.=b-2;.;cause=.=weight;.;";
    assert_eq!(series.to_string(), name);
    assert_eq!(Series::parse(name), Some(series));
    assert_eq!(Series::parse(&name.replace("b-2", "B")), None);
}

#[test]
fn foreign_and_broken_names_are_not_ours() {
    let tags = "rollout=.=r;.;version=.=v;.;arm=.=canary;.;";
    for name in [
        "",
        "wasmcustom.other_total",
        "serin_assigned_total",
        "serin_assigned_total.rollout=.=r;.;",
        &format!("serin_assigned_total.{tags}"),
        &format!("serin_assigned_total.{tags}cause=.=luck;.;"),
        &format!("serin_assigned_total.{tags}cause=.=weight;.;slot=.=6;.;"),
        &format!("serin_aged_total.{tags}age=.=2000;.;progress=.=left;.;"),
        &format!("serin_latency_total.{tags}bin=.=310;.;"),
        &format!("serin_answer_total.{tags}class=.=good;.;"),
        &format!("serin_predicted_total.{tags}bin=.=33;.;"),
        &format!("serin_output_tokens_total.{tags}bin=.=77;.;"),
        &format!("serin_group_total.{tags}group=.=100;.;event=.=error;.;"),
        &format!("serin_unknown_total.{tags}"),
    ] {
        assert_eq!(Series::parse(name), None, "{name}");
    }
}

#[test]
fn every_tag_is_declared() {
    for name in [
        gauge("latency_ms", &[("rollout", "r"), ("version", "v"), ("arm", "stable")]),
        policy_refused("stale"),
        Series {
            rollout: "r".into(),
            version: "v".into(),
            arm: Arm::Stable,
            what: What::Finished(Cause::Weight, Class::Ok, Some(Slot::Late)),
        }
        .to_string(),
    ] {
        for tag in name.split_once('.').expect("tags").1.split(";.;").filter(|tag| !tag.is_empty()) {
            let (key, _) = tag.split_once("=.=").expect("a tag");
            assert!(TAGS.contains(&key), "{key} in {name}");
        }
    }
    assert_eq!(gauge("policy_generation", &[]), "serin_policy_generation");
}

#[test]
fn latency_edges_are_four_percent_apart_and_top_is_endless() {
    assert!((latency_upper_ms(53) - 1.0).abs() < f64::EPSILON);
    assert!((latency_upper_ms(69) - 2.0).abs() < f64::EPSILON);
    assert!(latency_upper_ms(LATENCY_TOP).is_infinite());
    for bin in 1..LATENCY_TOP {
        let ratio = latency_upper_ms(bin) / latency_upper_ms(bin - 1);
        assert!((ratio - 1.044_273_782_427_413_8).abs() < 1e-12, "bin {bin}: {ratio}");
    }
    for (ns, bin) in
        [(0, 0), (100_000, 0), (1_000_000, 53), (1_000_001, 54), (2_000_000, 69), (u64::MAX, LATENCY_TOP)]
    {
        assert_eq!(latency_bin(ns), bin, "{ns} ns");
    }
}

#[test]
fn a_confidence_is_rounded_to_a_point_right_on_average() {
    let scale = ConfidenceScale::new(0.0, 1.0).expect("a range");
    for (value, draw, point) in [
        (0.0, 0, 0),
        (1.0, 0, 63),
        (1.0, u64::MAX, 63),
        (0.5, 0, 32),
        (0.5, u64::MAX, 31),
        (21.0 / 63.0, 0, 21),
    ] {
        assert_eq!(scale.point(value, draw), Some(point), "{value} by {draw}");
    }
    let (value, draws) = (0.871_3, 10_000_u64);
    let sum: f64 = (0..draws)
        .filter_map(|draw| scale.point(value, u64::MAX / draws * draw))
        .map(|point| scale.value(point))
        .sum();
    assert!((sum / draws as f64 - value).abs() < 1e-5, "{sum}");
    for value in [-0.000_1, 1.000_1, f64::NAN, f64::INFINITY] {
        assert_eq!(scale.point(value, 1), None, "{value}");
    }
    for (min, max) in [(1.0, 1.0), (1.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
        assert_eq!(ConfidenceScale::new(min, max), None);
    }
}

#[test]
fn a_slot_stands_for_an_epoch_until_it_may_be_in_use_again() {
    for (epoch, present, slot) in [
        (1, 1, Slot::Of(1)),
        (6, 6, Slot::Of(2)),
        (6, 7, Slot::Of(2)),
        (5, 7, Slot::Late),
        (9, 8, Slot::Late),
    ] {
        assert_eq!(Slot::at(epoch, present), slot, "{epoch} at {present}");
    }
    for announced in 0..40_u64 {
        for epoch in announced.saturating_sub(3)..=announced {
            assert_eq!(Slot::at(epoch, epoch).epoch(announced), Some(epoch), "{epoch} of {announced}");
        }
    }
    assert_eq!(Slot::Late.epoch(9), None);
    assert_eq!(Slot::Of(3).epoch(2), None, "there was no such epoch yet");
}

proptest! {
    #[test]
    fn a_latency_lies_within_its_bin(ns in 0u64..120_000_000_000) {
        let bin = latency_bin(ns);
        let ms = ns as f64 / 1e6;
        prop_assert!(ms <= latency_upper_ms(bin));
        prop_assert!(bin == 0 || ms > latency_upper_ms(bin - 1));
    }

    #[test]
    fn a_point_is_within_one_of_the_value(value in -3.0f64..5.0, draw: u64) {
        let scale = ConfidenceScale::new(-3.0, 5.0).expect("a range");
        let point = scale.point(value, draw).expect("inside");
        prop_assert!((scale.value(point) - value).abs() <= 8.0 / 63.0 + 1e-12);
    }
}

/// People's dashboards and rules hold them. (The controller's page with all its names is `server`'s `page.txt`.)
#[test]
fn names_of_metrics_stay() {
    use crate::metric::filter;
    for (what, name) in [
        (filter::EPOCH, "serin_epoch"),
        (filter::LAST_CANARY_ASSIGNED_MS, "serin_last_canary_assigned_ms"),
        (filter::LATENCY_MS, "serin_latency_ms"),
        (filter::LEASE_EXPIRED_TOTAL, "serin_lease_expired_total"),
        (filter::LEASE_RENEWED_TOTAL, "serin_lease_renewed_total"),
        (filter::LEASE_REVOKED_TOTAL, "serin_lease_revoked_total"),
        (filter::LEASE_UNASKED_TOTAL, "serin_lease_unasked_total"),
        (filter::POLICY_GENERATION, "serin_policy_generation"),
        (filter::POLICY_INCARNATION, "serin_policy_incarnation"),
        (filter::POLICY_REFUSED_TOTAL, "serin_policy_refused_total"),
    ] {
        assert_eq!(gauge(what, &[]), name);
    }
    assert_eq!(crate::last_canary_gauge("r"), gauge("last_canary_assigned_ms", &[("rollout", "r")]));
}
