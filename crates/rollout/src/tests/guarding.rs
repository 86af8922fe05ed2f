//! Guardrails on figures of the user's own.

use super::gates::{rolled_back_by, with};
use super::story::{Story, human};
use crate::{Answer, Event, Pause, Phase, Reading, RollbackBy};

fn story(more: &str) -> Story {
    let rail = "name: cpu, source: {push: {}}, max: 1.1, every: 30s";
    let mut story =
        with(&format!("guardrails: [{{{rail}, {more}}}, {{name: far, metric: error_rate, max: 90%}}]"))
            .start();
    story.until(5, |state| state.stages.first().is_some_and(|stage| stage.acknowledged.is_some()));
    story
}

fn read(story: &mut Story, value: f64) {
    story.take(&Event::Reading(Reading {
        gate: "cpu".to_owned(),
        canary: Some(value),
        ..Reading::default()
    }));
}

#[test]
fn so_many_bad_readings_in_a_row_take_the_run_back() {
    let mut story = self::story("failureLimit: 2");
    for value in [1.2, 1.2, 1.0, 1.2, 1.2] {
        read(&mut story, value);
        assert_eq!(*story.phase(), Phase::Progressing);
    }
    let said = story.state.view().guardrails[0].clone();
    assert_eq!((said.answer, said.estimate, said.bound), (Answer::Pass.into(), Some(1.2), Some(1.1)));
    assert!(said.why.contains("2 readings in a row are above 1.1, 2 are borne"), "{}", said.why);
    read(&mut story, 1.2);
    assert_eq!(rolled_back_by(&story), Some(RollbackBy::Guardrail("cpu".to_owned())));
    let reason = story.state.rollback.clone().unwrap().reason;
    assert!(reason.contains("3 readings in a row are above 1.1, 2 are borne; cpu is 1.2"), "{reason}");

    // A minimum is broken below it.
    let lines = "guardrails: [{name: cpu, source: {push: {}}, min: 0.8, failureLimit: 0}]";
    let mut story = with(lines).start();
    story.until(5, |state| state.phase == Phase::Progressing);
    read(&mut story, 0.9);
    assert_eq!(*story.phase(), Phase::Progressing);
    read(&mut story, 0.7);
    assert_eq!(*story.phase(), Phase::RolledBack);
}

#[test]
fn it_guards_in_every_state_in_which_the_canary_has_traffic() {
    // Bad readings of one stage go on in the next, and while it stands still.
    let lines =
        "stages: [{weight: 5%, bake: 1s, gates: []}, {weight: 10%, bake: 1h}, {weight: 100%, bake: 1s}]
guardrails: [{name: cpu, source: {prometheus: {url: 'http://p', query: c}}, max: 1.1, every: 30s}]";
    let mut story = Story::of(lines);
    assert_eq!(story.state.questions(), []);
    let mut story = {
        story.take(&Event::Start(human()));
        story.until(20, |state| state.phase == Phase::Progressing);
        story
    };
    assert_eq!(story.state.questions().len(), 1);
    read(&mut story, 1.2);
    assert_eq!(story.state.questions(), [], "not before its time");
    story.until(60, |state| state.stage == 1);
    read(&mut story, 1.2);
    story.take(&Event::Pause(human()));
    (0..30).for_each(|_| story.second());
    assert_eq!(story.state.questions().len(), 1, "asked while it is paused");
    read(&mut story, 1.2);
    assert_eq!(*story.phase(), Phase::RolledBack);

    // While it is handed back.
    let lines = "stages: [{weight: 100%, bake: 1s, gates: []}]
handBack: {endpoints: [http://stable]}
guardrails: [{name: cpu, source: {push: {}}, max: 1.1, failureLimit: 0}]";
    let mut story = Story::of(lines);
    story.deploys = false;
    let mut story = story.start();
    story.until(60, |state| state.watches_stable());
    read(&mut story, 1.2);
    assert_eq!(*story.phase(), Phase::RolledBack);
}

#[test]
fn one_that_gives_nothing_lets_nothing_rise() {
    for (policy, error, expected) in [
        ("failureLimit: 2", true, Phase::Progressing),
        ("failureLimit: 2", false, Phase::Progressing),
        ("onError: {limit: 3, action: pause}", true, Phase::Paused(Pause::Unread { gate: "cpu".to_owned() })),
        ("noData: {limit: 3, action: rollback}", false, Phase::RolledBack),
    ] {
        let mut story = self::story(policy);
        let vain = Reading {
            gate: "cpu".to_owned(),
            error: error.then(|| "refused".to_owned()),
            ..Reading::default()
        };
        (0..4).for_each(|_| story.take(&Event::Reading(vain.clone())));
        assert_eq!(*story.phase(), expected, "{policy}");
        if expected != Phase::Progressing {
            continue;
        }
        // The gates pass and the bake is over, and it waits.
        (0..600).for_each(|_| story.second());
        assert_eq!((story.phase(), story.state.stage), (&Phase::Progressing, 0), "{policy}");
        let (answer, why) = (story.state.view().guardrails[0].answer.clone(), story.state.message());
        assert_eq!(answer, if error { Answer::Error } else { Answer::Insufficient });
        assert!(why.contains("waits for readings of guardrail cpu"), "{why}");
        read(&mut story, 1.0);
        story.second();
        assert_eq!(story.state.stage, 1, "{policy}");
    }
}

#[test]
fn it_spends_nothing_of_the_alpha_that_tests_share() {
    let seconds = |more: &str| {
        let lines = format!(
            "gates: [{{name: p, metric: latency_p99, max: 30s}}]\nguardrails: [{{name: e, metric: error_rate, max: 2%}}{more}]"
        );
        let mut story = with(&lines).canary(|canary| canary.errors = 0.06).start();
        story.ends(600)
    };
    assert_eq!(seconds(""), seconds(", {name: cpu, source: {push: {}}, max: 1.1}"));
}
