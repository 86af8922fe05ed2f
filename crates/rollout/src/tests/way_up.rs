//! Whole runs.

use super::story::{GOOD, HEAD, Held, Model, Story, human};
use crate::{Answer, Effect, Event, Pause, Phase, Reading, RollbackBy};

const STAGES: &str = "stages:
- {weight: 5%, bake: 20s, deadline: 20m}
- {weight: 25%, bake: 20s, deadline: 20m}
- {weight: 100%, bake: 20s}
handBack: {hook: {url: http://deploy}, endpoints: [http://stable], step: 5s}
";

#[test]
fn a_good_canary_is_promoted_and_handed_back() {
    let mut story = Story::of(STAGES).start();
    let seconds = story.ends(1_200);
    assert_eq!(*story.phase(), Phase::Succeeded, "{}", story.state.message());
    let weights: Vec<u32> = story.weights.iter().map(|&(_, ppm)| ppm).collect();
    assert_eq!(weights, [0, 50_000, 250_000, 1_000_000, 500_000, 0]);
    assert_eq!(story.state.stable_version, "v2");
    let exposed = story.state.exposed;
    assert!(exposed.requests > 5_000 && exposed.errors.abs_diff(exposed.requests / 100) < 5, "{exposed:?}");
    assert!(
        story.effects.iter().any(|effect| matches!(effect, Effect::HandBack(request) if request.to == "v2"))
    );
    // 5,400 canary requests prove 1 % of errors below 1.5 times 1 %, at ten and then fifty a second.
    assert!(seconds < 720, "{seconds}");
    for stage in &story.state.stages {
        for verdict in &stage.gates {
            let expected = if stage.weight_ppm == 1_000_000 { Answer::NotApplicable } else { Answer::Pass };
            assert_eq!(verdict.answer, expected, "{verdict:?}");
        }
    }
}

#[test]
fn two_versions_that_never_fail_are_told_to_be_alike() {
    let mut story = Story::of(STAGES);
    story.stable = Model { errors: 0.0, ..GOOD };
    story.canary = story.stable;
    let mut story = story.start();
    story.ends(1_200);
    assert_eq!(*story.phase(), Phase::Succeeded);
}

/// A hundredth of the requests misses the cache: stable's p99 lies just below a gap no margin bridges.
#[test]
fn clustered_answer_times_are_told_to_be_alike() {
    let mut story = Story::of(STAGES).per_second(1_000);
    story.times = vec![(40.0, 0.5), (60.0, 0.4905), (300.0, 0.0095)];
    let mut story = story.start();
    story.ends(1_200);
    assert_eq!(*story.phase(), Phase::Succeeded);
}

/// What ends the run at 5 % of 200 requests a second, and how fast.
#[track_caller]
fn ends_it(lines: &str, change: impl FnOnce(&mut Model), gate: &str, within_s: u64) {
    ends(lines, change, RollbackBy::Gate(gate.to_owned()), within_s);
}

#[track_caller]
fn ends(lines: &str, change: impl FnOnce(&mut Model), by: RollbackBy, within_s: u64) {
    let mut story = Story::of(&format!("{STAGES}{lines}")).canary(change).start();
    let seconds = story.ends(1_200);
    let rollback = story.state.rollback.clone().expect("rolled back");
    let by_gate = matches!(by, RollbackBy::Gate(_));
    assert_eq!(rollback.by, by, "{}", rollback.reason);
    assert!(seconds <= within_s, "{seconds} s: {}", rollback.reason);
    let last: Vec<_> = story.effects.iter().rev().take(4).collect();
    assert!(last.iter().any(|effect| matches!(effect, Effect::Revoke { .. })), "{last:?}");
    assert_eq!(story.weights.last().map(|&(_, ppm)| ppm), Some(0));
    let failed = story.state.stages.last().unwrap().gates.iter().filter(|v| v.answer == Answer::Fail).count();
    assert_eq!(failed, usize::from(by_gate));
}

#[test]
fn harm_ends_it_in_any_stage_and_at_once() {
    ends_it("", |canary| canary.errors = 0.05, "errors", 30);
    ends_it("", |canary| canary.errors = 0.02, "errors", 250);
    ends_it("", |canary| canary.slower = 1.5, "latency", 60);
    ends("", |canary| canary.hangs = 1.0, RollbackBy::Guardrail("overdue-limit".to_owned()), 10);
    ends(
        "guardrails: [{name: errors, metric: error_rate, max: 50%}]",
        |canary| canary.hangs = 1.0,
        RollbackBy::Gate("overdue".to_owned()),
        10,
    );
    ends_it("", |canary| canary.hangs = 0.2, "overdue", 30);
    let confidence = "confidence: {fromHeader: x-confidence}
gates:
- {name: errors, metric: error_rate, against: stable, margin: 1.5x}
- {name: confidence, metric: confidence_mean, against: stable, margin: 2%}
";
    ends_it(confidence, |canary| canary.confidence = 0.80, "confidence", 120);
    ends_it(
        "gates: [{name: slow, metric: latency_p99, max: 250ms}]",
        |canary| canary.slower = 2.0,
        "slow",
        150,
    );
    let floor = "confidence: {fromHeader: x-confidence}
gates: [{name: sure, metric: confidence_mean, min: 0.8}]";
    ends_it(floor, |canary| canary.confidence = 0.7, "sure", 120);
}

#[test]
fn harm_that_begins_at_the_end_is_found() {
    let mut story =
        Story::of(&STAGES.replace("- {weight: 100%, bake: 20s}", "- {weight: 100%, bake: 1h}")).start();
    story.until(1_200, |state| state.phase == Phase::Promoting);
    story.until(1_000, |state| state.stages.last().unwrap().baked_ms > 600_000);
    story.canary.errors = 0.2;
    let seconds = story.ends(120);
    let rollback = story.state.rollback.clone().expect("rolled back");
    assert_eq!(rollback.by, RollbackBy::Guardrail("errors-limit".to_owned()), "{}", rollback.reason);
    assert!(seconds <= 10, "{seconds}");
}

#[test]
fn without_traffic_nothing_passes() {
    let mut story = Story::of("").per_second(0).start();
    story.until(4_000, |state| matches!(state.phase, Phase::Paused(_)));
    assert_eq!(*story.phase(), Phase::Paused(Pause::Deadline));
    assert_eq!(story.state.weights.canary_ppm, 50_000);
    assert!(story.state.stages[0].gates.iter().all(|verdict| verdict.answer == Answer::Insufficient));
}

#[test]
fn without_counts_nothing_moves_and_people_hear_of_it_once() {
    let stages =
        STAGES.replace("25%, bake: 20s", "25%, bake: 2h, deadline: 3h").replace("3h, deadline: 20m", "3h");
    let mut story = Story::of(&format!("noData: {{after: 60s, action: hold}}\n{stages}")).start();
    story.until(600, |state| state.stage == 1);
    story.counted = false;
    for _ in 0..600 {
        story.second();
    }
    assert_eq!((story.phase(), story.state.stage), (&Phase::Progressing, 1));
    assert!(story.state.stages[1].baked_ms <= 62_000, "{}", story.state.stages[1].baked_ms);
    let notices =
        story.effects.iter().filter(|e| matches!(e, Effect::Notify(n) if n.text.contains("no metrics")));
    assert_eq!(notices.count(), 1);
}

#[test]
fn proxies_that_do_not_follow_stop_it_and_let_it_go_on() {
    let mut story = Story::of(&format!("acknowledge: {{onTimeout: pause}}\n{STAGES}"));
    story.follow = false;
    let mut story = story.start();
    for _ in 0..120 {
        story.second();
    }
    assert!(matches!(story.phase(), Phase::Pending { .. }), "nobody is exposed before the proxies follow");
    let ack = |story: &mut Story| {
        story.follow = true;
        if let Some(publication) = &mut story.state.publication {
            publication.acks.connected = 0;
        }
    };
    ack(&mut story);
    story.until(2, |state| state.phase == Phase::Progressing);
    story.follow = false;
    story.until(65, |state| state.phase == Phase::Paused(Pause::Quorum));
    assert!(story.state.message().contains("envoy-2"), "{}", story.state.message());
    ack(&mut story);
    story.until(2, |state| state.phase == Phase::Progressing);
    story.ends(1_200);
    assert_eq!(*story.phase(), Phase::Succeeded);
}

/// The hour of preset `hour`: its marks fall on the minute when the evidence comes in time, and 0.1 % of errors at a
/// weight of 1 % for 5 minutes takes 2,000 requests a second (6,000 canary requests without an error prove it).
#[test]
fn the_hour_replays_exactly() {
    let mut story =
        Story::of("preset: hour\nhandBack: {endpoints: [http://stable], step: 5s}").per_second(2_000);
    story.stable = Model { errors: 0.0, slower: 0.5, ..GOOD };
    story.canary = story.stable;
    let mut story = story.start();
    story.until(3_200, |state| state.phase == Phase::Paused(Pause::Approval));
    let minute = |seconds: u64| (seconds as f64 / 60.0).round() as u64;
    assert_eq!(minute(story.ms / 1_000), 50);
    while story.ms < 3_300_000 {
        story.second();
    }
    assert_eq!(story.state.weights.canary_ppm, 500_000, "waits for a person, not for a clock");
    story.take(&Event::Approve(human()));
    story.until(400, |state| state.watches_stable());
    assert_eq!(minute(story.ms / 1_000), 60);
    let marks: Vec<_> = story.weights.iter().map(|&(second, ppm)| (minute(second), ppm)).take(6).collect();
    assert_eq!(marks, [(0, 0), (0, 10_000), (5, 50_000), (15, 200_000), (30, 500_000), (55, 1_000_000)]);
}

/// The same marks with the model's own figures, read from a source every so often.
#[test]
fn the_hour_with_the_models_own_figures_replays_exactly() {
    let source = "source: {prometheus: {url: 'http://p', query: a, stableQuery: b}}";
    let lines = format!(
        "preset: ml-hour\nhandBack: {{endpoints: [http://stable], step: 5s}}\ngates:\n- {{name: accuracy, {source}}}\n- {{name: conversion, {source}}}\n- {{name: drift, source: {{prometheus: {{url: 'http://p', query: c}}}}}}"
    );
    // (accuracy, drift and conversion against 0.95, nothing and 0.05 or so of stable; how it ends)
    let run = |accuracy: f64, drift: f64, conversion: f64| {
        let mut story = Story::of(&lines).per_second(2_000);
        story.stable = Model { errors: 0.0, slower: 0.5, ..GOOD };
        story.canary = story.stable;
        let mut story = story.start();
        while story.ms < 3_300_000 && *story.phase() != Phase::RolledBack {
            let sways = 0.05 + 0.000_2 * ((story.ms / 60_000 * 37) % 7) as f64;
            for question in story.state.questions() {
                let (canary, stable) = match question.gate.as_str() {
                    "accuracy" => (accuracy, Some(0.95)),
                    "drift" => (drift, None),
                    _ => (sways * conversion, Some(sways)),
                };
                let reading =
                    Reading { gate: question.gate, canary: Some(canary), stable, ..Reading::default() };
                story.take(&Event::Reading(reading));
            }
            story.second();
        }
        story
    };
    let minute = |seconds: u64| (seconds as f64 / 60.0).round() as u64;
    let mut story = run(0.94, 0.95, 0.99);
    assert_eq!(*story.phase(), Phase::Paused(Pause::Approval), "{}", story.state.message());
    story.take(&Event::Approve(human()));
    story.until(400, |state| state.watches_stable());
    let marks: Vec<_> = story.weights.iter().map(|&(second, ppm)| (minute(second), ppm)).take(6).collect();
    assert_eq!(marks, [(0, 0), (0, 10_000), (5, 50_000), (15, 200_000), (30, 500_000), (55, 1_000_000)]);
    assert_eq!(minute(story.ms / 1_000), 60);
    // Each figure ends it in the stage that first looks at it.
    for (figures, gate, stage) in [
        ((0.85, 0.95, 1.0), "accuracy", 1),
        ((0.94, 0.85, 1.0), "drift", 1),
        ((0.94, 0.95, 0.9), "conversion", 2),
    ] {
        let story = run(figures.0, figures.1, figures.2);
        let by = story.state.rollback.clone().map(|rollback| rollback.by);
        assert_eq!((by, story.state.stage), (Some(RollbackBy::Gate(gate.to_owned())), stage), "{figures:?}");
    }
}

#[test]
fn a_second_rollout_starts_on_the_same_routes() {
    let mut story = Story::of(STAGES).start();
    story.ends(1_200);
    let text = HEAD
        .replace("stable: {version: v1}", "stable: {version: v2}")
        .replace("canary: {version: v2}", "canary: {version: v3}");
    let plan = manifest::load(&text).unwrap().plan;
    let next = crate::State::new(plan, 2, story.state.epoch, crate::Now::at_ms(story.ms));
    let (next, effects) = crate::step(next, &Event::Start(human()), crate::Now::at_ms(story.ms));
    assert!(next.epoch > story.state.epoch);
    assert!(matches!(effects.last(), Some(Effect::Publish(p)) if p.policy.arms.stable.version == "v2"));
}

#[test]
fn a_restart_between_any_two_steps_changes_nothing() {
    let mut one = Story::of(STAGES).start();
    let mut other = Story::of(STAGES).start();
    for second in 0..400 {
        one.second();
        other.second();
        let text = serde_json::to_string(&*other.state).unwrap();
        assert!(text.len() < 96 * 1024, "{second}: {} bytes", text.len());
        other.state = Held(Some(serde_json::from_str(&text).unwrap()));
    }
    assert_eq!(one.weights, other.weights);
    assert_eq!(one.state.view(), other.state.view());
}
