//! Whoever goes past a gate or a freeze says why, and it is counted.

use super::gates::with;
use super::story::{Story, human, urged};
use crate::{Effect, Event, Human, Phase};

const UNPROVEN: &str = "gates: [{name: e, metric: error_rate, max: 20%, minSamples: 100000}]";
const FROZEN: &str = "windows: {freezes: [{from: 1970-01-01, to: 1970-01-03, reason: holidays}]}\ngates: [{name: e, metric: error_rate, max: 20%}]";
const TIME_ALONE: &str = "gates: [{name: e, metric: error_rate, max: 20%, level: advisory}]";

fn at_work(lines: &str) -> Story {
    let mut story = with(lines).start();
    story.until(60, |state| state.phase == Phase::Progressing && state.stages[0].acknowledged.is_some());
    story
}

/// Without a reason it stays, with one it goes and is counted.
#[track_caller]
fn check(mut story: Story, parts: &[&str]) {
    for reason in ["", "  "] {
        let hasty = Event::Promote(Human { reason: reason.to_owned(), ..human() });
        let why = story.state.allows(&hasty).expect_err("a reason is wanted");
        assert!(parts.iter().all(|part| why.contains(part)) && why.contains("give a reason"), "{why}");
        story.take(&hasty);
        assert!(story.state.stage == 0 && story.state.overrides.is_empty());
    }
    assert_eq!(story.state.allows(&Event::Promote(urged())), Ok(()));
    story.take(&Event::Promote(urged()));
    assert_eq!((story.state.stage, story.state.overrides.len()), (1, 1));
    let past = story.state.overrides[0].past.join("; ");
    assert!(parts.iter().all(|part| past.contains(part)), "{past}");
}

#[test]
fn an_unproven_gate_is_passed_with_a_reason_alone() {
    check(at_work(UNPROVEN), &["gate e is not proven"]);
}

#[test]
fn time_that_is_left_is_nobodys_verdict() {
    let mut story = at_work(TIME_ALONE);
    assert_eq!(story.state.allows(&Event::Promote(human())), Ok(()));
    story.take(&Event::Promote(human()));
    assert_eq!((story.state.stage, story.state.overrides.len()), (1, 0));
}

#[test]
fn a_freeze_keeps_everybody_unexposed_and_is_shown_with_its_end() {
    let mut story = with(FROZEN).start();
    for _ in 0..600 {
        story.second();
    }
    assert!(matches!(story.phase(), Phase::Pending { .. }), "nobody is exposed in a freeze");
    let closed = story.state.view().closed.expect("it is frozen");
    assert_eq!(closed.opens_unix_ms, Some(3 * 86_400_000));
    assert_eq!(
        closed.why,
        "frozen until the end of 1970-01-03 (holidays); opens Sunday 1970-01-04 00:00 UTC"
    );
    assert!(story.state.message().contains("holidays"), "{}", story.state.message());
}

/// The history is cut to its last lines; who is told of what does not hang on its length.
#[test]
fn every_pause_is_told_however_long_the_run() {
    let mut story = at_work(UNPROVEN);
    story.effects.clear();
    for _ in 0..150 {
        story.take(&Event::Pause(human()));
        story.second();
        story.take(&Event::Resume(human()));
        story.second();
    }
    let told = story
        .effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Notify(n) if n.text.contains("paused at")));
    assert_eq!(told.count(), 150);
    assert!(story.state.told.len() < 10, "{:?}", story.state.told);
}
