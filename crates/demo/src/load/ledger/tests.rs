use super::*;
use crate::load::NoResponse;
use crate::model::Outcome;

const OK: Outcome = Outcome::Answered { status: 200, grpc: None };
const ERROR: Outcome = Outcome::Answered { status: 500, grpc: None };

/// A request of `user` sent at `at` that took 5, with the status and tag the client saw.
fn record(at: u64, user: u32, result: Result<u16, NoResponse>, tag: Option<&str>) -> Record {
    Record {
        request_id: at.to_string().into(),
        user,
        sent_ns: at,
        finished_ns: at + 5,
        result,
        model_version: Some("v1".into()),
        serin: tag.map(|tag| ("x-serin-version".into(), tag.into())).into_iter().collect(),
    }
}

fn arrival(at: u64, arm: &str, version: &str, outcome: Outcome) -> Arrival {
    Arrival {
        request_id: at.to_string().into(),
        user: None,
        arm: Some(arm.into()),
        version: version.into(),
        arrived_ns: at + 1,
        finished_ns: Some(at + 4),
        outcome,
    }
}

/// One request: what the client saw, what stable and canary logged, and what the sums make of it:
/// (failed_seen, failed_by_servers, failed_by_us, mis_tagged, untagged).
#[track_caller]
fn check(record: Record, stable: &[Arrival], canary: &[Arrival], expected: (u64, u64, u64, u64, u64)) {
    let totals = Ledger::new(&[record], stable, canary).totals();
    let got = (
        totals.failed_seen,
        totals.failed_by_servers,
        totals.failed_by_us,
        totals.mis_tagged,
        totals.untagged,
    );
    assert_eq!(got, expected, "{totals:?}");
    assert_eq!(totals.examples.len() as u64, totals.failed_by_us + totals.mis_tagged);
}

#[test]
fn whose_failure_and_whose_tag() {
    let at = |arm, version, outcome| [arrival(1, arm, version, outcome)];
    // Fine.
    check(record(1, 0, Ok(200), Some("v1")), &at("stable", "v1", OK), &[], (0, 0, 0, 0, 0));
    check(record(1, 0, Ok(200), Some("v2")), &[], &at("canary", "v2", OK), (0, 0, 0, 0, 0));
    check(record(1, 0, Ok(200), None), &at("stable", "v1", OK), &[], (0, 0, 0, 0, 1));
    // The model failed, or hung.
    check(record(1, 0, Ok(500), Some("v2")), &[], &at("canary", "v2", ERROR), (1, 1, 0, 0, 0));
    check(record(1, 0, Ok(504), Some("v2")), &[], &at("canary", "v2", Outcome::Hung), (1, 1, 0, 0, 0));
    // We failed: an answer that got lost, a request cut off, one that arrived nowhere, one without any response.
    check(record(1, 0, Ok(503), Some("v2")), &[], &at("canary", "v2", OK), (1, 0, 1, 0, 0));
    check(record(1, 0, Ok(503), None), &at("stable", "v1", Outcome::Abandoned), &[], (1, 0, 1, 0, 1));
    check(record(1, 0, Ok(503), None), &[], &[], (1, 0, 1, 0, 1));
    check(record(1, 0, Err(NoResponse::Timeout), None), &[], &[], (1, 0, 1, 0, 0));
    // The tag lies.
    check(record(1, 0, Ok(200), Some("v2")), &at("stable", "v1", OK), &[], (0, 0, 0, 1, 0));
    check(record(1, 0, Ok(200), Some("v1")), &[], &at("canary", "v2", OK), (0, 0, 0, 1, 0));
    // With no log to hand, the server's own header is believed.
    check(record(1, 0, Ok(200), Some("v2")), &[], &[], (0, 0, 0, 1, 0));
    // A retry ends where it ended.
    check(
        record(1, 0, Ok(200), Some("v1")),
        &[Arrival { arrived_ns: 3, ..arrival(1, "stable", "v1", OK) }],
        &at("canary", "v2", ERROR),
        (0, 0, 0, 0, 0),
    );
}

/// One request of which no server knows, from and to these moments: (failed_by_machine, failed_by_us).
#[track_caller]
fn check_machine(sent_ms: u64, finished_ms: u64, strained_ms: Range<u64>, expected: (u64, u64)) {
    let ms = |ms: u64| ms * 1_000_000;
    let mut strain = Spans::default();
    strain.add(ms(strained_ms.start)..ms(strained_ms.end));
    let lost =
        Record { finished_ns: ms(finished_ms), ..record(ms(sent_ms), 0, Err(NoResponse::Timeout), None) };
    let totals = Ledger::new(&[lost], &[], &[]).on(strain.clone()).totals();
    assert_eq!((totals.failed_by_machine, totals.failed_by_us), expected);
    assert_eq!((totals.failed_seen, totals.examples.len() as u64), (1, totals.failed_by_us));
    // What the model failed is the model's, on any machine.
    let failed = Record { finished_ns: ms(finished_ms), ..record(ms(sent_ms), 0, Ok(500), None) };
    let by_model = [Arrival { request_id: failed.request_id.clone(), ..arrival(1, "stable", "v1", ERROR) }];
    let totals = Ledger::new(&[failed], &by_model, &[]).on(strain).totals();
    assert_eq!((totals.failed_by_servers, totals.failed_by_machine, totals.failed_by_us), (1, 0, 0));
}

#[test]
fn what_fails_on_a_machine_that_does_not_keep_up_is_nobody_s() {
    check_machine(10_000, 13_000, 10_000..13_000, (1, 0));
    check_machine(10_000, 13_000, 20_000..29_000, (0, 1));
    check_machine(10_000, 13_000, 10_000..10_100, (0, 1));
}

#[test]
fn arms_add_up() {
    let records: Vec<Record> = (0..4).map(|at| record(at, 0, Ok(200), None)).collect();
    let stable = [arrival(0, "stable", "v1", OK), arrival(1, "baseline", "v1", OK)];
    let canary = [arrival(2, "canary", "v2", OK)];
    let totals = Ledger::new(&records, &stable, &canary).totals();
    assert_eq!(
        (totals.total, totals.stable, totals.baseline, totals.canary, totals.unserved),
        (4, 1, 1, 1, 1)
    );
}

#[test]
fn every_request_is_a_line() {
    let records = [record(7, 3, Ok(200), None), record(8, 4, Err(NoResponse::Timeout), None)];
    let mut text = Vec::new();
    Ledger::new(&records, &[], &[arrival(7, "canary", "v2", OK)]).write_csv(&mut text).unwrap();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "request_id,user,sent_ns,arrived_ns,finished_ns,reached,status\n7,3,7,8,12,canary,200\n8,4,8,,13,nobody,none\n"
    );
}

/// Requests as (sent at, user, reached the canary).
fn visits(visits: &[(u64, u32, bool)]) -> (Vec<Record>, Vec<Arrival>, Vec<Arrival>) {
    let records = visits.iter().map(|(at, user, _)| record(*at, *user, Ok(200), None)).collect();
    let arrivals = |canary: bool, arm| {
        let reached = visits.iter().filter(move |visit| visit.2 == canary);
        reached.map(|(at, ..)| arrival(*at, arm, "v1", OK)).collect()
    };
    (records, arrivals(false, "stable"), arrivals(true, "canary"))
}

#[track_caller]
fn check_share(requests: &[(u64, u32, bool)], unit: Unit, expected: Option<(f64, u64)>) {
    let (records, stable, canary) = visits(requests);
    assert_eq!(Ledger::new(&records, &stable, &canary).share(&(10..100), unit), expected);
}

#[test]
fn shares_of_users_and_of_requests() {
    let requests =
        [(9, 9, true), (10, 1, true), (11, 1, true), (12, 2, false), (13, 3, false), (100, 8, true)];
    check_share(&requests, Unit::Requests, Some((0.5, 4)));
    check_share(&requests, Unit::Users, Some((1.0 / 3.0, 3)));
    check_share(&requests[..1], Unit::Users, None);
}

#[track_caller]
fn check_left(requests: &[(u64, u32, bool)], expected: &[u32]) {
    let (records, stable, canary) = visits(requests);
    let left = Ledger::new(&records, &stable, &canary).left_canary(&(10..100), 10);
    assert_eq!(left.iter().map(|left| left.user).collect::<Vec<_>>(), expected);
}

#[test]
fn who_left_the_canary() {
    check_left(&[(10, 1, false), (20, 1, true), (50, 1, true)], &[]);
    check_left(&[(10, 1, true), (50, 1, false)], &[1]);
    // Within the grace after the first canary answer, before the span, after it.
    check_left(&[(10, 1, true), (24, 1, false), (50, 1, true)], &[]);
    check_left(&[(5, 1, true), (50, 1, false), (60, 2, true), (100, 2, false)], &[]);
    // Sent before the span's end and open at it: the proxy may have assigned it by what came then.
    check_left(&[(10, 1, true), (94, 1, false)], &[1]);
    check_left(&[(10, 1, true), (95, 1, false), (99, 1, false)], &[]);
    check_left(
        &[(10, 1, true), (11, 2, true), (12, 3, true), (50, 3, false), (60, 1, false), (61, 1, false)],
        &[1, 3],
    );
}
