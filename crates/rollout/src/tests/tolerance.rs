//! What equal versions differ by is no harm: a small arm has colder connections, a copy is sent after the live request.

use super::story::{GOOD, Model, Story};
use crate::{Answer, Phase, RollbackBy};

/// The preset that a rollout of six lines has.
#[track_caller]
fn promoted(lines: &str, canary: Model) -> Story {
    let mut story =
        Story::of(&format!("handBack: {{endpoints: [http://stable], step: 1s}}\n{lines}")).start();
    story.canary = canary;
    story.ends(9_000);
    assert_eq!(*story.phase(), Phase::Succeeded, "{canary:?}: {}", story.state.message());
    story
}

#[track_caller]
fn rolled_back(lines: &str, canary: Model, by: &RollbackBy) -> String {
    let mut story = Story::of(lines).start();
    story.canary = canary;
    story.ends(3_600);
    let rollback = story.state.rollback.clone().unwrap_or_else(|| panic!("{}", story.state.message()));
    assert_eq!(rollback.by, *by, "{}", rollback.reason);
    rollback.reason
}

#[test]
fn what_equal_versions_differ_by_is_no_harm_and_what_a_worse_one_does_is() {
    for slower in [1.02, 1.05, 1.08, 1.1] {
        promoted("", Model { slower, ..GOOD });
    }
    for errors in [0.0102, 0.0105, 0.011] {
        promoted("", Model { errors, ..GOOD });
    }
    let gate = |name: &str| RollbackBy::Gate(name.to_owned());
    for slower in [1.3, 1.5, 2.0] {
        rolled_back("", Model { slower, ..GOOD }, &gate("latency"));
    }
    // Within the margin of the preset, and harm.
    for errors in [0.016, 0.02, 0.04] {
        rolled_back("", Model { errors, ..GOOD }, &gate("errors"));
    }
}

#[test]
fn where_harm_begins_is_said_beside_the_margin() {
    #[track_caller]
    fn check(gate: &str, canary: Model, after: u64, says: &[&str]) {
        let lines = format!(
            "confidence: {{fromHeader: c}}\ngates: [{{name: g, against: stable, {gate}}}]\n\
             stages: [{{weight: 5%, bake: 1h, deadline: 9h}}, {{weight: 100%, bake: 5s}}]"
        );
        let mut story = Story::of(&lines).start();
        story.canary = canary;
        for _ in 0..after {
            story.second();
        }
        let said = match &story.state.rollback {
            Some(rollback) => rollback.reason.clone(),
            None => story.state.verdicts().into_iter().map(|verdict| verdict.why).collect(),
        };
        says.iter().for_each(|says| assert!(said.contains(says), "{says}: {said}"));
    }
    let errors = "metric: error_rate, margin: 2x, passBelow: 0%";
    let worse = Model { errors: 0.05, ..GOOD };
    check(errors, GOOD, 9, &[" of at least 100", "; harm begins above 1.05 times stable's"]);
    check(
        errors,
        GOOD,
        60,
        &["not yet proven below 2 times stable's", "; harm begins above 1.05 times stable's"],
    );
    check(errors, GOOD, 900, &["proven below 2 times stable's", "; harm begins above 1.05 times stable's"]);
    check(errors, worse, 900, &["harm is proven: error_rate", "; harm begins above 1.05 times stable's"]);
    check(&format!("{errors}, harm: 1x"), GOOD, 60, &["; harm begins above stable's"]);
    check("metric: latency_p99, margin: 25%", GOOD, 60, &["; harm begins above 1.13 times stable's"]);
    check("metric: error_rate, margin: 1pp", GOOD, 60, &["; harm begins 0.1pp above stable"]);
    check("metric: confidence_mean, margin: 2%", GOOD, 60, &["; harm begins 2% below stable"]);
    check("metric: confidence_mean, margin: 2pp", GOOD, 60, &["; harm begins 0.02 below stable"]);
}

const SHADOW: &str = "handBack: {endpoints: [http://stable], step: 1s}
stages: [{shadow: 20%, bake: 1m, deadline: 2h}, {weight: 5%, bake: 1m, deadline: 2h}, {weight: 100%, bake: 5s}]
gates:
- {name: errors, metric: error_rate, against: stable, margin: 2x}
- {name: latency, metric: latency_p99, max: 9s, against: stable, margin: 25%}
guardrails: [{name: slow, metric: latency_p99, max: 60ms}]";

#[test]
fn answer_times_of_copies_tell_and_decide_nothing() {
    // Far slower than stable and than the guardrail's limit, as copies.
    let mut story = Story::of(SHADOW).start();
    story.canary.slower = 3.0;
    story.until(60, |state| state.phase == Phase::Progressing);
    for _ in 0..30 {
        story.second();
    }
    let verdicts = story.state.verdicts();
    let said: Vec<_> = verdicts.iter().map(|verdict| (verdict.name.as_str(), verdict.answer)).collect();
    assert!(said.contains(&("latency", Answer::NotApplicable)), "{said:?}");
    let why = &verdicts.iter().find(|verdict| verdict.name == "latency").expect("a gate").why;
    let says =
        ["it tells and decides nothing", "a copy is sent after the live request", " ms over ", " of stable"];
    says.iter().for_each(|says| assert!(why.contains(says), "{says}: {why}"));
    let view = story.state.view();
    let guardrail = view.guardrails.iter().find(|rail| rail.name == "slow").expect("a guardrail");
    assert_eq!(guardrail.answer, Answer::NotApplicable, "{}", guardrail.why);
    // Errors let it go on; the first users' requests show how slow it is, and nothing of the copies counts with them.
    story.until(2_000, |state| state.stage == 1);
    let at_users = story.ms;
    story.canary.slower = 1.0;
    story.times.iter_mut().for_each(|(ms, _)| *ms /= 4.0);
    story.until(3_000, |state| state.stage == 2);
    assert!(story.state.rollback.is_none(), "{}", story.state.message());

    let mut story = Story::of(SHADOW).start();
    story.canary.slower = 3.0;
    story.ends(3_000);
    let rollback = story.state.rollback.clone().expect("a rollback");
    assert!(story.ms >= at_users, "not before users: {}", rollback.reason);
    assert!(rollback.reason.contains("slow") || rollback.reason.contains("latency"), "{}", rollback.reason);
}

#[test]
fn errors_of_copies_decide() {
    let reason = rolled_back(SHADOW, Model { errors: 0.2, ..GOOD }, &RollbackBy::Gate("errors".to_owned()));
    assert!(reason.contains("harm is proven"), "{reason}");
}
