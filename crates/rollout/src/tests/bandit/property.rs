//! Shares under whatever happens, in whatever order.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Move {
    Minutes(u8, [bool; 3], [bool; 2]),
    Event(Event),
    Restart,
}

fn random_moves() -> impl Strategy<Value = Vec<Move>> {
    let which = prop_oneof![Just(Arm::Canary), Just(arm("b")), Just(arm("c"))];
    let event = prop_oneof![
        Just(Event::Promote(urged())),
        Just(Event::Pause(human())),
        Just(Event::Resume(human())),
        Just(Event::Approve(human())),
        (0_u32..300_000).prop_map(|weight_ppm| Event::SetWeight { human: urged(), weight_ppm }),
        which.clone().prop_map(|arm| Event::Drop { arm, human: human() }),
        which.prop_map(|arm| Event::Choose { arm, human: urged() }),
    ];
    let one = prop_oneof![
        6 => (1_u8..5, any::<[bool; 3]>(), any::<[bool; 2]>())
            .prop_map(|(n, good, [counted, follow])| Move::Minutes(n, good, [counted || n > 2, follow || n > 2])),
        3 => event.prop_map(Move::Event),
        1 => Just(Move::Restart),
    ];
    proptest::collection::vec(one, 0..12)
}

/// What no publication by evidence may do.
fn check(before: &State, sent: &crate::Publication, last: &[u32], now: &[u32], ms: (u64, u64)) {
    let Cause::Bandit { stage } = sent.cause else {
        let down = matches!(sent.cause, Cause::Drop { .. } | Cause::Rollback | Cause::HandBack);
        let rises = now.iter().zip(last).any(|(now, last)| now > last);
        assert!(!(down && rises), "{last:?} to {now:?} by {:?}", sent.cause);
        return;
    };
    let record = before.stages.last().expect("a stage");
    let range = before.plan.share_range(stage, record.weight_ppm).expect("a stage in which shares move");
    assert!(now.iter().sum::<u32>() <= range.ceiling_ppm, "{now:?} in {range:?}");
    for (now, last) in now.iter().zip(last) {
        assert!((*now == 0) == (*last == 0), "who is out stays out: {last} to {now}");
        assert!(*now == 0 || (range.floor_ppm..=range.each_ppm).contains(now), "{now} in {range:?}");
        assert!(now <= &(2 * last), "{last} to {now}");
        assert!(now <= last || before.phase == Phase::Progressing, "rises while {:?}", before.phase);
    }
    assert!(!matches!(before.phase, Phase::Paused(Pause::Human { .. })), "a person has the wheel");
    assert!(ms.1 - ms.0 >= 30_000, "{} ms after the last", ms.1 - ms.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Evidence moves shares only in their range and only upwards while the run goes by itself; whatever it does, one
    /// abort takes everything back, and what is published compiles.
    #[test]
    fn whatever_happens_to_shares(moves in random_moves()) {
        let quick = STAGES.replace("bake: 10m", "bake: 2m").replace("bake: 1h", "bake: 4m").replace("every: 1m", "every: 30s");
        let mut story = Story::of(&format!("{THREE}{quick}")).per_second(1_000).start();
        story.stable.errors = 0.02;
        let mut last = vec![0; 3];
        let mut published_ms = 0;
        for one in moves {
            let seconds = match &one {
                Move::Minutes(n, good, [counted, follow]) => {
                    let errors_of = |good: bool| if good { 0.005 } else { 0.03 };
                    story.canary.errors = errors_of(good[0]);
                    story.others = [(arm("b"), errors(errors_of(good[1]))), (arm("c"), errors(errors_of(good[2])))].into();
                    (story.counted, story.follow) = (*counted, *follow);
                    u64::from(*n) * 40
                }
                Move::Event(_) => 1,
                Move::Restart => {
                    let text = serde_json::to_string(&*story.state).unwrap();
                    story.state = Held(Some(serde_json::from_str(&text).unwrap()));
                    0
                }
            };
            for _ in 0..seconds {
                let (before, told) = (State::clone(&story.state), story.effects.len());
                match &one {
                    Move::Event(event) => story.take(event),
                    _ => story.second(),
                }
                for effect in &story.effects[told..] {
                    let Effect::Publish(sent) = effect else { continue };
                    let of = |name: &str| sent.policy.arms.others.iter().find(|o| o.name.as_str() == name).map_or(0, |o| o.weight_ppm);
                    let now = vec![sent.policy.arms.canary.weight_ppm, of("b"), of("c")];
                    check(&before, sent, &last, &now, (published_ms, story.ms));
                    let policy = split::policy::Policy {
                        schema: split::policy::SCHEMA, incarnation: 1, generation: 1, lease: None,
                        rollouts: vec![sent.policy.clone()],
                    };
                    prop_assert!(split::Splitter::compile(&policy).is_ok(), "{now:?}");
                    (last, published_ms) = (now, story.ms);
                }
            }
            let (aborted, _) = step(State::clone(&story.state), &Event::Abort(human()), story.state.last);
            prop_assert_eq!(aborted.weights.on_trial_ppm(), 0);
        }
    }
}
