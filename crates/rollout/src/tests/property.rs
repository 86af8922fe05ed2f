//! What holds whatever happens, in whatever order.

use proptest::prelude::*;

use super::story::{Held, Story, human, urged};
use crate::{
    Acks, Cause, Effect, Endpoint, Endpoints, Event, Now, Pause, Phase, PostRunHook, RollbackBy, State, step,
};

const PLAN: &str = "stages:
- {weight: 1%, bake: 3s, deadline: 20s}
- {weight: 5%, bake: 3s, deadline: 20s, approval: true}
- {weight: 50%, bake: 3s}
- {weight: 100%, bake: 3s}
gates: [{name: errors, metric: error_rate, against: stable, margin: 3x, passBelow: 10%, minSamples: 5}]
acknowledge: {timeout: 5s}
handBack: {hook: {url: http://deploy}, endpoints: [http://stable], step: 1s}
watch: {for: 30s}
";

const KEPT: &str = "keepWarm: {for: 4s, hook: {url: http://keep}, endpoints: [http://canary]}
after: {succeeded: {url: http://gone}, rolledBack: {url: http://gone}}
";

#[derive(Clone, Debug)]
enum Move {
    Seconds { n: u8, bad: bool, counted: bool, follow: bool, deploys: bool },
    Event(Event),
    Restart,
    SetClock(i32),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let seconds = (1_u8..12, any::<[bool; 4]>()).prop_map(|(n, [bad, counted, follow, deploys])| {
        Move::Seconds { n, bad: bad && n % 4 == 0, counted, follow, deploys }
    });
    let event =
        prop_oneof![
            Just(Event::Start(human())),
            Just(Event::Tick),
            Just(Event::Abort(human())),
            Just(Event::Promote(human())),
            Just(Event::Promote(urged())),
            Just(Event::Approve(human())),
            Just(Event::Pause(human())),
            Just(Event::Resume(human())),
            (0_u32..1_100_000).prop_map(|weight_ppm| Event::SetWeight { human: human(), weight_ppm }),
            Just(Event::HandBackDone),
            Just(Event::NextRun { run: 2 }),
            Just(Event::WarmedUp),
            Just(Event::WarmUpFailed { reason: "no".to_owned() }),
            Just(Event::HandBackFailed { reason: "no".to_owned() }),
            Just(Event::StableReports(vec![])),
            Just(Event::StableReports(vec![Endpoint {
                url: "u".to_owned(),
                version: Some("v2".to_owned()),
                error: None
            }])),
            (0_u64..8, 0_u32..4, 0_u32..4).prop_map(|(publication, acknowledged, connected)| Event::Acks(
                Acks { publication, acknowledged, connected, ..Acks::default() }
            )),
        ];
    let endpoints = (proptest::option::of(0_u32..4), any::<bool>()).prop_map(|(canary, failed)| {
        let error = failed.then(|| "silent".to_owned());
        Event::Endpoints(Endpoints { canary, stable: Some(3), error })
    });
    let duty =
        prop_oneof![Just(PostRunHook::Keep), Just(PostRunHook::Succeeded), Just(PostRunHook::RolledBack)];
    let call = (duty, 1_u64..3, any::<bool>()).prop_map(|(duty, run, failed)| match failed {
        true => Event::CallFailed { run, duty, reason: "no".to_owned() },
        false => Event::Called { run, duty },
    });
    let event = prop_oneof![12 => event, 3 => endpoints, 2 => call];
    let one = prop_oneof![
        6 => seconds,
        3 => event.prop_map(Move::Event),
        1 => Just(Move::Restart),
        1 => (-100_000..100_000).prop_map(Move::SetClock),
    ];
    proptest::collection::vec(one, 0..40)
}

/// Is it known that no endpoint of the canary is ready, where that matters?
fn has_none(state: &State) -> bool {
    state.plan.ready.is_some() && state.endpoints.canary == Some(0)
}

/// What no step may do.
fn check(before: &State, after: &State, effects: &[Effect], event: &str) {
    for effect in effects {
        let Effect::Publish(publication) = effect else { continue };
        let ppm = publication.policy.arms.canary.weight_ppm;
        if ppm > before.weights.canary_ppm {
            let allowed = matches!(
                publication.cause,
                Cause::Start { .. } | Cause::Verdict { .. } | Cause::Human { .. }
            );
            assert!(allowed, "{event}: weight rises to {ppm} by {:?}", publication.cause);
            assert!(!has_none(after), "{event}: traffic rises to a canary that is not there");
            assert!(
                !matches!(before.phase, Phase::RolledBack | Phase::Succeeded),
                "{event}: rises from the end"
            );
        }
        assert!(publication.policy.epoch > before.epoch, "{event}: the epoch rises with every change");
    }
    for effect in effects {
        let Effect::Call(request) = effect else { continue };
        let quorum = after.publication.as_ref().is_some_and(|sent| sent.quorum_age_ms.is_some());
        let emptied = after.is_over() && after.weights.canary_ppm == 0 && quorum;
        assert!(emptied, "{event}: {:?} is let go of under traffic", request.versions);
        assert!(!request.versions.contains(&after.stable_version), "{event}: stable is let go of");
    }
    assert!(
        !(before.is_over() && !before.has_post_run_work() && after.has_post_run_work()),
        "{event}: what was done is done again"
    );
    if matches!(before.phase, Phase::RolledBack) {
        assert!(matches!(after.phase, Phase::RolledBack), "{event}: an aborted run came back");
        assert!(after.weights.canary_ppm <= before.weights.canary_ppm);
    }
    if before.phase == Phase::Succeeded {
        assert_eq!(after.phase, Phase::Succeeded);
        // Keeping a version warm may publish who is sent to it by name; a watch only tells.
        let kept = before.plan.keep_warm.is_some();
        let quiet =
            effects.iter().all(|effect| !matches!(effect, Effect::Publish(_) | Effect::Revoke { .. }));
        assert!(kept || quiet, "{event}: whoever watches only tells: {effects:?}");
    }
    assert!(after.age_ms >= before.age_ms);
    assert!(!matches!(after.phase, Phase::Succeeded) || after.weights.canary_ppm == 0);
    // From wherever it is, one abort takes everything back.
    let (aborted, _) = step(after.clone(), &Event::Abort(human()), after.last);
    assert_eq!(aborted.weights.canary_ppm, 0, "{event}: abort leaves weight");
    assert!(aborted.is_over());
    assert!(!after.has_post_run_work() || after.is_over());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_happens(moves in moves(), ready in any::<bool>(), kept in any::<bool>()) {
        let ready = if ready { "ready: {timeout: 5s}\nwarmUpHook: {url: http://warm}\n" } else { "" };
        let mut story = Story::of(&format!("{PLAN}{ready}{}", if kept { KEPT } else { "" }));
        let mut offset = 0_i64;
        for one in moves {
            let before = State::clone(&story.state);
            let told = story.effects.len();
            match &one {
                Move::Seconds { n, bad, counted, follow, deploys } => {
                    story.canary.errors = if *bad { 0.9 } else { 0.01 };
                    (story.counted, story.follow, story.deploys) = (*counted, *follow, *deploys);
                    for _ in 0..*n {
                        let before = State::clone(&story.state);
                        let told = story.effects.len();
                        story.second();
                        if before.phase == Phase::Succeeded {
                            check(&before, &story.state, &story.effects[told..], "a second");
                        }
                        // A second is several steps; what holds of steps upwards holds of the first of them.
                        let rises = story.effects[told..].iter().filter_map(|e| match e {
                            Effect::Publish(p) => Some((p.policy.arms.canary.weight_ppm, p.cause.clone())),
                            _ => None,
                        });
                        let mut weight = before.weights.canary_ppm;
                        for (ppm, cause) in rises {
                            if ppm > weight {
                                let allowed = matches!(cause, Cause::Start { .. } | Cause::Verdict { .. });
                                let waits = matches!(
                                    before.phase,
                                    Phase::RolledBack
                                        | Phase::Succeeded
                                        | Phase::Paused(Pause::Approval | Pause::Deadline | Pause::Human { .. })
                                );
                                prop_assert!(!has_none(&before));
                                prop_assert!(allowed && !waits, "{:?} rises by {:?}", before.phase, cause);
                            }
                            weight = ppm;
                        }
                    }
                }
                Move::Event(event) => {
                    story.take(event);
                    check(&before, &story.state, &story.effects[told..], &format!("{event:?}"));
                }
                Move::Restart => {
                    let text = serde_json::to_string(&*story.state).unwrap();
                    story.state = Held(Some(serde_json::from_str(&text).unwrap()));
                }
                Move::SetClock(by) => {
                    offset += i64::from(*by);
                    let now = Now::at_ms(story.ms);
                    let now = Now { unix_ms: now.unix_ms.saturating_add_signed(offset), ..now };
                    let (state, effects) = step(State::clone(&story.state), &Event::Tick, now);
                    check(&before, &state, &effects, "clock");
                    prop_assert_eq!(state.stages.last().map(|s| s.spent_ms), before.stages.last().map(|s| s.spent_ms));
                    story.state = Held(Some(state));
                    story.state.last = Now::at_ms(story.ms);
                }
            }
        }
    }
    /// Whatever happens to it, a way back ends by its hand-back or by a person.
    #[test]
    fn nothing_but_a_person_takes_a_way_back_back(moves in moves()) {
        let mut story = Story::of(&format!("{PLAN}{KEPT}ready: {{onLoss: rollback}}\n"));
        let plan = story.state.plan.to_return("v2", "v1", None);
        story.state = Held(Some(State::new(plan, 2, 7, Now::at_ms(0))));
        story.take(&Event::Start(urged()));
        prop_assert_eq!(story.state.weights.canary_ppm, 1_000_000);
        let mut weight = 0;
        for one in moves {
            match &one {
                Move::Seconds { n, bad, counted, follow, deploys } => {
                    story.canary.errors = if *bad { 0.9 } else { 0.01 };
                    (story.counted, story.follow, story.deploys) = (*counted, *follow, *deploys);
                    (0..*n).for_each(|_| story.second());
                }
                Move::Event(event) => story.take(event),
                Move::Restart | Move::SetClock(_) => {}
            }
            for effect in story.effects.drain(..) {
                let Effect::Publish(sent) = effect else { continue };
                let ppm = sent.policy.arms.canary.weight_ppm;
                let named = matches!(sent.cause, Cause::Human { .. } | Cause::HandBack)
                    || matches!(story.state.rollback.as_ref().map(|it| &it.by), Some(RollbackBy::Human(_)));
                prop_assert!(ppm >= weight || named, "falls to {ppm} by {:?}", sent.cause);
                weight = ppm;
            }
        }
    }
}
