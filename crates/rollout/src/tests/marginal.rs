//! What is done about gates between good and bad: when, how often, for how long.

use super::gates::with;
use super::story::{Story, human};
use crate::{Answer, Event, Pause, Phase, Reading};

#[test]
fn between_good_and_bad_is_marginal_and_does_what_the_plan_says() {
    let lines = |policy: &str| {
        format!(
            "gates: [{{name: e, metric: error_rate, max: 1%, failAbove: 5%, onMarginal: {policy}}}]\nguardrails: [{{name: far, metric: error_rate, max: 90%}}]"
        )
    };
    let mut story = with(&lines("escalate")).canary(|canary| canary.errors = 0.03).start();
    story.until(900, |state| matches!(state.phase, Phase::Paused(_)));
    assert_eq!(*story.phase(), Phase::Paused(Pause::Marginal { gate: "e".to_owned() }));
    assert!(story.state.message().contains("between good and bad"), "{}", story.state.message());

    let mut story = with(&lines("hold")).canary(|canary| canary.errors = 0.03).start();
    story.until(900, |state| {
        state.stages.last().is_some_and(|s| s.gates.iter().any(|v| v.answer == Answer::Marginal))
    });
    story.until(2_000, |state| matches!(state.phase, Phase::Paused(_)));
    assert_eq!(*story.phase(), Phase::Paused(Pause::Deadline));

    let mut story = with(&lines("reanalyze")).canary(|canary| canary.errors = 0.03).start();
    story.until(900, |state| state.stages.last().is_some_and(|stage| stage.reanalyzed));
    story.canary.errors = 0.001;
    story.ends(2_000);
    assert_eq!(*story.phase(), Phase::Succeeded);
}

/// At its first stage, with a gate that passes from 0.95 on and fails below 0.9.
fn story(policy: &str) -> Story {
    let gate = "name: a, source: {push: {}}, min: 0.95, failBelow: 0.9, consecutive: 9, failureLimit: 9";
    let mut story = with(&format!("gates: [{{{gate}, {policy}}}]")).start();
    story.until(5, |state| state.stages.first().is_some_and(|stage| stage.acknowledged.is_some()));
    story
}

fn read(story: &mut Story, value: f64) {
    let reading = Reading { gate: "a".to_owned(), canary: Some(value), ..Reading::default() };
    story.take(&Event::Reading(reading));
}

fn asked() -> Phase {
    Phase::Paused(Pause::Marginal { gate: "a".to_owned() })
}

fn again(story: &Story) -> usize {
    story.state.history.iter().filter(|line| line.what.starts_with("Measure gate a again")).count()
}

#[test]
fn so_many_readings_between_good_and_bad_are_borne_in_a_stage() {
    #[track_caller]
    fn check(policy: &str, borne: &[f64], last: f64) {
        let mut story = story(policy);
        for round in 0..2 {
            for &value in borne {
                read(&mut story, value);
                assert_eq!(*story.phase(), Phase::Progressing, "{policy}: {value}, round {round}");
            }
            read(&mut story, last);
            assert_eq!(*story.phase(), asked(), "{policy}: round {round}");
            // Whoever resumes bears as many again.
            story.take(&Event::Resume(human()));
        }
    }
    check("onMarginal: escalate", &[0.97, 0.8], 0.92);
    check("onMarginal: escalate, marginalLimit: 0", &[0.97, 0.8], 0.92);
    // Good and bad ones between them neither count nor forgive.
    check("onMarginal: escalate, marginalLimit: 2", &[0.92, 0.97, 0.8, 0.92, 0.97], 0.92);

    let mut story = story("onMarginal: escalate, marginalLimit: 2");
    read(&mut story, 0.92);
    let said = story.state.verdicts();
    assert_eq!(said[0].answer, Answer::Marginal);
    assert!(said[0].why.contains("1 marginal readings, 2 are borne; a is 0.92"), "{}", said[0].why);
}

#[test]
fn a_stage_bears_anew() {
    let lines =
        "stages: [{weight: 5%, bake: 1s, gates: []}, {weight: 10%, bake: 1h}, {weight: 100%, bake: 1s}]
gates: [{name: a, source: {push: {}}, min: 0.95, failBelow: 0.9, onMarginal: reanalyze, marginalLimit: 1}]";
    let mut story = Story::of(lines).start();
    let at_work = |state: &crate::State, stage: usize| {
        state.stage == stage && state.stages.last().is_some_and(|stage| stage.acknowledged.is_some())
    };
    story.until(5, |state| at_work(state, 0));
    read(&mut story, 0.92);
    story.until(60, |state| at_work(state, 1));
    read(&mut story, 0.92);
    assert_eq!(again(&story), 0, "the first of this stage");
    read(&mut story, 0.92);
    assert_eq!(again(&story), 1);
}

#[test]
fn it_is_measured_again_so_many_times_and_then_held() {
    for (policy, times) in [
        ("onMarginal: hold", 0),
        ("onMarginal: reanalyze", 1),
        ("onMarginal: reanalyze, reanalyses: 3", 3),
        ("onMarginal: reanalyze, reanalyses: 2, marginalLimit: 1", 2),
    ] {
        let mut story = story(policy);
        for _ in 0..9 {
            read(&mut story, 0.97);
            read(&mut story, 0.92);
        }
        assert_eq!((again(&story), story.phase()), (times, &Phase::Progressing), "{policy}");
    }
    // What it had proven is forgotten with the rest.
    let mut story = story("onMarginal: reanalyze, reanalyses: 2");
    for _ in 0..8 {
        read(&mut story, 0.97);
    }
    read(&mut story, 0.92);
    read(&mut story, 0.97);
    assert!(story.state.verdicts()[0].why.contains("1 of 9 good readings"), "{:?}", story.state.verdicts());
}

#[test]
fn it_is_held_for_so_long_and_then_a_person_is_asked() {
    let minutes = |story: &mut Story, minutes: u64| (0..60 * minutes).for_each(|_| story.second());
    for policy in ["maxHold: 10m", "onMarginal: reanalyze, maxHold: 10m", "marginalLimit: 1, maxHold: 10m"] {
        let mut story = story(policy);
        read(&mut story, 0.92);
        read(&mut story, 0.92);
        minutes(&mut story, 9);
        assert_eq!(*story.phase(), Phase::Progressing, "{policy}");
        minutes(&mut story, 2);
        assert_eq!(*story.phase(), asked(), "{policy}");
        assert!(story.state.history.iter().any(|line| line.what.contains("held for 10m")), "{policy}");
        // A person who waits on waits as long again, however long that took to be said.
        minutes(&mut story, 60);
        story.take(&Event::Resume(human()));
        read(&mut story, 0.92);
        read(&mut story, 0.92);
        minutes(&mut story, 9);
        assert_eq!(*story.phase(), Phase::Progressing, "{policy}: again");
    }
    // What is good or bad meanwhile is held no more.
    let mut story = story("maxHold: 10m");
    read(&mut story, 0.92);
    minutes(&mut story, 9);
    read(&mut story, 0.97);
    minutes(&mut story, 1);
    read(&mut story, 0.92);
    minutes(&mut story, 9);
    assert_eq!(*story.phase(), Phase::Progressing);
}

#[test]
fn counts_are_borne_by_their_windows_whatever_is_proven() {
    let until_asked = |policy: &str| {
        let lines = format!(
            "gates: [{{name: a, metric: error_rate, max: 1%, failAbove: 5%, onMarginal: escalate, every: 1m{policy}}}]
guardrails: [{{name: far, metric: error_rate, max: 90%}}]"
        );
        let mut story = with(&lines).canary(|canary| canary.errors = 0.03).start();
        let seconds = story.until(1_500, |state| state.phase == asked());
        (seconds, story.state.message())
    };
    let (proven, _) = until_asked("");
    let (borne, why) = until_asked(", marginalLimit: 9");
    assert!(proven < 500 && (600..620).contains(&borne), "{proven} {borne}");
    assert!(why.contains("10 marginal readings, 9 are borne; error_rate is 3"), "{why}");
}

#[test]
fn a_gate_that_is_held_covers_no_other() {
    let gate = |name: &str, policy: &str| {
        format!("{{name: {name}, source: {{push: {{}}}}, min: 0.95, failBelow: 0.9, onMarginal: {policy}}}")
    };
    let mut story = with(&format!("gates: [{}, {}]", gate("first", "hold"), gate("a", "escalate"))).start();
    story.until(5, |state| state.stages.first().is_some_and(|stage| stage.acknowledged.is_some()));
    let reading = Reading { gate: "first".to_owned(), canary: Some(0.92), ..Reading::default() };
    story.take(&Event::Reading(reading));
    read(&mut story, 0.92);
    assert_eq!(*story.phase(), asked());
}
