//! Shares that follow the evidence.

use crate::{Metric, Plan, ShareRange, lint, load};

const HEAD: &str = "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
";

const STAGES: &str = "stages:
- {weight: 0%, bake: 1m}
- {weight: 0.5%, bake: 10m}
- {weight: 5%, bake: 1h}
- {weight: 10%, bake: 1h}
- {weight: 25%, bake: 10m}
- {weight: 100%, bake: 10m}
";

const THREE: &str = "arms: [{name: b, version: v3}, {name: c, version: v4}]\n";

fn text(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!("{HEAD}{lines}")
}

fn plan(lines: &str) -> Plan {
    load(&text(lines)).unwrap_or_else(|problems| panic!("{problems}")).plan
}

/// Floor, ceiling and the most of one, per stage.
#[track_caller]
fn check(lines: &str, stages: &[Option<(u32, u32, u32)>]) {
    let plan = plan(lines);
    let ranges: Vec<_> = plan
        .stages
        .iter()
        .enumerate()
        .map(|(index, stage)| plan.ways(index)[0].share_range(index, stage.weight_ppm))
        .map(|range| range.map(|range| (range.floor_ppm, range.ceiling_ppm, range.most_ppm())))
        .collect();
    assert_eq!(ranges, stages, "{lines}");
}

#[test]
fn shares_move_between_the_floor_and_what_the_next_stage_gives() {
    check(
        &format!("{STAGES}bandit: {{ceiling: 20%}}"),
        &[
            None,
            // The floor lifts nobody above the stage's own weight.
            Some((5_000, 200_000, 50_000)),
            Some((10_000, 200_000, 100_000)),
            // 25 % come next, and 20 % are the ceiling.
            Some((10_000, 200_000, 200_000)),
            None,
            None,
        ],
    );
    check(
        &format!("{STAGES}bandit: {{floor: 2%, ceiling: 60%, from: 10%}}"),
        &[None, None, None, Some((20_000, 600_000, 250_000)), Some((20_000, 600_000, 600_000)), None],
    );
    check(STAGES, &[None; 6]);
}

#[test]
fn of_several_all_have_room_together() {
    let lines = format!("{THREE}{STAGES}bandit: {{floor: 1%, ceiling: 30%}}\nchoose: {{after: 10%}}");
    check(
        &lines,
        &[
            None,
            Some((5_000, 300_000, 50_000)),
            Some((10_000, 300_000, 100_000)),
            Some((10_000, 300_000, 250_000)),
            // One is left, and may have what all had.
            Some((10_000, 300_000, 300_000)),
            None,
        ],
    );
    let plan = plan(&lines);
    let starts: Vec<u32> = plan.challengers.iter().map(|one| one.start_ppm).collect();
    assert_eq!(starts, [0, 300_000, 600_000], "each can grow to the ceiling beside the others");
    // Whatever they move to, the policy compiles.
    for shares in [[280_000, 10_000, 10_000], [10_000, 280_000, 10_000], [10_000, 10_000, 280_000]] {
        let share =
            |arm| plan.challengers.iter().zip(shares).find(|(one, _)| one.arm == arm).map_or(0, |it| it.1);
        let policy = split::policy::Policy {
            schema: split::policy::SCHEMA,
            incarnation: 1,
            generation: 1,
            lease: None,
            rollouts: vec![plan.policy(1, plan.weights_by(true, share), "v1")],
        };
        assert!(split::Splitter::compile(&policy).is_ok(), "{shares:?}");
    }
    let all = self::plan(&format!("{THREE}{STAGES}bandit: {{ceiling: 90%}}\nchoose: {{after: 10%}}"));
    let range = all.share_range(3, 100_000).expect("a range");
    assert_eq!(range, ShareRange { floor_ppm: 10_000, ceiling_ppm: 900_000, each_ppm: 250_000, versions: 3 });
    assert_eq!(all.challengers[1].start_ppm, 333_333);
    assert_eq!(range.stable_ppm(), 970_000);
}

#[test]
fn defaults_are_filled_in() {
    let bandit = plan(&format!("{STAGES}bandit: {{ceiling: 20%}}")).bandit.expect("a bandit");
    assert_eq!(
        (bandit.by, bandit.floor_ppm, bandit.every_ms, bandit.from),
        (Metric::ErrorRate, 10_000, 300_000, 0)
    );
    let lines = format!(
        "{STAGES}confidence: {{fromHeader: c}}\nbandit: {{by: confidence_mean, ceiling: 20%, every: 30s}}"
    );
    let bandit = plan(&lines).bandit.expect("a bandit");
    assert_eq!((bandit.by, bandit.every_ms), (Metric::ConfidenceMean, 30_000));
}

#[track_caller]
fn refused(lines: &str, part: &str) {
    let problems = load(&text(lines)).expect_err("a problem").to_string();
    assert!(problems.contains(part), "{part:?} is missing in: {problems}");
}

#[test]
fn what_cannot_be_is_named() {
    let with = |bandit: &str| format!("{STAGES}bandit: {bandit}");
    refused(&with("{floor: 1%}"), "ceiling");
    refused(&with("{ceiling: 20%, by: latency_p99}"), "latency_p99");
    refused(&with("{ceiling: 100%}"), "spec.bandit.ceiling: nothing would be left");
    refused(&with("{ceiling: 1%}"), "spec.bandit.ceiling: 1% is not above the floor (1%)");
    refused(&format!("{THREE}{}", with("{ceiling: 3%}")), "3% is not above 3 times the floor (1%)");
    refused(&with("{ceiling: 0.4%, floor: 0.1%}"), "so no share would ever move");
    refused(&with("{ceiling: 20%, floor: 0%}"), "spec.bandit.floor: a version without traffic");
    refused(&with("{ceiling: 20%, every: 29s}"), "spec.bandit.every: 29s is too often");
    refused(&with("{ceiling: 20%, from: 7%}"), "spec.bandit.from: no stage has the weight 7%");
    refused(
        &with("{ceiling: 20%, by: confidence_mean}"),
        "spec.bandit.by: the models' confidence is not measured",
    );
    let reads = "gates: [{name: errors, metric: error_rate, max: 5%, consecutive: 3, every: 3m}]\n";
    refused(&format!("{reads}{}", with("{ceiling: 20%}")), "leave gate errors no time for its windows of 3m");
    let sticky = "assignment: {mode: sticky, keys: [{header: u}]}\n";
    refused(&format!("{sticky}{}", with("{ceiling: 20%}")), "spec.bandit: assignment is sticky");
    refused(
        &format!("assignment: {{unit: user}}\n{}", with("{ceiling: 20%}")),
        "spec.bandit: the unit is the user",
    );
    refused(
        &format!("regions: {{waves: [[eu], [us]]}}\n{}", with("{ceiling: 20%}")),
        "spec.bandit: shares that move by evidence keep no step with spec.regions",
    );
    let models = "models: [{name: a, match: {authority: [a]}}, {name: b, match: {authority: [b]}}]\n";
    refused(&format!("{models}{}", with("{ceiling: 20%}")), "keep no step with spec.models");
}

#[test]
fn what_it_costs_is_warned_of() {
    let warned = |lines: &str, rate: Option<f64>, part: &str| {
        lint(&text(lines), rate).iter().any(|problem| problem.to_string().contains(part))
    };
    let with = |bandit: &str| format!("{STAGES}bandit: {bandit}");
    let far = with("{ceiling: 20%, from: 5%}");
    assert!(warned(&far, None, "from the 5% of stage 3 to the floor (1%) takes 5 times as long"));
    assert!(!warned(&with("{ceiling: 20%, floor: 3%, from: 5%}"), None, "spec.bandit"));
    let alone = "stages: [{weight: 20%, bake: 1h}, {weight: 100%, bake: 1h}]\n";
    assert!(warned(&format!("{alone}bandit: {{floor: 5%, ceiling: 20%}}"), None, "there they only fall"));
    assert!(warned(&with("{ceiling: 20%, every: 16m}"), None, "before shares have moved twice"));
    // 1 % of 5 requests a second are 540 in 3 hours; 5 % of them are enough.
    let gate = "gates: [{name: errors, metric: error_rate, against: stable, margin: 1.2x}]\n";
    let slow = format!("{gate}{}", with("{ceiling: 20%, from: 5%}"));
    assert!(warned(&slow, Some(5.0), "at the floor (1%) gate errors wants"));
    assert!(!warned(&slow, Some(500.0), "at the floor"));
}
