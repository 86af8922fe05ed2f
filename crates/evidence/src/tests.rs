//! What the counts of a few looks say.

use manifest::Plan;

use crate::{Answer, Counts, Evidence, Interval, Look, Scope};

fn plan() -> Plan {
    let text = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n";
    manifest::load(text).expect("a rollout").plan
}

/// Of 1,000 requests so many clients left before the answer.
fn left(gone: u64) -> Counts {
    Counts { assigned: 1_000, finished: 1_000, outcomes: 1_000 - gone, gone, ..Counts::default() }
}

/// Of 1,000 requests so many took more than one try.
fn tried(again: u64) -> Counts {
    Counts {
        assigned: 1_000,
        finished: 1_000,
        outcomes: 1_000,
        tried: 1_000,
        retried: again,
        ..Counts::default()
    }
}

#[track_caller]
fn check(stable: u64, canary: u64, breaks: Option<&str>) {
    check_counts(&left(stable), &left(canary), breaks);
}

#[track_caller]
fn check_counts(stable: &Counts, canary: &Counts, breaks: Option<&str>) {
    let plan = plan();
    let mut evidence = Evidence::new(&plan);
    for second in 0..60 {
        let age_ms = second * 1_000;
        let interval = Interval {
            epoch: 1,
            from_ms: age_ms,
            to_ms: age_ms + 1_000,
            stable: stable.clone(),
            canary: canary.clone(),
            ..Interval::default()
        };
        let look = Look {
            age_ms,
            baked_ms: age_ms,
            span_ms: 1_000,
            of_stage: true,
            concurrent: true,
            warming: false,
            copies: false,
        };
        evidence.observe(&plan, &interval, look);
    }
    let said = evidence.broken(&plan).map(|fired| fired.verdict.name);
    assert_eq!(said.as_deref(), breaks, "{stable:?} and {canary:?}");
}

/// Clients that leave are held to the limit only where fewer leave stable.
#[test]
fn leaving_clients_break_the_limit_of_the_preset_only_beyond_what_stable_shows() {
    check(20, 20, None);
    check(20, 90, None);
    check(300, 300, None);
    check(20, 300, Some("gone-limit"));
}

/// What was answered by the second try is no error, and a canary that needs one more often than stable is found.
#[test]
fn retries_beyond_the_limit_and_beyond_stables_break_a_guardrail() {
    check_counts(&tried(2), &tried(2), None);
    check_counts(&tried(2), &tried(30), None);
    check_counts(&tried(200), &tried(200), None);
    check_counts(&tried(2), &tried(200), Some("retries-limit"));
    check_counts(&tried(100), &tried(200), Some("retries-limit"));
}

/// How often a mesh tries again is no trouble of the versions': it comes and goes, and nothing is held or ended by it.
#[test]
fn what_both_versions_try_again_is_no_incident() {
    let plan = plan();
    let mut evidence = Evidence::new(&plan);
    for second in 0..120 {
        let again = if second < 60 { 2 } else { 200 };
        let interval = Interval {
            epoch: 1,
            from_ms: second * 1_000,
            to_ms: second * 1_000 + 1_000,
            stable: tried(again),
            canary: tried(again),
            ..Interval::default()
        };
        let look = Look {
            age_ms: second * 1_000,
            baked_ms: second * 1_000,
            span_ms: 1_000,
            of_stage: true,
            concurrent: true,
            warming: false,
            copies: false,
        };
        evidence.observe(&plan, &interval, look);
        assert_eq!(evidence.incidents(&plan, second * 1_000), [], "{second} s");
    }
    assert!(evidence.broken(&plan).is_none());
}

/// A guardrail passes by proof alone, and is said to be open until then; whichever it is, no stage waits for it.
#[test]
fn a_guardrail_passes_when_its_limit_is_proven_to_be_kept() {
    let text = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n  guardrails: [{name: alone, metric: error_rate, max: 5%}, {name: beside, metric: error_rate, max: 5%, against: stable}]\n";
    let plan = manifest::load(text).expect("a rollout").plan;
    let of =
        |n: u64, errors: u64| Counts { assigned: n, finished: n, outcomes: n, errors, ..Counts::default() };
    for (n, errors, looks, answer, says) in [
        (0, 0, 1, Answer::Insufficient, "of 0 canary requests"),
        (1, 0, 1, Answer::Insufficient, "proven neither above 5% nor below it yet: no stage waits for that"),
        (10, 0, 4, Answer::Insufficient, "proven neither above 5% nor below it yet: no stage waits for that"),
        (100, 4, 20, Answer::Insufficient, "proven neither"),
        (100, 1, 30, Answer::Pass, "error_rate is 1% of 3000 canary requests; proven below 5%"),
        (100, 60, 5, Answer::Fail, "is proven above 5%"),
    ] {
        let mut evidence = Evidence::new(&plan);
        for second in 0..looks {
            let (from_ms, to_ms) = (second * 1_000, second * 1_000 + 1_000);
            let (canary, stable) = (of(n, errors), of(n, 0));
            let interval = Interval { epoch: 1, from_ms, to_ms, canary, stable, ..Interval::default() };
            let look = Look {
                age_ms: from_ms,
                baked_ms: from_ms,
                span_ms: 1_000,
                of_stage: true,
                concurrent: true,
                warming: false,
                copies: false,
            };
            evidence.observe(&plan, &interval, look);
        }
        let scope = Scope { exposed: true, concurrent: true, copies: false, baked_ms: 1_000 };
        for verdict in evidence.guardrail_verdicts(&plan, scope) {
            let name = &verdict.name;
            assert_eq!(verdict.answer, answer, "{name}, {errors} of {n}, {looks} looks: {}", verdict.why);
            assert!(verdict.why.contains(says), "{name}: {}", verdict.why);
            assert_eq!(verdict.proof >= 20.0, answer == Answer::Pass, "{name}: {}", verdict.proof);
        }
    }
}
