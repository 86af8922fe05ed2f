//! Thinning and forgetting.

use rollout::{Bins, Counts, Group, Interval, Reading};

use split::Arm;

use super::super::measured::Read;
use super::*;

const HOUR: u64 = 3_600_000;

/// A look of one second.
fn look(at_s: u64, errors: u64) -> Sample {
    let canary = Counts {
        assigned: 10,
        errors,
        latency: Bins([(100, 9), (120, 1)].into()),
        groups: Some(vec![Group { group: 3, finished: 10, errors }]),
        ..Counts::default()
    };
    let (from_ms, to_ms) = (at_s * 1_000, (at_s + 1) * 1_000);
    let rivals = [(Arm::parse("b").expect("a name"), canary.clone())].into();
    let interval = Interval { epoch: 2, from_ms, to_ms, canary, rivals, ..Interval::default() };
    Sample::Counts(Counted { stage: 1, weight_ppm: 10_000, samples: 1, interval })
}

fn write_looks(store: &mut Store, samples: &[Sample]) {
    let run = run("ranker");
    for samples in samples.chunks(5) {
        let writing = Writing { samples, ..run.writing() };
        let change = Change { runs: &[writing], generation: 1, ..Change::default() };
        store.commit(&change).expect("written");
    }
}

/// Requests, errors, requests in the slow bin, errors of group 3, and single samples.
fn sums(samples: &[Sample]) -> (u64, u64, u64, u64, u32) {
    samples.iter().fold((0, 0, 0, 0, 0), |sum, look| match look {
        Sample::Counts(Counted { interval, samples, .. }) => {
            let Interval { canary, rivals, .. } = interval;
            let of_rivals: u64 = rivals.values().map(|counts| counts.assigned).sum();
            assert_eq!(of_rivals, canary.assigned, "a further version's counts are not lost");
            let slow = canary.latency.0.get(&120).copied().unwrap_or(0);
            let group = canary.groups.iter().flatten().map(|group| group.errors).sum::<u64>();
            (sum.0 + canary.assigned, sum.1 + canary.errors, sum.2 + slow, sum.3 + group, sum.4 + samples)
        }
        Sample::Reading(_) => sum,
    })
}

#[test]
fn thinning_loses_the_seconds_and_no_count() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut store = Store::open(&file).expect("a new store");
    let mut samples: Vec<Sample> = (0..1_800).map(|second| look(second, second % 3)).collect();
    let reading = Reading { gate: "ctr".into(), canary: Some(0.5), ..Reading::default() };
    samples.push(Sample::Reading(Read { at_ms: 1_800_500, stage: 1, reading }));
    write_looks(&mut store, &samples);
    let archive = Archive::of(&file);
    let before = archive.samples("ranker", 1).expect("read");
    assert_eq!(before, samples);

    assert!(!store.thin(HOUR).expect("nothing is old enough"));
    let now_ms = 1_200_001 + HOUR;
    while store.thin(now_ms).expect("thinned") {}
    let after = archive.samples("ranker", 1).expect("read");
    assert_eq!(sums(&after), sums(&before));
    let old = |look: &&Sample| look.begins_ms() < 1_200_000;
    assert_eq!(after.iter().filter(old).count(), 20, "a line for each of 20 minutes");
    assert_eq!(after.iter().filter(|look| !old(look)).count(), 601, "the last hour as it was");
    assert!(after.iter().all(|look| match look {
        Sample::Counts(counted) => counted.interval.canary.groups.as_ref().map(Vec::len) == Some(1),
        Sample::Reading(_) => true,
    }));
}

#[test]
fn runs_are_kept_for_as_long_as_is_said_and_go_with_all_that_is_theirs() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("serin.db");
    let mut store = Store::open(&file).expect("a new store");
    let first = run("ranker");
    let lines = [Entry::new(5, Kind::Record, "line")];
    let samples = [look(1, 0)];
    let before = Writing { entries: &lines, samples: &samples, ..first.writing() };
    let mut second = run("ranker");
    second.state.run = 2;
    let runs = [Writing { entries: &lines, samples: &samples, ..second.writing() }];
    let change = Change { runs: &runs, past: &[before], generation: 1, ..Change::default() };
    store.commit(&change).expect("begun");
    let rows = |store: &Store, table: &str| -> i64 {
        let count = format!("SELECT count(*) FROM {table}");
        store.connection.query_row(&count, [], |row| row.get(0)).expect("a count")
    };
    assert_eq!(store.forget(crate::unix_ms() - HOUR).expect("nothing is old enough"), 0);
    assert_eq!(["past_run", "journal", "measured"].map(|table| rows(&store, table)), [1, 2, 2]);
    assert_eq!(store.forget(crate::unix_ms() + HOUR).expect("forgotten"), 1);
    assert_eq!(["past_run", "journal", "measured"].map(|table| rows(&store, table)), [0, 1, 1]);
    assert_eq!(store.rollouts().expect("the present run stays").len(), 1);
    assert_eq!(store.forget(crate::unix_ms() + HOUR).expect("nothing left"), 0);
}
