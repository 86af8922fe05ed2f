use std::borrow::Cow;
use std::time::Duration;

use envoy::stats::{Counters, Interval};
use proptest::prelude::*;

use super::super::answer::{Labels as Pairs, Text};
use super::*;

const MS: u64 = 1_000_000;

fn wanted() -> Wanted {
    let scope: BTreeSet<_> = ["v1", "v2"].map(|version| ("r".to_owned(), version.to_owned())).into();
    Wanted { incarnation: 9, scope: Arc::new(scope), ..Wanted::default() }
}

/// `name{label=value,...}`, and its samples in milliseconds.
fn series(name: &str, labels: &[(&str, &str)], samples: &[(u64, u64)]) -> Series<'static> {
    let text = |text: &str| Text(Cow::Owned(text.to_owned()));
    let pairs = std::iter::once(("__name__", name)).chain(labels.iter().copied());
    #[allow(clippy::cast_precision_loss)]
    let values = samples.iter().map(|(at_ms, value)| (*at_ms as f64 / 1e3, text(&value.to_string())));
    Series { metric: Pairs(pairs.map(|(n, v)| (text(n), text(v))).collect()), values: values.collect() }
}

/// One scrape of one target: when, the age of its process, requests of stable and of the canary; 0: no such counter.
#[derive(Clone, Copy, Debug)]
struct Scrape {
    job: &'static str,
    pod: &'static str,
    at_ms: u64,
    uptime_s: u64,
    stable: u64,
    canary: u64,
}

fn scrape(pod: &'static str, at_ms: u64, uptime_s: u64, stable: u64, canary: u64) -> Scrape {
    Scrape { job: "sidecars", pod, at_ms, uptime_s, stable, canary }
}

fn answer(gathered: &mut Gathered<'_>, scrapes: &[Scrape]) {
    for Scrape { job, pod, at_ms, uptime_s, stable, canary } in scrapes.iter().copied() {
        let target = [("job", job), ("pod", pod), ("namespace", "models")];
        let mut take = |name: &str, labels: &[(&str, &str)], value| {
            gathered.take(&series(name, &[&target[..], labels].concat(), &[(at_ms, value)]));
        };
        take("envoy_server_uptime", &[], uptime_s);
        take("serin_epoch", &[("rollout", "r")], 7);
        for (version, arm, n) in [("v1", "stable", stable), ("v2", "canary", canary)] {
            if n > 0 {
                let labels = [
                    ("rollout", "r"),
                    ("version", version),
                    ("arm", arm),
                    ("cause", "weight"),
                    ("slot", "3"),
                ];
                take("serin_assigned_total", &labels, n);
            }
        }
    }
}

fn at(ms: u64) -> Now {
    Now { unix_ms: 1_000_000_000 + ms, monotonic_ns: (500_000 + ms) * MS }
}

fn told(interval: &Interval) -> String {
    let of = |arm: &str| {
        let fits = interval.counts.iter().filter(|((series, _), _)| series.arm.as_str() == arm);
        fits.map(|(_, n)| n).sum::<u64>()
    };
    let marks: Vec<String> = interval.marks().map(|(source, mark)| format!(" {source}: {mark}")).collect();
    format!("{}+{}{}", of("stable"), of("canary"), marks.concat())
}

/// Each answer with the moment it comes; what is made of it, and what is said of partial and doubled targets.
#[track_caller]
fn check(answers: &[(u64, &[Scrape])], ahead_ms: i64, want: &[&str]) {
    let (mut fleet, mut counters) =
        (Fleet::default(), Counters::new(Duration::from_secs(60), at(0).monotonic_ns));
    let wanted = wanted();
    let mut got = Vec::new();
    for (now_ms, scrapes) in answers {
        let shifted: Vec<Scrape> = scrapes
            .iter()
            .map(|one| Scrape { at_ms: at(one.at_ms).unix_ms.saturating_add_signed(ahead_ms), ..*one })
            .collect();
        let mut gathered = Gathered::new(&wanted);
        answer(&mut gathered, &shifted);
        let readings = fleet.settle(gathered, at(*now_ms), ahead_ms).expect("readings");
        for snapshot in readings.snapshots {
            counters.observe(snapshot);
        }
        let mut text = told(&counters.close(at(*now_ms).monotonic_ns));
        readings.partial.iter().for_each(|proxy| text.push_str(&format!(" part of {proxy}")));
        readings.twice.iter().for_each(|proxy| text.push_str(&format!(" two of {proxy}")));
        got.push(text);
    }
    assert_eq!(got, want, "{answers:?}");
}

#[test]
fn samples_become_what_the_admin_port_would_have_told() {
    let a = |at_ms, uptime_s, stable, canary| scrape("a", at_ms, uptime_s, stable, canary);
    // A baseline, then what was added; what was seen before is nothing new, however often it is answered.
    check(
        &[
            (1_000, &[a(500, 50, 10, 5)]),
            (2_000, &[a(500, 50, 10, 5), a(1_500, 51, 13, 5)]),
            (3_000, &[a(1_500, 51, 13, 5)]),
            (4_000, &[a(2_500, 52, 13, 9), a(3_500, 53, 20, 10)]),
        ],
        0,
        &["0+0 a.models: first reading", "3+0", "0+0", "7+5"],
    );
    // A gap is a gap: the next scrape tells of all of it, once.
    check(
        &[(1_000, &[a(500, 50, 10, 5)]), (31_000, &[]), (61_000, &[a(60_500, 110, 90, 8)])],
        0,
        &["0+0 a.models: first reading", "0+0", "80+3"],
    );
    // A restart between two scrapes of one answer: both processes' counts are there.
    check(
        &[(1_000, &[a(500, 50, 10, 5)]), (3_000, &[a(1_500, 51, 15, 5), a(2_500, 0, 2, 1)])],
        0,
        &["0+0 a.models: first reading", "7+1 a.models: envoy restarted"],
    );
    // A counter that begins later had been nothing.
    check(
        &[(1_000, &[a(500, 50, 10, 0)]), (2_000, &[a(1_500, 51, 10, 4)])],
        0,
        &["0+0 a.models: first reading", "0+4"],
    );
    // Pods that come.
    check(
        &[(1_000, &[a(500, 50, 10, 0)]), (2_000, &[a(1_500, 51, 11, 0), scrape("b", 1_600, 3, 7, 7)])],
        0,
        &["0+0 a.models: first reading", "1+0 b.models: first reading"],
    );
}

#[test]
fn a_part_of_a_scrape_is_waited_for_and_then_taken_for_the_whole() {
    let a = |at_ms, uptime_s, stable, canary| scrape("a", at_ms, uptime_s, stable, canary);
    let before = (1_000, &[a(500, 50, 10, 5)][..]);
    check(
        &[before, (2_000, &[a(1_500, 51, 12, 0)]), (3_000, &[a(1_500, 51, 12, 6)])],
        0,
        &["0+0 a.models: first reading", "0+0 part of a.models", "2+1"],
    );
    let less = |now_ms| (now_ms, [a(now_ms - 500, 60, 12, 0)]);
    let later = [less(2_000), less(3_000), less(4_000), less(5_000)];
    let answers: Vec<(u64, &[Scrape])> =
        std::iter::once(before).chain(later.iter().map(|(at, scrapes)| (*at, &scrapes[..]))).collect();
    let part = "0+0 part of a.models";
    let reset = "0+0 a.models: counters were reset";
    check(&answers, 0, &["0+0 a.models: first reading", part, part, part, reset]);
    // When the rest is back, all that its process ever counted is nothing new.
    let whole = [a(5_500, 61, 14, 500)];
    let answers = [&answers[..], &[(6_000, &whole[..])]].concat();
    check(
        &answers,
        0,
        &["0+0 a.models: first reading", part, part, part, reset, "2+0 a.models: counters were reset"],
    );
}

#[test]
fn one_pod_that_two_jobs_scrape_is_counted_once() {
    let other = |one: Scrape| Scrape { job: "annotated", ..one };
    let (one, next) = (scrape("a", 500, 50, 10, 5), scrape("a", 1_500, 51, 13, 6));
    check(
        &[(1_000, &[one]), (2_000, &[next, other(scrape("a", 1_700, 51, 14, 6))])],
        0,
        &["0+0 a.models: first reading", "3+1 two of a.models"],
    );
    check(&[(1_000, &[one, other(one)])], 0, &["0+0 a.models: first reading two of a.models"]);
}

#[test]
fn another_clock_changes_no_count_and_no_time() {
    let a = |at_ms, uptime_s, stable, canary| scrape("a", at_ms, uptime_s, stable, canary);
    let answers: [(u64, &[Scrape]); 2] = [(1_000, &[a(500, 50, 10, 5)]), (2_000, &[a(1_500, 51, 13, 6)])];
    for ahead_ms in [-300_000, -2_000, 0, 2_000, 300_000] {
        check(&answers, ahead_ms, &["0+0 a.models: first reading", "3+1"]);
        let (wanted, mut fleet) = (wanted(), Fleet::default());
        let mut gathered = Gathered::new(&wanted);
        let shifted = Scrape { at_ms: at(500).unix_ms.saturating_add_signed(ahead_ms), ..a(0, 50, 1, 1) };
        answer(&mut gathered, &[shifted]);
        let readings = fleet.settle(gathered, at(1_000), ahead_ms).expect("readings");
        assert_eq!(readings.snapshots[0].monotonic_ns, at(500).monotonic_ns, "{ahead_ms}");
    }
}

#[test]
fn how_often_targets_are_scraped_is_learned_and_silence_is_told() {
    let (wanted, mut fleet) = (wanted(), Fleet::default());
    let scrapes: Vec<Scrape> = (0..4)
        .flat_map(|n| ["a", "b"].map(|pod| scrape(pod, at(n * 15_000).unix_ms, 50 + 15 * n, 1 + n, 1)))
        .collect();
    let mut gathered = Gathered::new(&wanted);
    answer(&mut gathered, &scrapes);
    fleet.settle(gathered, at(46_000), 0).expect("readings");
    assert_eq!((fleet.interval_ms, fleet.len()), (Some(15_000), 2));
    let mut gathered = Gathered::new(&wanted);
    answer(&mut gathered, &[scrape("a", at(60_000).unix_ms, 110, 9, 1)]);
    fleet.settle(gathered, at(61_000), 0).expect("readings");
    let silent = |now_ms| fleet.silent(at(now_ms), 0, 35_000).into_iter().map(|(proxy, _)| proxy);
    assert_eq!(silent(80_000).collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(silent(82_000).collect::<Vec<_>>(), ["b.models"]);
    // A Prometheus that was away itself has yet to scrape it.
    assert_eq!(fleet.silent(at(82_000), at(70_000).monotonic_ns, 35_000), []);
}

proptest! {
    /// Whatever the looks, gaps and restarts: what is counted is what happened up to the last scrape, less what came before
    /// the first and what a process counted after its last one. Nothing twice.
    #[test]
    fn sums_are_exact(
        steps in proptest::collection::vec((0_u64..6, 0_u64..4, any::<bool>(), any::<bool>(), 0_usize..4), 2..40)
    ) {
        let (wanted, mut fleet) = (wanted(), Fleet::default());
        let mut counters = Counters::new(Duration::from_secs(600), at(0).monotonic_ns);
        let (mut now_ms, mut born_ms) = (400_000_u64, 0_u64);
        let (mut stable, mut canary) = (100_u64, 1_u64);
        let (mut due, mut counted) = ((0, 0), (0, 0));
        let (mut read, mut history): (Option<(u64, u64)>, Vec<Scrape>) = (None, Vec::new());
        for (more, others, restarts, scraped, repeats) in steps {
            now_ms += 400_000;
            if restarts {
                (stable, canary, born_ms) = (0, 0, now_ms - 1_000);
                if read.is_some() {
                    read = Some((0, 0));
                }
            }
            (stable, canary) = (stable + more, canary + others);
            if !scraped {
                continue;
            }
            let uptime_s = (now_ms - born_ms) / 1_000;
            history.push(scrape("a", at(now_ms).unix_ms, uptime_s, stable, canary));
            if let Some((of_stable, of_canary)) = read {
                due = (due.0 + stable - of_stable, due.1 + canary - of_canary);
            }
            read = Some((stable, canary));
            // Late ones come again.
            let from = history.len().saturating_sub(1 + repeats);
            let mut gathered = Gathered::new(&wanted);
            answer(&mut gathered, &history[from..]);
            for snapshot in fleet.settle(gathered, at(now_ms + 10), 0).expect("readings").snapshots {
                counters.observe(snapshot);
            }
            let interval = counters.close(at(now_ms + 20).monotonic_ns);
            for ((series, _), n) in &interval.counts {
                let sum = if series.arm.as_str() == "stable" { &mut counted.0 } else { &mut counted.1 };
                *sum += n;
            }
        }
        prop_assert_eq!(counted, due);
    }
}
