//! Expected misuse gives a named error; nothing ever answers NaN.

use judge::JudgeError;
use judge::anytime::{
    AlphaSplit, Better, BoundedMeans, Claim, DesignEffect, EProcess, Group, Guardrail, MeanBets,
    NormalMixture, RateRatio, SampleRatio, Scale, ScoreStratum, Stratum, TailRatio, Trials, average, e_bh,
    hr_dkw_radius,
};
use judge::classical::{
    Alternative, KsMethod, Margin, Method, ShiftRoot, bootstrap_mean_diff_ci, cohens_d, cosine_similarity,
    fisher_exact, hodges_lehmann_ci, ks_2samp, mann_whitney_u, psi, two_proportion_z, welch_t,
};
use judge::gate::Watch;
use judge::multiplicity::{Adjust, adjust_p};

#[track_caller]
fn check<T: std::fmt::Debug>(result: Result<T, JudgeError>, part: &str) {
    match result {
        Ok(value) => panic!("expected an error with {part:?}, got {value:?}"),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(part), "{text:?} does not contain {part:?}");
        }
    }
}

const X: [f64; 4] = [1.0, 2.0, 3.0, 4.5];
const ASYMPTOTIC: Method = Method::Asymptotic { continuity: true };

#[test]
fn empty_samples() {
    check(mann_whitney_u(&[], &X, Alternative::Less, ASYMPTOTIC), "x is empty");
    check(mann_whitney_u(&X, &[], Alternative::Less, Method::Exact), "y is empty");
    check(hodges_lehmann_ci(&X, &[], 0.95, ShiftRoot::Exact), "y is empty");
    check(ks_2samp(&[], &X, Alternative::TwoSided, KsMethod::Exact), "x is empty");
    check(welch_t(&[], &X, Alternative::Less), "x is empty");
    check(cohens_d(&[], &X), "empty");
    check(psi(&[], &[], 1e-4), "expected is empty");
    check(adjust_p(&[], Adjust::Holm), "p is empty");
    check(average(&[]), "e-values is empty");
}

#[test]
fn one_value() {
    check(welch_t(&[1.0], &X, Alternative::Less), "x has 1 values; at least 2");
    check(bootstrap_mean_diff_ci(&X, &[1.0], 0.95, 1000, 1), "y has 1 values");
}

#[test]
fn constant_samples() {
    check(welch_t(&[1.0, 1.0], &[2.0, 2.0], Alternative::Less), "no spread");
    check(mann_whitney_u(&[1.0, 1.0], &[1.0], Alternative::Less, ASYMPTOTIC), "no spread");
    check(hodges_lehmann_ci(&[1.0; 4], &[1.0; 4], 0.95, ShiftRoot::Asymptotic), "no spread");
    check(cohens_d(&[1.0, 1.0], &[1.0, 1.0]), "no spread");
    check(two_proportion_z(0, 10, 0, 10, Alternative::Less, true), "no spread");
}

#[test]
fn nan_and_infinite() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let list = [1.0, bad, 2.0];
        check(mann_whitney_u(&list, &X, Alternative::Less, ASYMPTOTIC), "x[1] is NaN or infinite");
        check(ks_2samp(&X, &list, Alternative::Less, KsMethod::Exact), "y[1]");
        check(welch_t(&X, &list, Alternative::Less), "y[1]");
        check(cosine_similarity(&list, &list), "a[1]");
        check(RateRatio::harm(bad), "ratio");
        check(NormalMixture::new(Claim::Harm, Better::Higher, bad, 0.1, 0), "margin");
        check(TailRatio::harm(bad), "ratio");
    }
    check(e_bh(&[1.0, f64::NAN], 0.05), "e[1]");
    check(adjust_p(&[0.5, f64::NAN], Adjust::Holm), "p[1]");
    check(average(&[(1.0, f64::INFINITY)]), "log e-value");
}

#[test]
fn out_of_range() {
    check(hodges_lehmann_ci(&X, &X, 1.0, ShiftRoot::Exact), "conf_level");
    check(RateRatio::harm(0.0), "greater than 0");
    check(RateRatio::with_grid(1.0, Claim::Harm, vec![0.5], &[1.0]), "at least the ratio");
    check(RateRatio::with_grid(1.0, Claim::NoHarm, vec![1.5], &[1.0]), "at most the ratio");
    check(RateRatio::with_grid(1.0, Claim::Harm, vec![2.0], &[1.5]), "at most 1");
    check(RateRatio::with_grid(1.0, Claim::Harm, vec![2.0, 3.0], &[1.0]), "grid and prior");
    check(Guardrail::harm(1.0), "strictly between 0 and 1");
    check(SampleRatio::new(&[0.5, 0.6], 100.0), "summing to 1");
    check(hr_dkw_radius(0, 0.05), "at least 1");
    check(AlphaSplit::new(0.05, &[0.0]), "sum of weights");
    check(BoundedMeans::new(Claim::Harm, Better::Higher, 0.0, 1), "buckets");
    check(DesignEffect::from_groups(&[Group { n: 1, k: 0 }; 5]), "at least 20");
    let watch = |first: &[f64], late: &[f64]| Watch::new(RateRatio::harm(1.0).unwrap(), first, late);
    check(watch(&[0.5, 0.5], &[1.0]), "weights for early and for late harm");
    check(watch(&[0.5, 0.4], &[0.5, 0.5]), "sum of 1");
    check(watch(&[1.5, -0.5], &[0.5, 0.5]), "greater than 0");
    let mut short = watch(&[0.5, 0.5], &[0.5, 0.5]).unwrap();
    check(short.observe(&Stratum::new(10, 1, 10, 1), 1000), "weights and sizes of effect");
    check(RateRatio::harm_beyond(1.0, -0.1), "points");
    check(MeanBets::against_limit(Claim::Harm, Scale::UNIT, 1.0), "strictly within the range");
    let wide = Scale { min: 1.0, max: 1.0, better: Better::Higher };
    check(MeanBets::against_stable(Claim::Harm, wide, Margin::Absolute(0.1)), "above the least");
    check(MeanBets::against_stable(Claim::Harm, Scale::UNIT, Margin::Relative(-0.1)), "margin");
    check(fisher_exact([[u64::MAX / 4, 1], [1, 1]], Alternative::Less), "table");
}

#[test]
fn a_refused_update_changes_nothing() {
    let mut ratio = RateRatio::harm(1.0).unwrap();
    ratio.update(Stratum::new(100, 3, 1000, 9)).unwrap();
    let before = ratio.clone();
    check(ratio.update(Stratum::new(1, 2, 10, 0)), "canary reports 2 events among 1 requests");
    check(ratio.update(Stratum::new(u64::MAX, 2, 10, 0)), "requests in one interval");
    assert_eq!(ratio, before);

    let mut guard = Guardrail::harm(0.01).unwrap();
    check(guard.update(Trials { n: 1, k: 2 }), "events cannot exceed requests");
    assert_eq!(guard, Guardrail::harm(0.01).unwrap());

    let mut mean = NormalMixture::new(Claim::Harm, Better::Higher, 0.0, 0.1, 0).unwrap();
    let fresh = mean.clone();
    let nan = ScoreStratum { n1: 1, sum1: f64::NAN, ..ScoreStratum::default() };
    check(mean.update(&nan), "canary sums");
    let impossible = ScoreStratum { n1: 2, sum1: 10.0, squares1: 1.0, ..ScoreStratum::default() };
    check(mean.update(&impossible), "possible");
    let huge = ScoreStratum { n1: 1, sum1: 1e200, squares1: 1e300, ..ScoreStratum::default() };
    check(mean.update(&huge), "possible");
    assert_eq!(mean, fresh);

    let mut bets = BoundedMeans::new(Claim::Harm, Better::Higher, 0.0, 64).unwrap();
    let fresh = bets.clone();
    check(bets.update(&[0.5, 1.5], &[0.5]), "canary score");
    check(bets.update(&[0.5], &[f64::NAN]), "stable score");
    assert_eq!(bets, fresh);
}

#[test]
fn one_sided_data_says_nothing() {
    let mut ratio = RateRatio::harm(1.0).unwrap();
    ratio.update(Stratum::new(100, 50, 0, 0)).unwrap();
    ratio.update(Stratum::new(0, 0, 100, 50)).unwrap();
    assert!(ratio.log_e().abs() < 1e-12 && (ratio.p_value() - 1.0).abs() < 1e-12);
}

#[test]
fn huge_counts_stay_finite() {
    let mut ratio = RateRatio::harm(1.0).unwrap();
    for _ in 0..1000 {
        ratio.update(Stratum::new(1 << 52, 1 << 51, 1 << 52, 1 << 40)).unwrap();
    }
    assert!(ratio.log_e().is_finite() && ratio.p_value() == 0.0);
}
