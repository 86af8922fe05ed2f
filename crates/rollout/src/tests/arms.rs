//! Several versions on trial: dropped alone, chosen, and what holds whatever happens.

use proptest::prelude::*;
use split::Arm;

use super::story::{GOOD, Held, Model, Story, human};
use crate::{Cause, Effect, Event, Pause, Phase, Reading, RollbackBy, State, step};

const THREE: &str = "arms: [{name: b, version: v3}, {name: c, version: v4}]
choose: {by: error_rate, after: 20%}
stages:
- {weight: 1%, bake: 10s}
- {weight: 20%, bake: 60s, deadline: 30m}
- {weight: 50%, bake: 10s, deadline: 10m}
- {weight: 100%, bake: 10s}
gates: [{name: errors, metric: error_rate, against: stable, margin: 3x, passBelow: 5%, ignoreBelow: 3%}]
guardrails: [{name: limit, metric: error_rate, max: 8%}]
";

fn arm(name: &str) -> Arm {
    Arm::parse(name).expect("a name")
}

fn errors(share: f64) -> Model {
    Model { errors: share, ..GOOD }
}

/// Errors of canary, b and c.
fn story(plan: &str, shares: [f64; 3]) -> Story {
    let mut story = Story::of(plan).per_second(2_000).canary(|model| model.errors = shares[0]);
    story.others = [(arm("b"), errors(shares[1])), (arm("c"), errors(shares[2]))].into();
    story.start()
}

fn out(state: &State) -> Vec<(String, bool)> {
    state.arms.out.iter().map(|out| (out.arm.to_string(), out.by.is_some())).collect()
}

/// (second, canary, b, c) of every publication.
fn published(story: &Story) -> Vec<[u32; 3]> {
    let policies = story.effects.iter().filter_map(|effect| match effect {
        Effect::Publish(publication) => Some(&publication.policy.arms),
        _ => None,
    });
    policies
        .map(|arms| [arms.canary.weight_ppm, arms.others[0].weight_ppm, arms.others[1].weight_ppm])
        .collect()
}

#[test]
fn a_harmful_one_goes_alone_and_the_best_goes_on_alone() {
    let mut story = story(THREE, [0.02, 0.3, 0.005]);
    story.ends(3_600);
    assert_eq!(*story.phase(), Phase::Succeeded, "{}", story.state.message());
    assert_eq!(out(&story.state), [("b".to_owned(), true), ("canary".to_owned(), false)]);
    assert_eq!((story.state.plan.canary.as_str(), story.state.stable_version.as_str()), ("v4", "v4"));
    let dropped = &story.state.arms.out[0];
    assert!(dropped.verdicts.iter().any(|verdict| verdict.answer == crate::Answer::Fail), "{dropped:?}");
    let weights = published(&story);
    let gone = weights.iter().position(|w| *w == [10_000, 0, 10_000]).expect("b alone is dropped");
    assert!(weights[gone..].iter().all(|w| w[1] == 0), "dropped for good: {weights:?}");
    assert!(weights.contains(&[0, 0, 500_000]) && weights.contains(&[0, 0, 1_000_000]), "{weights:?}");
    let revokes = story.effects.iter().filter(|effect| matches!(effect, Effect::Revoke { .. })).count();
    assert_eq!(revokes, 1, "whoever has not heard of the drop goes to stable");
    let chosen = story.state.arms.chosen.as_ref().expect("chosen");
    assert!(chosen.why.contains("proven best"), "{}", chosen.why);
}

#[test]
fn when_the_canary_is_the_harmful_one_the_next_leads() {
    let mut story = story(THREE, [0.4, 0.01, 0.01]);
    story.until(300, |state| state.plan.arm() != Arm::Canary);
    assert_eq!((story.state.plan.arm(), story.state.plan.canary.as_str()), (arm("b"), "v3"));
    assert_eq!(story.state.weights.canary_ppm, 10_000);
    assert_eq!(published(&story).last(), Some(&[0, 10_000, 10_000]));
    story.until(3_600, |state| state.phase == Phase::Paused(Pause::Choice));
    assert!(story.state.history.iter().any(|record| record.what.contains("no clear winner")));
    story.take(&Event::Promote(human()));
    assert_eq!(*story.phase(), Phase::Paused(Pause::Choice), "which one?");
    let why = story.state.allows(&Event::Promote(human())).expect_err("which one?");
    assert!(why.contains("v3 (b), v4 (c)"), "{why}");
    story.take(&Event::Choose { arm: arm("c"), human: human() });
    assert_eq!(published(&story).last(), Some(&[0, 0, 500_000]));
    story.ends(3_600);
    assert_eq!(story.state.stable_version, "v4");
}

#[test]
fn all_dropped_is_rolled_back() {
    let mut story = story(THREE, [0.4, 0.4, 0.4]);
    story.ends(600);
    assert_eq!(*story.phase(), Phase::RolledBack);
    assert_eq!(story.state.arms.out.len(), 2);
    let rollback = story.state.rollback.as_ref().expect("a rollback");
    assert!(matches!(rollback.by, RollbackBy::Guardrail(_) | RollbackBy::Gate(_)));
    assert_eq!(published(&story).last(), Some(&[0, 0, 0]));
}

#[test]
fn people_drop_and_choose() {
    let person = THREE.replace("by: error_rate", "by: person");
    let mut story = story(&person, [0.01; 3]);
    story.until(60, |state| state.stage == 0 && state.phase == Phase::Progressing);
    let unknown = story.state.allows(&Event::Drop { arm: arm("d"), human: human() }).expect_err("who?");
    assert!(unknown.contains("d is not on trial"), "{unknown}");
    story.take(&Event::Drop { arm: arm("b"), human: human() });
    assert_eq!(published(&story).last(), Some(&[10_000, 0, 10_000]));
    story.until(1_200, |state| state.phase == Phase::Paused(Pause::Choice));
    story.take(&Event::Drop { arm: Arm::Canary, human: human() });
    story.until(1_200, |state| state.weights.canary_ppm == 500_000);
    assert_eq!(published(&story).last(), Some(&[0, 0, 500_000]), "the one that is left goes on");
    assert!(
        story.state.allows(&Event::SetWeight { human: human(), weight_ppm: 600_000 }).is_err(),
        "a reason"
    );
}

#[test]
fn a_weight_by_hand_leaves_room_for_all() {
    let mut story = story(THREE, [0.01; 3]);
    story.until(60, |state| state.weights.canary_ppm > 0);
    let by_hand =
        |weight_ppm| Event::SetWeight { human: crate::Human { reason: "now".into(), ..human() }, weight_ppm };
    let why = story.state.allows(&by_hand(200_001)).expect_err("no room");
    assert!(why.contains("room for 20% each"), "{why}");
    story.take(&by_hand(70_000));
    assert_eq!(published(&story).last(), Some(&[70_000; 3]));
}

#[test]
fn the_same_specification_is_the_same_after_a_drop() {
    let mut story = story(THREE, [0.4, 0.01, 0.01]);
    story.until(300, |state| state.plan.arm() != Arm::Canary);
    let applied = Story::of(THREE).state.plan.clone();
    assert_ne!(story.state.plan, applied);
    assert_eq!(crate::admit(Some(&story.state), &applied, false), crate::Admission::Unchanged);
}

/// Looked at every second of 40 minutes: equal challengers seldom get a winner, and a better one gets its due.
#[test]
fn a_contest_keeps_its_level_and_finds_the_better() {
    use evidence::{Contest, Look};
    let plan = Story::of(THREE).state.plan.clone();
    let choose = plan.choose.clone().expect("a choice");
    let gate = choose.by.clone().expect("a metric");
    let arms = [Arm::Canary, arm("b"), arm("c")];
    let look = Look {
        age_ms: 0,
        baked_ms: 0,
        span_ms: 1_000,
        of_stage: true,
        concurrent: true,
        warming: false,
        copies: false,
    };
    let mut runner = split::Draws::seeded(7);
    let mut draw =
        |n: u64, p: f64| (0..n).filter(|_| (runner.draw() as f64) < p * 2_f64.powi(64)).count() as u64;
    let mut run = |rates: [f64; 3]| {
        let mut contest = Contest::new(&plan, &gate, &arms);
        for second in 0..600_u64 {
            // Traffic comes and goes, and so do errors that all of them share.
            let n = 20 + 30 * (second / 60 % 2);
            let trouble = 1.0 + 2.0 * f64::from(u32::from(second / 100 % 2 == 1));
            let counts = rates.map(|rate| crate::Counts {
                outcomes: n,
                errors: draw(n, rate * trouble),
                ..crate::Counts::default()
            });
            let seen: Vec<_> = arms.into_iter().zip(&counts).collect();
            contest.observe(&gate, 1, &seen, look, Some(1.0));
            if let Some(winner) = contest.winner(3, choose.alpha) {
                return Some(winner);
            }
        }
        None
    };
    let wrong = (0..100).filter(|_| run([0.02; 3]).is_some()).count();
    assert!(wrong <= 5, "{wrong} of 100 equal contests have a winner");
    let right = (0..20).filter(|_| run([0.03, 0.03, 0.01]) == Some(arm("c"))).count();
    assert!(right >= 18, "{right} of 20 find the better");
}

#[derive(Clone, Debug)]
enum Move {
    Seconds(u8, [bool; 3]),
    Event(Event),
    Restart,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let which = prop_oneof![Just(Arm::Canary), Just(arm("b")), Just(arm("c")), Just(arm("d"))];
    let event = prop_oneof![
        Just(Event::Promote(human())),
        Just(Event::Pause(human())),
        Just(Event::Resume(human())),
        Just(Event::Approve(human())),
        (0_u32..400_000).prop_map(|weight_ppm| Event::SetWeight { human: human(), weight_ppm }),
        which.clone().prop_map(|arm| Event::Drop { arm, human: human() }),
        which.prop_map(|arm| Event::Choose { arm, human: human() }),
    ];
    let one = prop_oneof![
        5 => (1_u8..15, any::<[bool; 3]>()).prop_map(|(n, bad)| Move::Seconds(n, bad.map(|bad| bad && n < 4))),
        3 => event.prop_map(Move::Event),
        1 => Just(Move::Restart),
    ];
    proptest::collection::vec(one, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is published compiles, nobody who is out comes back, a weight rises only by a verdict or a person, and
    /// one abort takes everything back.
    #[test]
    fn whatever_happens_to_several(moves in moves()) {
        let quick = THREE.replace("bake: 60s", "bake: 5s").replace("bake: 10s", "bake: 3s").replace("3x", "20x");
        let mut story = story(&quick, [0.01; 3]);
        let mut gone: Vec<Arm> = Vec::new();
        let mut last = [0; 3];
        let mut told = 0;
        for one in moves {
            match one {
                Move::Seconds(n, bad) => {
                    let shares = bad.map(|bad| if bad { 0.9 } else { 0.01 });
                    story.canary.errors = shares[0];
                    story.others = [(arm("b"), errors(shares[1])), (arm("c"), errors(shares[2]))].into();
                    (0..n).for_each(|_| story.second());
                }
                Move::Event(event) => story.take(&event),
                Move::Restart => {
                    let text = serde_json::to_string(&*story.state).unwrap();
                    story.state = Held(Some(serde_json::from_str(&text).unwrap()));
                }
            }
            for effect in &story.effects[told..] {
                let Effect::Publish(publication) = effect else { continue };
                let arms = &publication.policy.arms;
                let now = [arms.canary.weight_ppm, arms.others[0].weight_ppm, arms.others[1].weight_ppm];
                let policy = split::policy::Policy {
                    schema: split::policy::SCHEMA, incarnation: 1, generation: 1, lease: None,
                    rollouts: vec![publication.policy.clone()],
                };
                prop_assert!(split::Splitter::compile(&policy).is_ok(), "{now:?}");
                if now.iter().zip(&last).any(|(now, last)| now > last) {
                    let allowed =
                        matches!(publication.cause, Cause::Start { .. } | Cause::Verdict { .. } | Cause::Human { .. });
                    prop_assert!(allowed, "{last:?} to {now:?} by {:?}", publication.cause);
                }
                last = now;
            }
            told = story.effects.len();
            let out: Vec<Arm> = story.state.arms.out.iter().map(|out| out.arm).collect();
            prop_assert!(out.starts_with(&gone), "{gone:?} {out:?}");
            gone = out;
            for &arm in &gone {
                prop_assert_eq!(story.state.plan.share_of(arm, &story.state.weights), 0, "{} is out", arm);
            }
            let in_now = story.state.plan.arms_in().count();
            prop_assert_eq!(in_now + gone.len(), 3);
            prop_assert_eq!(story.state.arms.rivals.len() + 1, in_now);
            let (aborted, _) = step(State::clone(&story.state), &Event::Abort(human()), story.state.last);
            prop_assert_eq!(aborted.weights.on_trial_ppm(), 0);
        }
    }
}

/// Figures of the user's own are asked for once per version, and each is judged by its own.
#[test]
fn figures_of_ones_own_are_each_versions_own() {
    let source = "source: {prometheus: {url: 'http://p', query: 'f{v=\"{{canary}}\"}'}}";
    let plan = format!(
        "{}- {{name: cpu, {source}, max: 1.1, failureLimit: 0}}\n",
        THREE
            .replace(
                "]\nguardrails",
                &format!(", {{name: ctr, {source}, min: 0.1, consecutive: 1, failureLimit: 0}}]\nguardrails")
            )
            .replace(
                "guardrails: [{name: limit, metric: error_rate, max: 8%}]",
                "guardrails:\n- {name: limit, metric: error_rate, max: 8%}"
            )
    );
    let mut story = story(&plan, [0.005, 0.005, 0.005]);
    story.until(60, |state| state.stages.first().is_some_and(|stage| stage.acknowledged.is_some()));
    let asked = |state: &State| {
        let questions = state.questions().into_iter().map(|question| {
            let manifest::Source::Prometheus(source) = question.source else { panic!("prometheus") };
            (question.gate, question.arm.map(|arm| arm.to_string()), source.query)
        });
        questions.map(|(gate, arm, query)| format!("{gate} {} {query}", arm.unwrap_or_default())).collect()
    };
    let expected = |arms: &[(&str, &str)]| -> Vec<String> {
        let of = |(arm, version): &(&str, &str)| {
            ["ctr", "cpu"].map(|gate| format!("{gate} {arm} f{{v=\"{version}\"}}"))
        };
        arms.iter().flat_map(of).collect()
    };
    let found: Vec<String> = asked(&story.state);
    assert_eq!(found, expected(&[("canary", "v2"), ("b", "v3"), ("c", "v4")]));
    let read = |story: &mut Story, gate: &str, name: &str, value: f64| {
        let (gate, canary) = (gate.to_owned(), Some(value));
        story.take(&Event::Reading(Reading { gate, arm: Some(arm(name)), canary, ..Reading::default() }));
    };
    // A bad reading drops its version alone, by gate or by guardrail; the lead's place is taken by the next.
    read(&mut story, "ctr", "b", 0.05);
    assert_eq!(out(&story.state), [("b".to_owned(), true)]);
    read(&mut story, "cpu", "canary", 1.2);
    assert_eq!(out(&story.state), [("b".to_owned(), true), ("canary".to_owned(), true)]);
    assert_eq!((*story.phase() == Phase::RolledBack, story.state.plan.canary.as_str()), (false, "v4"));
    let found: Vec<String> = asked(&story.state);
    assert_eq!(found, expected(&[("c", "v4")]));
    // What is still answered of those that are out is nobody's.
    read(&mut story, "ctr", "b", 0.05);
    read(&mut story, "ctr", "c", 0.2);
    assert!(
        story.state.verdicts().iter().any(|verdict| verdict.name == "ctr" && verdict.estimate == Some(0.2))
    );
    read(&mut story, "ctr", "c", 0.05);
    assert_eq!(*story.phase(), Phase::RolledBack);
}
