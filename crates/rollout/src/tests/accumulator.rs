//! From counters to evidence.

use std::sync::Arc;

use split::{Arm, Cause};
use tally::{Class, Counted, Progress, Series, Slot, What};

use evidence::ProxyCoverage;

use crate::{Aged, CounterAccumulator, Counts, Interval, LookSummary, Now, State, UpstreamCounts};

/// A run whose weights are of epoch 3; `lines` are added to its spec.
fn state(lines: &str) -> State {
    let text = format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: ranker}}\nspec:\n  stable: {{version: v1}}\n  canary: {{version: v2}}\n{lines}"
    );
    let mut state = State::new(manifest::load(&text).expect("a rollout").plan, 1, 1, Now::at_ms(0));
    state.epoch = 3;
    state
}

fn counted(arm: Arm, version: &str, epoch: u64, what: What, n: u64) -> Counted {
    let series = Series { rollout: "ranker".into(), version: version.into(), arm, what };
    Counted { series, epoch: Some(epoch), n }
}

fn finished(cause: Cause, class: Class) -> What {
    What::Finished(cause, class, None)
}

fn aged(age_ms: u32, progress: Progress) -> What {
    What::Aged { slot: Slot::Of(0), age_ms, progress }
}

const OK: What = What::Finished(Cause::Weight, Class::Ok, None);

/// A look at two proxies that told everything, from second 100 to 101.
fn told(told: u32) -> ProxyCoverage {
    ProxyCoverage { told, asked: 2, ..ProxyCoverage::default() }
}

fn whole() -> LookSummary {
    LookSummary { from_ms: 100_000, to_ms: 101_000, coverage: told(2), ..LookSummary::default() }
}

fn settled(state: &State) -> CounterAccumulator {
    let mut accumulator = CounterAccumulator::new(state);
    accumulator.settle(0);
    accumulator
}

fn look(accumulator: &mut CounterAccumulator, state: &State, counted: &[Counted]) -> Interval {
    accumulator.interval(state, &whole(), counted.iter(), None)
}

#[test]
fn only_the_runs_own_weighted_requests_are_evidence() {
    let state = state("");
    let interval = look(
        &mut settled(&state),
        &state,
        &[
            counted(Arm::Canary, "v2", 3, OK, 90),
            counted(Arm::Canary, "v2", 3, finished(Cause::Weight, Class::ServerError), 10),
            counted(Arm::Canary, "v2", 3, finished(Cause::Weight, Class::Gone), 3),
            counted(Arm::Canary, "v2", 3, finished(Cause::Weight, Class::Local), 7),
            counted(Arm::Canary, "v2", 3, finished(Cause::Override, Class::ServerError), 50),
            counted(Arm::Canary, "v1.9", 3, finished(Cause::Weight, Class::ServerError), 50),
            counted(Arm::Stable, "v1", 3, OK, 900),
        ],
    );
    assert_eq!((interval.gap, interval.unproven), (None, None));
    let Counts { finished, outcomes, errors, gone, local, .. } = interval.canary;
    assert_eq!((finished, outcomes, errors, gone, local), (110, 100, 10, 3, 7));
    assert_eq!(interval.stable.outcomes, 900);
}

#[test]
fn what_was_assigned_by_other_weights_is_a_stratum_of_its_own() {
    let state = state("");
    let interval = look(
        &mut settled(&state),
        &state,
        &[
            counted(Arm::Canary, "v2", 3, OK, 10),
            counted(Arm::Stable, "v1", 3, OK, 90),
            counted(Arm::Canary, "v2", 2, finished(Cause::Weight, Class::Timeout), 5),
            counted(Arm::Stable, "v1", 2, OK, 40),
            // Of a run before, and of weights that are not in force yet.
            counted(Arm::Stable, "v1", 1, OK, 1_000),
            counted(Arm::Stable, "v1", 4, OK, 1_000),
        ],
    );
    assert_eq!((interval.canary.outcomes, interval.stable.outcomes), (10, 90));
    let [before] = &interval.others[..] else { panic!("{:?}", interval.others) };
    assert_eq!((before.epoch, before.canary.errors, before.stable.outcomes), (2, 5, 40));
}

#[test]
fn a_filter_that_tells_no_epochs_counts_once_the_weights_have_settled() {
    let state = state("");
    let old = [Counted { epoch: None, ..counted(Arm::Stable, "v1", 3, OK, 40) }];
    assert_eq!(look(&mut settled(&state), &state, &old).stable.outcomes, 40);
    assert_eq!(look(&mut CounterAccumulator::new(&state), &state, &old).stable.outcomes, 0);

    // Until then nobody knows its shares: what the canary does counts by itself, and nothing is compared.
    let old = [
        Counted { epoch: None, ..counted(Arm::Canary, "v2", 3, finished(Cause::Weight, Class::Timeout), 5) },
        Counted { epoch: None, ..counted(Arm::Stable, "v1", 3, OK, 40) },
    ];
    let interval = look(&mut CounterAccumulator::new(&state), &state, &old);
    let [nameless] = &interval.others[..] else { panic!("{:?}", interval.others) };
    assert_eq!((interval.canary.errors, nameless.canary.errors, nameless.stable.outcomes), (0, 5, 0));
}

#[test]
fn every_challenger_is_counted_by_itself_and_the_lead_in_the_canarys_place() {
    let mut state = state("  arms: [{name: b, version: v3}, {name: c, version: v4}]\n");
    let arm = |name: &str| Arm::parse(name).expect("a name");
    let all = [
        counted(Arm::Canary, "v2", 3, OK, 10),
        counted(arm("b"), "v3", 3, OK, 20),
        counted(arm("b"), "v2", 3, OK, 500),
        counted(arm("c"), "v4", 3, OK, 30),
        counted(Arm::Stable, "v1", 3, OK, 900),
    ];
    let shown = |interval: &Interval| {
        let rivals = interval.rivals.iter().map(|(arm, counts)| (arm.to_string(), counts.outcomes));
        (interval.canary.outcomes, interval.stable.outcomes, rivals.collect::<Vec<_>>())
    };
    let mut accumulator = settled(&state);
    let interval = look(&mut accumulator, &state, &all);
    assert_eq!(shown(&interval), (10, 900, vec![("b".to_owned(), 20), ("c".to_owned(), 30)]));
    Arc::make_mut(&mut state.plan).leave_out(Arm::Canary);
    let interval = look(&mut accumulator, &state, &all);
    assert_eq!(shown(&interval), (20, 900, vec![("c".to_owned(), 30)]));
}

#[test]
fn who_waits_at_the_age_in_question_is_overdue_and_who_left_is_not_forgotten() {
    let state = state("");
    let interval = look(
        &mut settled(&state),
        &state,
        &[
            counted(Arm::Canary, "v2", 3, aged(500, Progress::Waiting), 70),
            counted(Arm::Canary, "v2", 3, aged(2_000, Progress::Answered), 50),
            counted(Arm::Canary, "v2", 3, aged(2_000, Progress::Waiting), 30),
            counted(Arm::Canary, "v2", 3, aged(2_000, Progress::Left), 15),
            counted(Arm::Canary, "v2", 3, aged(2_000, Progress::LeftSoon), 5),
        ],
    );
    assert_eq!(interval.canary.overdue, Aged { reached: 100, overdue: 45, left_soon: 5 });
    assert_eq!(interval.overdue_age_ms, 2_000);
}

/// Stable answers so at each age, of 1,000 requests: what is overdue then, and from which age on there is proof?
#[track_caller]
fn check_ages(unanswered: &[(u32, u64)], overdue_age_ms: u32, proof_after_ms: u64) {
    let state = state("");
    let mut accumulator = CounterAccumulator::new(&state);
    let all: Vec<Counted> = unanswered
        .iter()
        .flat_map(|&(age, n)| {
            [(Progress::Waiting, n), (Progress::Answered, 1_000 - n)]
                .map(|(progress, n)| counted(Arm::Stable, "v1", 3, aged(age, progress), n))
        })
        .collect();
    let _ = look(&mut accumulator, &state, &all);
    assert_eq!(accumulator.overdue_age_ms(&state), overdue_age_ms, "{unanswered:?}");
    let proves = |from_ms: u64| {
        let mut accumulator = accumulator.clone();
        accumulator.settle(100_000);
        let seen = LookSummary { from_ms, ..whole() };
        accumulator.interval(&state, &seen, [].iter(), None).unproven.is_none()
    };
    assert!(!proves(100_000 + proof_after_ms - 1), "{unanswered:?}");
    assert!(proves(100_000 + proof_after_ms), "{unanswered:?}");
}

#[test]
fn slow_by_nature_is_normal_and_takes_longer_to_prove() {
    check_ages(&[], 2_000, 2_000);
    check_ages(&[(500, 0), (2_000, 0), (8_000, 0), (32_000, 0)], 2_000, 500);
    check_ages(&[(500, 500), (2_000, 10), (8_000, 0), (32_000, 0)], 2_000, 8_000);
    // A language model: half of its answers take 8 s.
    check_ages(&[(500, 1_000), (2_000, 980), (8_000, 500), (32_000, 10)], 32_000, 32_000);
    check_ages(&[(500, 1_000), (2_000, 1_000), (8_000, 900), (32_000, 500)], 32_000, 32_000);
}

#[test]
fn proof_waits_for_the_weights_and_for_a_quorum_of_proxies_and_harm_for_neither() {
    let state = state("");
    let mut accumulator = CounterAccumulator::new(&state);
    let bad = [counted(Arm::Canary, "v2", 3, finished(Cause::Weight, Class::ServerError), 9)];
    let seen = |n, from_ms| LookSummary {
        from_ms,
        coverage: ProxyCoverage { lacking: "b: silent".to_owned(), ..told(n) },
        ..whole()
    };
    let mut unproven = |told, from_ms, settled: Option<u64>| {
        settled.into_iter().for_each(|at| accumulator.settle(at));
        let interval = accumulator.interval(&state, &seen(told, from_ms), bad.iter(), None);
        assert_eq!((interval.canary.errors, interval.gap), (9, None));
        interval.unproven
    };
    assert!(unproven(2, 100_000, None).is_some_and(|why| why.contains("on their way")));
    assert!(unproven(1, 100_000, Some(50_000)).is_some_and(|why| why.contains("1 of 2 proxies")));
    assert!(unproven(2, 51_000, None).is_some_and(|why| why.contains("not old enough")));
    assert_eq!(unproven(2, 100_000, None), None);
    accumulator.clock_set(3_600_000);
    assert!(accumulator.interval(&state, &whole(), [].iter(), None).unproven.is_some());
}

#[test]
fn a_shadow_is_counted_by_the_router_and_whole_looks_alone() {
    let mut state = state("  preset: shadow\n");
    state.weights.shadow_ppm = 100_000;
    let routed = UpstreamCounts {
        canary: Counts { outcomes: 100, ..Counts::default() },
        stable: Counts { outcomes: 1_000, ..Counts::default() },
    };
    let mut accumulator = CounterAccumulator::new(&state);
    let own = [counted(Arm::Stable, "v1", 3, OK, 7)];
    let interval = accumulator.interval(&state, &whole(), own.iter(), Some(routed.clone()));
    assert!(interval.gap.is_some_and(|why| why.contains("on their way")));
    accumulator.settle(0);
    let interval = accumulator.interval(&state, &whole(), own.iter(), Some(routed));
    assert_eq!((interval.canary.outcomes, interval.stable.outcomes), (100, 1_000));
    assert_eq!(look(&mut accumulator, &state, &own).stable.outcomes, 7);
}

#[test]
fn the_usual_ages_are_those_that_the_filter_knows_by_itself() {
    assert_eq!(state("").plan.ages_ms(), tally::AGES_MS);
    assert_eq!(state("  overdueAfter: 30s\n").plan.ages_ms(), [7_500, 30_000, 120_000, 480_000]);
}

#[test]
fn confidence_follows_from_its_points() {
    let state = state("  confidence: {fromHeader: x-c, range: {min: -1, max: 3}}\n");
    let points = [(0, 1), (63, 3)];
    let all = points.map(|(point, n)| counted(Arm::Canary, "v2", 3, What::Confidence(point), n));
    let moments = look(&mut settled(&state), &state, &all).canary.confidence;
    assert_eq!((moments.n, moments.sum, moments.sum_squares), (4, 8.0, 28.0));
}
