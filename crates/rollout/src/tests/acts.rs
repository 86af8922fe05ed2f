//! A person's yes is for what was shown, and an act is for what it was meant for.

use super::story::{Story, human, urged};
use crate::{
    Acted, Cause, Endpoint, Event, HandBackProgress, Human, Now, Pause, Phase, Reading, State, fleet, step,
};

/// Monday 2026-11-30 16:50 UTC.
const EVENING_MS: u64 = 1_796_057_400_000;

const OFFICE: &str =
    "windows: {timeZone: UTC, open: [{from: '09:00', to: '17:00'}, {from: '18:20', to: '22:00'}]}\n";

const ASKS: &str = "noData: {action: hold}
stages: [{weight: 5%, bake: 20s, deadline: 24h, approval: true}, {weight: 50%, bake: 1m}, {weight: 100%, bake: 5m}]
guardrails: [{name: far, metric: error_rate, max: 99%}]
";
const ERRORS: &str = "gates: [{name: errors, metric: error_rate, max: 20%, onFail: pause}]\n";
const QUALITY: &str =
    "gates: [{name: quality, source: {push: {}}, min: 0.9, failBelow: 0.8, every: 1m, consecutive: 1}]\n";

fn read(story: &mut Story, value: f64) {
    let reading = Reading { gate: "quality".to_owned(), canary: Some(value), ..Reading::default() };
    story.take(&Event::Reading(reading));
}

fn seconds(story: &mut Story, n: u64) {
    (0..n).for_each(|_| story.second());
}

/// Complete at its first stage: a person is asked.
fn asking(lines: &str, at_ms: u64) -> Story {
    let mut story = Story::of(&format!("{ASKS}{lines}"));
    story.ms = at_ms;
    let plan = story.state.plan.clone();
    story.state.0 = Some(State::new(plan, 1, 0, Now::at_ms(at_ms)));
    let mut story = story.start();
    story.until(5, |state| state.stages.first().is_some_and(|stage| stage.acknowledged.is_some()));
    if lines.contains("quality") {
        read(&mut story, 0.95);
    }
    story.until(900, |state| state.phase == Phase::Paused(Pause::Approval));
    story
}

fn says(state: &State, part: &str) -> bool {
    state.history.iter().any(|line| line.what.contains(part))
}

/// Said yes to while it cannot be used at once.
fn approved_in_the_evening(lines: &str) -> Story {
    let mut story = asking(&format!("{lines}{OFFICE}"), EVENING_MS);
    let closes = EVENING_MS + 10 * 60_000;
    while story.ms < closes + 1_000 {
        story.second();
    }
    story.take(&Event::Approve(human()));
    story.second();
    assert_eq!((story.phase(), story.state.stage), (&Phase::Progressing, 0), "{}", story.state.message());
    assert!(story.state.stages[0].approved_by.is_some());
    story
}

#[test]
fn a_yes_stands_in_for_no_evidence_without_a_reason_and_a_count() {
    #[track_caller]
    fn check(mut story: Story, part: &str) {
        for reason in ["", " "] {
            let hasty = Event::Approve(Human { reason: reason.to_owned(), ..human() });
            let why = story.state.allows(&hasty).expect_err("a reason is wanted");
            assert!(why.contains(part) && why.contains("give a reason"), "{why}");
            story.take(&hasty);
            assert_eq!((story.state.stage, story.state.overrides.len()), (0, 0));
        }
        assert_eq!(story.state.allows(&Event::Approve(urged())), Ok(()));
        story.take(&Event::Approve(urged()));
        assert_eq!((story.state.stage, story.state.overrides.len()), (1, 1));
        assert!(story.state.overrides[0].past.join("; ").contains(part));
        assert!(matches!(story.state.publication.as_ref().unwrap().sent.cause, Cause::Human { .. }));
    }
    let mut blind = asking(ERRORS, 0);
    blind.counted = false;
    seconds(&mut blind, 3_600);
    check(blind, "no trustworthy counts");
    let mut marginal = asking(QUALITY, 0);
    read(&mut marginal, 0.85);
    seconds(&mut marginal, 1_800);
    check(marginal, "gate quality is not proven");
    // What was shown is what was proven.
    let mut proven = asking(ERRORS, 0);
    proven.take(&Event::Approve(human()));
    assert_eq!((proven.state.stage, proven.state.overrides.len()), (1, 0));
}

#[test]
fn a_yes_does_not_outlive_what_it_was_for() {
    /// What happens to it; afterwards it is asked for again, and nothing rises before.
    #[track_caller]
    fn check(what: &str, lines: &str, happens: impl FnOnce(&mut Story)) {
        let mut story = approved_in_the_evening(lines);
        happens(&mut story);
        let night = EVENING_MS + 2 * 3_600_000;
        // Until the window has long been open.
        while story.ms < night && story.state.phase != Phase::Paused(Pause::Approval) {
            if what == "a gate wavered" && story.ms.is_multiple_of(600_000) {
                read(&mut story, 0.95);
            }
            story.second();
        }
        assert_eq!((story.state.stage, story.phase()), (0, &Phase::Paused(Pause::Approval)), "{what}");
        assert!(says(&story.state, "The yes of anna is void"), "{what}");
    }
    check("a gate failed, and it was resumed", ERRORS, |story| {
        story.canary.errors = 0.9;
        story.until(600, |state| matches!(state.phase, Phase::Paused(Pause::Gate { .. })));
        story.canary.errors = 0.01;
        story.take(&Event::Resume(human()));
    });
    check("somebody stopped it", ERRORS, |story| {
        story.take(&Event::Pause(human()));
        story.take(&Event::Resume(human()));
    });
    check("a gate wavered", QUALITY, |story| {
        read(story, 0.85);
        seconds(story, 2);
        read(story, 0.95);
    });
    check("counts were away", ERRORS, |story| {
        story.counted = false;
        seconds(story, 120);
        story.counted = true;
    });
    check("an hour went by", ERRORS, |_| {});
    check("the controller was away for it", ERRORS, |story| story.ms += 3_600_000);
}

#[test]
fn a_yes_that_can_be_used_within_its_hour_is_used() {
    let mut story = asking(&format!("{ERRORS}{OFFICE}"), EVENING_MS);
    while story.ms < EVENING_MS + 40 * 60_000 {
        story.second();
    }
    story.take(&Event::Approve(human()));
    story.second();
    assert_eq!(story.state.stage, 0, "17:30: the window is closed");
    story.until(3_600, |state| state.stage == 1);
    assert!(says(&story.state, "approved by anna"));
}

/// Of a store of an earlier build nobody knows for what a yes was.
#[test]
fn a_yes_from_before_is_asked_for_again() {
    let mut story = approved_in_the_evening(ERRORS);
    story.state.stages[0].approval = None;
    story.second();
    assert_eq!(*story.phase(), Phase::Paused(Pause::Approval));
}

#[test]
fn whoever_resumes_measures_all_of_it_again() {
    let lines =
        "stages: [{weight: 5%, bake: 6m, deadline: 2h}, {weight: 50%, bake: 10m}, {weight: 100%, bake: 5m}]
gates: [{name: errors, metric: error_rate, against: stable, margin: 2x, onFail: pause}]
guardrails: [{name: far, metric: error_rate, max: 99%}]";
    let mut story = Story::of(lines).per_second(400).start();
    // Long enough to be proven no worse than twice stable; then it is three times.
    story.until(360, |state| state.stages.first().is_some_and(|stage| stage.baked_ms >= 200_000));
    story.canary.errors = 0.05;
    story.until(120, |state| matches!(state.phase, Phase::Paused(Pause::Gate { .. })) || state.stage > 0);
    assert_eq!(story.state.stage, 0);
    let revision = story.state.revision;
    story.take(&Event::Resume(human()));
    let stage = &story.state.stages[0];
    assert_eq!((stage.baked_ms, stage.spent_ms, stage.complete_age_ms), (0, 0, None));
    assert!(story.state.revision > revision);
    assert!(!story.state.verdicts().iter().any(|verdict| verdict.answer == crate::Answer::Pass));
    seconds(&mut story, 700);
    assert_eq!(story.state.stage, 0, "{}", story.state.message());
    // And what is healthy goes on by proof of its own.
    story.canary.errors = 0.01;
    if matches!(story.phase(), Phase::Paused(_)) {
        story.take(&Event::Resume(human()));
    }
    let seconds = story.until(3_600, |state| state.stage == 1);
    assert!(seconds >= 360, "the bake began anew: {seconds}");
}

#[test]
fn a_promotion_in_the_hand_back_says_what_speaks_against_it() {
    let handing = |lines: &str| {
        let mut story = Story::of(&format!("stages: [{{weight: 100%, bake: 1s, gates: []}}]\n{lines}"));
        story.deploys = false;
        let mut story = story.start();
        story.until(60, |state| matches!(state.phase, Phase::HandBack(_)));
        story
    };
    let endpoints = "handBack: {hook: {url: http://deploy}, endpoints: [http://a, http://b], step: 1s}";
    let said = |a: Option<&str>, b: Option<&str>| {
        let of = |url: &str, version: Option<&str>| Endpoint {
            url: url.to_owned(),
            version: version.map(str::to_owned),
            error: None,
        };
        Event::StableReports(vec![of("http://a", a), of("http://b", b)])
    };
    for (reports, parts) in [
        (Event::StableReports(vec![]), vec!["have not said"]),
        (said(Some("v1"), Some("v2")), vec!["do not all report v2", "http://a reports v1"]),
        (said(None, Some("v1")), vec!["http://a does not say", "http://b reports v1"]),
    ] {
        let mut story = handing(endpoints);
        story.take(&reports);
        let why = story.state.allows(&Event::Promote(human())).expect_err("a reason is wanted");
        assert!(parts.iter().all(|part| why.contains(part)), "{why}");
        story.take(&Event::Promote(human()));
        assert_eq!(story.state.weights.canary_ppm, 1_000_000);
        story.take(&Event::Promote(urged()));
        assert_eq!((story.state.weights.canary_ppm, story.state.overrides.len()), (500_000, 1));
        assert!(parts.iter().all(|part| story.state.overrides[0].past.join("; ").contains(part)));
    }
    // Whom nobody can ask, a person vouches for; and the next one changes nothing.
    let mut manual = handing("handBack: {step: 1s}");
    manual.take(&Event::Promote(human()));
    assert_eq!((manual.state.weights.canary_ppm, manual.state.overrides.len()), (500_000, 0));
    assert!(manual.state.allows(&Event::Promote(human())).is_err());
    let mut failed = handing("handBack: {hook: {url: http://deploy}, step: 1s}");
    failed.take(&Event::HandBackFailed { reason: "no such image".to_owned() });
    assert!(failed.state.allows(&Event::Promote(human())).unwrap_err().contains("no such image"));
}

/// Who does not say what was seen waits a moment, and never for what cannot come.
#[test]
fn a_run_that_only_just_moved_is_known_for_it() {
    let lines = "stages: [{weight: 5%, bake: 1h, deadline: 5h, gates: []}, {weight: 50%, bake: 1h, deadline: 5h, gates: []}, {weight: 100%, bake: 1h}]\nacknowledge: {timeout: 30s, onTimeout: pause}";
    let lines = format!("noData: {{action: hold}}\n{lines}");
    let mut story = Story::of(&lines).start();
    story.until(5, |state| state.phase == Phase::Progressing);
    assert!(story.state.just_moved().is_some_and(|why| why.contains("on their way")));
    seconds(&mut story, 2);
    assert_eq!(story.state.just_moved(), None);
    story.take(&Event::Promote(human()));
    assert_eq!(story.state.stage, 1);
    assert!(story.state.just_moved().is_some());
    story.counted = false;
    seconds(&mut story, 2);
    assert!(story.state.just_moved().is_some_and(|why| why.contains("nothing was counted in stage 2")));
    seconds(&mut story, 5);
    assert_eq!(story.state.just_moved(), None, "what is not counted is not waited for");
    story.follow = false;
    story.take(&Event::Promote(urged()));
    seconds(&mut story, 10);
    assert!(story.state.just_moved().is_some());
    let past = story.state.allows(&Event::Promote(human())).unwrap_err();
    assert!(past.contains("no quorum of proxies has them yet"), "{past}");
    story.until(60, |state| state.phase == Phase::Paused(Pause::Quorum));
    assert_eq!(story.state.just_moved(), None);
    let mut handing = Story::of("stages: [{weight: 100%, bake: 1s, gates: []}]");
    handing.deploys = false;
    let mut handing = handing.start();
    handing.until(60, |state| matches!(state.phase, Phase::HandBack(HandBackProgress::Asked { .. })));
    assert!(handing.state.just_moved().is_some());
    seconds(&mut handing, 6);
    assert_eq!(handing.state.just_moved(), None);
}

#[test]
fn the_revision_rises_with_what_people_must_have_seen_and_stands_still_otherwise() {
    let mut story = asking(QUALITY, 0);
    let seen = fleet::revision(&[&story.state]);
    assert!(seen.starts_with("1-"), "{seen}");
    seconds(&mut story, 60);
    read(&mut story, 0.96);
    assert_eq!(fleet::revision(&[&story.state]), seen, "time and good readings change nothing");
    read(&mut story, 0.85);
    let worse = fleet::revision(&[&story.state]);
    assert_ne!(worse, seen, "a gate is marginal");
    read(&mut story, 0.95);
    story.take(&Event::Approve(human()));
    assert_ne!(fleet::revision(&[&story.state]), worse);
}

#[test]
fn keys_are_kept_a_while_and_over_runs() {
    let mut story = asking(ERRORS, 0);
    for number in 0..40 {
        let acted = Acted { key: format!("k{number}"), what: "promote".to_owned() };
        story.take(&Event::Acted(acted));
    }
    let keys: Vec<&str> = story.state.acted.iter().map(|acted| acted.key.as_str()).collect();
    assert_eq!((keys.len(), keys[0], keys[31]), (32, "k8", "k39"));
    let (ended, _) = step(State::clone(&story.state), &Event::Abort(human()), Now::at_ms(story.ms));
    let next = State::new(ended.plan.clone(), 2, ended.epoch, Now::at_ms(story.ms)).following(&[&ended]);
    assert_eq!(next.acted, ended.acted);
}
