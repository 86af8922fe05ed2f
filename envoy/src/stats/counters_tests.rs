use proptest::prelude::*;
use split::{Arm, Cause};
use tally::{Slot, What};

use super::*;

const MS: u64 = 1_000_000;

fn series(arm: Arm) -> Series {
    let what = What::Assigned(Cause::Weight, Some(Slot::Of(3)));
    Series { rollout: "r".to_owned(), version: "v".to_owned(), arm, what }
}

fn snapshot(source: &str, process: &str, at_ms: u64, stable: u64, canary: u64) -> Snapshot {
    Snapshot {
        source: source.to_owned(),
        node: format!("node-{source}"),
        process: process.to_owned(),
        monotonic_ns: at_ms * MS,
        others: BTreeMap::from([(tally::epoch_gauge("r"), 7)]),
        // As Envoy does with `usedonly`: what never counted is not there.
        counters: [(series(Arm::Stable), stable), (series(Arm::Canary), canary)]
            .into_iter()
            .filter(|(_, value)| *value > 0)
            .collect(),
        ..Snapshot::default()
    }
}

fn show(interval: &Interval) -> String {
    let count = |arm| interval.counts.get(&(series(arm), Some(7))).copied().unwrap_or(0);
    let mut text = format!("{}+{}", count(Arm::Stable), count(Arm::Canary));
    for (source, mark) in interval.marks() {
        text.push_str(&format!(" {source}: {mark}"));
    }
    text
}

/// Steps: `SOURCE PROCESS AT_MS STABLE CANARY` is a reading, `close AT_MS` ends an interval. Stale after 100 ms.
#[track_caller]
fn check(steps: &[&str], want: &[&str]) {
    let mut counters = Counters::new(Duration::from_millis(100), 0);
    let mut got = Vec::new();
    for step in steps {
        let words: Vec<&str> = step.split(' ').collect();
        let number = |index: usize| words[index].parse::<u64>().unwrap();
        match words[0] {
            "close" => got.push(show(&counters.close(number(1) * MS))),
            "expect" => counters.expect(words[1]),
            "remove" => counters.remove(words[1]),
            "leave" => counters.leave(words[1]),
            "renew" => counters.renew(words[1]),
            source => counters.observe(snapshot(source, words[1], number(2), number(3), number(4))),
        }
    }
    assert_eq!(got, want, "{steps:?}");
}

#[test]
fn what_a_cluster_counted_before_it_was_asked_for_belongs_to_nobody() {
    let upstream = || Upstream { cluster: "canary".to_owned(), what: super::super::UpstreamWhat::Completed };
    let reading = |at_ms, asked: bool, counted: u64| Snapshot {
        clusters: asked.then(|| "canary".to_owned()).into_iter().collect(),
        upstreams: asked.then(|| (upstream(), counted)).into_iter().collect(),
        ..snapshot("a", "p", at_ms, 1, 1)
    };
    let mut counters = Counters::new(Duration::from_millis(100), 0);
    let mut of_interval = |at_ms, asked, counted| {
        counters.observe(reading(at_ms, asked, counted));
        counters.close((at_ms + 5) * MS).upstreams.get(&upstream()).copied()
    };
    let got = [of_interval(10, false, 0), of_interval(20, true, 70), of_interval(30, true, 78)];
    assert_eq!(got, [None, None, Some(8)]);
    counters.observe(reading(40, true, 3));
    assert!(counters.close(45 * MS).upstreams.is_empty(), "somebody reset the cluster's counters");
}

/// Where only the age of a process is told: each reading is second, uptime, stable, canary.
#[test]
fn processes_that_tell_their_age_alone_are_followed_too() {
    let intervals = |readings: &[(u64, u64, u64, u64)]| {
        let mut counters = Counters::new(Duration::from_secs(60), 0);
        let told = readings.iter().map(|(at_s, uptime_s, stable, canary)| {
            let age = super::super::Age { uptime_s: *uptime_s, initialised: None };
            let reading = snapshot("a", "", at_s * 1_000, *stable, *canary);
            counters.observe(Snapshot { age: Some(age), ..reading });
            show(&counters.close((at_s * 1_000 + 1) * MS))
        });
        told.collect::<Vec<_>>()
    };
    let first = "0+0 a: first reading";
    assert_eq!(intervals(&[(1_000, 90, 5, 1), (1_001, 90, 7, 1), (1_002, 95, 7, 2)]), [first, "2+0", "0+1"]);
    assert_eq!(intervals(&[(1_000, 90, 5, 1), (1_001, 0, 7, 3)]), [first, "7+3 a: envoy restarted"]);
    // Both younger than a flush: what stands lower is another process's.
    assert_eq!(intervals(&[(1_000, 0, 5, 1), (1_001, 0, 3, 1)]), [first, "3+1 a: envoy restarted"]);
    // A reading of before the last one is none.
    assert_eq!(intervals(&[(1_000, 90, 5, 1), (1_002, 92, 9, 1), (1_001, 91, 7, 1)]), [first, "4+0", "0+0"]);
    // What is missing may be missing in the reading alone: nothing of it is counted.
    assert_eq!(intervals(&[(1_000, 0, 5, 1), (1_001, 0, 5, 0)]), [first, "0+0 a: counters were reset"]);
}

#[test]
fn intervals() {
    // The first reading is a baseline; then what was added.
    check(
        &["a p 10 50 5", "close 20", "a p 30 60 7", "close 40", "a p 50 60 7", "close 60"],
        &["0+0 a: first reading", "10+2", "0+0"],
    );
    // Several readings in one interval add up; several Envoys too.
    check(
        &["a p 1 1 0", "b q 1 1 0", "close 5", "a p 10 2 0", "a p 15 4 1", "b q 15 11 0", "close 20"],
        &["0+0 a: first reading b: first reading", "13+1"],
    );
    // A counter that appears later had been 0.
    check(&["a p 1 1 0", "close 5", "a p 10 1 3", "close 15"], &["0+0 a: first reading", "0+3"]);
    // A restart: the new process began after the last reading, so all it has counted is of this interval.
    check(
        &["a p 1 90 9", "close 5", "a p 10 95 9", "a q 20 3 0", "close 30", "a q 40 4 0", "close 50"],
        &["0+0 a: first reading", "8+0 a: envoy restarted", "1+0"],
    );
    // Even when the new one has already counted more than the old: no sum is compared.
    check(
        &["a p 1 5 0", "close 5", "a q 20 50 0", "close 30"],
        &["0+0 a: first reading", "50+0 a: envoy restarted"],
    );
    // After a long silence, too: all of it was counted since, and says by which weights.
    check(
        &["a p 1 5 0", "close 5", "a q 200 50 0", "close 210"],
        &["0+0 a: first reading", "50+0 a: envoy restarted"],
    );
    // Less in the same process, or gone from the list: somebody reset the counters, and nothing can be said.
    check(
        &["a p 1 90 9", "close 5", "a p 10 95 2", "close 15", "a p 20 97 3", "close 25"],
        &["0+0 a: first reading", "0+0 a: counters were reset", "2+1"],
    );
    check(
        &["a p 1 90 9", "close 5", "a p 10 95 0", "close 15"],
        &["0+0 a: first reading", "0+0 a: counters were reset"],
    );
    // Silence within bounds: the next reading catches up. Beyond: marked while it lasts, and caught up with as well.
    check(
        &["a p 1 1 0", "close 5", "close 60", "a p 90 8 0", "close 95"],
        &["0+0 a: first reading", "0+0", "7+0"],
    );
    check(
        &[
            "a p 0 1 0",
            "close 5",
            "close 60",
            "close 120",
            "a p 150 8 0",
            "close 160",
            "a p 170 9 0",
            "close 180",
        ],
        &["0+0 a: first reading", "0+0", "0+0 a: stale source: no answer for 120 ms", "7+0", "1+0"],
    );
    // One silent source does not hide what the others saw.
    check(
        &["a p 0 1 0", "b q 0 1 0", "close 5", "b q 110 4 1", "close 115"],
        &["0+0 a: first reading b: first reading", "3+1 a: stale source: no answer for 115 ms"],
    );
    check(
        &["a p 0 1 0", "b q 0 1 0", "close 5", "b q 60 2 1", "b q 110 4 1", "close 115"],
        &["0+0 a: first reading b: first reading", "3+1 a: stale source: no answer for 115 ms"],
    );
    // Nor does a reader that is kept waiting by one make the others silent.
    check(
        &["a p 1 1 0", "b q 1 1 0", "close 5", "b q 10 4 1", "close 200", "b q 210 5 1", "close 400"],
        &[
            "0+0 a: first reading b: first reading",
            "3+1 a: stale source: no answer for 199 ms",
            "1+0 a: stale source: no answer for 399 ms",
        ],
    );
    // Expected and never seen; removed and no longer missed.
    check(&["expect a", "close 5", "remove a", "close 10"], &["0+0 a: stale source: never answered", "0+0"]);
}

#[test]
fn an_end_that_is_announced_loses_nothing_where_nothing_was_to_do() {
    let lost = "2+0 a: went away; what it counted after its last reading is lost";
    check(
        &["a p 1 1 0", "close 5", "a p 10 3 0", "close 15", "a p 20 3 0", "leave a", "close 25", "close 30"],
        &["0+0 a: first reading", "2+0", "0+0", "0+0"],
    );
    check(
        &["a p 1 1 0", "close 5", "a p 10 3 0", "leave a", "close 15", "close 20"],
        &["0+0 a: first reading", lost, "0+0"],
    );
    check(&["expect a", "leave a", "close 5", "close 10"], &["0+0", "0+0"]);
    // Another of the same name: nothing of it is an increment of the one before, whatever its counters say.
    check(
        &[
            "a p 1 1 0",
            "close 5",
            "a p 10 1 0",
            "renew a",
            "a p 12 50 0",
            "close 15",
            "a p 20 51 0",
            "close 25",
        ],
        &["0+0 a: first reading", "0+0 a: first reading", "1+0"],
    );
    check(
        &[
            "a p 1 1 0",
            "close 5",
            "a p 10 3 0",
            "renew a",
            "a q 12 50 0",
            "close 15",
            "a q 20 51 0",
            "close 25",
        ],
        &["0+0 a: first reading", lost, "1+0"],
    );
}

#[test]
fn an_interval_is_whole_only_with_a_source_and_without_marks() {
    let mut counters = Counters::new(Duration::from_millis(100), 0);
    assert!(!counters.close(MS).is_whole(), "nobody was asked");
    counters.observe(snapshot("a", "p", 2, 0, 0));
    assert!(!counters.close(3 * MS).is_whole(), "a first reading");
    counters.observe(snapshot("a", "p", 4, 1, 0));
    let interval = counters.close(5 * MS);
    assert!(interval.is_whole());
    let span = &interval.spans[0];
    assert_eq!((span.from_ns, span.to_ns, span.node.as_str()), (2 * MS, 4 * MS, "node-a"));
    assert_eq!((interval.from_ns, interval.to_ns), (3 * MS, 5 * MS));
}

proptest! {
    /// However readings and closings fall, nothing is counted twice and nothing is lost while the process lives.
    #[test]
    fn sums_are_exact(adds in prop::collection::vec((0_u64..50, 0_u64..5, any::<bool>()), 1..60)) {
        let mut counters = Counters::new(Duration::from_millis(100), 0);
        let (mut stable, mut canary, mut counted) = (7, 3, 0);
        counters.observe(snapshot("a", "p", 0, stable, canary));
        for (at, (more_stable, more_canary, close)) in (1..).zip(adds) {
            stable += more_stable;
            canary += more_canary;
            counters.observe(snapshot("a", "p", at, stable, canary));
            if close {
                counted += counters.close(at * MS).counts.values().sum::<u64>();
            }
        }
        counted += counters.close(1000 * MS).counts.values().sum::<u64>();
        prop_assert_eq!(counted, stable - 7 + canary - 3);
    }
}
