//! Properties over random inputs.

use judge::anytime::{Claim, EProcess, RateRatio, RatioSequence, Stratum, TailRatio, TailStratum, e_bh};
use judge::classical::{
    Alternative, KsMethod, Method, ShiftRoot, fisher_exact, hodges_lehmann_ci, ks_2samp, mann_whitney_u,
    quantile, shift_score, welch_t,
};
use judge::multiplicity::{Adjust, adjust_p};
use proptest::prelude::*;

fn stratum() -> impl Strategy<Value = Stratum> {
    (0u64..2000, 0u64..20_000, 0.0..1.0f64, 0.0..1.0f64).prop_map(|(n1, n0, a, b)| {
        Stratum::new(n1, (n1 as f64 * a * a) as u64, n0, (n0 as f64 * b * b) as u64)
    })
}

fn sample() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-50i32..50).prop_map(|v| f64::from(v) / 4.0), 2..25)
}

fn sorted(sample: &[f64]) -> Vec<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn evidence_is_finite_and_order_does_not_matter(strata in prop::collection::vec(stratum(), 1..20), r in 0.2..5.0f64) {
        for claim in [Claim::Harm, Claim::NoHarm] {
            let new = || match claim {
                Claim::Harm => RateRatio::harm(r).unwrap(),
                Claim::NoHarm => RateRatio::no_harm(r).unwrap(),
            };
            let (mut forward, mut backward) = (new(), new());
            strata.iter().for_each(|s| forward.update(*s).unwrap());
            strata.iter().rev().for_each(|s| backward.update(*s).unwrap());
            prop_assert!(forward.log_e().is_finite());
            prop_assert!((forward.log_e() - backward.log_e()).abs() < 1e-6 * (1.0 + forward.log_e().abs()));
            prop_assert!((0.0..=1.0).contains(&forward.p_value()));
        }
    }

    /// E[M] <= 1 exactly, by summing over all outcomes of one small interval at the boundary.
    #[test]
    fn expectation_at_the_boundary_is_at_most_one(n1 in 1u64..12, n0 in 1u64..12, p0 in 0.01..0.4f64, r in 0.5..2.0f64) {
        let p1 = r * p0;
        let law = |n: u64, p: f64| -> Vec<f64> {
            let mut row = vec![1.0];
            for _ in 0..n {
                let mut next = vec![0.0; row.len() + 1];
                for (k, mass) in row.iter().enumerate() {
                    next[k] += mass * (1.0 - p);
                    next[k + 1] += mass * p;
                }
                row = next;
            }
            row
        };
        for claim in [Claim::Harm, Claim::NoHarm] {
            let mut expectation = 0.0;
            for (k1, a) in law(n1, p1).iter().enumerate() {
                for (k0, b) in law(n0, p0).iter().enumerate() {
                    let mut process = match claim {
                        Claim::Harm => RateRatio::harm(r).unwrap(),
                        Claim::NoHarm => RateRatio::no_harm(r).unwrap(),
                    };
                    process.update(Stratum::new(n1, k1 as u64, n0, k0 as u64)).unwrap();
                    expectation += a * b * process.log_e().exp();
                }
            }
            prop_assert!(expectation <= 1.0 + 1e-9, "{claim:?}: {expectation}");
        }
    }

    #[test]
    fn merged_equals_summed(strata in prop::collection::vec(stratum(), 2..12), cut in 0usize..12) {
        let cut = cut.min(strata.len());
        let feed = |part: &[Stratum]| {
            let (mut process, mut sequence) = (RateRatio::harm(1.0).unwrap(), RatioSequence::default());
            part.iter().for_each(|s| {
                process.update(*s).unwrap();
                sequence.update(*s).unwrap();
            });
            (process, sequence)
        };
        let (whole, whole_sequence) = feed(&strata);
        let ((mut a, mut sa), (b, sb)) = (feed(&strata[..cut]), feed(&strata[cut..]));
        a.merge(&b).unwrap();
        sa.merge(&sb).unwrap();
        prop_assert!((a.log_e() - whole.log_e()).abs() < 1e-6 * (1.0 + whole.log_e().abs()));
        let (x, y) = (sa.interval(0.05).unwrap(), whole_sequence.interval(0.05).unwrap());
        prop_assert!(x.lo <= y.lo * 1.03 && y.lo <= x.lo * 1.03);
    }

    #[test]
    fn sequence_contains_its_estimate(strata in prop::collection::vec(stratum(), 1..10)) {
        let mut sequence = RatioSequence::default();
        strata.iter().for_each(|s| sequence.update(*s).unwrap());
        let interval = sequence.interval(0.05).unwrap();
        if let Some(estimate) = sequence.estimate() {
            prop_assert!(interval.lo <= estimate * 1.03 && estimate <= interval.hi * 1.03, "{interval:?} {estimate}");
        }
    }

    #[test]
    fn tails_are_finite(bins in prop::collection::vec((any::<i32>(), 0u64..1000, 0u64..1000), 0..12)) {
        let mut tail = TailRatio::harm(1.0).unwrap();
        let interval = TailStratum {
            canary: bins.iter().map(|(b, c, _)| (*b, *c)).collect(),
            stable: bins.iter().map(|(b, _, s)| (*b, *s)).collect(),
        };
        for _ in 0..3 {
            tail.update(&interval).unwrap();
            prop_assert!(tail.log_e().is_finite());
        }
    }

    #[test]
    fn tests_give_probabilities(x in sample(), y in sample()) {
        for alternative in [Alternative::TwoSided, Alternative::Less, Alternative::Greater] {
            for method in [Method::Exact, Method::Asymptotic { continuity: true }] {
                if let Ok(r) = mann_whitney_u(&x, &y, alternative, method) {
                    prop_assert!((0.0..=1.0).contains(&r.p), "{r:?}");
                }
            }
            for method in [KsMethod::Exact, KsMethod::Asymptotic] {
                let r = ks_2samp(&x, &y, alternative, method).unwrap();
                prop_assert!((0.0..=1.0).contains(&r.p) && (0.0..=1.0).contains(&r.d), "{r:?}");
            }
            if let Ok(r) = welch_t(&x, &y, alternative) {
                prop_assert!((0.0..=1.0).contains(&r.p) && r.ci95.0 <= r.difference && r.difference <= r.ci95.1);
            }
        }
    }

    #[test]
    fn swapping_arms_mirrors(x in sample(), y in sample()) {
        let method = Method::Asymptotic { continuity: true };
        let a = mann_whitney_u(&x, &y, Alternative::Less, method);
        let b = mann_whitney_u(&y, &x, Alternative::Greater, method);
        if let (Ok(a), Ok(b)) = (a, b) {
            prop_assert!((a.p - b.p).abs() < 1e-12 && (a.u1 + b.u1 - (x.len() * y.len()) as f64).abs() < 1e-9);
        }
        let a = ks_2samp(&x, &y, Alternative::Less, KsMethod::Exact).unwrap();
        let b = ks_2samp(&y, &x, Alternative::Greater, KsMethod::Exact).unwrap();
        prop_assert!((a.p - b.p).abs() < 1e-12);
    }

    #[test]
    fn shifts_move_with_the_data(x in sample(), y in sample(), by in -20i32..20) {
        let moved: Vec<f64> = x.iter().map(|v| v + f64::from(by)).collect();
        for method in [ShiftRoot::Exact, ShiftRoot::Asymptotic] {
            let (a, b) = (hodges_lehmann_ci(&x, &y, 0.9, method), hodges_lehmann_ci(&moved, &y, 0.9, method));
            if let (Ok(a), Ok(b)) = (a, b) {
                prop_assert!(a.lo <= a.estimate + 1e-9 && a.estimate <= a.hi + 1e-9, "{a:?}");
                let expected = a.estimate + f64::from(by);
                // The score is a step function: where a whole step is 0, each of its points is a root.
                let between = (expected + b.estimate) / 2.0;
                let on_a_step = method == ShiftRoot::Asymptotic
                    && shift_score(&sorted(&moved), &sorted(&y), between, false) == Some(0.0);
                prop_assert!((expected - b.estimate).abs() < 1e-6 || on_a_step, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn adjusted_is_never_smaller(p in prop::collection::vec(0.0..=1.0f64, 1..20)) {
        for method in [Adjust::Bonferroni, Adjust::Holm, Adjust::BenjaminiHochberg] {
            let adjusted = adjust_p(&p, method).unwrap();
            prop_assert!(adjusted.iter().zip(&p).all(|(a, p)| *a >= *p - 1e-15 && *a <= 1.0));
        }
    }

    #[test]
    fn e_bh_keeps_the_largest(e in prop::collection::vec(0.0..1000.0f64, 0..20)) {
        let rejected = e_bh(&e, 0.05).unwrap();
        let lowest = rejected.iter().map(|i| e[*i]).fold(f64::INFINITY, f64::min);
        prop_assert!(e.iter().enumerate().all(|(i, v)| rejected.contains(&i) || *v <= lowest));
    }

    #[test]
    fn fisher_is_a_probability(a in 0u64..40, b in 0u64..40, c in 0u64..40, d in 0u64..40) {
        let p = |alternative| fisher_exact([[a, b], [c, d]], alternative).unwrap();
        let (two, less, greater) = (p(Alternative::TwoSided), p(Alternative::Less), p(Alternative::Greater));
        prop_assert!([two, less, greater].iter().all(|p| (0.0..=1.0 + 1e-12).contains(p)));
        prop_assert!(less + greater >= 1.0 - 1e-12 && two + 1e-12 >= less.min(greater));
    }

    #[test]
    fn quantiles_lie_inside(x in sample(), p in 0.0..=1.0f64) {
        let q = quantile(&x, p).unwrap();
        prop_assert!(x.iter().any(|v| *v <= q) && x.iter().any(|v| *v >= q));
    }
}
