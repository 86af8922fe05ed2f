//! What protects needs less than what proves: every state in which the canary has traffic, beside every loss.
//!
//! `cargo test -p rollout --lib -- --nocapture every_state` prints the seconds until the canary has no traffic.

use super::story::{GOOD, Model, Story, human, urged};
use crate::{Counts, Event, Interval, Pause, Phase, PhaseName, RollbackBy, State, Stratum};

/// The spec of all of them: the default gates, and times that are short.
const LINES: &str = "stages:
- {weight: 5%, bake: 60s, deadline: 20m}
- {weight: 50%, bake: 60s, deadline: 20m, approval: true}
- {weight: 100%, bake: 60s}
rollback: {ramp: [40%, 20%, 10%], step: 10m}
handBack: {hook: {url: http://deploy}, endpoints: [http://stable], step: 30m, steps: [50%, 0%]}
";

const WORST: Model = Model { errors: 1.0, ..GOOD };

/// A state in which the canary has traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Stage,
    BelowQuorum,
    PausedByPerson,
    AwaitsYes,
    Ramp,
    All,
    HandBack,
}

impl At {
    const ALL: [Self; 7] = [
        Self::Stage,
        Self::BelowQuorum,
        Self::PausedByPerson,
        Self::AwaitsYes,
        Self::Ramp,
        Self::All,
        Self::HandBack,
    ];

    fn story(self) -> Story {
        let mut story = Story::of(LINES);
        story.deploys = false;
        let mut story = story.start();
        let settled = |story: &mut Story| (0..10).for_each(|_| story.second());
        story.until(600, |state| state.phase == Phase::Progressing);
        settled(&mut story);
        match self {
            Self::Stage => {}
            Self::BelowQuorum => {
                story.follow = false;
                story.until(600, |state| state.stage == 1);
                settled(&mut story);
                assert!(story.state.publication.as_ref().unwrap().quorum_age_ms.is_none());
            }
            Self::PausedByPerson => story.take(&Event::Pause(human())),
            Self::AwaitsYes => drop(story.until(900, |state| state.phase == Phase::Paused(Pause::Approval))),
            Self::Ramp => {
                story.until(900, |state| state.stage == 1);
                settled(&mut story);
                story.take(&Event::Abort(human()));
                assert!(story.state.ramp().is_some());
            }
            Self::All | Self::HandBack => {
                story.until(900, |state| state.phase == Phase::Paused(Pause::Approval));
                story.take(&Event::Approve(human()));
                story.until(60, |state| state.phase == Phase::Promoting);
                settled(&mut story);
                if self == Self::HandBack {
                    story.until(600, |state| matches!(state.phase, Phase::HandBack(_)));
                    settled(&mut story);
                }
            }
        }
        assert!(story.state.weights.canary_ppm > 0, "{self:?}");
        story
    }
}

/// What is missing, or goes wrong, from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// Nothing is: every answer of the canary is an error.
    Nothing,
    /// The same, and the proxies take no weights any more.
    Quorum,
    /// The same, and the wall clock is set back by an hour.
    ClockBack,
    /// The same, and the wall clock is set ahead by an hour.
    ClockAhead,
    /// No counts come any more, whatever the canary does.
    Silence,
}

impl Loss {
    const ALL: [Self; 5] = [Self::Nothing, Self::Quorum, Self::ClockBack, Self::ClockAhead, Self::Silence];

    fn begins(self, story: &mut Story) {
        story.canary = WORST;
        match self {
            Self::Nothing => {}
            Self::Quorum => story.follow = false,
            Self::ClockBack => story.wall_ms -= 3_600_000,
            Self::ClockAhead => story.wall_ms += 3_600_000,
            Self::Silence => story.counted = false,
        }
    }

    /// Seconds after which the canary must have no traffic.
    const fn bound(self) -> u64 {
        match self {
            Self::Nothing | Self::Quorum | Self::ClockBack | Self::ClockAhead => 3,
            Self::Silence => 31,
        }
    }
}

#[test]
fn every_state_beside_every_loss_ends_within_a_bound() {
    println!("seconds until the canary has no traffic\n{:<16}{:?}", "", Loss::ALL);
    let mut late = Vec::new();
    for at in At::ALL {
        let mut row = Vec::new();
        for loss in Loss::ALL {
            let mut story = at.story();
            story.wall_ms += 3 * 3_600_000;
            story.second();
            loss.begins(&mut story);
            let took = (0..=600).find(|_| {
                let gone = story.state.weights.canary_ppm == 0;
                if !gone {
                    story.second();
                }
                gone
            });
            if took.is_none_or(|took| took > loss.bound()) {
                late.push(format!("{at:?} {loss:?}: {took:?}: {}", story.state.message()));
            }
            row.push(took.map_or("never".to_owned(), |took| took.to_string()));
        }
        println!("{:<16}{}", format!("{at:?}"), row.join("  "));
    }
    assert!(late.is_empty(), "{}", late.join("\n"));
}

#[test]
fn nobody_is_exposed_before_the_proxies_can_be_read() {
    let mut story = Story::of("stages: [{weight: 5%, bake: 60s}, {weight: 100%, bake: 60s}]\n");
    story.counted = false;
    let mut story = story.start();
    (0..120).for_each(|_| story.second());
    assert_eq!((story.state.phase.name(), story.state.weights.canary_ppm), (PhaseName::Pending, 0));
    assert!(story.state.message().contains("no metrics from any Envoy"), "{}", story.state.message());
    story.counted = true;
    story.until(3, |state| state.phase == Phase::Progressing);

    // Who says so beforehand takes the risk.
    let mut story =
        Story::of("noData: {action: hold}\nstages: [{weight: 5%, bake: 60s}, {weight: 100%, bake: 60s}]\n");
    story.counted = false;
    let mut story = story.start();
    story.until(5, |state| state.phase == Phase::Progressing);
}

/// A raised weight that too few take goes back to what all have, and rises again by proof when they follow.
#[test]
fn below_the_quorum_it_goes_back_to_what_all_have() {
    let lines = "stages: [{weight: 5%, bake: 60s}, {weight: 50%, bake: 60s}, {weight: 100%, bake: 60s}]\n";
    let mut story = Story::of(lines).start();
    (0..10).for_each(|_| story.second());
    story.follow = false;
    story.until(600, |state| state.stage == 1);
    story.until(70, |state| state.phase == Phase::Paused(Pause::Quorum));
    assert_eq!((story.state.weights.canary_ppm, story.state.stage), (50_000, 0));
    story.second();
    assert!(story.state.message().contains("envoy-2"), "{}", story.state.message());
    follow(&mut story);
    story.until(3, |state| state.phase == Phase::Progressing);
    let proven = story.until(600, |state| state.stage == 1);
    assert!(proven >= 60, "it proves itself again: {proven} s");
    story.until(600, |state| state.stage == 2);

    // Before the first stage that is nobody.
    let mut story = Story::of(lines).start();
    story.second();
    story.follow = false;
    story.until(60, |state| state.phase == Phase::Progressing);
    story.until(70, |state| state.phase.name() == PhaseName::Pending);
    assert_eq!(story.state.weights.canary_ppm, 0);
    follow(&mut story);
    let waited = story.until(90, |state| state.phase == Phase::Progressing);
    assert!(waited >= 55, "it is tried again a while later: {waited} s");
}

/// Of several versions one that was left out gets nothing back, whatever a quorum had.
#[test]
fn a_step_back_brings_nobody_back_who_was_left_out() {
    let lines = "arms: [{name: b, version: v3}]
baseline: false
choose: {after: 20%}
stages: [{weight: 5%, bake: 60s}, {weight: 20%, bake: 60s}, {weight: 100%, bake: 60s}]
";
    let mut story = Story::of(lines).per_second(1_000).start();
    (0..10).for_each(|_| story.second());
    story.follow = false;
    story.until(900, |state| state.stage == 1);
    story.take(&Event::Drop { arm: split::Arm::parse("b").unwrap(), human: human() });
    story.until(90, |state| matches!(state.phase, Phase::Paused(Pause::Quorum)));
    assert_eq!(
        (story.state.weights.canary_ppm, story.state.weights.rivals_ppm),
        (50_000, Default::default())
    );
}

/// A weight by hand below the first stage is watched as any other, and the first stage waits for proof.
#[test]
fn a_step_back_to_a_weight_by_hand_is_watched() {
    let lines = "stages: [{weight: 5%, bake: 60s}, {weight: 100%, bake: 60s}]\n";
    let mut story = Story::of(lines).start();
    (0..10).for_each(|_| story.second());
    story.take(&Event::SetWeight { human: human(), weight_ppm: 10_000 });
    (0..10).for_each(|_| story.second());
    story.follow = false;
    story.take(&Event::SetWeight { human: urged(), weight_ppm: 30_000 });
    story.take(&Event::Resume(human()));
    story.until(90, |state| state.weights.canary_ppm == 10_000);
    assert_eq!(*story.phase(), Phase::Paused(Pause::Quorum));
    story.canary = WORST;
    story.until(3, |state| state.phase == Phase::RolledBack);
}

/// Whoever resumes a run that nobody can see hears of it once, and not at every tick.
#[test]
fn a_pause_without_counts_ends_by_the_clock_that_began_it() {
    let lines =
        "noData: {after: 10s, action: pause}\nstages: [{weight: 5%, bake: 10m}, {weight: 100%, bake: 60s}]\n";
    let mut story = Story::of(lines).start();
    (0..10).for_each(|_| story.second());
    story.counted = false;
    story.until(12, |state| state.phase == Phase::Paused(Pause::NoData));
    story.take(&Event::Resume(human()));
    let lines = story.state.history.len();
    (0..8).for_each(|_| story.second());
    assert_eq!((story.phase(), story.state.history.len()), (&Phase::Progressing, lines));
    story.until(5, |state| state.phase == Phase::Paused(Pause::NoData));
}

fn follow(story: &mut Story) {
    story.follow = true;
    if let Some(publication) = &mut story.state.publication {
        publication.acks.connected = 0;
    }
}

/// A gate that pauses hides none that rolls back, and both are told.
#[test]
fn the_harshest_of_all_findings_is_acted_on() {
    const STAGES: &str = "stages: [{weight: 50%, bake: 10m, deadline: 2h}, {weight: 100%, bake: 5m}]
guardrails: [{name: far, metric: error_rate, max: 99%}]
";
    let gates = "gates:
- {name: p99, metric: latency_p99, against: stable, margin: 25%, onFail: pause}
- {name: errors, metric: error_rate, against: stable, margin: 2x}
";
    let mut story = Story::of(&format!("{STAGES}{gates}")).start();
    (0..60).for_each(|_| story.second());
    story.canary = Model { errors: 0.04, slower: 4.0, ..GOOD };
    story.until(600, |state| state.phase == Phase::RolledBack);
    let rollback = story.state.rollback.clone().unwrap();
    assert_eq!(rollback.by, RollbackBy::Gate("errors".to_owned()));
    assert!(rollback.reason.contains("gate p99 fails too"), "{}", rollback.reason);

    let counted = "gates:
- {name: a, source: {push: {}}, max: 5, failureLimit: 0, onFail: pause}
- {name: b, source: {push: {}}, max: 5, failureLimit: 0}
";
    let mut story = Story::of(&format!("{STAGES}{counted}")).start();
    (0..60).for_each(|_| story.second());
    for gate in ["a", "b"] {
        let gate = gate.to_owned();
        story.take(&Event::Reading(crate::Reading { gate, canary: Some(9.0), ..Default::default() }));
    }
    assert_eq!(story.state.rollback.clone().map(|back| back.by), Some(RollbackBy::Gate("b".to_owned())));
}

#[test]
fn a_controller_that_stood_still_takes_nothing_back_for_it() {
    let mut story = At::Stage.story();
    story.ms += 3_600_000;
    story.take(&Event::Tick);
    assert_eq!(*story.phase(), Phase::Progressing);
    assert!(story.state.weights.canary_ppm > 0);
}

/// Counts of weights that nobody can name show harm against a limit, and compare with nothing.
#[test]
fn limits_hold_for_requests_of_unknown_shares() {
    let bad = Counts { assigned: 30, finished: 30, outcomes: 30, errors: 30, ..Counts::default() };
    let nameless = |state: &State| Interval {
        epoch: state.epoch,
        others: vec![Stratum { canary: bad.clone(), ..Stratum::default() }],
        ..Interval::default()
    };
    let told = |lines: &str| {
        let mut story = Story::of(lines).start();
        (0..10).for_each(|_| story.second());
        for _ in 0..30 {
            let interval = nameless(&story.state);
            story.take(&Event::Interval(Box::new(interval)));
        }
        story.state.rollback.clone().map(|back| back.by)
    };
    const STAGES: &str = "stages: [{weight: 5%, bake: 60s}, {weight: 100%, bake: 60s}]\n";
    assert_eq!(told(STAGES), Some(RollbackBy::Guardrail("errors-limit".to_owned())));
    let relative = "gates: [{name: errors, metric: error_rate, against: stable, margin: 2x}]
guardrails: [{name: slow, metric: latency_p99, max: 10s}]
";
    assert_eq!(told(&format!("{STAGES}{relative}")), None);
}

/// What is worse than stable alone has nobody to be compared with at 100 %, and is held to what both showed before.
#[test]
fn at_100_percent_it_is_held_to_what_both_showed_before() {
    let at_all = |errors: f64, seconds: u64| {
        let mut story =
            Story::of("stages: [{weight: 50%, bake: 1m, deadline: 2h}, {weight: 100%, bake: 20m}]\n")
                .per_second(1_000);
        story.stable = Model { errors: 0.01, ..GOOD };
        let mut story = story.start();
        story.until(900, |state| state.stage == 1);
        (0..5).for_each(|_| story.second());
        story.canary = Model { errors, ..GOOD };
        let took = (0..seconds).find(|_| {
            story.second();
            story.state.phase == Phase::RolledBack
        });
        (took, story.state.rollback.clone())
    };
    let (took, back) = at_all(0.045, 900);
    let back = back.expect("taken back");
    assert!(took.is_some_and(|took| took < 60), "{took:?}");
    assert_eq!(back.by, RollbackBy::Gate("errors".to_owned()));
    assert!(back.reason.contains("at 100 %"), "{}", back.reason);
    // As good as before, and a little worse: nobody is hurt more than the margin allows.
    assert_eq!(at_all(0.01, 900).0, None);
    assert_eq!(at_all(0.015, 900).0, None);
}
