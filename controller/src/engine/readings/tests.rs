use rollout::{Acks, Human, Now, Phase, step};

use super::*;

/// A run at its first stage, with two gates that take figures: one on a limit, one against stable.
fn state() -> State {
    of("gates:
- {name: accuracy, source: {push: {}}, min: 0.9, every: 10s}
- {name: revenue, source: {push: {}}, better: higher, against: stable, margin: 5%, every: 10s, minWindow: 60s}
stages:
- {weight: 5%, bake: 1h}
- {weight: 100%, bake: 1h}")
}

/// A run at its first stage; `lines` are added to the spec.
fn of(lines: &str) -> State {
    let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    let plan = manifest::load(&format!(
        "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: ranker}}
spec:
  stable: {{version: v1}}
  canary: {{version: v2}}
{lines}"
    ))
    .unwrap_or_else(|problems| panic!("{problems}"))
    .plan;
    let human = Human { who: "me".into(), reason: String::new() };
    let (mut state, _) = step(State::new(plan, 1, 0, Now::at_ms(0)), &Event::Start(human), Now::at_ms(1));
    for at_ms in 2..10 {
        let publication = state.publication.as_ref().map_or(0, |publication| publication.sent.id);
        let acks = Acks { publication, acknowledged: 1, connected: 1, ..Acks::default() };
        state = step(state, &Event::Acks(acks), Now::at_ms(at_ms)).0;
        if matches!(state.phase, Phase::Pending { .. }) {
            // The proxies can be read.
            state = step(state, &Event::Interval(Box::default()), Now::at_ms(at_ms)).0;
        }
    }
    assert!(matches!(state.phase, Phase::Progressing | Phase::Promoting), "{:?}", state.phase);
    state
}

const SECOND: u64 = 1_000 * NS_PER_MS;

fn figure(metric: &str, version: &str, value: f64, n: u64) -> Figure {
    Figure { metric: metric.into(), version: version.into(), value, n }
}

/// Gate, canary's value, stable's.
type Read = (&'static str, f64, Option<f64>);

/// Pushes each (second, gate, version, value, n), then tells what is read at each second asked for.
#[track_caller]
fn check(pushed: &[(u64, &str, &str, f64, u64)], read: &[(u64, &[Read])]) {
    let state = state();
    let mut kept = Pushed::default();
    let mut left = pushed.iter().peekable();
    for (at, expected) in read {
        while let Some((second, metric, version, value, n)) = left.next_if(|(second, ..)| second <= at) {
            kept.add(figure(metric, version, *value, *n), second * SECOND);
        }
        let found = kept.due(&state, at * SECOND);
        let found: Vec<_> = found
            .iter()
            .filter_map(|reading| Some((reading.gate.as_str(), reading.canary?, reading.stable)))
            .collect();
        assert_eq!(found, *expected, "at {at} s");
    }
}

#[test]
fn pushed_figures_are_read_once_in_their_time() {
    check(&[], &[(1, &[]), (100, &[])]);
    // Read at once, then not before `every`, then averaged by samples.
    check(
        &[(1, "accuracy", "v2", 0.9, 1), (3, "accuracy", "v2", 0.5, 1), (4, "accuracy", "v2", 1.0, 3)],
        &[(1, &[("accuracy", 0.9, None)]), (5, &[]), (11, &[("accuracy", 0.875, None)]), (30, &[])],
    );
    // Stale after the gate's window.
    check(&[(1, "accuracy", "v2", 0.9, 1)], &[(12, &[]), (13, &[])]);
    // What came just after a reading is not lost for being as old as `every` at the next; much later it is.
    let late = |second: u64, read: &'static [Read]| {
        check(
            &[(1, "accuracy", "v2", 0.9, 1), (2, "accuracy", "v2", 0.5, 1)],
            &[(1, &[("accuracy", 0.9, None)]), (second, read)],
        );
    };
    late(13, &[("accuracy", 0.5, None)]);
    late(22, &[]);
    // A comparison waits for both; stable's figure serves as long as the window lasts.
    check(
        &[
            (1, "revenue", "v2", 10.0, 1),
            (20, "revenue", "v1", 12.0, 1),
            (40, "revenue", "v2", 11.0, 1),
            (90, "revenue", "v2", 9.0, 1),
        ],
        &[
            (2, &[]),
            (20, &[("revenue", 10.0, Some(12.0))]),
            (40, &[("revenue", 11.0, Some(12.0))]),
            (90, &[]),
        ],
    );
    // Others than the run's own are nobody's.
    check(&[(1, "other", "v2", 1.0, 1), (1, "accuracy", "v1", 1.0, 1)], &[(1, &[])]);
}

#[test]
fn silence_as_long_as_every_is_a_reading_without_data() {
    let state = state();
    let mut kept = Pushed::default();
    for (at, expected) in [
        (1, vec![]),
        (10, vec![]),
        (11, vec!["accuracy", "revenue"]),
        (20, vec![]),
        // A figure counts at once, and silence begins anew after it.
        (22, vec!["revenue"]),
        (31, vec![]),
        (33, vec!["accuracy", "revenue"]),
    ] {
        if at == 22 {
            kept.add(figure("accuracy", "v2", 0.9, 1), at * SECOND);
        }
        let found = kept.due(&state, at * SECOND);
        let silent = found.iter().filter(|reading| reading.canary.is_none());
        let silent: Vec<_> = silent.map(|reading| reading.gate.as_str()).collect();
        assert_eq!(silent, expected, "at {at} s");
    }
}

#[test]
fn nothing_is_read_before_the_canary_has_traffic() {
    let mut early = state();
    early.weights.canary_ppm = 0;
    early.weights.shadow_ppm = 0;
    let mut kept = Pushed::default();
    kept.add(figure("accuracy", "v2", 0.9, 1), SECOND);
    assert_eq!(kept.due(&early, SECOND), []);
    assert_eq!(kept.due(&state(), SECOND).len(), 1, "and it is not lost");
}

#[test]
fn a_figure_nobody_wants_is_refused_with_what_would_be_taken() {
    let state = state();
    for (wrong, part) in [
        (figure("acuracy", "v2", 1.0, 1), "accuracy, revenue"),
        (figure("accuracy", "v3", 1.0, 1), "\"v2\" (the canary) or \"v1\" (stable)"),
        (figure("accuracy", "v2", f64::INFINITY, 1), "write a number"),
        (figure("accuracy", "v2", 1.0, 0), "n is 0"),
    ] {
        match takes(&state, &wrong) {
            Err(Refusal::Invalid(text)) => assert!(text.contains(part), "{part:?} is missing in: {text}"),
            other => panic!("{wrong:?}: {other:?}"),
        }
    }
    assert!(takes(&state, &figure("revenue", "v1", -1.0, 9)).is_ok());
}

#[test]
fn half_a_comparison_is_no_data() {
    let state = state();
    let said =
        |(canary, stable)| Ok(SourceAnswer { figures: Figures { canary, stable, why: None }, history: None });
    let read = |gate: &str, pair| reading(&state, gate.to_owned(), None, said(pair)).canary;
    assert_eq!(read("accuracy", (Some(0.9), None)), Some(0.9));
    assert_eq!(read("revenue", (Some(0.9), None)), None);
    assert_eq!(read("revenue", (Some(0.9), Some(1.0))), Some(0.9));
    let failed = reading(&state, "revenue".to_owned(), None, Err("away".to_owned()));
    assert_eq!((failed.canary, failed.error.as_deref()), (None, Some("away")));
}

/// Once the canary has everything there is nothing to compare with, and a gate's limit holds by itself.
#[test]
fn at_100_percent_half_a_comparison_is_all_there_is() {
    let text = "gates: [{name: a, source: {push: {}}, min: 0.9, against: stable, margin: 5%, every: 10s}]
stages: [{weight: 100%, bake: 1h}]";
    let mut kept = Pushed::default();
    kept.add(figure("a", "v2", 0.95, 1), SECOND);
    let found = kept.due(&of(text), SECOND);
    assert_eq!(found.first().map(|reading| reading.canary), Some(Some(0.95)));
}

#[test]
fn copies_are_measured_as_well_as_requests() {
    let text = "gates: [{name: a, source: {push: {}}, min: 0.9, every: 10s}]
stages: [{shadow: 5%, bake: 1h}, {weight: 100%, bake: 1h}]";
    let mut kept = Pushed::default();
    kept.add(figure("a", "v2", 0.95, 1), SECOND);
    assert_eq!(kept.due(&of(text), SECOND).len(), 1);
}

#[test]
fn every_version_on_trial_is_read_by_its_own_figures() {
    let text = "arms: [{name: b, version: v3}]
gates: [{name: a, source: {push: {}}, min: 0.9, every: 10s}]
guardrails: [{name: cpu, source: {push: {}}, max: 1.1, every: 10s}]
stages: [{weight: 5%, bake: 1h}, {weight: 100%, bake: 1h}]";
    let state = of(text);
    let mut kept = Pushed::default();
    for (metric, version, value) in [("a", "v2", 0.95), ("a", "v3", 0.8), ("cpu", "v3", 1.2)] {
        assert!(takes(&state, &figure(metric, version, value, 1)).is_ok(), "{metric} of {version}");
        kept.add(figure(metric, version, value, 1), SECOND);
    }
    let found = kept.due(&state, SECOND);
    let found: Vec<_> = found
        .iter()
        .map(|reading| (reading.gate.as_str(), reading.arm.map(|arm| arm.to_string()), reading.canary))
        .collect();
    let arm = |name: &str| Some(name.to_owned());
    assert_eq!(
        found,
        [("a", arm("canary"), Some(0.95)), ("a", arm("b"), Some(0.8)), ("cpu", arm("b"), Some(1.2))]
    );
    match takes(&state, &figure("a", "v4", 1.0, 1)) {
        Err(Refusal::Invalid(text)) => {
            assert!(text.contains("write \"v2\", \"v3\" or \"v1\" (stable)"), "{text}")
        }
        other => panic!("{other:?}"),
    }
}
