//! What holds of a fleet whatever happens, in whatever order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::story::human;
use super::{MODELS, Tale};
use crate::fleet::MemberOutcome;
use crate::{Cause, Effect, Event, Phase, State};

#[derive(Clone, Debug)]
enum Move {
    Seconds(u8, [bool; 6]),
    All(Event),
    One(usize, Event),
    Restart,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let event = || {
        prop_oneof![
            Just(Event::Promote(human())),
            Just(Event::Approve(human())),
            Just(Event::Pause(human())),
            Just(Event::Resume(human())),
            Just(Event::HandBackDone),
        ]
    };
    let one = prop_oneof![
        8 => (1_u8..12, any::<[bool; 6]>()).prop_map(|(n, flags)| Move::Seconds(n, flags)),
        2 => event().prop_map(Move::All),
        2 => (0_usize..4, event()).prop_map(|(index, event)| Move::One(index, event)),
        1 => Just(Move::All(Event::Abort(human()))),
        1 => Just(Move::Restart),
    ];
    proptest::collection::vec(one, 0..30)
}

/// What no step of a fleet may do.
fn check(before: &BTreeMap<String, State>, tale: &Tale, moved: &[MemberOutcome]) {
    let states = tale.states();
    let names: Vec<&String> = tale.members.keys().collect();
    for one in moved {
        let own = before[names[one.index]].plan.member.as_ref().unwrap();
        let mut weight = before[names[one.index]].weights.canary_ppm;
        for effect in &one.effects {
            let Effect::Publish(publication) = effect else { continue };
            let ppm = publication.policy.arms.canary.weight_ppm;
            let rises = ppm > weight;
            weight = ppm;
            let stage = match publication.cause {
                Cause::Start { .. } if rises => 0,
                Cause::Verdict { stage } if rises => stage + 1,
                Cause::Human { .. } => continue,
                _ if rises => panic!("rises by {:?}", publication.cause),
                _ => continue,
            };
            for mate in states.iter().filter(|mate| mate.plan.member.as_ref().unwrap().region == own.region) {
                let proven = match stage.checked_sub(1) {
                    Some(left) => mate
                        .stages
                        .iter()
                        .any(|record| record.stage == left && record.complete_age_ms.is_some()),
                    None => true,
                };
                assert!(proven, "{} rises to stage {stage} before {}", names[one.index], mate.plan.name);
            }
            let earlier = |state: &&&State| state.plan.member.as_ref().unwrap().wave < own.wave;
            assert!(
                states.iter().filter(earlier).all(|state| {
                    state.stages.iter().any(|record| record.stage == 2 && record.complete_age_ms.is_some())
                        || state.permitted > Some(2)
                }) || stage > 0
                    || one.state.permitted > Some(1),
                "a wave too early"
            );
        }
    }
    if states.iter().any(|state| state.phase == Phase::RolledBack) {
        for state in &states {
            assert!(matches!(state.phase, Phase::RolledBack | Phase::Succeeded), "{:?}", tale.phases());
            assert_eq!(state.weights.canary_ppm, 0);
        }
    }
    let mut aborted = tale.clone();
    if aborted.act(&Event::Abort(human())).is_ok() {
        assert!(aborted.members.values().all(|state| state.weights.canary_ppm == 0 && state.is_over()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens_to_a_fleet(moves in moves(), regions in any::<bool>()) {
        let regions = if regions { "  regions: {waves: [[eu], [us]], soak: 3s}\n" } else { "" };
        let mut tale = Tale::of(&format!("{MODELS}{regions}"));
        for one in moves {
            let before = tale.members.clone();
            match one {
                Move::Seconds(n, [bad, more, blind, deaf, us, deploys]) => {
                    let who = match (us, more) { (true, _) => "us", (_, true) => "ranking", _ => "retrieval" };
                    let only = |yes: bool| if yes { vec![who] } else { vec![] };
                    (tale.bad, tale.blind, tale.deaf) = (only(bad && n > 9), only(blind), only(deaf));
                    tale.deploys = deploys;
                    for _ in 0..n {
                        let from_ms = tale.ms;
                        tale.ms += 1_000;
                        for index in 0..tale.members.len() {
                            for event in tale.events(index, from_ms) {
                                let before = tale.members.clone();
                                let moved = tale.take(vec![(index, event)]);
                                check(&before, &tale, &moved);
                            }
                        }
                    }
                }
                Move::All(event) => {
                    if let Ok(moved) = tale.act(&event) {
                        check(&before, &tale, &moved);
                    }
                }
                Move::One(index, event) => {
                    let moved = tale.take(vec![(index, event)]);
                    check(&before, &tale, &moved);
                }
                Move::Restart => {
                    let text = serde_json::to_string(&tale.members).unwrap();
                    tale.members = serde_json::from_str(&text).unwrap();
                    prop_assert_eq!(&tale.members, &before);
                }
            }
        }
    }
}
