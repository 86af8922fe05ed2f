mod arms;
mod bandit;
mod fleet;
mod gates;
mod keep_warm;
mod kubernetes;
mod possible;
mod practice;
mod problems;
mod sources;
mod stored;
mod watch;

use crate::{load, preset_text, presets};

pub(crate) const MINIMAL: &str = "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
";

#[test]
fn the_minimal_rollout_is_enough() {
    let loaded = load(MINIMAL).unwrap();
    let weights: Vec<_> = loaded.plan.stages.iter().map(|stage| stage.weight_ppm).collect();
    assert_eq!(weights, [50_000, 250_000, 500_000, 1_000_000]);
    assert_eq!(
        loaded.plan.gates.iter().map(|gate| gate.name.as_str()).collect::<Vec<_>>(),
        ["errors", "latency", "overdue"]
    );
}

/// The sources a preset leaves to whoever uses it.
fn sources(preset: &str) -> &'static str {
    match preset {
        "ml-hour" => {
            "\n  gates: [{name: accuracy, source: {push: {}}}, {name: drift, source: {push: {}}}, {name: conversion, source: {push: {}}}]"
        }
        _ => "",
    }
}

/// A preset's text, with the sources it leaves open.
fn whole(preset: &str) -> String {
    let text = preset_text(preset).unwrap();
    let open = ["accuracy", "drift", "conversion"].into_iter().filter(|_| !sources(preset).is_empty());
    open.fold(text.to_owned(), |text, name| {
        text.replace(&format!("{{name: {name}, "), &format!("{{name: {name}, source: {{push: {{}}}}, "))
    })
}

#[test]
fn every_preset_is_a_rollout_by_itself() {
    for (name, purpose) in presets() {
        let loaded = load(&whole(name)).unwrap_or_else(|problems| panic!("{name}: {problems}"));
        assert_eq!(loaded.plan.name, name);
        assert!(purpose.ends_with('.'), "{name}: {purpose}");
        let named = MINIMAL.replace("spec:", &format!("spec:\n  preset: {name}{}", sources(name)));
        let named = load(&named).unwrap_or_else(|problems| panic!("{name}: {problems}"));
        let way = |plan: &crate::Plan| {
            plan.stages.iter().map(|s| (s.weight_ppm, s.bake_ms, s.approval)).collect::<Vec<_>>()
        };
        assert_eq!(way(&named.plan), way(&loaded.plan));
        assert_eq!(named.warnings, [], "{name}: nothing of a preset is unwise");
    }
}

/// Gates as guides to canary rollouts write them down, number for number.
#[test]
fn the_gates_of_the_guides_can_be_written() {
    // (pass, fail, every in minutes, good ones in a row, bad ones borne, minutes before it begins)
    type Numbers = (f64, f64, u64, u32, Option<u32>, u64);
    #[track_caller]
    fn check(gate: &str, expected: Numbers) {
        let text = format!("{MINIMAL}  confidence: {{fromHeader: x-c}}\n  gates: [{{name: g, {gate}}}]\n");
        let plan = load(&text).unwrap_or_else(|problems| panic!("{gate}: {problems}")).plan;
        let gate = &plan.gates[0];
        let limit = gate.limit.unwrap();
        let (every, start) = (gate.every_ms / 60_000, gate.start_after_ms / 60_000);
        assert_eq!((limit.pass, limit.fail, every, gate.consecutive, gate.failure_limit, start), expected);
    }
    check(
        "metric: error_rate, max: 1%, failAbove: 5%, every: 2m, consecutive: 5, failureLimit: 2",
        (0.01, 0.05, 2, 5, Some(2), 0),
    );
    check(
        "metric: latency_p99, max: 200ms, failAbove: 500ms, every: 2m, failureLimit: 2",
        (200.0, 500.0, 2, 0, Some(2), 0),
    );
    check(
        "metric: confidence_mean, min: 0.65, failBelow: 0.5, every: 5m, consecutive: 3, failureLimit: 1",
        (0.65, 0.5, 5, 3, Some(1), 0),
    );
    check("metric: error_rate, max: 0.1%, every: 1m, consecutive: 5", (0.001, 0.001, 1, 5, None, 0));
    check("metric: latency_p99, max: 500ms, every: 1m, consecutive: 5", (500.0, 500.0, 1, 5, None, 0));
    let push = "source: {push: {}}";
    let drift = format!("{push}, min: 0.92, failBelow: 0.9, every: 2m, consecutive: 5");
    check(&drift, (0.92, 0.9, 2, 5, Some(2), 0));
    check(&format!("{push}, min: 0.95, every: 5m, consecutive: 3"), (0.95, 0.95, 5, 3, Some(2), 0));
    let business = format!("{push}, min: 0.98, every: 5m, consecutive: 2, startAfter: 15m");
    check(&business, (0.98, 0.98, 5, 2, Some(2), 15));
}

#[test]
fn amounts() {
    use std::str::FromStr;
    #[track_caller]
    fn check<T: FromStr + std::fmt::Display>(text: &str, expected: Option<&str>) {
        assert_eq!(T::from_str(text).ok().map(|amount| amount.to_string()).as_deref(), expected, "{text}");
    }
    for (text, expected) in [
        ("5%", Some("5%")),
        ("0.1%", Some("0.1%")),
        ("0.0001%", Some("0.0001%")),
        ("1.50%", Some("1.5%")),
        ("100%", Some("100%")),
        ("100.0001%", None),
        ("0.00001%", None),
        ("5", None),
        ("-5%", None),
        (".5%", None),
        ("1e1%", None),
        ("%", None),
        ("5 %", None),
    ] {
        check::<crate::Percent>(text, expected);
    }
    for (text, expected) in [
        ("500ms", Some("500ms")),
        ("90s", Some("1m30s")),
        ("1h30m", Some("1h30m")),
        ("0s", Some("0s")),
        ("30m1h", None),
        ("5", None),
        ("5m5m", None),
        ("", None),
        ("h", None),
        ("1y", None),
        ("99999999d", None),
    ] {
        check::<crate::Span>(text, expected);
    }
    for (text, expected) in [
        ("0.1%", Some("0.1%")),
        ("7%", Some("7%")),
        ("500ms", Some("500ms")),
        ("0.65", Some("0.65")),
        ("a", None),
    ] {
        check::<crate::Quantity>(text, expected);
    }
    for (text, expected) in [
        ("1.5x", Some("1.5x")),
        ("20%", Some("20%")),
        ("0.5pp", Some("0.5pp")),
        ("0.07pp", Some("0.07pp")),
        ("2", None),
        ("-1x", None),
        ("pp", None),
        ("infx", None),
    ] {
        check::<crate::Margin>(text, expected);
    }
}

#[test]
fn presets_have_the_numbers_they_are_named_for() {
    #[track_caller]
    fn check(name: &str, expected: &[(f64, u64)]) {
        let plan = load(&whole(name)).unwrap().plan;
        let stages: Vec<_> =
            plan.stages.iter().map(|s| (f64::from(s.weight_ppm) / 1e4, s.bake_ms / 60_000)).collect();
        assert_eq!(stages, expected, "{name}");
    }
    check("hour", &[(1.0, 5), (5.0, 10), (20.0, 15), (50.0, 20), (100.0, 5)]);
    check("ml-hour", &[(1.0, 5), (5.0, 10), (20.0, 15), (50.0, 20), (100.0, 5)]);
    check("standard", &[(1.0, 10), (5.0, 15), (10.0, 30), (25.0, 30), (50.0, 60), (100.0, 10)]);
    check("aggressive", &[(5.0, 5), (25.0, 15), (50.0, 10), (100.0, 10)]);
    check("conservative", &[(1.0, 60), (5.0, 60), (10.0, 60), (25.0, 60), (50.0, 60), (100.0, 30)]);
    check("three-step", &[(5.0, 10), (20.0, 15), (75.0, 20), (100.0, 10)]);
    check("ranking", &[(1.0, 15), (5.0, 15), (25.0, 30), (50.0, 30), (100.0, 15)]);
    check("triggers", &[(5.0, 5), (25.0, 10), (50.0, 10), (100.0, 5)]);
    check("dark", &[(0.0, 0), (1.0, 10), (5.0, 10), (25.0, 10), (50.0, 10), (100.0, 5)]);
    check("blue-green", &[(0.0, 0), (100.0, 30)]);
    let hour = load(preset_text("hour").unwrap()).unwrap().plan;
    let limits: Vec<_> =
        hour.gates.iter().filter_map(|g| g.limit.map(|limit| (g.metric(), limit.pass))).collect();
    assert_eq!(limits, [(crate::Metric::ErrorRate, 0.001), (crate::Metric::LatencyP99, 500.0)]);
    assert!(hour.stages[3].approval);
}

#[test]
fn presets_are_extended_field_by_field() {
    let text = format!(
        "{MINIMAL}  preset: hour\n  gates:\n  - {{name: p99, max: 300ms}}\n  - {{name: overdue, level: off}}\n"
    );
    let plan = load(&text).unwrap().plan;
    let names: Vec<_> = plan.gates.iter().map(|gate| gate.name.as_str()).collect();
    assert_eq!(names, ["error-rate", "p99", "errors", "latency"]);
    assert_eq!(plan.gates[1].limit, Some(crate::Limit::of(300.0)));
    assert_eq!(plan.gates[0].limit, Some(crate::Limit::of(0.001)));
}

/// What a preset groups is extended field by field, too.
#[test]
fn groups_of_a_preset_are_extended_field_by_field() {
    let text =
        format!("{MINIMAL}  preset: ab-n\n  arms: [{{name: b, version: v3}}]\n  choose: {{by: person}}\n");
    let choose = load(&text).unwrap().plan.choose.unwrap();
    assert_eq!((choose.after, choose.by.is_none()), (1, true), "still after 20%");
    let text = format!("{MINIMAL}  preset: shadow\n  assignment: {{keys: [{{cookie: uid}}]}}\n");
    let plan = load(&text).unwrap_or_else(|problems| panic!("{problems}")).plan;
    let split::policy::Assignment::Sticky { keys, .. } = plan.traffic.assignment else { panic!("sticky") };
    assert_eq!(keys, [split::policy::Key::Cookie("uid".to_owned())]);
    assert_eq!(plan.unit, crate::Unit::Request);
}

#[test]
fn the_schema_is_the_one_committed() {
    let fresh = format!("{:#}\n", crate::schema());
    assert!(
        fresh == include_str!("../schema.json"),
        "the types have changed: run `cargo run -p manifest --example schema > crates/manifest/schema.json`"
    );
}

#[test]
fn what_is_read_can_be_written_and_read_again() {
    for (name, _) in presets() {
        let loaded = load(&whole(name)).unwrap();
        let text = serde_json::to_string(&loaded.typed).unwrap();
        assert_eq!(load(&text).unwrap().plan, loaded.plan, "{name}");
        let plan: crate::Plan = serde_json::from_str(&serde_json::to_string(&loaded.plan).unwrap()).unwrap();
        assert_eq!(plan, loaded.plan, "{name}");
    }
}

#[test]
fn a_plan_becomes_a_policy_the_splitter_takes() {
    let text = format!(
        "{MINIMAL}  assignment: {{mode: sticky, keys: [{{header: X-User-Id}}, {{sourceAddress: true}}], unit: request}}\n  \
         overrides: [{{when: [{{header: x-force, exact: canary}}], arm: canary}}]\n  \
         cohorts: [{{name: staff, when: [{{cookie: group, prefix: st}}], weight: 100%}}]\n  \
         match: {{authority: [models.local], pathPrefix: /v1, port: 80, direction: inbound}}\n"
    );
    let plan = load(&text).unwrap().plan;
    let policy = |ppm, targeted| split::policy::Policy {
        schema: split::policy::SCHEMA,
        incarnation: 1,
        generation: 1,
        lease: None,
        rollouts: vec![plan.policy(1, plan.weights(ppm, targeted), "v1")],
    };
    for ppm in [0, 50_000, 700_000, 1_000_000] {
        split::Splitter::compile(&policy(ppm, true)).unwrap();
    }
    let off = policy(0, false).rollouts.remove(0);
    assert!(off.overrides.is_empty() && off.cohorts.iter().all(|cohort| cohort.weight_ppm == 0));
    assert_eq!(policy(700_000, true).rollouts[0].arms.baseline.as_ref().unwrap().weight_ppm, 300_000);
}

#[test]
fn too_little_traffic_is_said_beforehand() {
    let said = crate::lint(MINIMAL, Some(10.0));
    assert!(
        said.iter().any(|problem| problem.field == "spec.stages[0]" && problem.what.contains("takes")),
        "{said:?}"
    );
    assert_eq!(crate::lint(MINIMAL, Some(1_000.0)), []);
}

#[test]
fn margins_in_points() {
    #[track_caller]
    fn check(gate: &str, expected: (f64, f64, f64, f64, f64)) {
        let text = format!(
            "{MINIMAL}  confidence: {{fromHeader: x-sure}}\n  gates: [{{name: g, against: stable, {gate}}}]\n"
        );
        let plan = load(&text).unwrap().plan;
        let a = plan.gates[0].against.unwrap();
        assert_eq!((a.margin, a.margin_points, a.harm, a.harm_points, a.pass_below), expected, "{gate}");
    }
    check("metric: error_rate, margin: 0.5pp", (1.0, 0.005, 1.0, 0.0005, 0.0));
    check("metric: gone_rate, margin: 0.5pp, harm: 2pp, passBelow: 0.1%", (1.0, 0.005, 1.0, 0.02, 0.001));
    check("metric: confidence_mean, margin: 2pp", (0.0, 0.02, 0.0, 0.02, 0.0));
    let lint = |rate| {
        let text =
            format!("{MINIMAL}  gates: [{{name: g, against: stable, metric: error_rate, margin: 0.5pp}}]\n");
        crate::lint(&text, Some(rate)).iter().any(|problem| problem.field.starts_with("spec.stages"))
    };
    assert!(lint(0.1) && !lint(10_000.0));
}

#[test]
fn windows_open_and_close() {
    let lines = "windows:
  utcOffset: '+02:00'
  open:
  - {days: [mon, tue, wed, thu], from: '09:00', to: '16:00'}
  - {days: [fri], from: '22:00', to: '02:00'}
  freezes:
  - {from: 2026-12-20, to: 2027-01-03, reason: holidays}";
    let text = format!("{MINIMAL}{}", lines.lines().map(|line| format!("  {line}\n")).collect::<String>());
    let windows = load(&text).unwrap().plan.windows.unwrap();
    // 2026-11-23 is a Monday; its midnight UTC:
    const MONDAY: u64 = 1_795_392_000;
    #[track_caller]
    fn check(windows: &crate::Windows, day: u64, time: &str, expected: Result<(), &str>) {
        let (hour, minute) = time.split_once(':').unwrap();
        let minutes = hour.parse::<u64>().unwrap() * 60 + minute.parse::<u64>().unwrap();
        let at = (MONDAY + day * 86_400 + minutes * 60) * 1_000;
        let said = windows.open_at(at).map_err(|closed| closed.why);
        assert_eq!(said, expected.map_err(str::to_owned), "day {day}, {time}");
    }
    let at = |day, time, expected| check(&windows, day, time, expected);
    at(0, "06:59", Err("outside its windows until Monday 2026-11-23 09:00 UTC+02:00"));
    at(0, "07:00", Ok(()));
    at(0, "13:59", Ok(()));
    at(0, "14:00", Err("outside its windows until Tuesday 2026-11-24 09:00 UTC+02:00"));
    at(3, "15:00", Err("outside its windows until Friday 2026-11-27 22:00 UTC+02:00"));
    at(4, "19:59", Err("outside its windows until Friday 2026-11-27 22:00 UTC+02:00"));
    at(4, "20:00", Ok(()));
    at(4, "23:59", Ok(()));
    at(5, "00:00", Err("outside its windows until Monday 2026-11-30 09:00 UTC+02:00"));
    at(26, "21:59", Err("outside its windows until Monday 2027-01-04 09:00 UTC+02:00"));
    at(
        26,
        "22:00",
        Err("frozen until the end of 2027-01-03 (holidays); opens Monday 2027-01-04 09:00 UTC+02:00"),
    );
    at(
        41,
        "21:59",
        Err("frozen until the end of 2027-01-03 (holidays); opens Monday 2027-01-04 09:00 UTC+02:00"),
    );
    at(42, "07:00", Ok(()));
}
