//! Trouble that both versions share is not the canary's; what the canary does worse is, and what it may have caused is after
//! a while.

use super::story::{GOOD, Model, Story, human, urged};
use crate::{AttentionKind, Event, Phase, Reading, RollbackBy};

const LINES: &str = "handBack: {endpoints: [http://stable], step: 1s}
stages: [{weight: 10%, bake: 2m, deadline: 1h}, {weight: 50%, bake: 2m, deadline: 1h}, {weight: 100%, bake: 10s}]
";

/// One guardrail of each kind alone, so that nothing else finds what it has to find.
const RAIL: &str = "gates: [{name: sure, metric: error_rate, max: 99%}]
guardrails: [{name: limit, metric: error_rate, max: 5%}]
";
const SLOW_RAIL: &str = "gates: [{name: sure, metric: error_rate, max: 99%}]
guardrails: [{name: limit, metric: latency_p99, max: 400ms}]
";
const GATE: &str = "gates: [{name: limit, metric: error_rate, max: 5%}]
guardrails: [{name: slow, metric: latency_p99, max: 10s}]
";

const BAD: Model = Model { errors: 0.2, ..GOOD };
const SLOW: Model = Model { slower: 5.0, ..GOOD };

/// In its first stage, and calm for a while.
#[track_caller]
fn exposed(lines: &str) -> Story {
    let mut story = Story::of(&format!("{LINES}{lines}")).start();
    story.until(600, |state| state.phase == Phase::Progressing);
    (0..20).for_each(|_| story.second());
    story
}

fn both(story: &mut Story, model: Model) {
    (story.stable, story.canary) = (model, model);
}

fn told(story: &Story) -> bool {
    let kinds = story.state.attention();
    kinds.iter().any(|found| found.kind == AttentionKind::SharedIncident)
}

fn history(story: &Story) -> String {
    story.state.history.iter().map(|record| format!("{}\n", record.what)).collect()
}

#[test]
fn trouble_of_both_is_borne_and_nothing_rises_meanwhile() {
    #[track_caller]
    fn check(lines: &str, trouble: Model) {
        let mut story = exposed(lines);
        both(&mut story, trouble);
        story.until(30, |state| state.incident.is_some());
        assert!(told(&story), "{}", story.state.message());
        for _ in 0..200 {
            story.second();
            assert_eq!((story.state.stage, story.state.weights.canary_ppm), (0, 100_000), "{lines}");
        }
        let message = story.state.message();
        assert!(
            message.contains("shared incident: ") && message.contains("limit: both versions are above"),
            "{message}"
        );
        both(&mut story, GOOD);
        story.until(120, |state| state.incident.is_none());
        assert!(!told(&story), "{}", story.state.message());
        story.ends(1_200);
        let history = history(&story);
        assert_eq!(*story.phase(), Phase::Succeeded, "{history}");
        for says in ["Hold at 10%: shared incident: ", "The shared incident is over, after 3m"] {
            assert!(history.contains(says), "{says}: {history}");
        }
    }
    check(RAIL, BAD);
    check(RAIL, Model { errors: 1.0, ..GOOD });
    check(GATE, BAD);
    check(SLOW_RAIL, SLOW);
}

#[test]
fn the_canarys_own_trouble_is_found_as_soon_as_without_a_look_aside() {
    #[track_caller]
    fn check(lines: &str, trouble: Model) {
        let seconds = |rule: &str| {
            let mut story = exposed(&format!("{lines}rollback: {{onSharedIncident: {rule}}}\n"));
            story.canary = trouble;
            let seconds = story.ends(600);
            assert_eq!(*story.phase(), Phase::RolledBack, "{}", story.state.message());
            seconds
        };
        let (hold, rollback) = (seconds("hold"), seconds("rollback"));
        println!("{lines}{trouble:?}: {hold} s, {rollback} s without");
        assert_eq!(hold, rollback, "{lines}");
    }
    for errors in [0.1, 0.2, 0.5, 1.0] {
        check(RAIL, Model { errors, ..GOOD });
        check(GATE, Model { errors, ..GOOD });
    }
    check(SLOW_RAIL, SLOW);
}

#[test]
fn what_the_canary_does_worse_in_shared_trouble_is_its_own() {
    #[track_caller]
    fn check(lines: &str, stable: Model, canary: Model) {
        let mut story = exposed(lines);
        (story.stable, story.canary) = (stable, canary);
        let seconds = story.ends(290);
        println!("{stable:?}, {canary:?}: {seconds} s");
        let rollback = story.state.rollback.clone().expect("a rollback");
        let by = [RollbackBy::Guardrail("limit".to_owned()), RollbackBy::Gate("limit".to_owned())];
        assert!(by.contains(&rollback.by), "{}", rollback.reason);
        assert!(!rollback.reason.contains("lasts longer"), "{}", rollback.reason);
    }
    check(RAIL, BAD, Model { errors: 0.4, ..GOOD });
    check(GATE, BAD, Model { errors: 0.4, ..GOOD });
    check(RAIL, Model { errors: 0.08, ..GOOD }, Model { errors: 0.16, ..GOOD });
    check(SLOW_RAIL, SLOW, Model { slower: 10.0, ..GOOD });
    // It gets worse in the middle of it.
    let mut story = exposed(RAIL);
    both(&mut story, BAD);
    (0..100).for_each(|_| story.second());
    assert!(story.state.incident.is_some());
    story.canary.errors = 0.5;
    story.ends(60);
    assert_eq!(*story.phase(), Phase::RolledBack, "{}", story.state.message());
    // It stays bad when stable recovers.
    let mut story = exposed(RAIL);
    both(&mut story, BAD);
    (0..100).for_each(|_| story.second());
    story.stable = GOOD;
    story.ends(60);
    assert_eq!(*story.phase(), Phase::RolledBack, "{}", story.state.message());
}

#[test]
fn trouble_of_stable_alone_holds_and_what_stable_did_all_along_does_not() {
    let mut story = exposed(RAIL);
    story.stable = BAD;
    (0..900).for_each(|_| story.second());
    assert_eq!((story.state.stage, story.phase()), (0, &Phase::Progressing), "{}", story.state.message());
    assert!(story.state.message().contains("stable is above 5%"), "{}", story.state.message());
    story.stable = GOOD;
    story.ends(1_200);
    assert_eq!(*story.phase(), Phase::Succeeded, "{}", story.state.message());
    // The new version mends what stable does.
    let mut story = Story::of(&format!("{LINES}{RAIL}")).start();
    story.stable = BAD;
    story.ends(1_800);
    assert_eq!(*story.phase(), Phase::Succeeded, "{}", story.state.message());
}

#[test]
fn what_the_canary_may_have_caused_ends_and_what_is_older_than_it_does_not() {
    #[track_caller]
    fn bound(lines: &str, from: u64, to: u64) {
        let mut story = exposed(lines);
        both(&mut story, BAD);
        let seconds = story.ends(3_000);
        let reason = story.state.rollback.clone().expect("a rollback").reason;
        assert!((from..=to).contains(&seconds), "{seconds}: {reason}");
        assert!(reason.contains("the canary may be its cause"), "{reason}");
    }
    bound(RAIL, 300, 320);
    bound(&format!("{RAIL}rollback: {{sharedIncidentFor: 1m}}\n"), 60, 80);
    // Again and again, a minute each: all of a stage together.
    let mut story = exposed(RAIL);
    story.take(&Event::Pause(human()));
    let mut minutes = 0;
    while !story.state.is_over() {
        both(&mut story, if minutes % 4 == 0 { BAD } else { GOOD });
        (0..60).for_each(|_| story.second());
        minutes += 1;
        assert!(minutes < 30, "{}", story.state.message());
    }
    assert!(story.state.message().contains("may be its cause"), "{}", story.state.message());
    // Older than the canary, though not by much: the first request waits until that is proven.
    let mut story = Story::of(&format!("{LINES}{RAIL}rollback: {{sharedIncidentFor: 1m}}\n"));
    both(&mut story, Model { errors: 0.08, ..GOOD });
    story.take(&Event::Start(human()));
    assert!(story.until(60, |state| state.phase == Phase::Progressing) <= 35);
    (0..600).for_each(|_| story.second());
    assert_eq!((story.state.stage, story.phase()), (0, &Phase::Progressing), "{}", story.state.message());
    // Older than the canary: held, and when it ends the run goes on.
    let mut story = Story::of(&format!("{LINES}{RAIL}"));
    both(&mut story, BAD);
    story.take(&Event::Start(human()));
    (0..3_000).for_each(|_| story.second());
    assert_eq!((story.state.stage, story.phase()), (0, &Phase::Progressing), "{}", story.state.message());
    both(&mut story, GOOD);
    story.until(60, |state| state.incident.is_none());
    story.ends(1_200);
    assert_eq!(*story.phase(), Phase::Succeeded, "{}", story.state.message());
}

#[test]
fn the_deadline_ends_what_is_older_than_the_canary() {
    #[track_caller]
    fn check(lines: &str, phase: &Phase) {
        let stages = "stages: [{weight: 10%, bake: 2m, deadline: 10m}, {weight: 100%, bake: 10s}]\n";
        let mut story = Story::of(&format!("{stages}{lines}{RAIL}"));
        both(&mut story, BAD);
        story.take(&Event::Start(human()));
        (0..700).for_each(|_| story.second());
        assert_eq!(story.phase(), phase, "{lines}: {}", story.state.message());
        let by = story.state.rollback.as_ref().map(|rollback| rollback.by.clone());
        assert!(by.is_none_or(|by| by == RollbackBy::Deadline), "{}", story.state.message());
    }
    check("", &Phase::RolledBack);
    check("onInsufficient: hold\n", &Phase::Progressing);
}

/// The canary took down what was ailing before it came.
#[test]
fn older_trouble_that_grows_is_bounded() {
    #[track_caller]
    fn check(lines: &str, before: Model, after: Model, most: std::ops::RangeInclusive<u64>) {
        let mut story = Story::of(&format!("{LINES}{lines}"));
        both(&mut story, before);
        story.take(&Event::Start(human()));
        story.until(60, |state| state.phase == Phase::Progressing);
        (0..600).for_each(|_| story.second());
        assert_eq!((story.state.stage, story.phase()), (0, &Phase::Progressing), "{}", story.state.message());
        both(&mut story, after);
        let seconds = story.ends(2_400);
        let message = story.state.message();
        println!("{before:?}, {after:?}: {seconds} s: {message}");
        assert!(most.contains(&seconds), "{seconds}: {message}");
        assert!(message.contains("stable is worse than before the canary"), "{message}");
    }
    let all = Model { errors: 1.0, ..GOOD };
    check(RAIL, Model { errors: 0.3, ..GOOD }, all, 300..=320);
    check(RAIL, Model { errors: 0.3, ..GOOD }, Model { errors: 0.5, ..GOOD }, 300..=330);
    check(GATE, Model { errors: 0.3, ..GOOD }, all, 300..=320);
    check(SLOW_RAIL, SLOW, Model { slower: 15.0, ..GOOD }, 300..=330);
}

#[test]
fn without_a_word_of_stables_the_limit_is_what_it_was() {
    let seconds = |stable: Model, heard: bool| {
        let mut story = exposed(RAIL);
        (story.stable, story.canary) = (stable, BAD);
        story.stable_heard = heard;
        story.ends(290);
        assert_eq!(*story.phase(), Phase::RolledBack, "{}", story.state.message());
        story.ms
    };
    assert_eq!(seconds(BAD, false), seconds(GOOD, true));
    // What was said once is not said for ever.
    let mut story = exposed(RAIL);
    both(&mut story, BAD);
    story.until(30, |state| state.incident.is_some());
    story.stable_heard = false;
    assert!(story.ends(120) <= 65);
    assert_eq!(*story.phase(), Phase::RolledBack, "{}", story.state.message());
}

/// A source that says nothing any more says nothing of a shared incident.
#[test]
fn a_dead_source_does_not_keep_an_incident_alive() {
    let source = "source: {prometheus: {url: 'http://p', query: a, stableQuery: b}}, every: 10s";
    let unread = "noData: {action: hold}, onError: {action: hold}";
    let lines = format!(
        "gates: [{{name: sure, metric: error_rate, max: 99%}}]
guardrails: [{{name: queue, {source}, max: 10, failureLimit: 0, {unread}}}]
"
    );
    for (error, missing) in
        [(Some("connection refused".to_owned()), None), (None, Some("no series".to_owned()))]
    {
        let mut story = exposed(&lines);
        story.take(&Event::Pause(human()));
        let alike = Reading {
            gate: "queue".to_owned(),
            canary: Some(20.0),
            stable: Some(20.0),
            ..Reading::default()
        };
        for _ in 0..6 {
            story.take(&Event::Reading(alike.clone()));
            (0..10).for_each(|_| story.second());
        }
        assert!(story.state.incident.is_some(), "{}", story.state.message());
        let dead = Reading { gate: "queue".to_owned(), error, missing, ..Reading::default() };
        for second in 0..600 {
            if second % 10 == 0 {
                story.take(&Event::Reading(dead.clone()));
            }
            story.second();
            assert!(second < 70 || story.state.incident.is_none(), "{second} s: {}", story.state.message());
        }
        assert!(!story.state.is_over(), "{}", story.state.message());
        // It answers again, and what it says is heard.
        story.take(&Event::Reading(alike));
        story.second();
        assert!(story.state.incident.is_some(), "{}", story.state.message());
    }
}

/// Another weight in the middle of an incident begins no bound anew.
#[test]
fn another_weight_does_not_prolong_an_incident() {
    let mut story = exposed(RAIL);
    both(&mut story, BAD);
    let mut seconds = 0;
    while !story.state.is_over() {
        let weight_ppm = if seconds % 200 == 0 { 100_000 } else { 200_000 };
        story.take(&Event::SetWeight { human: urged(), weight_ppm });
        (0..100).for_each(|_| story.second());
        seconds += 100;
        assert!(seconds < 1_000, "{}", story.state.message());
    }
    assert!((300..=400).contains(&seconds), "{seconds}: {}", story.state.message());
    assert!(story.state.message().contains("lasts longer"), "{}", story.state.message());
}

/// In whatever state the canary has traffic, a shared incident ends within its bound and harm of its own at once.
#[test]
fn every_state_beside_a_shared_incident() {
    type Into = fn(&mut Story);
    let states: [(&str, Into); 4] = [
        ("stage", |_| {}),
        ("paused by a person", |story| story.take(&Event::Pause(human()))),
        ("weight by hand", |story| story.take(&Event::SetWeight { human: urged(), weight_ppm: 400_000 })),
        ("below the quorum", |story| {
            story.follow = false;
            story.take(&Event::SetWeight { human: urged(), weight_ppm: 200_000 });
        }),
    ];
    for (name, into) in states {
        for (canary, least, most) in [(BAD, 240, 330), (Model { errors: 0.6, ..GOOD }, 0, 60)] {
            let mut story = exposed(RAIL);
            into(&mut story);
            (0..5).for_each(|_| story.second());
            (story.stable, story.canary) = (BAD, canary);
            let seconds = story.ends(1_000);
            println!("{name}, canary {}: {seconds} s: {}", canary.errors, story.state.message());
            assert_eq!(*story.phase(), Phase::RolledBack, "{name}");
            assert!((least..=most).contains(&seconds), "{name}: {seconds}");
        }
    }
    // Stable was beyond the limit before the canary came, and is worse since.
    for (name, into) in states {
        let mut story = Story::of(&format!("{LINES}{RAIL}"));
        both(&mut story, BAD);
        story.take(&Event::Start(human()));
        story.until(60, |state| state.phase == Phase::Progressing);
        (0..20).for_each(|_| story.second());
        into(&mut story);
        (0..5).for_each(|_| story.second());
        both(&mut story, Model { errors: 1.0, ..GOOD });
        let seconds = story.ends(1_000);
        println!("{name}, older and worse since: {seconds} s: {}", story.state.message());
        assert_eq!(*story.phase(), Phase::RolledBack, "{name}");
        assert!((240..=330).contains(&seconds), "{name}: {seconds}");
    }
    // At 100 % nothing is beside it: the limit is what it was.
    let mut story = exposed(RAIL);
    story.until(900, |state| state.phase == Phase::Promoting);
    both(&mut story, BAD);
    assert!(story.ends(60) < 20);
    assert_eq!(*story.phase(), Phase::RolledBack, "{}", story.state.message());
}

#[test]
fn a_person_may_go_on_in_spite_of_it_and_says_why() {
    let mut story = exposed(RAIL);
    story.stable = BAD;
    (0..200).for_each(|_| story.second());
    assert!(story.state.allows(&Event::Promote(human())).is_err());
    story.take(&Event::Promote(urged()));
    assert_eq!(story.state.stage, 1, "{}", story.state.message());
    assert!(story.state.overrides[0].past.iter().any(|past| past.contains("shared incident")));
}
