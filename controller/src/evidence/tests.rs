//! From counters to evidence.

use std::sync::Arc;

use super::*;

fn state() -> State {
    let plan = spec::load(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n",
    )
    .expect("the minimal rollout")
    .plan;
    State::new(plan, 1, 0, rollout::Now::at_ms(0))
}

fn series(arm: Arm, version: &str, what: What) -> Series {
    Series { rollout: "ranker".into(), version: version.into(), arm, what }
}

fn news(counters: Vec<(Series, u64)>) -> Increments {
    Increments { from_ms: 1_000, to_ms: 2_000, counters, ..Increments::default() }
}

#[test]
fn only_the_runs_own_weighted_requests_are_evidence() {
    let state = state();
    let mut book = Book::new(&state);
    book.settle(500);
    let finished = |cause, class| What::Finished(cause, class);
    let mut other = series(Arm::Canary, "v2", finished(Cause::Weight, Class::Ok));
    other.rollout = "other".into();
    let interval = book.interval(
        &state,
        &news(vec![
            (series(Arm::Canary, "v2", finished(Cause::Weight, Class::Ok)), 90),
            (series(Arm::Canary, "v2", finished(Cause::Weight, Class::ServerError)), 10),
            (series(Arm::Canary, "v2", finished(Cause::Weight, Class::Gone)), 3),
            (series(Arm::Canary, "v2", finished(Cause::Override, Class::ServerError)), 50),
            (series(Arm::Canary, "v1.9", finished(Cause::Weight, Class::ServerError)), 50),
            (series(Arm::Stable, "v1", finished(Cause::Weight, Class::Ok)), 900),
            (other, 50),
        ]),
    );
    assert_eq!(interval.gap, None);
    let canary = &interval.canary;
    assert_eq!((canary.finished, canary.outcomes, canary.errors, canary.gone), (103, 100, 10, 3));
    assert_eq!(interval.stable.outcomes, 900);
}

#[test]
fn every_challenger_is_counted_by_itself_and_the_lead_in_the_canarys_place() {
    let text = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n  arms: [{name: b, version: v3}, {name: c, version: v4}]\n";
    let mut state = State::new(spec::load(text).expect("a rollout").plan, 1, 0, rollout::Now::at_ms(0));
    let arm = |name: &str| Arm::parse(name).expect("a name");
    let mut book = Book::new(&state);
    book.settle(500);
    let ok = What::Finished(Cause::Weight, Class::Ok);
    let look = news(vec![
        (series(Arm::Canary, "v2", ok), 10),
        (series(arm("b"), "v3", ok), 20),
        (series(arm("b"), "v2", ok), 500),
        (series(arm("c"), "v4", ok), 30),
        (series(Arm::Stable, "v1", ok), 900),
    ]);
    let counted = |interval: &Interval| {
        let rivals = interval.rivals.iter().map(|(arm, counts)| (arm.to_string(), counts.outcomes));
        (interval.canary.outcomes, interval.stable.outcomes, rivals.collect::<Vec<_>>())
    };
    let interval = book.interval(&state, &look);
    assert_eq!(counted(&interval), (10, 900, vec![("b".to_owned(), 20), ("c".to_owned(), 30)]));
    Arc::make_mut(&mut state.plan).leave_out(Arm::Canary);
    assert_eq!(counted(&book.interval(&state, &look)), (20, 900, vec![("c".to_owned(), 30)]));
}

#[test]
fn a_region_is_blind_to_others_and_not_to_its_own() {
    let document = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: f}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n  regions: {waves: [[eu], [us]]}\n";
    let members = spec::load(document).expect("a fleet").members;
    let now = rollout::Now::at_ms(0);
    let [eu, us] = [0, 1].map(|at: usize| State::new(members[at].clone(), 1, 0, now));
    let source = |region: Option<&str>, from_ms, gap: bool| Source {
        region: region.map(str::to_owned),
        from_ms,
        gap: gap.then(|| "silent".to_owned()),
        restarted: gap,
    };
    let mut news = news(vec![]);
    news.sources = vec![source(Some("eu"), 900, false), source(Some("us"), 100, true)];
    news.gap = Some("silent".to_owned());
    let seen = |news: &Increments, state| {
        let Seen { from_ms, gap, restarted } = news.of(state);
        (from_ms, gap.is_some(), restarted)
    };
    assert_eq!((seen(&news, &eu), seen(&news, &us)), ((900, false, false), (100, true, true)));
    // One that never said where it is may be anywhere.
    news.sources.push(source(None, 500, true));
    assert_eq!(seen(&news, &eu), (500, true, true));
    news.sources = vec![source(Some("asia"), 900, false)];
    assert!(news.of(&eu).gap.is_some_and(|why| why.contains("region eu")));
}

#[test]
fn while_weights_change_nothing_is_evidence() {
    let state = state();
    let mut book = Book::new(&state);
    let gap = |book: &mut Book| book.interval(&state, &news(vec![])).gap.is_some();
    assert!(gap(&mut book), "never settled");
    book.settle(1_500);
    assert!(gap(&mut book), "settled half way through");
    book.unsettle(2);
    book.settle(900);
    assert!(!gap(&mut book));
    book.unsettle(3);
    assert!(gap(&mut book));
}

#[test]
fn a_clock_that_is_set_back_holds_no_evidence_up() {
    let state = state();
    let mut book = Book::new(&state);
    book.settle(3_600_000);
    assert!(book.interval(&state, &news(vec![])).gap.is_some());
    book.clock_set(-3_600_000);
    assert!(book.interval(&state, &news(vec![])).gap.is_none());
}

#[test]
fn sums_of_steps_become_sums_of_values() {
    let scale = ConfidenceScale::new(-1.0, 3.0).expect("a range");
    let values = [-1.0, 0.5, 2.9996];
    let steps: Vec<u64> = values.iter().map(|value| scale.steps(*value).expect("inside")).collect();
    let got = moments(scale, 3, steps.iter().sum(), steps.iter().map(|s| s * s).sum());
    assert!((got.sum - values.iter().sum::<f64>()).abs() < 1e-9, "{got:?}");
    assert!((got.sum_squares - values.iter().map(|v| v * v).sum::<f64>()).abs() < 1e-9, "{got:?}");
}

#[test]
fn late_is_what_is_surely_later() {
    let bins = Bins(
        [
            (tally::latency_bin(1_000_000_000), 5),
            (tally::latency_bin(2_200_000_000), 7),
            (tally::LATENCY_TOP, 2),
        ]
        .into(),
    );
    assert_eq!(longer_than(&bins, 2_000), 9);
}

#[test]
fn in_a_shadow_the_router_speaks_for_both() {
    let text = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n  preset: shadow\n  errorClasses: [server_error, too_many]\n";
    let mut state = State::new(spec::load(text).expect("a rollout").plan, 1, 0, rollout::Now::at_ms(0));
    state.weights.shadow_ppm = 100_000;
    let mut book = Book::new(&state);
    book.settle(500);
    let of = |cluster: &str, what, n| (Upstream { cluster: cluster.to_owned(), what }, n);
    let (fast, slow) = (tally::latency_bin(20_000_000), tally::LATENCY_TOP);
    let mut news = news(vec![(series(Arm::Stable, "v1", What::Finished(Cause::Weight, Class::Ok)), 7)]);
    news.upstreams = [
        of("stable", UpstreamWhat::Completed, 1_000),
        of("stable", UpstreamWhat::ServerError, 9),
        of("canary", UpstreamWhat::Completed, 100),
        of("canary", UpstreamWhat::ServerError, 4),
        of("canary", UpstreamWhat::ClientError, 30),
        of("canary", UpstreamWhat::TooMany, 2),
        of("canary", UpstreamWhat::Timeout, 3),
        of("canary", UpstreamWhat::Latency(fast), 97),
        of("other", UpstreamWhat::Completed, 5),
    ]
    .into();
    let interval = book.interval(&state, &news);
    assert_eq!((interval.stable.outcomes, interval.stable.errors), (1_000, 9));
    assert_eq!((interval.canary.outcomes, interval.canary.errors), (100, 6));
    assert_eq!(interval.canary.latency.0, [(fast, 97), (slow, 3)].into());
    state.weights.shadow_ppm = 0;
    assert_eq!(book.interval(&state, &news).stable.outcomes, 7);
}
