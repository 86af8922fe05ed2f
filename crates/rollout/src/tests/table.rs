//! Every phase with every event a person can cause.

use super::story::{Story, human, urged};
use crate::{Acks, Admission, Effect, Event, Phase, Rates, State, admit};

const STAGES: &str = "stages:
- {weight: 5%, bake: 20s, deadline: 10m, approval: true}
- {weight: 100%, bake: 20s}
gates: [{name: errors, metric: error_rate, against: stable, margin: 3x, passBelow: 10%, minSamples: 5}]
handBack: {hook: {url: http://deploy}, endpoints: [http://stable], step: 5s}
";

/// A run brought to a phase.
fn brought_to(phase: &str) -> Story {
    let watch = if phase == "Watched" { "watch: {}" } else { "" };
    let mut story = Story::of(&format!("{STAGES}{watch}"));
    story.deploys = false;
    match phase {
        "applied" => return story,
        "Pending" => {
            story.follow = false;
            return story.start();
        }
        _ => {}
    }
    let mut story = story.start();
    story.until(3, |state| state.phase == Phase::Progressing);
    match phase {
        "Progressing" => return story,
        "Paused" => {
            story.take(&Event::Pause(human()));
            return story;
        }
        "RolledBack" => {
            story.take(&Event::Abort(human()));
            return story;
        }
        _ => {}
    }
    story.until(600, |state| matches!(state.phase, Phase::Paused(_)));
    if phase == "Approval" {
        return story;
    }
    story.take(&Event::Approve(human()));
    if phase == "Promoting" {
        return story;
    }
    story.until(60, |state| state.watches_stable());
    if phase == "Asked" {
        return story;
    }
    story.deploys = true;
    story.until(5, |state| state.weights.canary_ppm == 500_000);
    if phase == "Lowering" {
        return story;
    }
    story.ends(60);
    story
}

/// (phase before, event) -> (phase after, canary weight after in percent).
#[track_caller]
fn check(before: &str, event: &Event, after: &str, percent: u32) {
    let mut story = brought_to(before);
    let allowed = story.state.allows(event);
    let (old, published) = (State::clone(&story.state), story.weights.len());
    story.take(event);
    assert_eq!(
        (story.state.phase.name().to_string().as_str(), story.state.weights.canary_ppm),
        (after, percent * 10_000),
        "{before} {event:?}"
    );
    // What is refused changes nothing, and what changes something was allowed.
    if allowed.is_err() {
        assert_eq!((&story.state.phase, story.weights.len()), (&old.phase, published), "{allowed:?}");
    }
}

#[test]
fn abort_goes_back_from_everywhere() {
    for before in [
        "applied",
        "Pending",
        "Progressing",
        "Paused",
        "Approval",
        "Promoting",
        "Asked",
        "Lowering",
        "RolledBack",
    ] {
        check(before, &Event::Abort(human()), "RolledBack", 0);
    }
    check("Succeeded", &Event::Abort(human()), "Succeeded", 0);
}

#[test]
fn what_people_may_do() {
    let start = Event::Start(human());
    check("applied", &start, "Pending", 0);
    check("Progressing", &start, "Progressing", 5);
    check("RolledBack", &start, "RolledBack", 0);
    let promote = Event::Promote(urged());
    check("applied", &promote, "Pending", 0);
    check("Pending", &promote, "Pending", 0);
    check("Progressing", &promote, "Promoting", 100);
    check("Paused", &promote, "Promoting", 100);
    check("Approval", &promote, "Promoting", 100);
    check("Promoting", &promote, "HandBack", 100);
    check("Asked", &promote, "HandBack", 50);
    check("Lowering", &promote, "HandBack", 50);
    check("RolledBack", &promote, "RolledBack", 0);
    check("Succeeded", &promote, "Succeeded", 0);
    let approve = Event::Approve(human());
    check("Pending", &approve, "Pending", 0);
    check("Progressing", &approve, "Progressing", 5);
    check("Paused", &approve, "Paused", 5);
    check("Approval", &approve, "Promoting", 100);
    check("RolledBack", &approve, "RolledBack", 0);
    let pause = Event::Pause(human());
    check("Pending", &pause, "Pending", 0);
    check("Progressing", &pause, "Paused", 5);
    check("Promoting", &pause, "Paused", 100);
    check("Asked", &pause, "HandBack", 100);
    let resume = Event::Resume(human());
    check("Paused", &resume, "Progressing", 5);
    check("Approval", &resume, "Paused", 5);
    check("Asked", &resume, "HandBack", 100);
    check("RolledBack", &resume, "RolledBack", 0);
    check("Watched", &pause, "Succeeded", 0);
    check("Watched", &resume, "Succeeded", 0);
    check("Watched", &promote, "Succeeded", 0);
    check("Watched", &Event::Abort(human()), "Succeeded", 0);
    let next = Event::NextRun { run: 2 };
    check("Watched", &next, "Succeeded", 0);
    check("Progressing", &next, "Progressing", 5);
    check("RolledBack", &next, "RolledBack", 0);
}

#[test]
fn a_rollback_is_one_publication_and_a_revoked_lease() {
    for before in ["Progressing", "Approval", "Promoting", "Asked"] {
        let mut story = brought_to(before);
        story.effects.clear();
        story.take(&Event::Abort(human()));
        let publications: Vec<_> = story.effects.iter().filter(|e| matches!(e, Effect::Publish(_))).collect();
        let revokes = story.effects.iter().filter(|e| matches!(e, Effect::Revoke { .. })).count();
        assert_eq!((publications.len(), revokes), (1, 1), "{before}");
        let Some(Effect::Publish(publication)) = publications.first() else { panic!() };
        assert_eq!(publication.policy.arms.canary.weight_ppm, 0);
        assert!(publication.policy.overrides.is_empty());
        // Again: nothing more.
        story.effects.clear();
        story.take(&Event::Abort(human()));
        story.take(&Event::Tick);
        assert!(story.effects.is_empty(), "{:?}", story.effects);
        assert_eq!(story.state.standing_effects().len(), 2);
    }
}

#[test]
fn late_acknowledgements_of_old_publications_are_ignored() {
    let mut story = brought_to("Progressing");
    story.take(&Event::Promote(urged()));
    let old = Acks { publication: 1, acknowledged: 9, connected: 9, ..Acks::default() };
    story.take(&Event::Acks(old));
    assert_eq!(story.state.publication.as_ref().unwrap().quorum_age_ms, None);
}

#[test]
fn a_ramped_rollback_goes_down_in_steps_unless_harm_is_proven() {
    let lines = format!("{STAGES}rollback: {{ramp: [20%, 10%, 1%], step: 2s}}");
    let mut story = Story::of(&lines).start();
    story.until(3, |state| state.phase == Phase::Progressing);
    story.take(&Event::Promote(urged()));
    story.take(&Event::Abort(human()));
    story.until(20, crate::State::is_over);
    let down: Vec<u32> = story.weights.iter().skip(2).map(|&(_, ppm)| ppm).collect();
    assert_eq!(down, [1_000_000, 200_000, 100_000, 10_000, 0]);

    let mut story = Story::of(&lines).canary(|canary| canary.errors = 0.3).start();
    story.until(60, crate::State::is_over);
    assert_eq!(story.weights.iter().map(|&(_, ppm)| ppm).collect::<Vec<_>>(), [0, 50_000, 0]);
}

#[test]
fn stable_is_given_nothing_while_its_endpoints_report_another_version() {
    let mut story = brought_to("Asked");
    for _ in 0..700 {
        story.second();
    }
    assert_eq!(story.state.weights.canary_ppm, 1_000_000);
    assert!(
        story.effects.iter().any(|e| matches!(e, Effect::Notify(n) if n.text.contains("does not serve v2")))
    );
    story.take(&Event::HandBackFailed { reason: "no such image".to_owned() });
    assert!(story.state.message().contains("no such image"));
}

#[test]
fn another_plan_is_received_as_it_says() {
    let plan = |lines: &str| State::clone(&Story::of(lines).state).plan;
    let running = brought_to("Progressing");
    let succeeded = brought_to("Succeeded");
    let rolled_back = brought_to("RolledBack");
    let other = plan("supersede: reject\nowner: bert");
    assert_eq!(admit(None, &other, false), Admission::Begin { run: 1, epoch: 0 });
    assert_eq!(admit(Some(&running.state), &running.state.plan, false), Admission::Unchanged);
    assert!(
        matches!(admit(Some(&running.state), &other, false), Admission::Refused(why) if why.contains("abort it"))
    );
    let queued = plan("supersede: queue\nowner: bert");
    assert_eq!(admit(Some(&running.state), &queued, false), Admission::Queue);
    let replacing = plan("supersede: replace\nowner: bert");
    assert_eq!(admit(Some(&running.state), &replacing, false), Admission::Replace);
    // A rollback is not undone by applying the same file once more.
    let same = &rolled_back.state.plan;
    assert!(matches!(admit(Some(&rolled_back.state), same, false), Admission::Refused(_)));
    let begins = Admission::Begin { run: 2, epoch: rolled_back.state.epoch };
    assert_eq!(admit(Some(&rolled_back.state), same, true), begins);
    assert_eq!(admit(Some(&rolled_back.state), &other, false), begins);
    assert!(
        matches!(admit(Some(&succeeded.state), &other, false), Admission::Refused(why) if why.contains("\"v2\""))
    );
}

#[test]
fn whoever_scales_is_told_beforehand() {
    #[track_caller]
    fn check(phase: &str, now: u32, next: Option<u32>, wait: bool, stable: &str) {
        // Not what the weights say: a measurement.
        let rates = Rates { canary: 70.0, stable: 930.0, ..Rates::default() };
        let demand = brought_to(phase).state.demand(Some(&rates));
        let per_second = |ppm: u32| f64::from(ppm) / 1_000.0;
        let (canary, rest) = (&demand.canary, &demand.stable);
        assert_eq!((canary.share_ppm, rest.share_ppm), (now, 1_000_000 - now), "{phase}");
        assert_eq!((canary.per_second, rest.per_second), (Some(70.0), Some(930.0)), "{phase}");
        assert_eq!((canary.version.as_str(), rest.version.as_str()), ("v2", stable), "{phase}");
        assert_eq!(demand.next.map(|next| next.weight_ppm), next, "{phase}");
        let next = next.unwrap_or(now);
        assert_eq!(canary.next_per_second, Some(per_second(next)), "{phase}");
        assert_eq!(rest.next_per_second, Some(1_000.0 - per_second(next)), "{phase}");
        assert_eq!(canary.peak_per_second, Some(per_second(next).max(per_second(now)).max(70.0)), "{phase}");
        let in_ms = demand.next.and_then(|next| next.in_ms);
        assert_eq!(in_ms.is_some(), wait, "{phase}: {in_ms:?}");
    }
    check("applied", 0, None, false, "v1");
    check("Pending", 0, Some(50_000), true, "v1");
    check("Progressing", 50_000, Some(1_000_000), false, "v1");
    check("Approval", 50_000, Some(1_000_000), false, "v1");
    check("Promoting", 1_000_000, Some(500_000), true, "v1");
    check("Asked", 1_000_000, Some(500_000), false, "v1");
    check("Lowering", 500_000, Some(0), true, "v2");
    check("Succeeded", 0, None, false, "v2");
    check("RolledBack", 0, None, false, "v1");
    let unknown = brought_to("Progressing").state.demand(None);
    assert_eq!(
        (unknown.per_second, unknown.canary.next_per_second, unknown.stable.peak_per_second),
        (None, None, None)
    );
}
