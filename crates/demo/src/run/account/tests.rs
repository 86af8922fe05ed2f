use api::{RollbackView, RunView, View};

use super::super::traffic::Traffic;
use super::super::{Programs, Rate, Scenario};
use super::*;
use crate::load::Record;
use crate::model::{ModelKind, Outcome as Ended};

/// Nanoseconds on the monotonic clock of a moment in milliseconds after the rollout was applied at 1 s / 50,000 ms.
fn at(ms: u64) -> u64 {
    1_000_000_000 + ms * 1_000_000
}

fn unix(ms: u64) -> u64 {
    50_000 + ms
}

/// A user's request at a moment, by the version that answered.
fn request(ms: u64, user: u32, version: &str) -> (Record, Arrival) {
    let record = Record {
        request_id: format!("1-{ms}").into(),
        user,
        sent_ns: at(ms),
        finished_ns: at(ms + 8),
        result: Ok(200),
        model_version: Some(version.into()),
        serin: vec![("x-serin-version".into(), version.into())],
    };
    let arrival = Arrival {
        request_id: record.request_id.clone(),
        user: None,
        arm: None,
        version: version.into(),
        arrived_ns: at(ms + 1),
        finished_ns: Some(at(ms + 7)),
        outcome: Ended::Answered { status: 200, grpc: None },
    };
    (record, arrival)
}

fn options(assignment: Assignment) -> Options {
    let programs =
        Programs { envoy: "envoy".into(), wasm: "filter.wasm".into(), serin: "serin".into(), istio: None };
    Options {
        programs,
        scenario: Scenario::Errors,
        kind: ModelKind::Predict,
        assignment,
        seed: 1,
        speed: 1.0,
        rate: Rate::UpTo(700.0),
        users: 10,
        keep: false,
    }
}

/// Stage 1 from 0 ms, stage 2 from 2,000 ms, rolled back at 4,000 ms.
fn followed() -> Followed {
    let stage = |weight_ppm, entered, left: Option<u64>| StageView {
        weight_ppm,
        entered_unix_ms: unix(entered),
        left_unix_ms: left.map(unix),
        ..StageView::default()
    };
    Followed {
        spec: String::new(),
        applied_ns: at(0),
        applied_unix_ms: unix(0),
        ended_ns: at(4_100),
        view: RunView {
            run: View {
                phase: PhaseName::RolledBack.into(),
                stages: vec![stage(250_000, 0, Some(2_000)), stage(500_000, 2_000, None)],
                rollback: Some(RollbackView {
                    decided_monotonic_ns: at(4_000),
                    decided_unix_ms: unix(4_000),
                    reason: "errors failed.".to_owned(),
                }),
                ..View::default()
            },
            ..RunView::default()
        },
        outcome: Outcome::RolledBack,
        next: None,
        traffic: Traffic::default(),
    }
}

fn ground() -> Ground {
    Ground { asked: Rate::UpTo(700.0), rate: 350.0, tried: Vec::new() }
}

fn report(assignment: Assignment, requests: &[(u64, u32, &str)]) -> Report {
    report_of(assignment, requests, followed(), Spans::default())
}

fn report_of(
    assignment: Assignment,
    requests: &[(u64, u32, &str)],
    followed: Followed,
    strain: Spans,
) -> Report {
    let (records, arrivals): (Vec<Record>, Vec<Arrival>) =
        requests.iter().map(|(ms, user, version)| request(*ms, *user, version)).unzip();
    let (canary, stable): (Vec<Arrival>, Vec<Arrival>) =
        arrivals.into_iter().partition(|arrival| &*arrival.version == "v2");
    Account {
        options: &options(assignment),
        envoy: "1.40.0".to_owned(),
        wasm_sha256: String::new(),
        records: &records,
        stable: &stable,
        canary: &canary,
        unsent: 0,
        ground: ground(),
        strain,
        watched_ns: at(0)..at(10_000),
        followed: &followed,
    }
    .report()
}

const REQUESTS: &[(u64, u32, &str)] = &[
    (100, 9, "v2"),
    (600, 1, "v2"),
    (700, 2, "v1"),
    (800, 3, "v1"),
    (900, 4, "v1"),
    (1_900, 4, "v1"),
    (2_600, 1, "v2"),
    (2_700, 2, "v2"),
    (2_800, 3, "v1"),
    (2_900, 4, "v1"),
    (4_020, 1, "v2"),
    (4_200, 1, "v1"),
];

#[test]
fn shares_are_taken_while_a_weight_stands() {
    let sticky = report(Assignment::Sticky, REQUESTS);
    let shares: Vec<_> =
        sticky.stages.iter().map(|stage| (stage.observed_share, stage.observed_of)).collect();
    assert_eq!(shares, [(Some(0.25), 4), (Some(0.5), 4)]);
    assert_eq!((sticky.stages[0].entered_ms, sticky.stages[0].left_ms), (0.0, Some(2_000.0)));
    assert_eq!(sticky.stages[1].left_ms, None);
    assert_eq!((sticky.users.distinct, sticky.users.left_canary), (5, Some(0)));
    assert_eq!((sticky.requests.totals.stable, sticky.requests.totals.canary), (7, 5));

    let random = report(Assignment::Random, REQUESTS);
    assert_eq!((random.stages[0].observed_share, random.stages[0].observed_of), (Some(0.2), 5));
    assert_eq!(random.users.left_canary, None);
}

#[test]
fn the_rollback_is_measured_at_the_canary() {
    let rollback = report(Assignment::Sticky, REQUESTS).rollback.unwrap();
    assert_eq!(rollback.decided_ms, 4_000.0);
    assert_eq!((rollback.latency_ms, rollback.arrived_after, rollback.open_at_decision), (21.0, 1, 0));
    assert_eq!(rollback.last_canary_ms, Some(4_021.0));
}

#[test]
fn one_who_leaves_is_seen() {
    let mut requests = REQUESTS.to_vec();
    requests.push((3_500, 1, "v1"));
    let users = report(Assignment::Sticky, &requests).users;
    assert_eq!((users.left_canary, users.lost_by_lease), (Some(1), Some(0)));
    let said =
        "user-1: the canary answered at 0.6 s, stable got a request sent at 3.5 s and answered at 3.5 s";
    assert_eq!(users.examples, [said]);
}

#[test]
fn what_is_open_at_the_rollback_says_nothing_of_who_left() {
    // Sent before the decision, answered after it: the proxy may have had the weights of the rollback.
    let mut requests = REQUESTS.to_vec();
    requests.push((3_995, 1, "v1"));
    assert_eq!(report(Assignment::Sticky, &requests).users.left_canary, Some(0));
}

/// Looks as (at, weight, requests without a lease), and what is said of user 1, who got stable at 3.5 s.
#[track_caller]
fn check_traffic(looks: &[(u64, u32, u64)], left: u64, lost_by_lease: u64) {
    let mut requests = REQUESTS.to_vec();
    requests.push((3_500, 1, "v1"));
    let mut followed = followed();
    looks
        .iter()
        .for_each(|(ms, weight, without)| followed.traffic.look(at(*ms), Some(*weight), Some(*without)));
    let users = report_of(Assignment::Sticky, &requests, followed, Spans::default()).users;
    assert_eq!((users.left_canary, users.lost_by_lease), (Some(left), Some(lost_by_lease)));
    assert_eq!(users.requests_without_lease, looks.last().map_or(0, |look| look.2));
}

#[test]
fn a_lost_lease_and_a_weight_taken_back_are_no_broken_promise() {
    check_traffic(&[], 1, 0);
    check_traffic(&[(3_000, 500_000, 0), (3_400, 500_000, 0), (3_600, 500_000, 4)], 0, 1);
    check_traffic(&[(1_000, 500_000, 0), (1_200, 500_000, 4), (3_600, 500_000, 4)], 1, 0);
    check_traffic(&[(3_000, 500_000, 0), (3_200, 50_000, 0)], 0, 0);
    // It rises and stays: whoever leaves, leaves.
    check_traffic(&[(1_000, 250_000, 0), (2_100, 500_000, 0)], 1, 0);
}

#[test]
fn workers_that_wait_for_a_processor_break_no_promise() {
    let mut requests = REQUESTS.to_vec();
    requests.push((3_500, 1, "v1"));
    let check = |from, to, expected| {
        let mut strain = Spans::default();
        strain.add(at(from)..at(to));
        let report = report_of(Assignment::Sticky, &requests, followed(), strain);
        assert_eq!((report.users.left_canary, report.users.lost_by_machine), expected);
    };
    check(500, 3_600, (Some(0), Some(1)));
    check(3_400, 3_600, (Some(1), Some(0)));
}

#[test]
fn the_share_of_time_without_a_machine_is_told() {
    let mut strain = Spans::default();
    strain.add(at(1_000)..at(3_500));
    let report = report_of(Assignment::Sticky, REQUESTS, followed(), strain);
    assert_eq!((report.strained_share, report.rate), (0.25, 350.0));
    // On such a machine, too, the self-test must move the sum.
    assert_eq!(report.self_test.failed_by_us, 1);
    let said = report.in_words();
    assert!(said.contains("Machine    too busy for 25 % of the time"), "{said}");
}

#[test]
fn the_self_test_moves_both_sums() {
    let expected = SelfTestReport { failed_by_us: 1, mis_tagged: 1 };
    assert_eq!(report(Assignment::Sticky, REQUESTS).self_test, expected);
    // With nothing recorded there is nothing to spoil, and the report says so.
    let blind = SelfTestReport { failed_by_us: 0, mis_tagged: 0 };
    assert_eq!(report(Assignment::Sticky, &[]).self_test, blind);
}
