//! What one look says of one run.

use split::{Arm, Cause};
use tally::{Class, Series, Slot, What};

use super::*;

#[test]
fn a_region_is_blind_to_others_and_not_to_its_own() {
    let document = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: f}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n  regions: {waves: [[eu], [us]]}\n";
    let members = manifest::load(document).expect("a fleet").members;
    let now = rollout::Now::at_ms(0);
    let [eu, us] = [0, 1].map(|at: usize| State::new(members[at].clone(), 1, 0, now));
    let source = |region: Option<&str>, from_ms, silent: bool| Source {
        region: region.map(str::to_owned),
        from_ms,
        lacks: silent.then(|| "silent".to_owned()),
        told: !silent,
        ..Source::default()
    };
    let mut news = Increments { from_ms: 1_000, to_ms: 2_000, ..Increments::default() };
    news.sources = vec![source(Some("eu"), 900, false), source(Some("us"), 100, true)];
    news.gap = Some("silent".to_owned());
    let seen = |news: &Increments, state| {
        let LookSummary { from_ms, gap, coverage, .. } = news.of(state);
        (from_ms, gap.is_some(), coverage.told, coverage.asked)
    };
    assert_eq!((seen(&news, &eu), seen(&news, &us)), ((900, false, 1, 1), (100, true, 0, 1)));
    // One that never said where it is may be anywhere: there is no proof without it, and harm is seen all the same.
    news.sources.push(source(None, 500, true));
    assert_eq!((seen(&news, &eu), news.since_ms(&eu)), ((900, false, 1, 2), 500));
    news.sources = vec![source(Some("asia"), 900, false)];
    assert!(news.of(&eu).gap.is_some_and(|why| why.contains("region eu")));
}

/// However long it has said nothing: the counts of the others are of the weights they have, and old enough for proof.
#[test]
fn a_silent_proxy_costs_its_own_counts_and_no_proof_that_a_quorum_gives() {
    let text = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n  acknowledge: {quorum: 50%}\n";
    let state = State::new(manifest::load(text).expect("a rollout").plan, 1, 0, rollout::Now::at_ms(0));
    let mut accumulator = CounterAccumulator::new(&state);
    accumulator.settle(60_000);
    let mut unproven = |silent: Source| {
        let told = Source { from_ms: 100_000, told: true, ..Source::default() };
        let sources = vec![told, silent];
        let news = Increments { from_ms: 30_000, to_ms: 101_000, sources, ..Increments::default() };
        news.interval(&mut accumulator, &state, &Unread::default()).unproven
    };
    let silent = Source { from_ms: 30_000, lacks: Some("silent".to_owned()), ..Source::default() };
    assert_eq!(unproven(silent.clone()), None);
    // Once it speaks, what it tells began before the weights.
    assert!(unproven(Source { told: true, ..silent }).is_some());
}

#[test]
fn in_a_shadow_the_router_speaks_for_both() {
    let text = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n  preset: shadow\n  errorClasses: [server_error, too_many]\n";
    let mut state = State::new(manifest::load(text).expect("a rollout").plan, 1, 0, rollout::Now::at_ms(0));
    state.weights.shadow_ppm = 100_000;
    let mut accumulator = CounterAccumulator::new(&state);
    accumulator.settle(500);
    let of = |cluster: &str, what, n| (Upstream { cluster: cluster.to_owned(), what }, n);
    let (fast, slow) = (tally::latency_bin(20_000_000), tally::LATENCY_TOP);
    let what = What::Finished(Cause::Weight, Class::Ok, Some(Slot::Of(0)));
    let series = Series { rollout: "ranker".into(), version: "v1".into(), arm: Arm::Stable, what };
    let source = Source { from_ms: 60_000, told: true, ..Source::default() };
    let mut news = Increments {
        from_ms: 60_000,
        to_ms: 61_000,
        counted: vec![Counted { series, epoch: Some(state.epoch), n: 7 }],
        sources: vec![source],
        ..Increments::default()
    };
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
    let interval = news.interval(&mut accumulator, &state, &Unread::default());
    assert_eq!((interval.stable.outcomes, interval.stable.errors), (1_000, 9));
    assert_eq!((interval.canary.outcomes, interval.canary.errors), (100, 6));
    assert_eq!(interval.canary.latency.0, [(fast, 97), (slow, 3)].into());
    state.weights.shadow_ppm = 0;
    assert_eq!(news.interval(&mut accumulator, &state, &Unread::default()).stable.outcomes, 7);
}

/// Whoever takes the weights and is not read is named; that not one of them is read is no way to expose anybody.
#[test]
fn proxies_that_nobody_reads_are_named() {
    #[track_caller]
    fn check(read: &[(&str, bool)], connected: &[&str], blind: bool, says: &[&str]) {
        let source = |&(node, runs_filter): &(&str, bool)| Source {
            address: format!("http://{node}:9901"),
            node: node.to_owned(),
            runs_filter,
            ..Source::default()
        };
        let news = Increments { sources: read.iter().map(source).collect(), ..Increments::default() };
        let Unread { text, blind: is_blind, .. } = news.unread(None, connected.iter().copied());
        assert_eq!(is_blind, blind, "{text}");
        assert_eq!(text.is_empty(), says.is_empty(), "{text}");
        assert!(says.iter().all(|part| text.contains(part)), "{text}");
    }
    check(&[("edge-1", true)], &["edge-1"], false, &[]);
    check(
        &[("edge-1", true)],
        &["edge-1", "edge-2", "edge-3"],
        false,
        &["edge-2 (and 1 more) takes the weights"],
    );
    check(
        &[("other", false)],
        &["edge-1"],
        true,
        &["edge-1 takes the weights", "http://other:9901", "does not run the filter"],
    );
    // Its counters say that it runs the filter, whatever it is called.
    check(&[("other", true)], &["edge-1"], false, &["edge-1 takes the weights"]);
    // Of one that has not answered nothing is known yet, and a policy that travels as a file has no nodes but these.
    check(&[("", false)], &["edge-1"], false, &[]);
    check(&[("edge-1", false)], &["http://edge-1:9901"], false, &[]);
}
