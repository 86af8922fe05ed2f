//! After the end: what is kept warm, who is told that it can go, and the way back to it.

use super::story::{Held, Story, human, urged};
use crate::{
    Admission, Cause, Effect, Endpoint, Event, HandBackProgress, HookCallRequest, Human, Now, Phase,
    PostRunHook, RollbackBy, State, admit,
};

const PLAN: &str = "stages: [{weight: 5%, bake: 2s}, {weight: 100%, bake: 2s}]
gates: [{name: errors, metric: error_rate, max: 50%, minSamples: 5}]
acknowledge: {quorum: 50%, timeout: 20s}
handBack: {hook: {url: 'http://deploy'}, endpoints: ['http://stable'], step: 2s}
";
const KEPT: &str = "keepWarm: {for: 1m, hook: {url: 'http://keep'}, endpoints: ['http://canary']}
after: {succeeded: {url: 'http://gone'}, rolledBack: {command: [gone]}}
";

/// A run that went the whole way up.
fn promoted(more: &str) -> Story {
    let mut story = Story::of(&format!("{PLAN}{more}")).start();
    story.until(60, |state| state.phase == Phase::Succeeded);
    story
}

fn aborted(more: &str) -> Story {
    let mut story = Story::of(&format!("{PLAN}{more}")).start();
    story.until(5, |state| state.phase == Phase::Progressing);
    story.take(&Event::Abort(human()));
    story
}

fn calls(story: &Story) -> Vec<HookCallRequest> {
    let calls = story.effects.iter().filter_map(|effect| match effect {
        Effect::Call(request) => Some(request.clone()),
        _ => None,
    });
    calls.collect()
}

/// PostRunHook, versions, and the version behind the stable route.
fn asked(story: &Story) -> Vec<(PostRunHook, String, String)> {
    calls(story).into_iter().map(|call| (call.duty, call.versions.join(" "), call.stable)).collect()
}

fn seconds(story: &mut Story, n: u64) {
    (0..n).for_each(|_| story.second());
}

fn answered(duty: PostRunHook) -> Event {
    Event::Called { run: 1, duty }
}

/// The run that follows a story's, on the same clock.
fn next(story: &Story, plan: manifest::Plan) -> Story {
    let state = State::new(plan, 2, story.state.epoch, Now::at_ms(story.ms)).following(&[&story.state]);
    let mut next = Story::of(PLAN);
    (next.ms, next.state) = (story.ms, Held(Some(state)));
    next.start()
}

fn plan(lines: &str) -> manifest::Plan {
    manifest::Plan::clone(&Story::of(lines).state.plan)
}

#[test]
fn after_a_promotion_the_old_version_is_put_aside_kept_and_let_go() {
    let mut story = promoted(KEPT);
    let hand_back = story.effects.iter().find_map(|effect| match effect {
        Effect::HandBack(request) => Some(request.keep_ms),
        _ => None,
    });
    assert_eq!(hand_back, Some(Some(60_000)), "the deploy tool hears of it before it takes anything down");
    assert!(story.state.has_post_run_work() && story.state.is_over());
    let old = |duty| (duty, "v1".to_owned(), "v2".to_owned());
    assert_eq!(asked(&story), [old(PostRunHook::Keep)]);
    assert_eq!(calls(&story)[0].keep_ms, Some(60_000));
    assert!(!story.state.was_placed("v1"), "nobody said so");
    story.take(&answered(PostRunHook::Keep));
    assert!(story.state.was_placed("v1") && !story.state.was_placed("v2"));
    let report = |version: &str| {
        Event::KeptReports(vec![Endpoint {
            url: "u".to_owned(),
            version: Some(version.to_owned()),
            error: None,
        }])
    };
    for (version, there) in [("v2", false), ("v1", true), ("v2", false)] {
        story.take(&report(version));
        assert_eq!(story.state.kept_view().and_then(|kept| kept.there), Some(there), "{version}");
    }
    let lost = |e: &&Effect| matches!(e, Effect::Notify(notice) if notice.text.contains("no longer behind"));
    assert_eq!(story.effects.iter().filter(lost).count(), 1, "it was there, and then it was not");

    // Whoever scales it keeps it at full size.
    let demand = story.state.demand(Some(&crate::Rates { stable: 900.0, ..crate::Rates::default() })).canary;
    let (version, share, peak) = (demand.version.as_str(), demand.share_ppm, demand.peak_per_second);
    assert_eq!((version, share, peak), ("v1", 0, Some(900.0)));
    seconds(&mut story, 50);
    let kept = story.state.view().kept.expect("kept");
    assert_eq!((kept.versions, kept.was_stable, kept.left_ms > 0), (vec!["v1".to_owned()], true, true));
    assert_eq!(asked(&story).len(), 1);
    seconds(&mut story, 15);
    assert_eq!(asked(&story), [old(PostRunHook::Keep), old(PostRunHook::Succeeded)]);
    assert!(
        story.state.kept().is_empty()
            && story.state.has_post_run_work()
            && story.state.is_being_deleted("v1")
    );
    story.take(&answered(PostRunHook::Succeeded));
    assert!(!story.state.has_post_run_work());
    seconds(&mut story, 100);
    story.take(&answered(PostRunHook::Succeeded));
    assert_eq!(asked(&story).len(), 2, "once");
    assert_eq!(story.weights.last(), Some(&(story.weights.last().expect("one").0, 0)));
}

#[test]
fn after_a_rollback_the_new_version_is_kept_and_let_go() {
    let mut story = aborted(KEPT);
    seconds(&mut story, 30);
    assert_eq!((story.state.kept(), asked(&story)), (vec!["v2".to_owned()], vec![]));
    assert!(!story.state.was_placed("v2"), "it was never behind the stable route");
    seconds(&mut story, 40);
    assert_eq!(asked(&story), [(PostRunHook::RolledBack, "v2".to_owned(), "v1".to_owned())]);
    assert!(story.state.kept().is_empty());
}

/// What stable serves decides what can be deleted.
#[test]
fn a_run_taken_back_in_the_middle_of_its_hand_back_lets_the_old_version_go() {
    let mut story = Story::of(&format!("{PLAN}{KEPT}")).start();
    story.until(60, |state| matches!(state.phase, Phase::HandBack(HandBackProgress::Lowering { .. })));
    story.take(&Event::Abort(human()));
    seconds(&mut story, 70);
    assert_eq!(story.state.phase, Phase::RolledBack);
    let old = |duty| (duty, "v1".to_owned(), "v2".to_owned());
    assert_eq!(asked(&story), [old(PostRunHook::Keep), old(PostRunHook::Succeeded)]);
}

#[test]
fn without_a_time_to_keep_the_hook_waits_for_weight_0_alone() {
    let hook = "after: {succeeded: {url: 'http://gone'}, rolledBack: {url: 'http://gone'}}\n";
    assert_eq!(asked(&promoted(hook)).len(), 1);
    let mut story = aborted(hook);
    assert_eq!(asked(&story), [], "nobody has taken weight 0 yet");
    story.second();
    assert_eq!(asked(&story).len(), 1);
    // And where nothing is wanted, nothing has_post_run_work.
    assert!(!promoted("").state.has_post_run_work() && !aborted("").state.has_post_run_work());
}

/// A quorum may go on, but what is deleted must be missed by nobody.
#[test]
fn proxies_that_lag_behind_are_waited_for_and_then_told_by_their_lease() {
    let mut story = aborted(KEPT);
    story.follow = false;
    let revoked = |story: &Story| story.effects.iter().filter(|e| matches!(e, Effect::Revoke { .. })).count();
    seconds(&mut story, 15);
    assert_eq!((story.state.ending.emptied_age_ms, revoked(&story)), (None, 1));
    seconds(&mut story, 10);
    assert_eq!((story.state.ending.emptied_age_ms, revoked(&story)), (None, 2));
    seconds(&mut story, 20);
    assert!(story.state.ending.emptied_age_ms.is_some());
    // One that follows late is enough.
    let mut story = aborted(KEPT);
    story.follow = false;
    seconds(&mut story, 5);
    let sent = story.state.publication.as_ref().expect("sent").sent.id;
    let acks = crate::Acks { publication: sent, acknowledged: 2, connected: 2, ..crate::Acks::default() };
    story.take(&Event::Acks(acks));
    assert!(story.state.ending.emptied_age_ms.is_some() && revoked(&story) == 1);
}

#[test]
fn a_hook_that_fails_is_called_again_ever_more_seldom_or_when_a_person_says_so() {
    let mut story = aborted("after: {rolledBack: {url: 'http://gone'}}\n");
    story.second();
    let failed =
        Event::CallFailed { run: 1, duty: PostRunHook::RolledBack, reason: "answered 503".to_owned() };
    let mut times = Vec::new();
    for _ in 0..100 {
        let before = calls(&story).len();
        story.take(&failed);
        story.take(&failed);
        story.second();
        if calls(&story).len() > before {
            times.push(story.ms / 1_000);
        }
    }
    let pauses: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses, [20, 40], "{times:?}");
    let told = |e: &&Effect| matches!(e, Effect::Notify(notice) if notice.text.contains("answered 503"));
    assert_eq!(story.effects.iter().filter(told).count(), 1);
    let seen = story.state.view().calls;
    assert_eq!((seen.len(), seen[0].failed.as_deref()), (1, Some("answered 503")));
    assert!(story.state.allows(&Event::Resume(human())).is_ok());
    let before = calls(&story).len();
    story.take(&Event::Resume(human()));
    assert_eq!(calls(&story).len(), before + 1);
    // Whoever is asked when the process ends is asked again by the next one, with the same words.
    let standing = story.state.standing_effects();
    let again =
        standing.iter().filter(|e| matches!(e, Effect::Call(request) if *request == calls(&story)[0]));
    assert_eq!(again.count(), 1);
    story.take(&answered(PostRunHook::RolledBack));
    assert!(!story.state.has_post_run_work() && story.state.allows(&Event::Resume(human())).is_err());
    assert_eq!(story.state.standing_effects().len(), 2);
}

#[test]
fn the_next_run_ends_the_keeping_and_exposes_nobody_before_that_is_known() {
    let story = promoted(KEPT);
    let mut tried = plan(PLAN);
    (tried.stable, tried.canary) = ("v2".to_owned(), "v3".to_owned());
    let mut next = next(&story, tried);
    let [call] = calls(&next).try_into().expect("one call");
    assert_eq!((call.run, call.duty, call.versions), (1, PostRunHook::Succeeded, vec!["v1".to_owned()]));
    assert_eq!(call.next.as_deref(), Some("v3"));
    seconds(&mut next, 5);
    assert!(
        matches!(next.phase(), Phase::Pending { .. }) && next.state.message().contains("hook after run 1")
    );
    next.take(&Event::CallFailed { run: 1, duty: PostRunHook::Succeeded, reason: "no".to_owned() });
    next.until(3, |state| state.weights.canary_ppm > 0);
    // It is called again whatever this run does meanwhile.
    seconds(&mut next, 15);
    assert_eq!(calls(&next).len(), 2);
    next.take(&answered(PostRunHook::Succeeded));
    assert!(next.state.ending.calls.is_empty());
}

#[test]
fn what_the_next_run_is_about_is_nobodys_to_delete() {
    // Kept, or about to be let go of: going back to it ends both.
    for wait in [10, 70] {
        let mut story = promoted(KEPT);
        seconds(&mut story, wait);
        let back = story.state.plan.to_return("v2", "v1", Some("it was asked".to_owned()));
        let next = next(&story, back);
        assert_eq!(asked(&next), [], "{wait}");
        assert!(next.state.ending.calls.is_empty());
    }
}

/// A way back to v1 that has just begun, and the run it follows.
fn going_back(vouched: Option<&str>) -> (Story, Story) {
    let story = promoted(KEPT);
    let plan = story.state.plan.to_return("v2", "v1", vouched.map(str::to_owned));
    let state = State::new(plan, 2, story.state.epoch, Now::at_ms(story.ms)).following(&[&story.state]);
    let mut next = Story::of(PLAN);
    (next.ms, next.state) = (story.ms, Held(Some(state)));
    next.take(&Event::Start(urged()));
    (story, next)
}

#[test]
fn a_way_back_gives_everybody_the_old_version_at_once() {
    let (before, mut story) = going_back(Some("it was asked"));
    let [(_, ppm)] = story.weights.as_slice() else { panic!("{:?}", story.weights) };
    assert_eq!(*ppm, 1_000_000, "in the first publication");
    let Some(Effect::Publish(sent)) = story.effects.iter().find(|e| matches!(e, Effect::Publish(_))) else {
        panic!()
    };
    assert_eq!(sent.cause, Cause::Human { who: "anna".to_owned() });
    assert!(sent.policy.epoch > before.state.epoch);
    assert_eq!(
        (sent.policy.arms.stable.version.as_str(), sent.policy.arms.canary.version.as_str()),
        ("v2", "v1")
    );
    assert!(story.state.overrides.is_empty());
    let said = &story.state.history[0].what;
    assert!(said.contains("from v2 to v1 for anna (incident 12)") && said.contains("it was asked"), "{said}");
    assert!(story.state.message().starts_with("goes back from v2 to v1"), "{}", story.state.message());
    story.ends(60);
    assert_eq!((story.phase(), story.state.stable_version.as_str()), (&Phase::Succeeded, "v1"));
    assert_eq!(story.state.message(), "went back from v2 to v1: stable serves it");
    assert_eq!(story.state.kept(), ["v2"], "what was gone back from is kept like any other");
    let (_, taken) = going_back(None);
    assert_eq!(taken.state.overrides.len(), 1, "without anybody's word it is a person's");
}

/// Errors, silence, proxies that do not follow: each would take a canary back, and here it would give the traffic to
/// what is known to be bad.
#[test]
fn nothing_but_a_person_takes_a_way_back_back() {
    let (_, mut story) = going_back(Some("it was asked"));
    story.canary.errors = 0.9;
    (story.follow, story.counted, story.deploys) = (false, false, false);
    seconds(&mut story, 900);
    story.counted = true;
    seconds(&mut story, 300);
    assert_eq!(story.state.weights.canary_ppm, 1_000_000, "{}", story.state.message());
    story.take(&Event::Abort(human()));
    assert_eq!(story.state.weights.canary_ppm, 0);
    assert_eq!(
        story.state.rollback.as_ref().map(|rollback| &rollback.by),
        Some(&RollbackBy::Human("anna".to_owned()))
    );
}

#[test]
fn a_file_does_not_bring_back_what_a_person_went_back_from() {
    let (before, mut story) = going_back(Some("it was asked"));
    let same = manifest::Plan::clone(&before.state.plan);
    let with = |lines: &str| plan(&format!("{PLAN}{lines}"));
    let refused =
        |story: &Story, plan: &manifest::Plan, part: &str| match admit(Some(&story.state), plan, false) {
            Admission::Refused(why) => assert!(why.contains(part), "{why}"),
            other => panic!("{other:?}"),
        };
    let third = |supersede: &str| {
        let mut third = with(&format!("supersede: {supersede}\n"));
        (third.stable, third.canary) = ("v1".to_owned(), "v3".to_owned());
        third
    };
    // While it goes back, whatever the file says of present runs.
    for plan in [&same, &with("supersede: replace"), &with("supersede: queue")] {
        refused(&story, plan, "anna went back from v2 in run 2 (incident 12)");
    }
    assert_eq!(admit(Some(&story.state), &third("replace"), false), Admission::Queue);
    assert_eq!(admit(Some(&story.state), &third("queue"), false), Admission::Queue);
    refused(&story, &third("reject"), "goes back to v1 (run 2); wait");
    story.ends(60);
    // And when it is over, also with changes, unless somebody says so.
    for plan in [&same, &with("owner: bert")] {
        refused(&story, plan, "apply it again explicitly");
    }
    let begins = Admission::Begin { run: 3, epoch: story.state.epoch };
    assert_eq!(admit(Some(&story.state), &same, true), begins);
    assert_eq!(admit(Some(&story.state), &third("reject"), false), begins);
    // It is remembered over the runs of others, until it is tried once more.
    let later = State::new(third("reject"), 3, 99, Now::at_ms(story.ms)).following(&[&story.state]);
    let (later, _) = crate::step(later, &Event::Abort(human()), Now::at_ms(story.ms));
    assert!(matches!(admit(Some(&later), &same, false), Admission::Refused(_)));
    let again = State::new(same.clone(), 4, 100, Now::at_ms(story.ms)).following(&[&later]);
    assert_eq!(again.rejected, []);
    // Whoever ends the way back wants what it went back from.
    let (_, mut story) = going_back(Some("it was asked"));
    story.take(&Event::Abort(Human { who: "bert".to_owned(), reason: "v1 is worse".to_owned() }));
    assert_eq!(story.state.rejected, []);
}
