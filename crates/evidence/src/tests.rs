//! What the counts of a few looks say.

use manifest::Plan;

use crate::{Counts, Evidence, Interval, Look};

fn plan() -> Plan {
    let text = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n";
    manifest::load(text).expect("a rollout").plan
}

/// Of 1,000 requests so many clients left before the answer.
fn left(gone: u64) -> Counts {
    Counts { assigned: 1_000, finished: 1_000, outcomes: 1_000 - gone, gone, ..Counts::default() }
}

#[track_caller]
fn check(stable: u64, canary: u64, breaks: Option<&str>) {
    let plan = plan();
    let mut evidence = Evidence::new(&plan);
    for second in 0..60 {
        let age_ms = second * 1_000;
        let interval = Interval {
            epoch: 1,
            from_ms: age_ms,
            to_ms: age_ms + 1_000,
            stable: left(stable),
            canary: left(canary),
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
    assert_eq!(said.as_deref(), breaks, "{stable} and {canary} of 1,000");
}

/// Clients that leave are held to the limit only where fewer leave stable.
#[test]
fn leaving_clients_break_the_limit_of_the_preset_only_beyond_what_stable_shows() {
    check(20, 20, None);
    check(20, 90, None);
    check(300, 300, None);
    check(20, 300, Some("gone-limit"));
}
