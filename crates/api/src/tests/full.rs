//! A run in which every field says something. Written out, so that the compiler asks for a field that is new.

use std::collections::BTreeMap;

use split::Arm;

use crate::*;

fn verdict(name: &str, answer: Answer) -> VerdictView {
    VerdictView {
        name: name.to_owned(),
        answer: answer.into(),
        estimate: Some(0.25),
        bound: Some(0.5),
        n_canary: 101,
        n_control: 102,
        harm: 20.5,
        proof: 1.5,
        hard: true,
        why: "because".to_owned(),
    }
}

fn counts() -> CountsView {
    CountsView {
        assigned: 1,
        finished: 2,
        outcomes: 3,
        errors: 4,
        gone: 5,
        local: 6,
        overflow: 7,
        tried: 18,
        retried: 17,
        overdue: AgedView { reached: 8, overdue: 9, left_soon: 10 },
        latency: BTreeMap::from([(3, 11), (40, 12)]),
        confidence: MomentsView { n: 13, sum: 6.5, sum_squares: 3.25 },
        groups: Some(vec![GroupView { group: 14, finished: 15, errors: 16 }]),
        answers: Some(AnswersView {
            unseen: 1,
            seen: 20,
            errors: 5,
            invalid: 2,
            refusals: 3,
            empty: 4,
            input_tokens: MomentsView { n: 20, sum: 200.0, sum_squares: 4_000.0 },
            output_tokens: MomentsView { n: 20, sum: 400.0, sum_squares: 16_000.0 },
            first_token: BTreeMap::from([(101, 20)]),
            token_time: BTreeMap::from([(61, 20)]),
            scores: BTreeMap::from([(30, 20)]),
            predicted: BTreeMap::from([(0, 12), (32, 8)]),
            finish: BTreeMap::from([("stop".to_owned(), 20)]),
        }),
    }
}

fn load(version: &str) -> Load {
    Load {
        version: version.to_owned(),
        share_ppm: 1,
        per_second: Some(1.5),
        next_share_ppm: 2,
        next_per_second: Some(2.5),
        largest_share_ppm: 3,
        peak_per_second: Some(3.5),
        ready_endpoints: Some(4),
    }
}

fn drill() -> DrillView {
    DrillView {
        name: "ranker".to_owned(),
        number: 2,
        run: 3,
        by: "anna".to_owned(),
        reason: "to see".to_owned(),
        scheduled: true,
        weight_ppm: 1_000,
        phase: DrillPhase::TakingBack.into(),
        outcome: Some(Outcome::Failed.into()),
        message: "late".to_owned(),
        started_unix_ms: 4,
        ended_unix_ms: Some(5),
        lease: DrillLeaseView {
            skipped: Some(LeaseSkipped::OthersExposed.into()),
            told_ms: Some(6),
            proxies: 7,
            missing: 8,
            silent: vec!["envoy-9".to_owned()],
        },
        push: Some(DrillPushView {
            decided_unix_ms: 9,
            acknowledged_ms: Some(10),
            acknowledged: 11,
            connected: 12,
            laggards: vec!["envoy-8".to_owned()],
            canary_seen: true,
            last_canary_ms: Some(13),
            last_canary_complete: true,
        }),
        limit_ms: 14,
        slowest_ms: Some(15),
        promises: vec![PromiseView { limit_ms: 16, kept: true }],
    }
}

fn parity() -> ParityView {
    ParityView {
        name: "ranker".to_owned(),
        number: 2,
        run: 3,
        by: "anna".to_owned(),
        reason: "to see".to_owned(),
        scheduled: true,
        version: "v1".to_owned(),
        deployed: true,
        phase: ParityPhase::Watching.into(),
        outcome: Some(Outcome::Undecided.into()),
        finding: Some(ParityFinding::SampleRatio.into()),
        message: "off".to_owned(),
        started_unix_ms: 4,
        ended_unix_ms: Some(5),
        watched_ms: 6,
        wants_ms: Some(7),
        split: ParitySplitView {
            expected: 0.5,
            observed: Some(0.25),
            assigned: [8, 9],
            e_value: 1_000.5,
            spread: Some(1.25),
            causes: vec!["a heavy user".to_owned()],
        },
        gates: vec![ParityGateView {
            name: "errors".to_owned(),
            metric: Metric::ErrorRate.into(),
            verdict: ParityVerdict::Different.into(),
            first: Some(0.125),
            second: Some(0.25),
            n_first: 10,
            n_second: 11,
            e_value: 2.5,
            proof: 3.5,
            why: "they differ".to_owned(),
            wants_ms: Some(12),
            difference: Some(Difference {
                observed: 1.5,
                least: 1.25,
                most: 1.75,
                harm: 1.125,
                line: Some("harm: 1.8x".to_owned()),
                why: "by a factor".to_owned(),
            }),
        }],
        left_out: vec!["sales".to_owned()],
    }
}

pub fn view(name: &str) -> View {
    View {
        name: name.to_owned(),
        run: 2,
        phase: PhaseName::Paused.into(),
        message: "paused at 5%".to_owned(),
        attention: vec![AttentionView { kind: AttentionKind::Quorum.into(), text: "1 of 2".to_owned() }],
        ways: vec![ActionView {
            verb: "promote".to_owned(),
            arm: true,
            reason: true,
            does: "on to 25%".to_owned(),
        }],
        stage: 1,
        stage_count: 4,
        weight_ppm: 50_000,
        arms: vec![ArmView {
            arm: Arm::Canary.into(),
            version: "v2".to_owned(),
            weight_ppm: 50_000,
            standing: ChallengerOutcome::Dropped.into(),
            reason: Some("harm".to_owned()),
            exposed: ExposedView { requests: 5, errors: 6 },
            gates: vec![verdict("errors", Answer::Fail)],
        }],
        bandit: Some(BanditView {
            by: Metric::ErrorRate.into(),
            floor_ppm: 10_000,
            ceiling_ppm: 200_000,
            most_ppm: 190_000,
            next_in_ms: Some(61_200),
            holds: Some("too little is known".to_owned()),
            versions: vec![ShareView {
                arm: Arm::Stable.into(),
                version: "v1".to_owned(),
                share_ppm: 870_000,
                best: Some(0.125),
            }],
        }),
        epoch: 3,
        stable: "v1".to_owned(),
        from: "v1".to_owned(),
        canary: "v2".to_owned(),
        stages: vec![StageView {
            weight_ppm: 50_000,
            shadow_ppm: 1_000,
            entered_unix_ms: 5,
            left_unix_ms: Some(6),
            gates: vec![verdict("latency", Answer::NotApplicable)],
        }],
        closed: Some(Closed { why: "frozen".to_owned(), opens_unix_ms: Some(7) }),
        overrides: vec![OverrideView {
            unix_ms: 8,
            who: "anna".to_owned(),
            reason: "incident 12".to_owned(),
            stage: 2,
            past: vec!["gate errors".to_owned()],
        }],
        exposed: ExposedView { requests: 9, errors: 10 },
        guardrails: vec![verdict("overdue", Answer::Insufficient)],
        rollback: Some(RollbackView {
            decided_monotonic_ns: 11,
            decided_unix_ms: 12,
            reason: "harm".to_owned(),
        }),
        returning: Some(ReturningView { from: "v3".to_owned(), vouched: Some("its endpoints".to_owned()) }),
        kept: Some(KeepWarmView {
            versions: vec!["v1".to_owned()],
            left_ms: 13,
            until_unix_ms: 14,
            there: Some(true),
            was_stable: true,
        }),
        calls: vec![HookCallView {
            run: 1,
            duty: PostRunHook::RolledBack.into(),
            versions: vec!["v0".to_owned()],
            failed: Some("answered 503".to_owned()),
            again_ms: Some(15),
        }],
        baseline: Some(BaselineView {
            version: "v2".to_owned(),
            from_unix_ms: 16,
            to_unix_ms: 17,
            stages: 2,
            counts: counts(),
        }),
        watch: Some(WatchView {
            version: "v2".to_owned(),
            standing: WatchStanding::Paused.into(),
            message: "watched".to_owned(),
            since_unix_ms: 18,
            watched_ms: 19,
            for_ms: Some(20),
            gates: vec![GateWatchView {
                name: "errors".to_owned(),
                standing: GateStanding::Drift.into(),
                metric: Metric::ErrorRate.into(),
                value: Some(0.25),
                n: 21,
                limit: 0.125,
                was: Some(0.0625),
                was_n: 22,
                drift_since_unix_ms: Some(23),
                why: "error_rate is 25%".to_owned(),
            }],
            left_out: vec![UnwatchedView { name: "clicks".to_owned(), why: "not counted".to_owned() }],
        }),
        history: vec![RecordView { unix_ms: 24, monotonic_ns: 25, what: "began".to_owned() }],
        model: Some("ranking".to_owned()),
        region: Some("eu".to_owned()),
    }
}

pub fn run(name: &str, members: Vec<RunView>) -> RunView {
    RunView {
        run: view(name),
        revision: "3-41".to_owned(),
        claimed_by: vec![ClaimedBy { name: "all".to_owned(), all: true }],
        generation: Some(7),
        acks: vec![Ack { node: "envoy-1".to_owned(), generation: 7, ms: Some(31.5) }],
        refusals: vec![Nack { node: "envoy-2".to_owned(), generation: 8, reason: "weight".to_owned() }],
        rollback_latency: Some(Latency { from_ms: 150, to_ms: 250, complete: true }),
        drill: Some(drill()),
        drill_passed_unix_ms: Some(26),
        parity: Some(parity()),
        parity_passed_unix_ms: Some(27),
        practice: vec![PracticeView {
            exercise: ExerciseKind::Parity.into(),
            when: "every 30d".to_owned(),
            next_unix_ms: Some(28),
            next: Some("Sat 1970-01-10 09:00 UTC".to_owned()),
            late: Some("run 3 is under way".to_owned()),
            missed: true,
            overdue: true,
        }],
        demand: Some(Demand {
            per_second: Some(4.5),
            canary: load("v2"),
            stable: load("v1"),
            others: BTreeMap::from([(Arm::parse("b").expect("an arm").into(), load("v3"))]),
            next: Some(NextStep {
                weight_ppm: 100_000,
                shadow_ppm: 1_000,
                in_ms: Some(29),
                needs_endpoints: Some(3),
            }),
            waits_for: "its bake".to_owned(),
        }),
        queued: Some(QueuedView {
            stable: "v2".to_owned(),
            canary: "v3".to_owned(),
            who: "ben".to_owned(),
            unix_ms: 30,
            refused: Some("not now".to_owned()),
        }),
        object: Some(ObjectView {
            namespace: "models".to_owned(),
            name: "ranker".to_owned(),
            uid: "0b1c".to_owned(),
            digest: "ab12".to_owned(),
        }),
        members,
    }
}
