//! The anytime tests: merging, storing, restarting, worked numbers.

use judge::anytime::{
    AlphaSplit, Better, Bins, BoundedMeans, BucketDrift, BucketStratum, Claim, DesignEffect, EProcess, Group,
    Guardrail, NormalMixture, Order, QuantileRatio, RateRatio, RatioSequence, RatioSums, SampleRatio,
    ScoreStratum, StochasticOrder, Stratum, TailRatio, TailStratum, Trials, e_bh, quantile_bin, threshold,
};
use judge::random::SplitMix64;
use serde::{Serialize, de::DeserializeOwned};

const HARM: [Stratum; 4] = [
    Stratum { n1: 500, k1: 12, n0: 9500, k0: 90 },
    Stratum { n1: 480, k1: 9, n0: 9520, k0: 101 },
    Stratum { n1: 2100, k1: 41, n0: 7900, k0: 77 },
    Stratum { n1: 0, k1: 0, n0: 10000, k0: 95 },
];

#[track_caller]
fn stores<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(state: &T) {
    let text = serde_json::to_string(state).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), state, "{text}");
}

fn after_harm() -> RateRatio {
    let mut process = RateRatio::harm(1.0).unwrap();
    HARM.iter().for_each(|s| process.update(*s).unwrap());
    process
}

#[test]
fn rate_ratio_by_hand() {
    // One grid point lambda = 2, one interval: k1 ln 2 + (k1 + k0) ln((n1 + n0)/(2 n1 + n0)).
    let mut process = RateRatio::with_grid(1.0, Claim::Harm, vec![2.0], &[1.0]).unwrap();
    process.update(Stratum::new(100, 6, 1900, 20)).unwrap();
    let want = 6.0 * 2f64.ln() + 26.0 * (2000f64 / 2100.0).ln();
    assert!((process.log_e() - want).abs() < 1e-12);
}

#[test]
fn both_claims_move_apart() {
    let harm = after_harm();
    let mut no_harm = RateRatio::no_harm(1.5).unwrap();
    HARM.iter().for_each(|s| no_harm.update(*s).unwrap());
    assert!(harm.log_e() > threshold(0.05).unwrap(), "{}", harm.log_e());
    assert!(no_harm.log_e() < 0.0, "{}", no_harm.log_e());
    assert!(harm.p_value() < 0.05 && no_harm.p_value() == 1.0);
}

#[test]
fn sidecars_add_up() {
    let (mut one, mut other) = (RateRatio::harm(1.0).unwrap(), RateRatio::harm(1.0).unwrap());
    HARM[..2].iter().for_each(|s| one.update(*s).unwrap());
    HARM[2..].iter().for_each(|s| other.update(*s).unwrap());
    one.merge(&other).unwrap();
    assert!((one.log_e() - after_harm().log_e()).abs() < 1e-9);
    assert_eq!(one.total(), after_harm().total());
    assert!(one.merge(&RateRatio::harm(1.2).unwrap()).is_err());
    assert!(one.merge(&RateRatio::no_harm(1.0).unwrap()).is_err());
}

#[test]
fn every_state_stores() {
    stores(&after_harm());
    let mut sequence = RatioSequence::default();
    HARM.iter().for_each(|s| sequence.update(*s).unwrap());
    stores(&sequence);
    let mut guard = Guardrail::no_harm(0.03).unwrap();
    guard.update(Trials { n: 1000, k: 7 }).unwrap();
    stores(&guard);
    let mut tail = TailRatio::harm(1.0).unwrap();
    for _ in 0..3 {
        tail.update(&histograms(1.3)).unwrap();
    }
    stores(&tail);
    let mut quantile = QuantileRatio::new(0.9, 2, Claim::Harm).unwrap();
    quantile.update(&histograms(1.3));
    stores(&quantile);
    let mut mean = NormalMixture::new(Claim::Harm, Better::Higher, 0.0, 0.02, 10).unwrap();
    (0..5).for_each(|_| mean.update(&confidence(-0.03)).unwrap());
    stores(&mean);
    let mut order = StochasticOrder::new(Claim::Harm, Order::Slower, 0.0).unwrap();
    order.update(&histograms(1.2));
    stores(&order);
    let mut ratio = SampleRatio::new(&[0.95, 0.05], 100.0).unwrap();
    ratio.update(&[950, 52]).unwrap();
    stores(&ratio);
    let mut drift = BucketDrift::new(2, 1.0).unwrap();
    drift.update(&BucketStratum { canary: vec![5, 9], stable: vec![90, 80] }).unwrap();
    stores(&drift);
    let mut bets = BoundedMeans::new(Claim::Harm, Better::Lower, 0.01, 16).unwrap();
    bets.update(&[0.2, 0.4], &[0.5]).unwrap();
    stores(&bets);
    stores(&AlphaSplit::new(0.05, &[1.0, 2.0]).unwrap());
}

fn histograms(factor: f64) -> TailStratum {
    let arm = |n: u64, f: f64| -> Bins {
        (1..=n).map(|i| 30.0 * f * (-((i as f64 - 0.5) / n as f64).ln()).max(0.02)).fold(
            Bins::new(),
            |mut bins, ms: f64| {
                *bins.entry((16.0 * ms.log2()).ceil() as i32).or_default() += 1;
                bins
            },
        )
    };
    TailStratum { canary: arm(100, factor), stable: arm(1900, 1.0) }
}

fn confidence(shift: f64) -> ScoreStratum {
    let arm = |n: u64, mean: f64| {
        let values: Vec<f64> = (0..n).map(|i| mean + 0.16 * ((i as f64 + 0.5) / n as f64 - 0.5)).collect();
        (values.iter().sum(), values.iter().map(|v| v * v).sum())
    };
    let ((sum1, squares1), (sum0, squares0)) = (arm(100, 0.85 + shift), arm(1900, 0.85));
    ScoreStratum { n1: 100, sum1, squares1, n0: 1900, sum0, squares0 }
}

#[test]
fn a_slower_canary_is_found_and_an_equal_one_proven() {
    let run = |claim, ratio, factor| {
        let mut tail = TailRatio::new(ratio, claim, &[0.5, 0.9, 0.99]).unwrap();
        (0..60).for_each(|_| tail.update(&histograms(factor)).unwrap());
        tail.log_e()
    };
    assert!(run(Claim::Harm, 1.0, 1.3) > 20.0);
    assert!(run(Claim::Harm, 1.0, 1.0) < 0.0);
    assert!(run(Claim::NoHarm, 2.0, 1.0) > 3.0);
    assert!(run(Claim::NoHarm, 1.5, 1.6) < 0.0);
}

#[test]
fn a_formal_p99_claim() {
    let run = |claim, shift, factor| {
        let mut quantile = QuantileRatio::new(0.9, shift, claim).unwrap();
        (0..200).for_each(|_| quantile.update(&histograms(factor)));
        quantile.log_e()
    };
    assert!(run(Claim::Harm, 0, 1.3) > 3.0);
    assert!(run(Claim::Harm, 8, 1.3) < 0.0, "p90 longer by 30 % is not longer by 41 %");
    assert!(run(Claim::NoHarm, 8, 1.0) > 3.0);
    assert!(run(Claim::NoHarm, 4, 1.4) < 0.0);
}

#[test]
fn whole_distributions() {
    let run = |claim, order, margin, factor| {
        let mut test = StochasticOrder::new(claim, order, margin).unwrap();
        (0..200).for_each(|_| test.update(&histograms(factor)));
        (test.distance(), test.p_value())
    };
    let (distance, p) = run(Claim::Harm, Order::Slower, 0.0, 1.5);
    assert!(distance > 0.1 && p < 1e-6, "{distance} {p}");
    assert_eq!(run(Claim::Harm, Order::Slower, 0.0, 0.7).1, 1.0, "faster is no harm");
    assert!(run(Claim::Harm, Order::Either, 0.0, 0.7).1 < 1e-6);
    assert!(run(Claim::NoHarm, Order::Either, 0.2, 1.0).1 < 0.05);
    assert_eq!(run(Claim::NoHarm, Order::Either, 0.01, 1.0).1, 1.0);
}

#[test]
fn means() {
    let run = |claim, margin, shift| {
        let mut mean = NormalMixture::new(claim, Better::Higher, margin, 0.02, 100).unwrap();
        (0..30).for_each(|_| mean.update(&confidence(shift)).unwrap());
        (mean.log_e(), mean.interval(0.05).unwrap().unwrap())
    };
    let (log_e, interval) = run(Claim::Harm, 0.0, -0.02);
    assert!(log_e > 10.0 && interval.hi < 0.0 && interval.lo < -0.02 && interval.hi > -0.02);
    assert!(run(Claim::NoHarm, 0.01, 0.0).0 > 3.0);
    assert!(run(Claim::NoHarm, 0.01, -0.02).0 < 0.0);
    let mut lower = NormalMixture::new(Claim::Harm, Better::Lower, 0.0, 0.02, 100).unwrap();
    (0..30).for_each(|_| lower.update(&confidence(-0.02)).unwrap());
    assert!(lower.log_e() < 0.0, "lower is better");
}

#[test]
fn bets_on_bounded_scores() {
    let scores = |mean: f64, n: usize| -> Vec<f64> {
        (0..n).map(|i| mean + 0.2 * ((i % 40) as f64 / 39.0 - 0.5)).collect()
    };
    let run = |claim, margin, mean| {
        let mut bets = BoundedMeans::new(claim, Better::Higher, margin, 256).unwrap();
        bets.update(&scores(mean, 4000), &scores(0.8, 40_000)).unwrap();
        bets.log_e()
    };
    assert!(run(Claim::Harm, 0.0, 0.77) > 3.0);
    assert!(run(Claim::Harm, 0.05, 0.77) < 0.0);
    assert!(run(Claim::NoHarm, 0.05, 0.8) > 3.0);
    assert!(run(Claim::NoHarm, 0.01, 0.78) < 0.0);
    // Buckets without sums are exact but weaker.
    let mut raw = BoundedMeans::new(Claim::Harm, Better::Higher, 0.0, 64).unwrap();
    let mut binned = raw.clone();
    let (a, b) = (scores(0.7, 4000), scores(0.8, 40_000));
    raw.update(&a, &b).unwrap();
    let count = |v: &[f64]| {
        v.iter().fold(vec![0u64; 64], |mut c, x| {
            c[(x * 64.0) as usize] += 1;
            c
        })
    };
    binned.update_buckets(&count(&a), &count(&b)).unwrap();
    assert!(binned.log_e() > 3.0 && binned.log_e() < raw.log_e());
}

#[test]
fn ratio_sequence_holds_the_estimate() {
    let mut sequence = RatioSequence::default();
    assert_eq!(sequence.estimate(), None);
    let open = sequence.interval(0.05).unwrap();
    assert_eq!((open.lo, open.hi), (0.0, f64::INFINITY));
    sequence.update(Stratum::new(10_000, 200, 190_000, 1900)).unwrap();
    let (estimate, interval) = (sequence.estimate().unwrap(), sequence.interval(0.05).unwrap());
    assert!((estimate - 2.0).abs() < 0.01, "{estimate}");
    assert!(interval.lo > 1.4 && interval.lo < 1.9 && interval.hi > 2.1 && interval.hi < 2.7);
}

#[test]
fn ratio_metrics() {
    let mut sums = RatioSums::default();
    (0..1000u32).for_each(|i| sums.update(f64::from(i % 7), 1.0 + f64::from(i % 3)).unwrap());
    let interval = sums.interval(0.05, 1000).unwrap();
    let estimate = sums.estimate().unwrap();
    assert!(interval.lo < estimate && estimate < interval.hi && interval.hi - interval.lo < 0.5);
}

#[test]
fn design_effects() {
    let even: Vec<Group> = (0..100).map(|i| Group { n: 100, k: 1 + u64::from(i % 2 == 0) }).collect();
    assert!(DesignEffect::from_groups(&even).unwrap().factor() == 1.0, "never below 1");
    let clumped: Vec<Group> =
        (0..100).map(|i| Group { n: 100, k: if i % 10 == 0 { 20 } else { 0 } }).collect();
    let effect = DesignEffect::from_groups(&clumped).unwrap();
    // r = 18 in 10 groups, -2 in 90: 3600 / (.02 x .98 x 10000) x 100/99.
    assert!((effect.estimate - 3600.0 / 196.0 * 100.0 / 99.0).abs() < 1e-9);
    assert!(effect.upper_bound() > effect.estimate);
    let mut tempered = after_harm();
    tempered.set_design_effect(effect.factor()).unwrap();
    assert!(tempered.log_e() < after_harm().log_e());
}

#[test]
fn alpha_is_split() {
    let split = AlphaSplit::guardrails_and_gates(0.05, 0.2, 2, 3).unwrap();
    let shares: Vec<f64> = (0..5).map(|i| split.alpha_of(i).unwrap()).collect();
    assert!((shares.iter().sum::<f64>() - 0.05).abs() < 1e-12);
    assert!((shares[0] - 0.005).abs() < 1e-12 && split.alpha_of(5).is_none());
    assert_eq!(split.fired(&[0.0, 5.3, 0.0, 0.0, 4.0]).unwrap(), vec![1]);
    assert!(split.fires(&[0.0, 5.3, 0.0, 0.0, 4.0]).unwrap());
    assert!(!split.fires(&[2.0, 2.0, 2.0, 2.0, 2.0]).unwrap());
    assert_eq!(e_bh(&[100.0, 1.0, 45.0], 0.05).unwrap(), vec![0, 2]);
    assert_eq!(e_bh(&[], 0.05).unwrap(), Vec::<usize>::new());
}

#[test]
fn quantile_bins() {
    let bins = Bins::from([(3, 50), (5, 0), (9, 49), (20, 1)]);
    let of = |q| quantile_bin(&bins, q);
    assert_eq!([of(0.5), of(0.51), of(0.99), of(0.999)], [Some(3), Some(9), Some(9), Some(20)]);
    assert_eq!(quantile_bin(&Bins::new(), 0.5), None);
}

#[test]
fn the_largest_design_effect_is_the_weighted_size_of_users() {
    // Users of 1 and of 21 requests in turn: E[m^2]/E[m] = 442/22 = 20.1.
    let mut groups = vec![Group::default(); 100];
    let mut chance = SplitMix64::seeded(7);
    for user in 0..40_000u64 {
        groups[chance.below(100) as usize].n += 1 + 20 * (user % 2);
    }
    let effect = DesignEffect::largest(&groups).unwrap();
    assert!((14.0..27.0).contains(&effect.estimate) && effect.upper_bound() > effect.estimate, "{effect:?}");
    assert!(DesignEffect::largest(&groups[..9]).is_err());
    assert!(DesignEffect::largest(&vec![Group { n: 4, k: 0 }; 100]).is_err());
}
