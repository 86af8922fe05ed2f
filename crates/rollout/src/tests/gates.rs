//! What gates may be asked for beyond the default.

use super::story::{GOOD, Story, human, urged};
use crate::{Answer, Effect, Event, Human, Pause, Phase, Reading, RollbackBy, State};

/// Two stages, of which the first holds what is tried.
pub(super) fn with(lines: &str) -> Story {
    Story::of(&format!(
        "stages:\n- {{weight: 5%, bake: 30s, deadline: 30m}}\n- {{weight: 100%, bake: 5s, deadline: 1h}}\n\
         handBack: {{endpoints: [http://stable], step: 1s}}\n{lines}"
    ))
}

pub(super) fn rolled_back_by(story: &Story) -> Option<RollbackBy> {
    story.state.rollback.as_ref().map(|rollback| rollback.by.clone())
}

#[track_caller]
fn answer(story: &Story, gate: &str) -> Answer {
    let verdicts = story.state.verdicts();
    verdicts
        .iter()
        .find(|verdict| verdict.name == gate)
        .map(|verdict| verdict.answer)
        .expect("a gate of the stage")
}

#[test]
fn a_cold_start_is_excused_for_as_long_as_the_plan_says() {
    let lines = "warmUp: 3m\nguardrails: [{name: slow, metric: latency_p99, max: 400ms}]";
    let mut story = with(lines).canary(|canary| canary.slower = 5.0).start();
    for _ in 0..175 {
        story.second();
    }
    assert_eq!(*story.phase(), Phase::Progressing, "{}", story.state.message());
    story.canary = GOOD;
    story.ends(2_000);
    assert_eq!(*story.phase(), Phase::Succeeded, "{}", story.state.message());

    let mut story = with("").canary(|canary| canary.slower = 5.0).start();
    story.ends(60);
    assert_eq!(rolled_back_by(&story), Some(RollbackBy::Gate("latency".to_owned())));

    // Errors are not a matter of warmth.
    let mut story = with("warmUp: 3m").canary(|canary| canary.errors = 0.5).start();
    story.ends(20);
    assert_eq!(rolled_back_by(&story), Some(RollbackBy::Guardrail("errors-limit".to_owned())));
}

const READINGS: &str =
    "gates: [{name: e, metric: error_rate, max: 2%, failAbove: 5%, every: 10s, failureLimit: 2}]
guardrails: [{name: far, metric: error_rate, max: 90%}]
alpha: {gates: 0.0000001}";

#[test]
fn one_bad_reading_is_borne_and_three_are_not() {
    let mut story = with(READINGS).start();
    story.until(3, |state| state.phase == Phase::Progressing);
    story.canary.errors = 0.08;
    for _ in 0..12 {
        story.second();
    }
    story.canary = GOOD;
    for _ in 0..60 {
        story.second();
    }
    assert_eq!(*story.phase(), Phase::Progressing);
    story.canary.errors = 0.08;
    story.ends(40);
    assert_eq!(rolled_back_by(&story), Some(RollbackBy::Gate("e".to_owned())));
    let reason = story.state.rollback.clone().unwrap().reason;
    assert!(reason.contains("3 bad readings, 2 are borne"), "{reason}");
}

#[test]
fn good_readings_in_a_row_are_counted_beside_the_proof() {
    let lines = "gates: [{name: e, metric: error_rate, max: 10%, every: 1m, consecutive: 5}]";
    let mut story = with(lines).start();
    let why = |state: &State| {
        let gates = state.stages.last().map(|stage| stage.gates.as_slice()).unwrap_or_default();
        gates.first().map(|gate| gate.why.clone()).unwrap_or_default()
    };
    let seconds = story.until(600, |state| why(state).contains("stable for 3m of 5m"));
    assert!((180..210).contains(&seconds), "{seconds}: {}", why(&story.state));
    assert!(why(&story.state).contains("3 of 5 good readings in a row"), "{}", why(&story.state));
    let seconds = seconds + story.until(600, |state| state.stage == 1);
    assert!((300..330).contains(&seconds), "{seconds}");
}

#[test]
fn a_window_that_begins_late_and_lasts() {
    let lines = "stages: [{weight: 5%, bake: 30s, deadline: 10m}, {weight: 100%, bake: 60s, deadline: 10m}]
gates: [{name: e, metric: error_rate, max: 10%, startAfter: 2m, minWindow: 3m}]";
    let mut story = Story::of(lines).start();
    let seconds = story.until(600, |state| state.stage == 1);
    assert!((300..330).contains(&seconds), "{seconds}");
}

#[test]
fn a_gate_that_pauses_is_passed_by_a_person_once() {
    let lines = "stages:\n- {weight: 5%, bake: 30s, deadline: 30m}\n- {weight: 20%, bake: 30s, deadline: 30m}\n- {weight: 100%, bake: 5s}\n\
                 gates: [{name: e, metric: error_rate, against: stable, margin: 2x, onFail: pause}]";
    let mut story = Story::of(lines).canary(|canary| canary.errors = 0.04).start();
    let gate = Phase::Paused(Pause::Gate { gate: "e".to_owned() });
    story.until(200, |state| state.phase == gate);
    for _ in 0..30 {
        story.second();
    }
    assert_eq!((story.phase(), story.state.weights.canary_ppm), (&gate, 50_000));
    story.take(&Event::Promote(urged()));
    assert_eq!((story.phase(), story.state.weights.canary_ppm), (&Phase::Progressing, 200_000));
    assert_eq!(story.state.stages[0].overridden_by.as_deref(), Some("anna"));
    // What was forgiven is forgiven; what comes new is not.
    story.second();
    assert_eq!(*story.phase(), Phase::Progressing);
    story.until(200, |state| state.phase == gate);
}

#[test]
fn a_failed_gate_goes_before_an_awaited_yes() {
    let lines = "stages:\n- {weight: 5%, bake: 10s, approval: true}\n- {weight: 100%, bake: 5s}\n\
                 gates: [{name: e, metric: error_rate, against: stable, margin: 3x, passBelow: 10%, minSamples: 5, onFail: pause}]";
    let mut story = Story::of(lines).start();
    story.until(60, |state| state.phase == Phase::Paused(Pause::Approval));
    story.canary.errors = 0.3;
    story.until(60, |state| matches!(state.phase, Phase::Paused(Pause::Gate { .. })));
    story.take(&Event::Approve(human()));
    assert_eq!(story.state.weights.canary_ppm, 50_000);
}

#[test]
fn guardrails_hold_while_a_person_is_awaited() {
    let lines = "stages:\n- {weight: 5%, bake: 10s, approval: true}\n- {weight: 100%, bake: 5s}\n\
                 gates: [{name: e, metric: error_rate, against: stable, margin: 3x, passBelow: 10%, minSamples: 5}]";
    let mut story = Story::of(lines).start();
    story.until(60, |state| state.phase == Phase::Paused(Pause::Approval));
    for _ in 0..3_600 {
        story.second();
    }
    assert_eq!(*story.phase(), Phase::Paused(Pause::Approval), "no deadline runs while a person is awaited");
    story.canary.errors = 0.5;
    assert!(story.ends(60) < 15);
}

#[test]
fn blue_green_is_dark_until_a_yes_and_stays_warm() {
    let mut story = Story::of("preset: blue-green\nhandBack: {endpoints: [http://stable], step: 1s}").start();
    story.until(10, |state| state.phase == Phase::Paused(Pause::Approval));
    assert_eq!(story.state.weights.canary_ppm, 0);
    assert!(story.state.weights.targeted, "overrides and cohorts may look at it");
    story.take(&Event::Approve(human()));
    let seconds = story.until(2_000, |state| state.watches_stable());
    assert!((1_795..1_810).contains(&seconds), "{seconds}");
    story.ends(60);
    assert_eq!(*story.phase(), Phase::Succeeded);
}

const STICKY: &str = "assignment: {mode: sticky, keys: [{header: x-user-id}]}
gates: [{name: e, metric: error_rate, against: stable, margin: 3x}]";

#[test]
fn sticky_traffic_is_not_judged_before_it_is_known_how_users_clump() {
    let mut story = with(STICKY).canary(|canary| canary.errors = 0.04).start();
    for _ in 0..300 {
        story.second();
    }
    assert_eq!((story.phase(), answer(&story, "e")), (&Phase::Progressing, Answer::Insufficient));
    assert!(story.state.verdicts()[0].why.contains("unit unknown"));

    let mut story = with(STICKY).canary(|canary| canary.errors = 0.04);
    story.grouped = true;
    let mut story = story.start();
    story.ends(300);
    assert_eq!(rolled_back_by(&story), Some(RollbackBy::Gate("e".to_owned())));

    let mut story = with(STICKY);
    story.grouped = true;
    let mut story = story.start();
    story.ends(2_000);
    assert_eq!(*story.phase(), Phase::Succeeded);

    let mut story = with(&STICKY.replace("}]}", "}], unit: request}")).start();
    story.ends(2_000);
    assert_eq!(*story.phase(), Phase::Succeeded);
}

#[test]
fn sticky_traffic_passes_gates_of_every_kind() {
    let lines = "assignment: {mode: sticky, keys: [{header: x-user-id}]}
baseline: false
confidence: {fromHeader: x-sure}
gates:
- {name: times, metric: latency_p99, against: stable, margin: 25%}
- {name: sure, metric: confidence_mean, against: stable, margin: 3%}
- {name: late, metric: overdue, against: stable, margin: 2x}";
    let mut story = with(lines);
    story.grouped = true;
    let mut story = story.start();
    story.ends(3_000);
    assert_eq!(*story.phase(), Phase::Succeeded, "{}", story.state.message());

    // Users of forty requests each: the same evidence is worth less, and harm is found all the same.
    let waits = |clumped: bool| {
        let mut story = with(lines).canary(|canary| canary.confidence = 0.8);
        (story.grouped, story.clumped) = (true, clumped);
        let mut story = story.start();
        story.ends(3_000);
        assert_eq!(rolled_back_by(&story), Some(RollbackBy::Gate("sure".to_owned())));
        story.ms
    };
    assert!(waits(true) > 2 * waits(false), "{} {}", waits(true), waits(false));
}

#[test]
fn worse_than_stable_is_no_harm_below_what_the_plan_ignores() {
    let gate = |ignore: &str| {
        format!(
            "gates: [{{name: e, metric: error_rate, against: stable, margin: 2x, passBelow: 3%{ignore}}}]"
        )
    };
    let mut story = with(&gate(", ignoreBelow: 3%")).canary(|canary| canary.errors = 0.02);
    story.stable.errors = 0.001;
    let mut story = story.start();
    story.ends(2_000);
    assert_eq!(*story.phase(), Phase::Succeeded);

    let mut story = with(&gate("")).canary(|canary| canary.errors = 0.02);
    story.stable.errors = 0.001;
    let mut story = story.start();
    story.ends(2_000);
    assert_eq!(rolled_back_by(&story), Some(RollbackBy::Gate("e".to_owned())));
}

#[test]
fn missing_counts_do_what_the_plan_says() {
    let lines = |action: &str| format!("noData: {{after: 20s, action: {action}}}");
    let mut story = with(&lines("pause")).start();
    story.until(5, |state| state.phase == Phase::Progressing);
    story.counted = false;
    story.until(30, |state| state.phase == Phase::Paused(Pause::NoData));
    story.counted = true;
    story.until(3, |state| state.phase == Phase::Progressing);

    let mut story = with(&lines("rollback")).start();
    story.until(5, |state| state.phase == Phase::Progressing);
    story.counted = false;
    story.ends(30);
    assert_eq!(rolled_back_by(&story), Some(RollbackBy::NoData));
}

#[test]
fn an_advisory_gate_decides_nothing() {
    let lines = "gates:\n- {name: e, metric: error_rate, max: 0.1%, level: advisory}\n\
                 - {name: f, metric: error_rate, max: 20%}";
    let mut story = with(lines).start();
    story.ends(2_000);
    assert_eq!(*story.phase(), Phase::Succeeded);
}

#[test]
fn people_hear_of_a_matter_once() {
    let mut story = with("").canary(|canary| canary.errors = 0.5).start();
    story.ends(60);
    for _ in 0..3_600 {
        story.second();
    }
    let notices: Vec<_> = story.effects.iter().filter(|effect| matches!(effect, Effect::Notify(_))).collect();
    assert_eq!(notices.len(), 1, "{notices:?}");
}

const ACCURACY: &str = "gates:
- {name: accuracy, source: {push: {}}, against: stable, better: higher, margin: 5%, harm: 10%, every: 1m, onFail: pause}";

fn reading(canary: Option<f64>, stable: Option<f64>) -> Event {
    Event::Reading(Reading { gate: "accuracy".to_owned(), canary, stable, ..Reading::default() })
}

#[test]
fn figures_of_ones_own_pass_and_fail_by_count() {
    let mut story = with(ACCURACY).start();
    story.until(40, |state| state.stages.last().is_some_and(|stage| stage.baked_ms > 30_000));
    assert_eq!(answer(&story, "accuracy"), Answer::Insufficient);
    story.take(&reading(Some(0.93), Some(0.95)));
    story.take(&reading(None, Some(0.95)));
    story.take(&reading(Some(f64::NAN), Some(0.95)));
    story.take(&reading(Some(0.93), Some(0.95)));
    assert_eq!(story.state.stage, 0, "no data is no good reading");
    story.take(&reading(Some(0.93), Some(0.95)));
    assert_eq!(story.state.stage, 1);

    let mut story = with(ACCURACY).start();
    story.until(5, |state| state.phase == Phase::Progressing && state.stages[0].acknowledged.is_some());
    for _ in 0..3 {
        assert_eq!(*story.phase(), Phase::Progressing);
        story.take(&reading(Some(0.80), Some(0.95)));
    }
    assert_eq!(*story.phase(), Phase::Paused(Pause::Gate { gate: "accuracy".to_owned() }));
    assert!(story.state.message().contains("3 bad readings, 2 are borne"), "{}", story.state.message());

    let mut story = with(ACCURACY).start();
    story.until(5, |state| state.phase == Phase::Progressing && state.stages[0].acknowledged.is_some());
    story.take(&reading(Some(0.88), Some(0.95)));
    assert_eq!(answer(&story, "accuracy"), Answer::Marginal);
}

#[test]
fn a_source_that_cannot_be_read_is_no_failure() {
    let lines = "gates: [{name: accuracy, source: {prometheus: {url: 'http://p', query: 'acc{v=\"{{canary}}\"}'}}, min: 0.9, every: 30s}]";
    let mut story = with(lines).start();
    story.until(5, |state| state.stages.first().is_some_and(|stage| stage.acknowledged.is_some()));
    let due = story.state.questions();
    let Some(crate::Question { gate, source: manifest::Source::Prometheus(source), .. }) = due.first() else {
        panic!("{due:?}")
    };
    assert_eq!((gate.as_str(), source.query.as_str()), ("accuracy", "acc{v=\"v2\"}"));
    let failed = Reading {
        gate: "accuracy".to_owned(),
        error: Some("connection refused".to_owned()),
        ..Reading::default()
    };
    for _ in 0..4 {
        story.take(&Event::Reading(failed.clone()));
        assert!(story.state.questions().is_empty(), "not before its time");
        for _ in 0..30 {
            story.second();
        }
        assert_eq!(story.state.questions().len(), 1);
    }
    assert_eq!((story.phase(), answer(&story, "accuracy")), (&Phase::Progressing, Answer::Error));
    story.until(2_000, |state| matches!(state.phase, Phase::Paused(_)));
    assert_eq!(*story.phase(), Phase::Paused(Pause::Deadline));
}

#[test]
fn nothing_rises_outside_its_windows_unless_a_person_says_why() {
    // The story begins on a Thursday at midnight.
    let windows = "windows: {open: [{from: '00:00', to: '00:01'}]}
gates: [{name: e, metric: error_rate, max: 20%, minSamples: 1000}]";
    let mut story = with(windows).start();
    story.until(60, |state| state.phase == Phase::Progressing);
    for _ in 0..3_600 {
        story.second();
    }
    assert_eq!(
        (story.phase(), story.state.stage),
        (&Phase::Progressing, 0),
        "complete, and no deadline runs"
    );
    assert!(story.state.message().contains("until Friday 1970-01-02 00:00 UTC"), "{}", story.state.message());
    let hasty = Event::Promote(human());
    assert!(story.state.allows(&hasty).is_err());
    story.take(&hasty);
    assert_eq!(story.state.stage, 0);
    let urgent = Event::Promote(Human { who: "anna".to_owned(), reason: "incident 12".to_owned() });
    assert_eq!(story.state.allows(&urgent), Ok(()));
    story.take(&urgent);
    assert_eq!(story.state.stage, 1);
    let view = story.state.view();
    let [known] = view.overrides.as_slice() else { panic!("{:?}", view.overrides) };
    assert_eq!((known.who.as_str(), known.reason.as_str(), known.stage), ("anna", "incident 12", 1));
    assert!(known.past.len() == 1 && known.past[0].contains("outside its windows"), "{known:?}");
    assert!(
        view.history.iter().any(|line| line.what.starts_with("Override 1 by anna (incident 12): outside"))
    );

    let mut story = with(windows).start();
    story.until(60, |state| state.phase == Phase::Progressing);
    for _ in 0..600 {
        story.second();
    }
    story.canary.errors = 0.5;
    assert!(story.ends(30) < 15, "down it goes at any time");
}

#[test]
fn a_spent_budget_ends_the_run_before_100_percent_and_not_after() {
    #[track_caller]
    fn check(budget: &str, reason: Option<&str>) {
        let stages = "stages: [{weight: 5%, bake: 30s, gates: []}, {weight: 100%, bake: 60s, gates: []}]";
        let mut story = Story::of(&format!("{stages}\nbudget: {budget}")).start();
        story.ends(300);
        let said = story.state.rollback.clone().map(|rollback| (rollback.by, rollback.reason));
        match reason {
            None => assert_eq!((said, story.phase()), (None, &Phase::Succeeded), "{budget}"),
            Some(reason) => {
                let (by, said) = said.expect(budget);
                assert!(by == RollbackBy::Budget && said.contains(reason), "{budget}: {said}");
            }
        }
    }
    check("{requests: 100}", Some("canary requests, 100 are allowed"));
    check("{errors: 1}", Some("canary errors, 1 are allowed"));
    check("{requests: 1000, errors: 100}", None);
}

#[test]
fn the_preset_of_triggers_takes_back_what_is_critical_and_warns_of_the_rest() {
    #[track_caller]
    fn check(stable: f64, errors: f64, slower: f64, by: Option<RollbackBy>) -> Story {
        let lines = "preset: triggers\nhandBack: {endpoints: [http://stable], step: 1s}";
        let mut story = Story::of(lines).canary(|canary| (canary.errors, canary.slower) = (errors, slower));
        story.stable.errors = stable;
        let mut story = story.start();
        story.ends(6_000);
        assert_eq!(rolled_back_by(&story), by, "{}", story.state.message());
        story
    }
    let gate = |name: &str| Some(RollbackBy::Gate(name.to_owned()));
    check(0.04, 0.1, 1.0, Some(RollbackBy::Guardrail("errors-limit".to_owned())));
    check(0.01, 0.045, 1.0, gate("errors"));
    check(0.01, 0.01, 4.0, gate("p99"));
    // 2.4 times as slow, and still within 500 ms: a warning, and on it goes.
    let story = check(0.01, 0.01, 2.4, None);
    let warned = story.state.stages[0].gates.iter().find(|verdict| verdict.name == "latency").unwrap();
    assert_eq!((warned.answer, warned.hard), (Answer::Fail, false), "{}", warned.why);
    assert!(warned.why.contains("harm is proven"), "{}", warned.why);
}
