//! What gates and guardrails say, and what they say it about.

use super::story::{GOOD, Story};
use crate::{Answer, Phase, RollbackBy, State};

fn with(lines: &str) -> Story {
    Story::of(&format!(
        "stages:\n- {{weight: 5%, bake: 30s, deadline: 50m}}\n- {{weight: 100%, bake: 5s, deadline: 50m}}\n\
         handBack: {{endpoints: [http://stable], step: 1s}}\n{lines}"
    ))
}

/// 3 % errors for a quarter of an hour, then 12 %, against a limit of 5 %.
#[track_caller]
fn late(lines: &str, by: &RollbackBy, says: &[&str]) {
    let mut story = with(lines).canary(|canary| canary.errors = 0.03).start();
    for _ in 0..900 {
        story.second();
    }
    assert_eq!(*story.phase(), Phase::Progressing, "{}", story.state.message());
    story.canary.errors = 0.12;
    story.ends(300);
    let rollback = story.state.rollback.clone().expect("a rollback");
    assert_eq!(rollback.by, *by, "{}", rollback.reason);
    says.iter().for_each(|says| assert!(rollback.reason.contains(says), "{}", rollback.reason));
}

#[test]
fn an_alarm_speaks_of_what_it_is_about() {
    let waiting = "gates: [{name: e, metric: error_rate, max: 90%, minWindow: 40m}]\n";
    let lines = format!("{waiting}guardrails: [{{name: far, metric: error_rate, max: 5%}}]");
    let says = ["error_rate is proven above 5%: 1", " since it began, 3.", " in all"];
    late(&lines, &RollbackBy::Guardrail("far".to_owned()), &says);

    let lines = "gates: [{name: e, metric: error_rate, max: 5%, minWindow: 40m}]\n\
                 guardrails: [{name: far, metric: error_rate, max: 90%}]";
    let says = ["harm is proven: error_rate is 1", " since it began; error_rate is 3.", "in this stage"];
    late(lines, &RollbackBy::Gate("e".to_owned()), &says);
}

#[test]
fn margins_in_points_hold_a_canary_and_let_it_go() {
    let lines = |margin: &str| format!("gates: [{{name: e, metric: error_rate, against: stable, {margin}}}]");
    let mut story = with(&lines("margin: 1pp, harm: 1pp")).canary(|canary| canary.errors = 0.012).start();
    story.until(2_000, |state: &State| state.stage == 1);
    let proven = &story.state.stages[0].gates[0];
    assert_eq!(proven.answer, Answer::Pass);
    assert!(proven.why.contains("proven less than 1pp above stable"), "{}", proven.why);
    assert!(proven.bound.is_some_and(|bound| (0.019..0.021).contains(&bound)), "{:?}", proven.bound);

    let mut story = with(&lines("margin: 1pp, harm: 1pp")).canary(|canary| canary.errors = 0.04).start();
    story.ends(2_000);
    let rollback = story.state.rollback.clone().expect("a rollback");
    assert_eq!(rollback.by, RollbackBy::Gate("e".to_owned()), "{}", rollback.reason);

    // Two points more lie between a margin of one and harm of four.
    let mut story = with(&lines("margin: 1pp, harm: 4pp, onMarginal: escalate"))
        .canary(|canary| canary.errors = 0.03)
        .start();
    story.until(2_400, |state: &State| matches!(state.phase, Phase::Paused(_)));
    assert!(story.state.message().contains("between good and bad"), "{}", story.state.message());
}

#[test]
fn the_store_of_an_older_build_opens_and_its_tests_begin_again() {
    let mut story = with("").start();
    for _ in 0..20 {
        story.second();
    }
    let mut stored = serde_json::to_value(&*story.state).unwrap();
    for evidence in stored["evidence"]["gates"].as_array_mut().unwrap() {
        let gate = evidence.as_object_mut().unwrap();
        gate.insert("limited".to_owned(), gate["fixed"].clone());
        gate.insert(
            "relative".to_owned(),
            serde_json::json!({"rate": {"metric": "error_rate", "harm": {"seen": 3}}}),
        );
        gate.retain(|field, _| !["fixed", "against", "since"].contains(&field.as_str()));
    }
    for evidence in stored["evidence"]["guardrails"].as_array_mut().unwrap() {
        let guardrail = evidence.as_object_mut().unwrap();
        guardrail.insert("test".to_owned(), serde_json::json!({"rate": {"pass_ms": null}}));
        guardrail.retain(|field, _| !["fixed", "since"].contains(&field.as_str()));
    }
    stored["evidence"].as_object_mut().unwrap().remove("epoch");
    story.state.0 = Some(serde_json::from_value(stored).unwrap());
    story.canary = super::story::Model { errors: 0.2, ..GOOD };
    story.ends(60);
    assert!(story.state.rollback.is_some(), "{}", story.state.message());
}
