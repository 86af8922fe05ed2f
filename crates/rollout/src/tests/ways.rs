//! What a person is told that can be done is what is allowed then.

use super::gates::with;
use super::story::{Story, human, urged};
use crate::{Event, HandBackProgress, Pause, Phase};

const UNPROVEN: &str = "gates: [{name: e, metric: error_rate, max: 20%, minSamples: 100000}]";
const TIME_ALONE: &str = "gates: [{name: e, metric: error_rate, max: 20%, level: advisory}]";
const HAND_BACK: &str = "stages: [{weight: 50%, bake: 1s, deadline: 10m}, {weight: 100%, bake: 1s}]
handBack: {steps: [50%, 0%], step: 10s}
gates: [{name: e, metric: error_rate, max: 90%, level: advisory}]";

/// As they would be typed, and each is allowed, as it is typed.
#[track_caller]
fn check(story: &Story, expected: &[&str]) {
    let ways = story.state.ways();
    let typed: Vec<String> =
        ways.iter().map(|way| format!("{}{}", way.verb, if way.reason { " --reason" } else { "" })).collect();
    assert_eq!(typed, expected, "{}: {ways:?}", story.state.message());
    for way in ways {
        let who = if way.reason { urged() } else { human() };
        let event = match way.verb.as_str() {
            "promote" => Event::Promote(who),
            "approve" => Event::Approve(who),
            "resume" => Event::Resume(who),
            "abort" => Event::Abort(who),
            _ => continue,
        };
        assert_eq!(story.state.allows(&event), Ok(()), "{way:?}");
    }
}

fn at_work(lines: &str) -> Story {
    let mut story = with(lines).start();
    story.until(60, |state| state.phase == Phase::Progressing && state.stages[0].acknowledged.is_some());
    story
}

#[test]
fn on_the_way_up() {
    check(&with(UNPROVEN).start(), &["abort"]);
    let story = at_work(UNPROVEN);
    check(&story, &["promote --reason", "abort"]);
    assert!(
        story.state.ways()[0].does.contains("not proven or missing, on record: on to "),
        "{:?}",
        story.state.ways()
    );
    check(&at_work(TIME_ALONE), &["promote", "abort"]);
}

#[test]
fn stopped() {
    let mut story = at_work(UNPROVEN);
    story.take(&Event::Pause(human()));
    check(&story, &["resume", "promote --reason", "abort"]);
    let mut story = Story::of(
        "stages: [{weight: 5%, bake: 20s, deadline: 24h, approval: true}, {weight: 100%, bake: 5m}]",
    )
    .start();
    story.until(900, |state| state.phase == Phase::Paused(Pause::Approval));
    check(&story, &["approve", "abort"]);
    assert_eq!(story.state.ways()[0].does, "says yes: on to 100%");
}

#[test]
fn at_the_end() {
    let mut story = with(UNPROVEN).start();
    story.take(&Event::Abort(human()));
    check(&story, &["retry --reason"]);
    let mut story = Story::of(HAND_BACK);
    story.deploys = false;
    let mut story = story.start();
    story.until(600, |state| matches!(state.phase, Phase::HandBack(HandBackProgress::Asked { .. })));
    let ways = story.state.ways();
    let confirm = ways.iter().find(|way| way.verb == "promote").expect("stable serves it, says a person");
    assert!(confirm.does.starts_with("says that stable serves v2 by now"), "{confirm:?}");
}
