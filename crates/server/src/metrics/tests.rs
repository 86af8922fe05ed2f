//! The page as Prometheus reads it, word for word: dashboards and alerts rest on names, labels and kinds.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{
    ArmView, BanditView, ChallengerOutcome, Demand, DrillLeaseView, DrillPhase, DrillPushView, DrillView,
    GateStanding, GateWatchView, KeepWarmView, Latency, Load, NextStep, Outcome, PollView, PracticeView,
    RunView, ShareView, TriggerView, WatchStanding, WatchView,
};
use manifest::{ExerciseKind, Metric};
use rollout::{Now, State};
use split::Arm;

use super::render;
use controller::engine::{TriggerViews, Views};
use scrape::{Trouble, TroubleKind};

fn load(version: &str) -> Load {
    Load {
        version: version.to_owned(),
        share_ppm: 50_000,
        per_second: Some(2.5),
        next_share_ppm: 250_000,
        next_per_second: Some(12.5),
        largest_share_ppm: 250_000,
        peak_per_second: Some(12.5),
        ready_endpoints: Some(3),
    }
}

fn plan(name: &str) -> manifest::Plan {
    let text = format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: {name}}}\nspec:\n  stable: {{version: v1}}\n  canary: {{version: v2}}\n"
    );
    manifest::load(&text).expect("a rollout").plan
}

/// A run of which everything is known that has a metric, but for an A/A check.
fn full() -> RunView {
    let mut run = State::new(plan("ranker"), 1, 1, Now { unix_ms: 0, monotonic_ns: 0 }).view();
    run.weight_ppm = 50_000;
    let arm = Arm::Canary;
    run.arms = vec![ArmView {
        arm: arm.into(),
        version: "v2".to_owned(),
        weight_ppm: 50_000,
        standing: ChallengerOutcome::In.into(),
        reason: None,
        exposed: run.exposed,
        gates: Vec::new(),
    }];
    let share = |arm: Arm, version: &str, best| ShareView {
        arm: arm.into(),
        version: version.to_owned(),
        share_ppm: 1,
        best,
    };
    run.bandit = Some(BanditView {
        by: Metric::ErrorRate.into(),
        floor_ppm: 1,
        ceiling_ppm: 300_000,
        most_ppm: 1,
        next_in_ms: None,
        holds: None,
        versions: vec![share(arm, "v2", Some(0.75)), share(Arm::Stable, "v1", None)],
    });
    run.kept = Some(KeepWarmView {
        versions: vec!["v0".to_owned()],
        left_ms: 90_500,
        until_unix_ms: 0,
        there: Some(true),
        was_stable: true,
    });
    run.watch = Some(WatchView {
        version: "v1".to_owned(),
        standing: WatchStanding::Watching.into(),
        message: String::new(),
        since_unix_ms: 0,
        watched_ms: 3_600_000,
        for_ms: None,
        gates: vec![GateWatchView {
            name: "slow".to_owned(),
            standing: GateStanding::Drift.into(),
            metric: Metric::LatencyP99.into(),
            value: Some(180.25),
            n: 1,
            limit: 150.0,
            was: None,
            was_n: 1,
            drift_since_unix_ms: None,
            why: String::new(),
        }],
        left_out: Vec::new(),
    });
    RunView {
        revision: "3-41".to_owned(),
        claimed_by: Vec::new(),
        run,
        generation: Some(1),
        acks: Vec::new(),
        refusals: Vec::new(),
        rollback_latency: Some(Latency { from_ms: 120, to_ms: 1_000, complete: false }),
        drill: Some(drill()),
        drill_passed_unix_ms: Some(1_700_000_000_123),
        parity: None,
        parity_passed_unix_ms: Some(1_700_000_000_000),
        practice: vec![PracticeView {
            exercise: ExerciseKind::Drill.into(),
            when: String::new(),
            next_unix_ms: Some(1_800_000_000_000),
            next: None,
            late: None,
            missed: false,
            overdue: true,
        }],
        demand: Some(Demand {
            per_second: Some(50.0),
            canary: load("v2"),
            stable: load("v1"),
            others: BTreeMap::new(),
            next: Some(NextStep {
                weight_ppm: 250_000,
                shadow_ppm: 0,
                in_ms: Some(1_500),
                needs_endpoints: Some(4),
            }),
            waits_for: String::new(),
        }),
        queued: None,
        object: None,
        members: Vec::new(),
    }
}

fn drill() -> DrillView {
    DrillView {
        name: "ranker".to_owned(),
        number: 1,
        run: 1,
        by: String::new(),
        reason: String::new(),
        scheduled: false,
        weight_ppm: 1,
        phase: DrillPhase::Ended.into(),
        outcome: Some(Outcome::Passed.into()),
        message: String::new(),
        started_unix_ms: 0,
        ended_unix_ms: None,
        lease: DrillLeaseView {
            skipped: None,
            told_ms: Some(12),
            proxies: 1,
            missing: 0,
            silent: Vec::new(),
        },
        push: Some(DrillPushView {
            decided_unix_ms: 0,
            acknowledged_ms: Some(30),
            acknowledged: 1,
            connected: 1,
            laggards: Vec::new(),
            canary_seen: true,
            last_canary_ms: Some(45),
            last_canary_complete: true,
        }),
        limit_ms: 1,
        slowest_ms: None,
        promises: Vec::new(),
    }
}

fn trigger() -> (TriggerView, Arc<manifest::Trigger>) {
    let text = "apiVersion: serin.dev/v1alpha1\nkind: Trigger\nmetadata: {name: t}\nspec:\n  mlflow: {model: m, url: 'http://m', when: {created: true}}\n  template:\n    metadata: {name: ranker}\n    spec:\n      stable: {version: '6'}\n      canary: {version: '{{version}}'}\n";
    let view = TriggerView {
        name: "t".to_owned(),
        rollout: "ranker".to_owned(),
        model: None,
        when: None,
        webhook: false,
        poll: Some(PollView {
            url: String::new(),
            every_ms: 1,
            last_success_unix_ms: Some(1_700_000_000_500),
            failures: 0,
            failures_total: 7,
            error: None,
        }),
        pending: None,
        versions: Vec::new(),
    };
    (view, Arc::new(manifest::load_trigger(text).expect("a trigger").0))
}

#[test]
fn the_page_is_as_dashboards_know_it() {
    let views: Views = Arc::new([("ranker".to_owned(), Arc::new(full()))].into());
    let triggers: TriggerViews = Arc::new([("t".to_owned(), trigger())].into());
    let troubles = [Trouble {
        proxy: "models/storefront-1".to_owned(),
        kind: TroubleKind::NoFilter,
        text: "its page answers, and shows no filter".to_owned(),
    }];
    assert_eq!(render(&views, &triggers, &[], &troubles), include_str!("tests/page.txt"));
}
