//! Worlds of requests, a few seeded runs each: what becomes of a whole rollout in them.

#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise")]

use simulate::{CanaryHealth, Chance, End, NAMED, Named, RequestWorld, RunResult, WorldResult, play};

/// Short stages, so that an unoptimised build is soon through.
const SHORT: &str = "stages: [{weight: 20%, bake: 20s, deadline: 10m}, {weight: 50%, bake: 20s, deadline: 10m}, {weight: 100%, bake: 10s}]";

fn plan(spec: &str) -> manifest::Plan {
    let text = format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: small}}\nspec:\n  stable: {{version: v1}}\n  \
         canary: {{version: v2}}\n  {spec}\n"
    );
    manifest::load(&text).unwrap().plan
}

fn runs(named: &Named, plan: &manifest::Plan, world: &RequestWorld, n: u64, seconds: u64) -> WorldResult {
    let one = |number| {
        let chance = Chance::new(11, 0, number);
        play(plan, world, named.script, named.gate, chance, 1_000, seconds * 1_000)
    };
    let played: Vec<RunResult> = (0..n).map(one).collect();
    assert!(played.iter().all(|one| one.refused.is_none()), "{played:#?}");
    WorldResult::new(named, &played)
}

fn named(name: &str) -> &'static Named {
    Named::find(name).unwrap()
}

/// The world of this name at another rate, for so many seconds.
#[track_caller]
fn check(name: &str, spec: Option<&str>, rate: f64, n: u64, seconds: u64) -> WorldResult {
    let named = named(name);
    let plan = spec.map_or_else(|| named.plan().unwrap(), plan);
    runs(named, &plan, &RequestWorld { rate, ..named.world() }, n, seconds)
}

#[test]
fn a_good_canary_is_promoted() {
    for name in ["calm", "torn-looks", "redirects"] {
        let tried = check(name, Some(SHORT), 100.0, 2, 1_500);
        assert_eq!((tried.promoted.count, tried.bad.len()), (2, 0), "{tried:#?}");
    }
}

#[test]
fn a_canary_that_hangs_is_found_though_its_clients_leave() {
    let tried = check("hangs-50-leave-1s", Some(SHORT), 60.0, 3, 900);
    assert_eq!(tried.rolled_back.count, 3, "{tried:#?}");
    assert!(tried.by.keys().all(|by| by.contains("overdue") || by.contains("gone")), "{tried:#?}");
}

#[test]
fn slow_answers_of_the_weights_before_are_no_harm_of_these() {
    let tried = check("lowered-2s", None, 40.0, 3, 420);
    assert_eq!((tried.rolled_back.count, tried.undecided.count), (0, 3), "{tried:#?}");
}

#[test]
fn timeouts_that_come_late_are_never_proven_rare() {
    let tried = check("timeouts", None, 400.0, 3, 100);
    assert_eq!(tried.false_passes.unwrap().count, 0, "{tried:#?}");
}

/// The instrument can fail: counted as it was before, the same world looks like harm.
#[test]
fn what_is_counted_wrong_is_seen() {
    let tried = check("wrong-at-the-end", None, 200.0, 3, 400);
    assert!(tried.rolled_back.count > 0 && named("wrong-at-the-end").wrong, "{tried:#?}");
    let tried = check("wrong-without-left", Some(SHORT), 60.0, 2, 900);
    assert!(tried.by.keys().all(|by| !by.contains("overdue")), "{tried:#?}");
}

#[test]
fn a_seed_fixes_a_run() {
    let named = named("calm");
    let plan = plan(SHORT);
    let run = |seed| {
        let world = RequestWorld { rate: 50.0, ..named.world() };
        play(&plan, &world, &[], None, Chance::new(seed, 0, 0), 1_000, 60_000)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).requests, run(2).requests);
    assert_eq!(run(1).end, End::Held { why: "not decided in time".to_owned() });
}

#[test]
fn both_truths_are_there_and_both_errors() {
    let of = |keep: fn(&&Named) -> bool| NAMED.iter().filter(keep).count();
    assert!(of(|named| matches!(named.truth, CanaryHealth::Healthy { .. })) >= 15);
    assert!(of(|named| matches!(named.truth, CanaryHealth::Harmful { .. })) >= 10);
    assert!(of(|named| named.wrong && matches!(named.truth, CanaryHealth::Healthy { .. })) >= 1);
    assert!(of(|named| named.wrong && matches!(named.truth, CanaryHealth::Harmful { .. })) >= 1);
}

/// A first try that fails costs no user an error, and is found all the same; without the guardrail nothing finds it.
#[test]
fn retries_do_not_hide_failures() {
    let tried = check("hidden-by-retries", Some(SHORT), 60.0, 3, 900);
    assert_eq!(tried.rolled_back.count, 3, "{tried:#?}");
    assert!(tried.by.keys().all(|by| by.contains("retries-limit")), "{tried:#?}");
    let blind = format!("{SHORT}\n  preset: default\n  guardrails: [{{name: retries-limit, level: off}}]");
    let tried = check("hidden-by-retries", Some(&blind), 60.0, 1, 1_500);
    assert_eq!(tried.promoted.count, 1, "{tried:#?}");
}

/// As many of stable's are nobody's, however many a busy machine makes of them.
#[test]
fn retries_of_both_versions_take_no_canary_back() {
    for name in ["retries", "retries-busy", "retries-often"] {
        let tried = check(name, Some(SHORT), 60.0, 4, 1_500);
        assert_eq!((tried.rolled_back.count, tried.bad.len()), (0, 0), "{name}: {tried:#?}");
    }
}
