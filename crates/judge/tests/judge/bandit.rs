//! Chances of being the best, what is known over strata, and shares within their range.

use judge::anytime::Better;
use judge::bandit::{Known, Posterior, Range, Record, Sample, Version, chances, shares};
use judge::special::{ln_gamma, normal_cdf};
use proptest::prelude::*;

fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// P(B > A) for Beta(a1, b1) and Beta(a2, b2) with a whole a2: the sum over i < a2 of
/// B(a1 + i, b1 + b2) / ((b2 + i) B(1 + i, b2) B(a1, b1)). Miller, "Formulas for Bayesian A/B testing", 2015.
fn second_is_larger(a1: f64, b1: f64, a2: u32, b2: f64) -> f64 {
    (0..a2)
        .map(f64::from)
        .map(|i| (ln_beta(a1 + i, b1 + b2) - (b2 + i).ln() - ln_beta(1.0 + i, b2) - ln_beta(a1, b1)).exp())
        .sum()
}

#[track_caller]
fn closed(a1: f64, b1: f64, a2: u32, b2: f64) {
    let laws = [Posterior::beta(a1, b1).unwrap(), Posterior::beta(a2.into(), b2).unwrap()];
    let (exact, got) = (second_is_larger(a1, b1, a2, b2), chances(&laws, Better::Higher).unwrap());
    assert!((got[1] - exact).abs() < 1e-5, "Beta({a1}, {b1}) and ({a2}, {b2}): {got:?}, exactly {exact}");
    let lower = chances(&laws, Better::Lower).unwrap();
    assert!((lower[0] - got[1]).abs() < 1e-5, "the one is larger exactly when the other is smaller");
}

#[test]
fn two_betas_have_a_closed_form() {
    closed(1.0, 1.0, 1, 1.0);
    closed(1.0, 99.0, 1, 300.0);
    closed(3.0, 100.0, 2, 100.0);
    closed(101.0, 9_901.0, 2, 100.0);
    closed(101.0, 9_901.0, 130, 9_901.0);
    closed(10_001.0, 990_001.0, 12, 990.0);
    closed(50.0, 50.0, 60, 40.0);
}

#[test]
fn two_normals_have_a_closed_form() {
    for (difference, scale) in [(0.0, 1.0), (0.5, 1.0), (-2.0, 0.3), (1.0, 20.0)] {
        let law = |mean, scale| Posterior::student(mean, scale, 1e9).unwrap();
        let got = chances(&[law(0.0, 1.0), law(difference, scale)], Better::Higher).unwrap();
        let exact = normal_cdf(difference / f64::hypot(1.0, scale));
        assert!((got[1] - exact).abs() < 1e-5, "{difference} {scale}: {got:?}, exactly {exact}");
    }
}

#[test]
fn a_few_scores_are_believed_less() {
    let best = |df| {
        let laws = [Posterior::student(0.0, 1e-9, df).unwrap(), Posterior::student(2.0, 1.0, df).unwrap()];
        chances(&laws, Better::Higher).unwrap()[1]
    };
    // Student's t distribution function at 2.
    for (df, exact) in [(3.0, 0.930_337), (10.0, 0.963_306), (99.0, 0.975_880)] {
        assert!((best(df) - exact).abs() < 2e-3, "{df}: {}", best(df));
    }
}

#[test]
fn little_known_is_not_bad() {
    let known = |n, mean| Known { n, mean, variance: 0.0 };
    let best = |known: &[Known]| chances(&Posterior::of_rates(known).unwrap(), Better::Lower).unwrap();
    // One error in a hundred against one in a hundred of many: nobody knows.
    let fair = best(&[known(100_000.0, 0.01), known(100.0, 0.01)]);
    assert!((0.4..0.65).contains(&fair[1]), "{fair:?}");
    // And no error at all on either side says little.
    let silent = best(&[known(100_000.0, 0.0), known(100.0, 0.0)]);
    assert!((0.3..0.7).contains(&silent[1]), "{silent:?}");
    let bad = best(&[known(100_000.0, 0.01), known(1_000.0, 0.03)]);
    assert!(bad[1] < 1e-3, "{bad:?}");
    let good = best(&[known(100_000.0, 0.03), known(1_000.0, 0.01)]);
    assert!(good[1] > 0.999, "{good:?}");
}

#[test]
fn what_cannot_be_is_refused() {
    assert!(Posterior::beta(0.5, 3.0).is_err() && Posterior::beta(2.0, f64::NAN).is_err());
    assert!(Posterior::student(0.0, 0.0, 9.0).is_err() && Posterior::student(0.0, 1.0, 2.0).is_err());
    assert!(chances(&[], Better::Lower).is_err());
    assert!(Posterior::of_rates(&[Known { n: 5.0, mean: 1.5, variance: 0.0 }]).is_err());
    assert!(Posterior::of_rates(&[Known { n: 0.0, mean: 0.0, variance: 0.0 }]).is_err());
    assert!(Posterior::of_means(&[Known { n: 3.0, mean: 0.5, variance: 0.1 }]).is_err());
}

/// A bad hour in which the canary had a large share, and a good one in which it had a small one: versions that are alike
/// at every moment are known as alike.
#[test]
fn a_bad_hour_deceives_nobody() {
    let mut record = Record::new([0, 1]);
    record.add(0, Sample::rate(8_000, 800));
    record.add(1, Sample::rate(2_000, 200));
    record.new_shares();
    record.add(0, Sample::rate(99_000, 990));
    record.add(1, Sample::rate(1_000, 10));
    record.close();
    let (stable, canary) = (record.known(0).unwrap(), record.known(1).unwrap());
    assert!((stable.mean - canary.mean).abs() < 1e-12, "{stable:?} {canary:?}");
    assert!(canary.n < 3_000.0 && canary.n > 2_000.0 && stable.n > 10_000.0, "{stable:?} {canary:?}");
}

#[test]
fn one_stratum_is_known_as_it_is() {
    let mut record = Record::new(["a", "b"]);
    record.add("a", Sample { n: 4.0, sum: 10.0, squares: 30.0 });
    record.close();
    assert_eq!(record.known("a"), None, "b did nothing: nothing is compared");
    record.add("b", Sample::rate(50, 5));
    record.add("c", Sample::rate(50, 5));
    record.close();
    let Known { n, mean, variance } = record.known("a").unwrap();
    assert!((n - 4.0).abs() < 1e-9 && (mean - 2.5).abs() < 1e-12 && (variance - 1.25).abs() < 1e-12);
    assert!((record.known("b").unwrap().n - 50.0).abs() < 1e-9);
    assert_eq!(record.known("c"), None);
    record.leave("a");
    assert_eq!(record.known("a"), None);
    record.add("b", Sample::rate(50, 5));
    record.new_shares();
    let more = record.known("b").unwrap();
    assert!((50.0..100.0).contains(&more.n) && (more.mean - 0.1).abs() < 1e-12, "{more:?}");
}

#[test]
fn what_was_long_ago_fades() {
    let mut record = Record::new([0, 1]);
    for at in 0..240 {
        for version in [0, 1] {
            record.add(version, Sample::rate(1_000, if at < 120 { 500 } else { 10 }));
        }
        record.close();
    }
    let known = record.known(0).unwrap();
    assert!((0.01..0.03).contains(&known.mean), "{known:?}");
    assert!((60_000.0..80_000.0).contains(&known.n), "a steady state, not ever more: {known:?}");
}

const RANGE: Range = Range { floor_ppm: 10_000, ceiling_ppm: 200_000, each_ppm: 200_000 };

#[track_caller]
fn moved(range: Range, now: &[(u32, f64, bool)], next: &[u32]) {
    let versions: Vec<Version> =
        now.iter().map(|&(share_ppm, best, rises)| Version { share_ppm, best, rises }).collect();
    assert_eq!(shares(range, &versions), next, "{now:?}");
}

#[test]
fn shares_follow_chances() {
    moved(RANGE, &[(100_000, 0.9, true)], &[180_000]);
    // At most twice what it was; down at once; never below the floor.
    moved(RANGE, &[(20_000, 0.9, true)], &[40_000]);
    moved(RANGE, &[(200_000, 0.0, true)], &[10_000]);
    moved(RANGE, &[(200_000, 0.0, false)], &[10_000]);
    moved(RANGE, &[(20_000, 0.9, false)], &[20_000]);
    moved(RANGE, &[(50_000, 0.8, true), (50_000, 0.1, true)], &[100_000, 20_000]);
    // What the floor lends is taken from the others: 200,000 in all.
    moved(
        RANGE,
        &[(190_000, 1.0, true), (10_000, 0.0, true), (10_000, 0.0, true)],
        &[180_000, 10_000, 10_000],
    );
    // Room for one.
    moved(Range { each_ppm: 50_000, ..RANGE }, &[(40_000, 0.9, true)], &[50_000]);
}

fn versions() -> impl Strategy<Value = Vec<Version>> {
    let one = (10_000_u32..60_000, 0.0..1.0_f64, any::<bool>());
    prop::collection::vec(one, 1..7).prop_map(|all| {
        let sum: f64 = all.iter().map(|(_, best, _)| best).sum::<f64>() + 0.1;
        all.into_iter()
            .map(|(share_ppm, best, rises)| Version { share_ppm, best: best / sum, rises })
            .collect()
    })
}

fn known() -> impl Strategy<Value = Vec<(u64, f64)>> {
    prop::collection::vec((100_u64..1_000_000, 0.0..1.0_f64), 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn shares_stay_in_their_range(versions in versions(), each in 10_000_u32..200_000) {
        let range = Range { each_ppm: each, ceiling_ppm: 400_000, ..RANGE };
        let next = shares(range, &versions);
        prop_assert!(next.iter().sum::<u32>() <= range.ceiling_ppm.max(versions.iter().map(|v| v.share_ppm).sum()));
        for (version, next) in versions.iter().zip(next) {
            prop_assert!(next >= range.floor_ppm && next <= each.max(range.floor_ppm));
            prop_assert!(next <= version.share_ppm.saturating_mul(2));
            prop_assert!(version.rises || next <= version.share_ppm);
        }
    }

    #[test]
    fn chances_add_up_and_do_not_depend_on_the_order(known in known()) {
        let laws = |known: &[(u64, f64)]| {
            let known: Vec<Known> = known
                .iter()
                .map(|&(n, x)| Known { n: n as f64, mean: x.powi(3), variance: x * (1.0 - x) })
                .collect();
            Posterior::of_rates(&known).unwrap()
        };
        let forward = chances(&laws(&known), Better::Lower).unwrap();
        prop_assert!((forward.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let reversed: Vec<_> = known.iter().rev().copied().collect();
        let backward = chances(&laws(&reversed), Better::Lower).unwrap();
        for (a, b) in forward.iter().zip(backward.iter().rev()) {
            prop_assert!((a - b).abs() < 1e-9);
        }
    }

    #[test]
    fn alike_is_alike(n in 100_u64..1_000_000, x in 0.0..1.0_f64, versions in 1_usize..8) {
        let known = vec![Known { n: n as f64, mean: x, variance: 0.04 }; versions];
        for laws in [Posterior::of_rates(&known).unwrap(), Posterior::of_means(&known).unwrap()] {
            for chance in chances(&laws, Better::Lower).unwrap() {
                prop_assert!((chance - 1.0 / versions as f64).abs() < 1e-6, "{}", chance);
            }
        }
    }

    #[test]
    fn fewer_errors_are_better(n in 100_u64..100_000, k in 1_u64..50, others in known()) {
        let best = |k: u64| {
            let mut known: Vec<Known> =
                others.iter().map(|&(n, x)| Known { n: n as f64, mean: x / 50.0, variance: 0.0 }).collect();
            let (n, k) = (n as f64, k as f64);
            known.push(Known { n, mean: k / n, variance: 0.0 });
            *chances(&Posterior::of_rates(&known).unwrap(), Better::Lower).unwrap().last().unwrap()
        };
        prop_assert!(best(k) <= best(k - 1) + 1e-6, "{} {}", best(k), best(k - 1));
    }
}
