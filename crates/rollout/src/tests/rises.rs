//! No weight rises of itself while a gate is not proven. What is proven is reckoned anew from the evidence of the moment
//! before, whatever the cause of the publication says.

use std::sync::Arc;

use proptest::prelude::*;

use super::story::{Story, human, urged};
use crate::{Answer, Effect, Event, Now, Phase, Reading, State, Verdict, step};

/// Gates of all kinds, of which each plan has some.
const GATES: [&str; 6] = [
    "{name: errors, metric: error_rate, against: stable, margin: 3x, passBelow: 10%, minSamples: 5}",
    "{name: limit, metric: error_rate, max: 20%, minSamples: 5, onFail: pause}",
    "{name: overdue, metric: overdue, against: stable, margin: 5x, passBelow: 10%, startAfter: 2s, minWindow: 3s}",
    "{name: sure, metric: confidence_mean, min: 0.3, minSamples: 5, every: 2s, consecutive: 2}",
    "{name: quality, source: {push: {}}, min: 0.9, failBelow: 0.5, every: 2s, consecutive: 2, onFail: pause}",
    "{name: cost, source: {push: {}}, max: 5, every: 1s, consecutive: 1, failureLimit: 4, onError: {limit: 1, action: hold}}",
];

/// What else a plan may have.
const MORE: [&str; 6] = [
    "windows: {open: [{from: '00:00', to: '00:01'}, {from: '00:02', to: '00:03'}]}\n",
    "rollback: {ramp: [20%, 10%], step: 2s}\n",
    "warmUp: 2s\n",
    "onInsufficient: hold\n",
    "noData: {after: 3s, action: pause}\n",
    "arms: [{name: b, version: v3}]\nchoose: {after: 5%}\nbaseline: false\n",
];

const STAGES: &str = "confidence: {fromHeader: x-sure}
acknowledge: {timeout: 5s}
stages:
- {weight: 1%, bake: 2s, deadline: 1m}
- {weight: 5%, bake: 3s, deadline: 1m, approval: true}
- {weight: 40%, bake: 3s, deadline: 1m}
- {weight: 100%, bake: 3s, deadline: 1m}
guardrails:
- {name: far, metric: error_rate, max: 60%}
- {name: cpu, source: {push: {}}, max: 5, every: 2s}
";

#[derive(Clone, Debug)]
enum Move {
    /// Seconds in which the canary answers in a way.
    Seconds {
        n: u8,
        errors: f64,
        confidence: f64,
        counted: bool,
        follow: bool,
    },
    /// A figure: of which gate or guardrail, and which; `None`: its source failed.
    Figure {
        of: usize,
        value: Option<f64>,
    },
    Event(Event),
    Restart,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let often = |likely: f64, other: f64| prop_oneof![5 => Just(likely), 1 => Just(other)];
    let seconds = (1_u8..15, often(0.01, 0.9), prop_oneof![6 => Just(0.85), 1 => Just(0.1), 1 => Just(40.0)])
        .prop_flat_map(|(n, errors, confidence)| {
            (prop::bool::weighted(0.9), prop::bool::weighted(0.9))
                .prop_map(move |(counted, follow)| Move::Seconds { n, errors, confidence, counted, follow })
        });
    let figure = (
        0_usize..3,
        proptest::option::weighted(0.9, prop_oneof![4 => Just(0.95), 1 => Just(0.7), 1 => Just(9.0)]),
    )
        .prop_map(|(of, value)| Move::Figure { of, value });
    let person = prop_oneof![
        Just(Event::Promote(urged())),
        Just(Event::Approve(human())),
        Just(Event::Pause(human())),
        Just(Event::Resume(human())),
        Just(Event::SetWeight { human: urged(), weight_ppm: 20_000 }),
    ];
    let one =
        prop_oneof![8 => seconds, 8 => figure, 2 => person.prop_map(Move::Event), 1 => Just(Move::Restart)];
    proptest::collection::vec(one, 10..60)
}

/// Is it a named person who acts?
const fn of_a_person(event: &Event) -> bool {
    matches!(
        event,
        Event::Start(_)
            | Event::Promote(_)
            | Event::Approve(_)
            | Event::SetWeight { .. }
            | Event::Choose { .. }
    )
}

/// What must hold of a step.
fn check(before: &State, event: &Event, effects: &[Effect], now: Now) {
    let rises = effects.iter().any(|effect| {
        matches!(effect, Effect::Publish(sent) if sent.policy.arms.canary.weight_ppm > before.weights.canary_ppm)
    });
    // The first stage follows no evidence: nobody was exposed.
    if !rises || of_a_person(event) || before.stages.is_empty() {
        return;
    }
    // From nobody, when too few had followed, it begins at the first stage again.
    if matches!(before.phase, Phase::Pending { .. }) && before.weights.canary_ppm == 0 {
        let first = |effect: &Effect| match effect {
            Effect::Publish(sent) => sent.policy.arms.canary.weight_ppm <= before.plan.stages[0].weight_ppm,
            _ => true,
        };
        return assert!(effects.iter().all(first), "{event:?}: rises past the first stage");
    }
    assert!(matches!(before.phase, Phase::Progressing), "{event:?}: rises from {:?}", before.phase);
    // The same step, where the fleet permits no more: everything is counted and nothing moves.
    let mut held = before.clone();
    held.permitted = Some(held.stage + 1);
    let (held, _) = step(held, event, now);
    assert_eq!(held.stage, before.stage);
    let arms = held.measured_arms().flatten().filter(|arm| *arm != held.plan.arm());
    let all = std::iter::once(held.verdicts()).chain(arms.map(|arm| held.verdicts_of(arm)));
    for verdicts in all {
        proven(&held, &verdicts);
    }
    let stage = held.stages.last().expect("a stage");
    assert!(stage.baked_ms >= held.plan.stages[held.stage].bake_ms, "before its bake is over");
    assert!(held.evidence.harms(&held.plan, held.scope()).is_empty(), "while harm is proven");
    assert!(held.evidence.all_broken(&held.plan).is_empty(), "while a guardrail is broken");
    assert!(held.faults().is_empty() && held.unguarded().is_none(), "unguarded");
    assert!(held.fresh(), "without counts");
    assert!(held.window().is_ok(), "while its windows are closed");
}

/// Is every hard gate of the stage proven, by the numbers?
fn proven(state: &State, verdicts: &[Verdict]) {
    for &index in &state.plan.stages[state.stage].gates {
        let gate = &state.plan.gates[index];
        let said = verdicts.iter().find(|verdict| verdict.name == gate.name);
        let said = said.unwrap_or_else(|| panic!("gate {} says nothing", gate.name));
        assert_eq!(said.answer, Answer::Pass, "gate {}: {}", gate.name, said.why);
        if gate.figure().is_some() {
            assert!(said.n_canary >= u64::from(gate.consecutive), "{said:?}");
        } else {
            assert!(said.proof >= 0.999 / state.plan.alpha.pass, "{said:?}");
            assert!(said.n_canary >= gate.min_samples(), "{said:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_weight_rises_while_a_gate_is_not_proven(
        moves in moves(),
        gates in prop::sample::subsequence(GATES.to_vec(), 1..4),
        more in prop::sample::subsequence(MORE.to_vec(), 0..3),
        figures in any::<bool>(),
    ) {
        let mut story = Story::of(&format!("{STAGES}gates: [{}]\n{}", gates.join(", "), more.concat())).start();
        if !figures {
            // Without a guardrail that must be read, more plans get somewhere.
            Arc::make_mut(&mut story.state.plan).guardrails.truncate(1);
            story.state.evidence = crate::Evidence::new(&story.state.plan);
        }
        story.look = Some(check);
        for one in moves {
            match one {
                Move::Seconds { n, errors, confidence, counted, follow } => {
                    (story.canary.errors, story.canary.confidence) = (errors, confidence);
                    (story.counted, story.follow) = (counted, follow);
                    (0..n).for_each(|_| story.second());
                }
                Move::Figure { of, value } => {
                    let gate = ["quality", "cost", "cpu"][of].to_owned();
                    let error = value.is_none().then(|| "silent".to_owned());
                    story.take(&Event::Reading(Reading { gate, canary: value, error, ..Reading::default() }));
                    story.second();
                }
                Move::Event(event) => story.take(&event),
                Move::Restart => {
                    let text = serde_json::to_string(&*story.state).unwrap();
                    *story.state = serde_json::from_str(&text).unwrap();
                }
            }
        }
    }
}
