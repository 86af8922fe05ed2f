//! A pass is by proof, and by proof that still holds.

use std::sync::Arc;

use manifest::{Limit, Plan};

use super::story::Story;
use crate::{Answer, Effect, Event, Evidence, Phase, Reading, Severity};

const STAGES: &str = "stages:
- {weight: 20%, bake: 2m, deadline: 10h}
- {weight: 50%, bake: 2m, deadline: 10h}
- {weight: 100%, bake: 1m}
";

/// A rollout whose plan was changed behind the back of `manifest`, as a store of another build might have it.
fn changed(lines: &str, change: impl FnOnce(&mut Plan)) -> Story {
    let mut story = Story::of(&format!("{STAGES}{lines}"));
    change(Arc::make_mut(&mut story.state.plan));
    let evidence = Evidence::new(&story.state.plan);
    story.state.evidence = evidence;
    story.start()
}

fn answer(story: &Story, gate: &str) -> Answer {
    let gates = &story.state.stages.last().expect("a stage").gates;
    gates.iter().find(|verdict| verdict.name == gate).expect("the gate").answer
}

/// It holds for an hour, and its message, its verdicts and a notice say why.
#[track_caller]
fn holds(mut story: Story, name: &str) {
    story.until(10, |state| state.weights.canary_ppm > 0);
    for _ in 0..3_600 {
        story.second();
        assert_eq!(story.state.weights.canary_ppm, 200_000, "{}", story.state.message());
    }
    assert_eq!(*story.phase(), Phase::Progressing);
    assert!(story.state.message().contains("could not be evaluated: "), "{}", story.state.message());
    let view = story.state.view();
    let all = view.guardrails.iter().chain(view.stages.iter().flat_map(|stage| &stage.gates));
    let said = all.filter(|verdict| verdict.answer == Answer::Error && verdict.name == name);
    assert_eq!(said.count(), 1, "{view:#?}");
    let told = story.effects.iter().filter(|effect| {
        matches!(effect, Effect::Notify(notice) if notice.severity == Severity::Warning && notice.text.contains(&format!(" {name} could not be evaluated")))
    });
    assert_eq!(told.count(), 1, "people hear of it once");
}

#[test]
fn what_cannot_be_built_is_not_passed() {
    let confidence = "confidence: {fromHeader: x-conf}\ngates: [{name: c, metric: confidence_mean, min: 0.65}, {name: e, metric: error_rate, max: 5%}]";
    holds(changed(confidence, |plan| plan.gates[0].limit = Some(Limit::of(65.0))), "c");
    let rate = "gates: [{name: e, metric: error_rate, max: 5%, against: stable, margin: 2x}]";
    holds(changed(rate, |plan| plan.gates[0].limit = Some(Limit::of(1.5))), "e");
    let rail = "gates: [{name: e, metric: error_rate, max: 5%}]\nguardrails: [{name: far, metric: error_rate, max: 20%}]";
    holds(changed(rail, |plan| plan.guardrails[0].limit = 1.5), "far");
    let beside = "gates: [{name: e, metric: error_rate, max: 5%}]\nguardrails: [{name: far, metric: error_rate, max: 20%, against: stable}]";
    holds(changed(beside, |plan| plan.guardrails[0].limit = 1.5), "far");
}

/// Counts nobody can make sense of are no proof, and when they make sense again it is gathered anew.
#[test]
fn what_cannot_be_evaluated_holds_and_recovers() {
    let gate = "confidence: {fromHeader: x-conf}\ngates: [{name: c, metric: confidence_mean, min: 0.65}]";
    let mut story = changed(gate, |_| {}).per_second(20);
    story.until(600, |state| state.stages.len() == 2);
    story.until(600, |state| state.stages[1].gates.iter().any(|gate| gate.answer == Answer::Pass));
    let honest = story.canary.confidence;
    // Means beyond the range.
    story.canary.confidence = 40.0;
    story.until(5, |state| state.stages[1].gates[0].answer == Answer::Error);
    for _ in 0..600 {
        story.second();
        assert_eq!(story.state.weights.canary_ppm, 500_000);
    }
    assert!(story.state.message().contains("gate c could not be evaluated"), "{}", story.state.message());
    story.canary.confidence = honest;
    story.second();
    assert_eq!(answer(&story, "c"), Answer::Insufficient, "what was left out may have been bad");
    assert!(!story.state.message().contains("could not be evaluated"), "{}", story.state.message());
    story.until(600, |state| state.stages.len() == 3);
}

/// What passed early is looked at again until the stage ends: what is beyond the margin by then is not exposed to more.
#[test]
fn a_pass_must_hold_when_the_stage_ends() {
    // Harm takes longer to prove than the stage lasts, so that nothing else stops it.
    let gate =
        "gates: [{name: e, metric: error_rate, against: stable, margin: 1.5x, harm: 1.5x, passBelow: 0.01%}]
alpha: {gates: 0.0001}
guardrails: [{name: far, metric: error_rate, max: 90%}]
stages: [{weight: 20%, bake: 1h, deadline: 10h}, {weight: 100%, bake: 1m}]";
    let mut story = Story::of(gate).start();
    story.until(3_500, |state| state.stages.last().is_some_and(|stage| stage.baked_ms > 3_400_000));
    assert_eq!(answer(&story, "e"), Answer::Pass);
    // An hour of health against the last minutes.
    story.canary.errors = 0.02;
    let mut contradicted = false;
    for _ in 0..300 {
        story.second();
        contradicted |= answer(&story, "e") != Answer::Pass;
        assert_eq!(story.state.weights.canary_ppm, 200_000, "{}", story.state.message());
    }
    assert!(contradicted);
    // And when it is well again, that is proven again.
    story.canary.errors = 0.01;
    story.until(7_200, |state| state.stages.len() == 2);
}

/// All gates that prove harm are said to fail, whatever is done about the first of them.
#[test]
fn no_gate_hides_another() {
    let gates = "gates:
- {name: p99, metric: latency_p99, against: stable, margin: 25%, onFail: pause}
- {name: errors, metric: error_rate, against: stable, margin: 2x}
guardrails: [{name: far, metric: error_rate, max: 99%}]";
    let mut story = Story::of(&format!("{STAGES}{gates}")).start();
    story.until(60, |state| state.stages.last().is_some_and(|stage| stage.baked_ms > 20_000));
    (story.canary.errors, story.canary.slower) = (0.04, 4.0);
    let failed = |state: &crate::State| {
        let said = state.evidence.harms(&state.plan, state.scope());
        said.into_iter().map(|fired| fired.verdict.name).collect::<Vec<_>>()
    };
    story.until(600, |state| failed(state).len() == 2);
    assert!(["p99", "errors"].iter().all(|gate| failed(&story.state).contains(&(*gate).to_owned())));
    assert!(["p99", "errors"].iter().all(|gate| answer(&story, gate) == Answer::Fail));

    // Nor one by readings that are counted.
    let gates = "gates:
- {name: a, source: {push: {}}, max: 5, onFail: pause, failureLimit: 1}
- {name: b, source: {push: {}}, max: 5, failureLimit: 1}
guardrails: [{name: far, metric: error_rate, max: 99%}]";
    let mut story = Story::of(&format!("{STAGES}{gates}")).start();
    story.until(60, |state| state.stages.last().is_some_and(|stage| stage.baked_ms > 20_000));
    for gate in ["a", "a", "b", "b"] {
        story.take(&Event::Reading(Reading {
            gate: gate.to_owned(),
            canary: Some(9.0),
            ..Reading::default()
        }));
    }
    assert_eq!(failed(&story.state), ["a", "b"]);
}

/// Views go on showing what ended it.
#[test]
fn the_verdict_that_fired_stays() {
    let mut story =
        Story::of(&format!("{STAGES}guardrails: [{{name: far, metric: error_rate, max: 5%}}]")).start();
    story.canary.errors = 0.5;
    story.ends(120);
    (0..600).for_each(|_| story.second());
    let view = story.state.view();
    assert!(view.message.contains("guardrail far"), "{}", view.message);
    let said: Vec<_> = view.guardrails.iter().map(|said| (said.name.as_str(), &said.answer)).collect();
    assert_eq!(said, [("far", &crate::OpenEnum::from(Answer::Fail))]);
    let text = serde_json::to_string(&*story.state).unwrap();
    let again: crate::State = serde_json::from_str(&text).unwrap();
    assert_eq!(again.view().guardrails, view.guardrails);
    // A store of an earlier build does not say.
    let mut old: serde_json::Value = serde_json::from_str(&text).unwrap();
    old["rollback"].as_object_mut().unwrap().remove("guardrails").unwrap();
    let old: crate::State = serde_json::from_value(old).unwrap();
    assert_eq!(old.view().guardrails[0].answer, Answer::Fail);
}

/// The deadline is for evidence. What is complete and waits for its window has nothing to hurry for.
#[test]
fn no_deadline_runs_out_while_a_complete_stage_waits_for_its_window() {
    let lines = "stages: [{weight: 20%, bake: 11m, deadline: 15m}, {weight: 100%, bake: 1m}]
onInsufficient: rollback
noData: {action: hold}
windows: {open: [{from: '00:10', to: '00:20'}]}
gates: [{name: e, metric: error_rate, max: 5%}, {name: quality, source: {push: {}}, min: 0.9, failBelow: 0.8, consecutive: 1}]";
    let mut story = Story::of(lines).start();
    let read = |story: &mut Story, value: f64| {
        let canary = Some(value);
        story.take(&Event::Reading(Reading { gate: "quality".to_owned(), canary, ..Reading::default() }));
    };
    story.until(700, |state| state.weights.canary_ppm > 0);
    for _ in 0..40 {
        read(&mut story, 0.95);
        (0..60).for_each(|_| story.second());
    }
    assert!(story.state.message().contains("complete"), "{}", story.state.message());
    // A moment without proof, long after the time of the deadline.
    read(&mut story, 0.85);
    (0..60).for_each(|_| story.second());
    assert_eq!((story.phase(), answer(&story, "quality")), (&Phase::Progressing, Answer::Marginal));
    read(&mut story, 0.95);
    story.counted = false;
    (0..70).for_each(|_| story.second());
    assert_eq!(*story.phase(), Phase::Progressing, "{}", story.state.message());
    // What stays without proof has its deadline all the same.
    story.counted = true;
    read(&mut story, 0.85);
    assert!(story.ends(600) > 60);
}
