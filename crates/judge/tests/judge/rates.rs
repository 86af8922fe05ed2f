//! Two rates against a margin: the exact test keeps its level, and values without spread prove nothing by themselves.

use std::collections::BTreeMap;

use judge::Verdict;
use judge::anytime::{Better, Trials};
use judge::classical::{Margin, Test, is_constant, rates_ci95, rates_p};
use judge::gate::{FixedRules, fixed_finding};
use judge::verdict::Correction;

use crate::levels::Rng;

fn p(canary: (u64, u64), stable: (u64, u64), better: Better, margin: Margin) -> f64 {
    let of = |(k, n)| Trials { n, k };
    rates_p(of(canary), of(stable), better, margin).unwrap()
}

/// No event in n proves a margin d only where (1 - d)^n < alpha.
#[test]
fn no_event_follows_the_rule_of_three() {
    for (n, margin) in [(10, 0.02), (30, 0.02), (140, 0.02), (155, 0.02), (590, 0.005), (50_000, 0.005)] {
        let none = p((0, n), (0, 50_000), Better::Lower, Margin::Absolute(margin));
        let by_hand = (1.0 - margin).powf(n as f64);
        assert!(none >= by_hand && none < 1.3 * by_hand + 1e-6, "{n} {margin}: {none} {by_hand}");
        // All right is no error.
        let right = p((n, n), (50_000, 50_000), Better::Higher, Margin::Absolute(margin));
        assert!((none - right).abs() < 1e-12, "{none} {right}");
    }
    assert!(p((10, 10), (10, 10), Better::Higher, Margin::Relative(0.05)) > 0.59);
    // A share of nothing is nothing.
    assert!(p((0, 5_000), (0, 5_000), Better::Lower, Margin::Relative(0.5)) > 0.99);
}

/// Farrington and Manning's statistic by hand where counts are large; the exact one is near it.
#[test]
fn large_counts_are_normal() {
    for (k1, k0, expected) in [(4_000, 4_000, 2.5e-4), (4_100, 4_000, 6.5e-3)] {
        let found = p((k1, 20_000), (k0, 20_000), Better::Lower, Margin::Absolute(0.02));
        let at = |p: f64| p * (1.0 - p) / 20_000.0;
        let z =
            (0.02 - (k1 as f64 - k0 as f64) / 20_000.0) / (at(k1 as f64 / 2e4) + at(k0 as f64 / 2e4)).sqrt();
        assert!(found < expected && z > 2.0, "{found} {z}");
    }
    let exact = p((450, 3_000), (450, 3_000), Better::Lower, Margin::Absolute(0.02));
    let normal = p((4_500, 30_000), (4_500, 30_000), Better::Lower, Margin::Absolute(0.02 / 10f64.sqrt()));
    assert!((exact / normal - 1.0).abs() < 0.15, "{exact} {normal}");
}

/// The share of false proofs where the canary lies at the margin: at most alpha, but for three standard errors.
#[test]
fn false_proofs_are_no_more_than_alpha() {
    const RUNS: u32 = 1_000;
    let worlds = [
        (1.0, 0.98, Better::Higher, Margin::Absolute(0.02)),
        (0.995, 0.975, Better::Higher, Margin::Absolute(0.02)),
        (0.9, 0.88, Better::Higher, Margin::Absolute(0.02)),
        (0.001, 0.006, Better::Lower, Margin::Absolute(0.005)),
        (0.01, 0.015, Better::Lower, Margin::Relative(0.5)),
        (0.999, 0.949_05, Better::Higher, Margin::Relative(0.05)),
    ];
    for (stable, canary, better, margin) in worlds {
        for (n1, n0) in [(30, 30), (30, 600), (60, 60), (60, 1_000), (200, 200), (1_000, 1_000)] {
            let mut rng = Rng::seeded(n1 * 31 + n0);
            let mut known = BTreeMap::new();
            let draw = |rng: &mut Rng, n: u64, p: f64| if p < 1.0 { rng.binomial(n, p) } else { n };
            let proven = (0..RUNS)
                .filter(|_| {
                    let (k1, k0) = (draw(&mut rng, n1, canary), draw(&mut rng, n0, stable));
                    *known.entry((k1, k0)).or_insert_with(|| p((k1, n1), (k0, n0), better, margin)) < 0.05
                })
                .count();
            assert!(proven <= 71, "{stable} {canary} {margin:?} {n1} / {n0}: {proven} of {RUNS}");
        }
    }
}

/// It proves what is so with as many rows as the field's tables ask for.
#[test]
fn a_canary_as_good_is_proven() {
    assert!(p((50, 5_000), (200, 20_000), Better::Lower, Margin::Relative(0.5)) < 0.01);
    assert!(p((0, 50_000), (0, 50_000), Better::Lower, Margin::Absolute(0.005)) < 1e-6);
    assert!(p((300, 10_000), (300, 10_000), Better::Lower, Margin::Absolute(0.01)) < 1e-3);
    assert!(p((400, 10_000), (300, 10_000), Better::Lower, Margin::Absolute(0.01)) > 0.3);
}

#[test]
fn the_interval_has_a_width_without_events() {
    let of = |k, n| Trials { n, k };
    let (lo, hi) = rates_ci95(of(0, 100), of(0, 100)).unwrap();
    assert!((lo + hi).abs() < 1e-9 && (0.036..0.04).contains(&hi), "{lo} {hi}");
    // Miettinen and Nurminen's interval of 56/70 against 48/80 (Newcombe 1998, method 5, case a: 0.0528 to 0.3382 by Mee).
    let (lo, hi) = rates_ci95(of(56, 70), of(48, 80)).unwrap();
    assert!((lo - 0.0528).abs() < 1.5e-3 && (hi - 0.3382).abs() < 1.5e-3, "{lo} {hi}");
}

#[test]
fn impossible_questions_are_refused() {
    let of = |k, n| Trials { n, k };
    for margin in
        [Margin::Absolute(1.0), Margin::Absolute(-0.1), Margin::Relative(1.1), Margin::Absolute(f64::NAN)]
    {
        assert!(rates_p(of(1, 10), of(1, 10), Better::Higher, margin).is_err(), "{margin:?}");
    }
    assert!(rates_p(of(0, 0), of(1, 10), Better::Lower, Margin::Absolute(0.1)).is_err());
    assert!(rates_p(of(11, 10), of(1, 10), Better::Lower, Margin::Absolute(0.1)).is_err());
}

#[test]
fn values_without_spread_prove_no_mean() {
    let (even, rounded) = (vec![5.2; 40], [vec![0.1 + 0.2; 20], vec![0.3; 20]].concat());
    let varied: Vec<f64> = (0..40).map(|i| 5.0 + f64::from(i % 7) / 10.0).collect();
    assert!(is_constant(&even) && is_constant(&rounded) && !is_constant(&varied));
    let run = |canary: &[f64], stable: &[f64], test| {
        let rules = FixedRules {
            name: "ms".to_owned(),
            better: Better::Lower,
            margin: Margin::Relative(0.5),
            alpha: 0.05,
            test,
            min_samples: 10,
            correction: Correction::None,
        };
        let found = fixed_finding(canary, stable, &rules);
        (found.verdict, found.why)
    };
    for test in [Test::WelchT, Test::Bootstrap { resamples: 200, seed: 1 }] {
        for (canary, stable) in [
            (&even, &vec![5.0; 40]),
            (&even, &even),
            (&even, &varied),
            (&varied, &even),
            (&rounded, &rounded),
        ] {
            let (verdict, why) = run(canary, stable, test);
            assert_eq!(verdict, Verdict::Insufficient, "{why}");
            assert!(why.starts_with("Wait for ms: every value of"), "{why}");
        }
        assert_eq!(run(&varied, &varied, test).0, Verdict::Pass);
    }
    // Ranks need spread in one arm only.
    assert_eq!(run(&even, &vec![5.0; 40], Test::MannWhitney).0, Verdict::Insufficient);
    assert_eq!(run(&even, &varied, Test::MannWhitney).0, Verdict::Pass);
    // And rates in none.
    assert_eq!(run(&[0.0; 40], &[0.0; 400], Test::Rates).0, Verdict::Fail);
}
