//! The canary gets traffic only when it is there, and warm.

use super::story::{Story, human, urged};
use crate::{Effect, Endpoints, Event, Human, Pause, Phase, PhaseName, WarmingUp};

const STAGES: &str = "stages:
- {weight: 10%, bake: 10s, deadline: 10m}
- {weight: 50%, bake: 10s, deadline: 10m}
- {weight: 100%, bake: 10s}
gates: [{name: errors, metric: error_rate, against: stable, margin: 3x, passBelow: 10%, minSamples: 5}]
handBack: {steps: [50%, 0%], step: 10s}
";

fn seen(canary: u32, stable: u32) -> Event {
    Event::Endpoints(Endpoints { canary: Some(canary), stable: Some(stable), error: None })
}

fn story(ready: &str) -> Story {
    Story::of(&format!("{STAGES}ready: {ready}\n")).start()
}

/// Seconds with the same endpoints.
fn seconds(story: &mut Story, n: u64, canary: u32, stable: u32) {
    for _ in 0..n {
        story.take(&seen(canary, stable));
        story.second();
    }
}

#[test]
fn no_stage_begins_before_its_endpoints_are_ready() {
    let mut story = story("{ofStable: 100%, endpoints: 2}");
    story.until(3, |state| state.message().contains("not known"));
    seconds(&mut story, 60, 0, 10);
    assert!(matches!(story.phase(), Phase::Pending { .. }), "{:?}", story.phase());
    assert!(
        story.state.message().contains("has 0 of the 2 ready endpoints that 10% takes"),
        "{}",
        story.state.message()
    );
    seconds(&mut story, 60, 1, 10);
    assert_eq!(story.state.weights.canary_ppm, 0);
    seconds(&mut story, 60, 2, 10);
    assert_eq!(story.state.weights.canary_ppm, 100_000, "{}", story.state.message());
    assert!(
        story.state.message().contains("2 of the 5 ready endpoints that 50% takes"),
        "{}",
        story.state.message()
    );
    let next = story.state.demand(None).next.expect("a next step");
    assert_eq!((next.weight_ppm, next.in_ms, next.needs_endpoints), (500_000, Some(0), Some(5)));
    seconds(&mut story, 5, 5, 10);
    assert_eq!(story.state.weights.canary_ppm, 500_000);
    seconds(&mut story, 60, 10, 10);
    assert!(matches!(story.phase(), Phase::HandBack(_) | Phase::Succeeded), "{}", story.state.message());
}

#[test]
fn a_count_that_is_old_or_failed_lets_nothing_rise() {
    let slow = STAGES.replace("10%, bake: 10s", "10%, bake: 40s");
    let mut story = Story::of(&format!("{slow}ready: {{}}\n")).start();
    seconds(&mut story, 3, 3, 3);
    assert_eq!(story.state.weights.canary_ppm, 100_000);
    let error =
        Event::Endpoints(Endpoints { error: Some("Envoy is silent".to_owned()), ..Endpoints::default() });
    for _ in 0..60 {
        story.take(&error);
        story.second();
    }
    assert_eq!(story.state.weights.canary_ppm, 100_000, "an error is no loss either");
    assert!(story.state.message().contains("Envoy is silent"), "{}", story.state.message());
    seconds(&mut story, 2, 3, 3);
    assert_eq!(story.state.weights.canary_ppm, 500_000);
}

/// (what the plan says, seconds of waiting) -> the phase.
#[track_caller]
fn waits(on_timeout: &str, seconds_waited: u64, phase: &str) {
    let mut story = story(&format!("{{endpoints: 4, timeout: 1m{on_timeout}}}"));
    seconds(&mut story, 5, 4, 4);
    assert_eq!(story.state.weights.canary_ppm, 100_000);
    seconds(&mut story, seconds_waited, 3, 4);
    assert_eq!(
        story.phase().name().to_string(),
        phase,
        "{on_timeout} {seconds_waited}: {}",
        story.state.message()
    );
    if phase == "Paused" {
        assert_eq!(*story.phase(), Phase::Paused(Pause::Endpoints));
        seconds(&mut story, 3, 4, 4);
        assert_eq!(story.state.weights.canary_ppm, 500_000, "it goes on by itself");
    }
}

#[test]
fn who_waits_too_long_does_as_the_plan_says() {
    waits("", 60, "Progressing");
    waits("", 80, "Paused");
    waits(", onTimeout: hold", 300, "Progressing");
    waits(", onTimeout: rollback", 80, "RolledBack");
}

#[track_caller]
fn loses(on_loss: &str, looks: u64, phase: &str) {
    let mut story = story(&format!("{{endpoints: 2{on_loss}}}"));
    seconds(&mut story, 3, 2, 4);
    assert_eq!(story.state.weights.canary_ppm, 100_000);
    seconds(&mut story, 1, 1, 4);
    assert_eq!(story.phase().name(), PhaseName::Progressing, "one of two is left");
    seconds(&mut story, looks, 0, 4);
    assert_eq!(story.phase().name().to_string(), phase, "{on_loss} {looks}: {}", story.state.message());
    if phase == "RolledBack" {
        assert!(story.state.message().contains("no ready endpoint left"), "{}", story.state.message());
    }
}

#[test]
fn a_canary_that_is_gone_keeps_no_traffic() {
    loses("", 1, "Progressing");
    loses("", 2, "RolledBack");
    loses(", onLoss: pause", 2, "Paused");
    loses(", onLoss: hold", 60, "Progressing");
}

#[test]
fn a_person_may_do_without_some_endpoints_and_never_without_all() {
    let mut story = story("{endpoints: 2, onLoss: pause}");
    seconds(&mut story, 3, 2, 4);
    for (canary, human, allowed) in
        [(1, human(), false), (1, urged(), true), (0, urged(), false), (2, urged(), true)]
    {
        let (state, ms) = (story.state.clone(), story.ms);
        let mut story = Story::of(STAGES);
        (story.state, story.ms) = (state, ms);
        story.take(&seen(canary, 4));
        for event in [
            Event::Promote(human.clone()),
            Event::SetWeight {
                human: Human { reason: "x".to_owned(), ..human.clone() },
                weight_ppm: 200_000,
            },
        ] {
            let reasoned = matches!(event, Event::SetWeight { .. }) && canary > 0;
            let before = story.state.clone();
            assert_eq!(story.state.allows(&event).is_ok(), allowed || reasoned, "{canary} {event:?}");
            story.take(&event);
            assert_eq!(story.state.weights.canary_ppm > 100_000, allowed || reasoned, "{canary} {event:?}");
            story.state = before;
        }
    }
}

#[test]
fn a_dark_stage_needs_no_endpoint() {
    let dark = STAGES.replace("10%, bake", "0%, bake");
    let mut story = Story::of(&format!("{dark}ready: {{}}\n")).start();
    seconds(&mut story, 20, 0, 4);
    assert_eq!(
        (story.state.stages.len(), story.state.weights.canary_ppm),
        (1, 0),
        "{}",
        story.state.message()
    );
    seconds(&mut story, 3, 1, 4);
    assert_eq!(story.state.weights.canary_ppm, 500_000);
}

fn asks_to_warm(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::WarmUp(_))).count()
}

#[test]
fn nobody_is_exposed_before_the_canary_is_warm() {
    let mut story = Story::of(&format!("{STAGES}ready: {{}}\nwarmUpHook: {{url: 'http://warm'}}\n")).start();
    seconds(&mut story, 5, 0, 4);
    assert_eq!(asks_to_warm(&story.effects), 0, "what is not there cannot be warmed");
    seconds(&mut story, 5, 1, 4);
    assert_eq!(asks_to_warm(&story.effects), 1);
    assert_eq!(asks_to_warm(&story.state.standing_effects()), 1, "asked again after a restart");
    story.take(&Event::WarmUpFailed { reason: "503".to_owned() });
    seconds(&mut story, 5, 1, 4);
    assert_eq!((asks_to_warm(&story.effects), story.state.weights.canary_ppm), (1, 0));
    assert!(story.state.message().contains("the warm-up failed: 503; resume"), "{}", story.state.message());
    assert!(story.state.allows(&Event::Resume(human())).is_ok());
    story.take(&Event::Resume(human()));
    assert_eq!(asks_to_warm(&story.effects), 2);
    story.take(&Event::WarmedUp);
    assert_eq!(story.state.warming, Some(WarmingUp::Done));
    assert_eq!(story.state.weights.canary_ppm, 100_000, "{}", story.state.message());
    assert_eq!(asks_to_warm(&story.state.standing_effects()), 0);
}
