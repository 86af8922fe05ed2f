//! Classical tests beyond the vectors: worked numbers, agreement of raw and binned forms.

use judge::anytime::{Better, Bins};
use judge::classical::{
    Alternative, GroupSums, KsMethod, Margin, Method, ShiftRoot, Test, bootstrap_mean_diff_ci,
    clustered_difference, clustered_mean, cohens_d, common_language, fisher_exact, hodges_lehmann_ci,
    kolmogorov_sf, ks_2samp, ks_bins, mann_whitney_bins, mann_whitney_u, non_inferiority, psi_null, quantile,
};
use judge::special::{ln_gamma, ln_normal_cdf, normal_cdf, normal_quantile, student_cdf, student_quantile};

#[track_caller]
fn near(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance, "{got}, expected {want}");
}

#[test]
fn special_functions() {
    near(normal_quantile(0.975), 1.959_963_984_540_054, 1e-14);
    near(normal_quantile(0.01), -2.326_347_874_040_841, 1e-14);
    near(normal_cdf(normal_quantile(1e-12)), 1e-12, 1e-25);
    // R: pnorm(x, log.p = TRUE)
    near(ln_normal_cdf(-10.0), -53.231_285_150_512_47, 1e-9);
    near(ln_normal_cdf(-40.0), -804.608_442_01, 1e-7);
    near(ln_normal_cdf(9.0), -1.128_588_405_953_84e-19, 1e-30);
    for (x, want) in [
        (0.5, 0.5723649429247004),
        (1.0, 0.0),
        (2.0, 0.0),
        (3.7, 1.4280723266653883),
        (9.99, 12.779315214350197),
        (10.0, 12.801827480081467),
        (171.3, 708.114947038997),
        (12345.6, 103959.18506616846),
    ] {
        near(ln_gamma(x), want, 4e-15 * want.abs().max(1.0));
    }
    for x in [-6.000_001, -5.999_999] {
        near(ln_normal_cdf(x), normal_cdf(x).ln(), 1e-9);
    }
}

/// R: qt(p, df) at a few places, and quantile against distribution function everywhere.
#[test]
fn student() {
    near(student_quantile(0.975, 1.0), 12.706_204_736_174_7, 1e-9);
    near(student_quantile(0.975, 10.0), 2.228_138_851_986_27, 1e-10);
    near(student_quantile(0.995, 2.0), 9.924_843_200_918_29, 1e-9);
    for df in [0.7, 1.0, 2.5, 7.5669, 30.0, 199.3, 5000.0, 2.5e6] {
        for p in [1e-6, 0.001, 0.025, 0.3, 0.5, 0.8, 0.975, 0.99999] {
            near(student_cdf(student_quantile(p, df), df), p, 1e-9);
        }
        near(student_cdf(-1.3, df) + student_cdf(1.3, df), 1.0, 1e-12);
    }
    near(student_cdf(-40.0, 3.0), 1.719_034_039_449_063e-5, 1e-16);
}

/// The finite-sample law is continuous where its methods meet.
#[test]
fn kolmogorov_law() {
    near(kolmogorov_sf(10.0, 0.274), 1.0 - 0.628_479_62, 1e-7); // Marsaglia, Tsang, Wang 2003
    near(kolmogorov_sf(1.0, 0.75), 0.5, 1e-12); // n = 1: P(D >= d) = 2 (1 - d)
    for z in [0.6f64, 0.9, 1.3, 1.7] {
        let at = |n: f64| kolmogorov_sf(n, z / n.sqrt());
        near(at(500.0), at(501.0), 4e-5);
    }
    for n in [60.0f64, 400.0] {
        let edge = 4.0f64;
        let (a, b) = ((edge - 1e-9) / n, (edge + 1e-9) / n);
        near(kolmogorov_sf(n, a.sqrt()), kolmogorov_sf(n, b.sqrt()), 1e-8);
    }
    assert_eq!((kolmogorov_sf(10.0, 0.0), kolmogorov_sf(10.0, 1.0)), (1.0, 0.0));
}

#[test]
fn exact_laws_by_hand() {
    // 3 against 3, all of x below y: 1 of 20 orders.
    let (x, y) = ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]);
    near(mann_whitney_u(&x, &y, Alternative::Less, Method::Exact).unwrap().p, 0.05, 1e-12);
    near(mann_whitney_u(&x, &y, Alternative::TwoSided, Method::Exact).unwrap().p, 0.1, 1e-12);
    near(ks_2samp(&x, &y, Alternative::Greater, KsMethod::Exact).unwrap().p, 0.05, 1e-12);
    near(ks_2samp(&x, &y, Alternative::TwoSided, KsMethod::Exact).unwrap().p, 0.1, 1e-12);
    near(ks_2samp(&x, &y, Alternative::Less, KsMethod::Exact).unwrap().p, 1.0, 0.0);
    // Unequal sizes: 2 against 4, x lowest: 1 of 15.
    let four = [3.0, 4.0, 5.0, 6.0];
    near(ks_2samp(&[1.0, 2.0], &four, Alternative::Greater, KsMethod::Exact).unwrap().p, 1.0 / 15.0, 1e-12);
    // The tea-tasting table.
    near(fisher_exact([[3, 1], [1, 3]], Alternative::Greater).unwrap(), 17.0 / 70.0, 1e-12);
    near(fisher_exact([[3, 1], [1, 3]], Alternative::TwoSided).unwrap(), 34.0 / 70.0, 1e-12);
    near(fisher_exact([[0, 0], [1, 3]], Alternative::TwoSided).unwrap(), 1.0, 0.0);
    near(fisher_exact([[500, 0], [0, 500]], Alternative::Less).unwrap(), 1.0, 1e-9);
}

#[test]
fn binned_forms_agree_with_raw_ones() {
    let x: Vec<f64> = (0..40).map(|i| f64::from(i * 7 % 13)).collect();
    let y: Vec<f64> = (0..60).map(|i| f64::from(i * 5 % 11)).collect();
    let bins = |v: &[f64]| -> Bins {
        v.iter().fold(Bins::new(), |mut b, x| {
            *b.entry(*x as i32).or_default() += 1;
            b
        })
    };
    for alternative in [Alternative::TwoSided, Alternative::Less, Alternative::Greater] {
        let raw = mann_whitney_u(&x, &y, alternative, Method::Asymptotic { continuity: true });
        let binned = mann_whitney_bins(&bins(&x), &bins(&y), alternative);
        assert_eq!(raw.unwrap(), binned.unwrap());
        let raw = ks_2samp(&x, &y, alternative, KsMethod::Asymptotic).unwrap();
        let binned = ks_bins(&bins(&x), &bins(&y), alternative).unwrap();
        near(raw.d, binned.d, 1e-12);
        near(raw.p, binned.p, 1e-9);
    }
}

#[test]
fn asymptotic_shift_agrees_with_exact_in_the_middle() {
    let x: Vec<f64> = (0..30).map(|i| f64::from(i * i % 31) + 0.37 * f64::from(i)).collect();
    let y: Vec<f64> = x.iter().map(|v| v * 1.01 - 2.0).collect();
    let exact = hodges_lehmann_ci(&x, &y, 0.95, ShiftRoot::Exact).unwrap();
    let roots = hodges_lehmann_ci(&x, &y, 0.95, ShiftRoot::Asymptotic).unwrap();
    near(exact.estimate, roots.estimate, 0.1);
    near(exact.lo, roots.lo, 0.5);
    near(exact.hi, roots.hi, 0.5);
}

#[test]
fn effects() {
    near(cohens_d(&[2.0, 4.0, 6.0], &[1.0, 3.0, 5.0]).unwrap(), 0.5, 1e-12);
    near(common_language(&[1.0, 2.0], &[1.0, 0.0]).unwrap(), 0.875, 1e-12);
    near(common_language(&[1.0, 1.0], &[1.0]).unwrap(), 0.5, 0.0);
    near(quantile(&[1.0, 2.0, 3.0, 10.0], 0.75).unwrap(), 4.75, 1e-12);
    near(psi_null(100, 50, 11).unwrap(), 0.3, 1e-12);
}

#[test]
fn bootstrap_repeats_with_its_seed() {
    let (x, y) = ([1.0, 2.0, 3.0, 7.0, 4.0], [2.0, 2.5, 1.0, 0.5]);
    let run = |seed| bootstrap_mean_diff_ci(&x, &y, 0.9, 1000, seed).unwrap();
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn non_inferiority_in_both_directions() {
    let sample =
        |mean: f64| -> Vec<f64> { (0..200).map(|i| mean + f64::from(i * 37 % 101) / 100.0 - 0.5).collect() };
    let stable = sample(10.0);
    let check = |mean: f64, better, margin, test, passed| {
        let result = non_inferiority(&sample(mean), &stable, better, margin, 0.05, test).unwrap();
        assert_eq!(result.passed, passed, "{mean} {better:?} {margin:?} {test:?}: {result:?}");
    };
    for test in [Test::MannWhitney, Test::WelchT, Test::Bootstrap { resamples: 2000, seed: 1 }] {
        check(9.9, Better::Higher, Margin::Relative(0.05), test, true);
        check(9.3, Better::Higher, Margin::Relative(0.05), test, false);
        check(9.9, Better::Higher, Margin::Absolute(0.2), test, true);
        check(10.1, Better::Lower, Margin::Relative(0.05), test, true);
        check(10.7, Better::Lower, Margin::Relative(0.05), test, false);
        check(10.0, Better::Lower, Margin::Absolute(0.0), test, false);
    }
}

#[test]
fn clusters() {
    // Twenty groups of ten requests, all of a group alike: only twenty independent observations.
    let arm = |shift: f64| -> Vec<GroupSums> {
        (0..20)
            .map(|g| f64::from(g * 7 % 20) + shift)
            .map(|v| GroupSums { n: 10, sum: 10.0 * v, squares: 10.0 * v * v })
            .collect()
    };
    let mean = clustered_mean(&arm(0.0)).unwrap();
    near(mean.mean, 9.5, 1e-12);
    near(mean.standard_error, (35.0f64 / 20.0).sqrt(), 1e-12);
    near(mean.design_effect, 10.0 * 20.0 / 19.0, 1e-9);
    let difference = clustered_difference(&arm(1.0), &arm(0.0), Alternative::Greater).unwrap();
    near(difference.difference, 1.0, 1e-12);
    near(difference.df, 38.0, 1e-9);
    assert!(difference.p > 0.2, "as requests the same difference would look significant");
    assert!(clustered_mean(&arm(0.0)[..1]).is_err());
}
