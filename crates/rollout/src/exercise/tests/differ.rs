//! By how much equal versions are said to differ, and what is proposed for it.

use judge::random::SplitMix64;
use manifest::{Gate, Metric};

use crate::exercise::differ::difference;
use crate::tests::story::HEAD;
use crate::{Bins, Counts, Difference, Moments};

fn gate(written: &str) -> Gate {
    let text = format!(
        "{HEAD}  confidence: {{fromHeader: c}}\n  gates: [{{name: g, against: stable, {written}}}]\n"
    );
    manifest::load(&text).unwrap_or_else(|problems| panic!("{problems}")).plan.gates[0].clone()
}

/// Exact counts of `n` requests: errors, lognormal answer times of a median of 50 ms, and scores.
fn counts(n: u64, errors: f64, slower: f64, confidence: f64) -> Counts {
    let below =
        |bin: u16| judge::special::normal_cdf((tally::latency_upper_ms(bin) / 50.0 / slower).ln() / 0.6);
    let all = |share: f64| (share * n as f64).round() as u64;
    let bins = (1..tally::LATENCY_TOP).map(|bin| (bin, all(below(bin)) - all(below(bin - 1))));
    let sum = confidence * n as f64;
    Counts {
        assigned: n,
        finished: n,
        outcomes: n,
        errors: all(errors),
        latency: Bins(bins.filter(|(_, n)| *n > 0).collect()),
        confidence: Moments { n, sum, sum_squares: (confidence.powi(2) + 0.0061) * n as f64 },
        ..Counts::default()
    }
}

#[track_caller]
fn check(written: &str, first: &Counts, second: &Counts, line: Option<&str>, says: &str) -> Difference {
    let gate = gate(written);
    let there = difference(&gate, first, second, 1.0).expect("a difference");
    let back = difference(&gate, second, first, 1.0).expect("a difference");
    assert!((there.observed - back.observed).abs() < 0.02, "whichever is worse: {there:?} {back:?}");
    assert!(there.least <= there.observed && there.observed <= there.most, "{there:?}");
    assert_eq!(there.line.as_deref(), line, "{}", there.why);
    assert!(there.why.contains(says), "{says}: {}", there.why);
    there
}

#[test]
fn what_a_service_needs_is_measured_and_the_line_to_write_is_named() {
    let base = |n: u64| counts(n, 0.05, 1.0, 0.85);
    let errors = "metric: error_rate, margin: 2x";
    check(
        errors,
        &base(1_000_000),
        &counts(1_000_000, 0.0505, 1.0, 0.85),
        None,
        "differ by 1.01x, by at most 1.04x (95%); harm from 1.05x on leaves room for that",
    );
    check(
        errors,
        &base(1_000_000),
        &counts(1_000_000, 0.055, 1.0, 0.85),
        Some("harm: 1.13x"),
        "differ by 1.1x, by at most 1.13x (95%), and harm begins at 1.05x: write `harm: 1.13x`",
    );
    check(
        errors,
        &base(10_000),
        &base(10_000),
        Some("harm: 1.22x"),
        "more requests would tell; to be safe write `harm: 1.22x`",
    );
    check(
        "metric: error_rate, margin: 1.1x",
        &base(1_000_000),
        &counts(1_000_000, 0.055, 1.0, 0.85),
        Some("harm: 1.13x"),
        "write `harm: 1.13x`, and a margin beyond it",
    );
    check(
        "metric: error_rate, margin: 2pp",
        &base(1_000_000),
        &counts(1_000_000, 0.055, 1.0, 0.85),
        Some("harm: 0.61pp"),
        "differ by 0.5pp, by at most 0.61pp (95%), and harm begins at 0.2pp",
    );
    let latency = "metric: latency_p99, margin: 50%";
    check(
        latency,
        &base(1_000_000),
        &counts(1_000_000, 0.05, 1.02, 0.85),
        None,
        "harm from 1.13x on leaves room for that",
    );
    let slower = check(
        latency,
        &base(1_000_000),
        &counts(1_000_000, 0.05, 1.2, 0.85),
        Some("harm: 1.23x"),
        "and harm begins at 1.13x: write `harm: 1.23x`",
    );
    assert!((slower.observed - 1.2).abs() < 0.01, "{slower:?}");
    let sure = "metric: confidence_mean, margin: 2%";
    check(sure, &base(100_000), &counts(100_000, 0.05, 1.0, 0.845), None, "leaves room for that");
    check(
        sure,
        &base(100_000),
        &counts(100_000, 0.05, 1.0, 0.82),
        Some("harm: 3.67%"),
        "and harm begins at 2%",
    );
    // A little of everything says nothing.
    for written in [errors, latency, sure] {
        assert_eq!(difference(&gate(written), &base(15), &base(15), 1.0), None, "{written}");
    }
    // Forty requests of a user are one.
    let wide = difference(&gate(errors), &base(1_000_000), &base(1_000_000), 40.0).expect("a difference");
    assert!(wide.most > 1.1, "{wide:?}");
}

/// Looked at again and again, the truth lies beyond the bounds in no more runs than said.
#[test]
fn the_bounds_hold_at_all_looks_together() {
    const RUNS: u32 = 200;
    for (metric, written) in [
        (Metric::ErrorRate, "metric: error_rate, margin: 2x"),
        (Metric::LatencyP99, "metric: latency_p99, margin: 25%"),
    ] {
        let gate = gate(written);
        assert_eq!(gate.metric(), metric);
        let mut missed = 0;
        for run in 0..RUNS {
            let mut chance = SplitMix64::seeded(u64::from(run) + 1);
            let mut parts = [Counts::default(), Counts::default()];
            let mut off = false;
            for _ in 0..25 {
                for (part, rate) in parts.iter_mut().zip([0.1, 0.12]) {
                    for _ in 0..100 {
                        part.outcomes += 1;
                        part.errors += u64::from(chance.unit() < rate);
                        // Log-uniform from 10 to 640 ms, and 20 % longer.
                        let ns = 1e7 * 64_f64.powf(chance.unit()) * rate * 10.0;
                        *part.latency.0.entry(tally::latency_bin(ns as u64)).or_default() += 1;
                    }
                }
                let [first, second] = &parts;
                if let Some(seen) = difference(&gate, first, second, 1.0) {
                    // Half a bin: a place within a bin is taken to be proportional.
                    off |= seen.most < 1.2 / 1.022 || seen.least > 1.2 * 1.022;
                }
            }
            missed += u32::from(off);
        }
        println!("{written}: {missed} of {RUNS} runs");
        // 5 % of 200 are 10, and 3 standard errors more 19.
        assert!(missed <= 19, "{written}: {missed} of {RUNS}");
    }
}
