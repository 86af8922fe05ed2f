use super::*;

const MS: u64 = 1_000_000;

/// Asked at 100 ms, and good until 1,000 ms.
fn record() -> Record {
    Record {
        pair: (1, 7),
        deadline_ns: 1_000 * MS,
        asked_ns: 100 * MS,
        state: State::Running,
        revoked: Vec::new(),
    }
}

fn answer(lease: LeaseStatus, revoked: &[&str]) -> Answer {
    let revoked = revoked.iter().map(|name| (*name).to_owned()).collect();
    Answer { incarnation: 1, generation: 7, lease, ttl_ms: None, revoked }
}

#[test]
fn a_record_is_read_back_as_written() {
    for state in [State::Running, State::Expired, State::Revoked] {
        for revoked in [vec![], vec!["ranker".to_owned()], vec!["a".to_owned(), "b.c".to_owned()]] {
            let record = Record { state, revoked, ..record() };
            assert_eq!(Record::from_bytes(&record.bytes()), Some(record));
        }
    }
    assert_eq!(Record::from_bytes(&[0; 39]), None);
    assert_eq!(Record::from_bytes(&[[0; 40].as_slice(), &[0xff]].concat()), None);
}

#[test]
fn a_newer_policy_begins_a_lease_and_keeps_the_turn_to_ask() {
    let begun = |earlier: Option<&Record>, pair| Record::begun(earlier, pair, 500, 10 * MS);
    let fresh = |pair, asked_ns| Some(Record { pair, deadline_ns: 510 * MS, asked_ns, ..record() });
    assert_eq!(begun(None, (1, 7)), fresh((1, 7), 0));
    for (pair, expected) in [
        ((1, 6), None),
        ((1, 7), None),
        ((0, 9), None),
        ((1, 8), fresh((1, 8), 100 * MS)),
        ((2, 1), fresh((2, 1), 100 * MS)),
    ] {
        let earlier = Record { state: State::Revoked, revoked: vec!["ranker".to_owned()], ..record() };
        assert_eq!(begun(Some(&earlier), pair), expected, "{pair:?}");
    }
}

#[test]
fn what_is_due_at_a_tick() {
    #[track_caller]
    fn check(record: &Record, now_ms: u64, expected: Option<Due>) {
        assert_eq!(record.due(200, now_ms * MS), expected, "at {now_ms} ms");
    }
    let asked = |state, now_ms| Some(Due::Ask(Record { state, asked_ns: now_ms * MS, ..record() }));
    check(&record(), 299, None);
    check(&record(), 300, asked(State::Running, 300));
    check(&record(), 999, asked(State::Running, 999));
    // Running out goes before asking, and is said once; whoever ran out or was taken back asks on.
    check(&record(), 1_000, Some(Due::Expire(Record { state: State::Expired, ..record() })));
    for state in [State::Expired, State::Revoked] {
        check(&Record { state, ..record() }, 1_000, asked(state, 1_000));
        check(&Record { state, ..record() }, 200, None);
    }
}

#[test]
fn what_an_answer_changes() {
    #[track_caller]
    fn check(record: &Record, answer: &Answer, expected: Option<(Record, [bool; 2])>) {
        let expected = expected.map(|(record, [renewed, revoked])| (record, News { renewed, revoked }));
        assert_eq!(record.answered(answer, 1_000, 500 * MS), expected, "{answer:?}");
    }
    let renewed = Record { deadline_ns: 1_500 * MS, ..record() };
    let without = |names: &[&str]| Record {
        revoked: names.iter().map(|name| (*name).to_owned()).collect(),
        ..renewed.clone()
    };
    check(&record(), &answer(LeaseStatus::Renew, &[]), Some((renewed.clone(), [true, false])));
    let short = Answer { ttl_ms: Some(5), ..answer(LeaseStatus::Renew, &[]) };
    check(&record(), &short, Some((Record { deadline_ns: 505 * MS, ..record() }, [true, false])));
    // One that ran out comes back; one that was taken back does not.
    let expired = Record { state: State::Expired, ..record() };
    check(&expired, &answer(LeaseStatus::Renew, &[]), Some((renewed.clone(), [true, false])));
    let revoked = Record { state: State::Revoked, ..record() };
    check(&record(), &answer(LeaseStatus::Revoke, &[]), Some((revoked.clone(), [false, true])));
    check(&revoked, &answer(LeaseStatus::Renew, &[]), None);
    check(&revoked, &answer(LeaseStatus::Revoke, &[]), None);
    // Rollouts are taken back one by one, each is news once, and none comes back.
    check(&record(), &answer(LeaseStatus::Renew, &["a"]), Some((without(&["a"]), [true, true])));
    check(&without(&["a"]), &answer(LeaseStatus::Renew, &["a"]), Some((without(&["a"]), [true, false])));
    check(
        &without(&["a"]),
        &answer(LeaseStatus::Renew, &["a", "b"]),
        Some((without(&["a", "b"]), [true, true])),
    );
    check(&without(&["a"]), &answer(LeaseStatus::Renew, &[]), Some((without(&["a"]), [true, false])));
    // What is not known, and what is of another policy.
    check(&record(), &answer(LeaseStatus::Unknown, &[]), None);
    for (incarnation, generation) in [(1, 6), (1, 8), (2, 7)] {
        check(&record(), &Answer { incarnation, generation, ..answer(LeaseStatus::Revoke, &[]) }, None);
    }
}

#[test]
fn how_a_policy_stands() {
    for (state, pair, now_ms, expected) in [
        (State::Running, (1, 7), 999, Standing::Live),
        (State::Running, (1, 7), 1_000, Standing::Expired),
        (State::Expired, (1, 7), 1, Standing::Expired),
        (State::Revoked, (1, 7), 1, Standing::Revoked),
        // Superseded: only requests in flight still hold it.
        (State::Running, (1, 6), 9_999, Standing::Live),
        (State::Revoked, (0, 9), 1, Standing::Live),
        // Newer than the record: nobody has vouched for it.
        (State::Running, (1, 8), 1, Standing::Expired),
        (State::Revoked, (2, 1), 1, Standing::Expired),
    ] {
        let record = Record { state, ..record() };
        assert_eq!(record.standing(pair, now_ms * MS), expected, "{state:?} {pair:?} at {now_ms} ms");
    }
}
