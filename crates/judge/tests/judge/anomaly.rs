//! The modified z-score: worked numbers, and how often it is wrong.

use judge::anomaly::{OUTLIER, Spread};
use judge::random::SplitMix64;

#[track_caller]
fn check(series: &[f64], value: f64, expected: f64) {
    let z = Spread::of(series).unwrap().z(value);
    assert!((z - expected).abs() < 5e-4 || z == expected, "{series:?}, {value}: {z}, expected {expected}");
}

/// The ten values with which Iglewicz and Hoaglin show how two outliers hide each other from the plain z-score: their
/// median is 2.45 and their MAD 0.15.
#[test]
fn worked_numbers() {
    let series = [2.1, 2.6, 2.4, 2.5, 2.3, 2.1, 2.3, 2.6, 8.2, 8.3];
    let spread = Spread::of(&series).unwrap();
    assert_eq!(spread.n, 10);
    for (got, expected) in [(spread.median, 2.45), (spread.mad, 0.15), (spread.mean_deviation, 1.3)] {
        assert!((got - expected).abs() < 1e-12, "{spread:?}");
    }
    check(&series, 2.1, -1.573_8);
    check(&series, 8.2, 25.855_8);
    check(&series, 8.3, 26.305_5);
    let plain = |value: f64| {
        let mean = series.iter().sum::<f64>() / 10.0;
        let variance = series.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 9.0;
        (value - mean) / variance.sqrt()
    };
    assert!(plain(8.3) < 2.0, "{}", plain(8.3));
    // An odd number of values, and the sign.
    check(&[1.0, 2.0, 3.0, 4.0, 100.0], -5.0, -5.396);
    // More than half are one value: the mean deviation (0.5) takes the MAD's place.
    check(&[4.0, 4.0, 4.0, 4.0, 4.0, 7.0], 7.0, 4.787_3);
    // No spread at all.
    check(&[4.0; 9], 4.0, 0.0);
    check(&[4.0; 9], 4.1, f64::INFINITY);
    check(&[4.0; 9], 3.9, f64::NEG_INFINITY);
    check(&[4.0], 4.0, 0.0);
}

#[test]
fn what_is_no_series_is_refused() {
    assert!(Spread::of(&[]).is_err());
    assert!(Spread::of(&[1.0, f64::NAN]).is_err());
    assert!(Spread::of(&[1.0, f64::INFINITY]).is_err());
}

/// The share of fresh normal values that count as outliers on one side of a series of normal values: what
/// docs/sources.md says of it.
#[test]
fn how_often_a_value_like_the_others_is_called_an_outlier() {
    let mut chance = SplitMix64::seeded(7);
    let mut normal = || judge::special::normal_quantile(chance.open_unit());
    // (values in the series, how much noisier the value is than they are, shares at most: plainly, by its own spread too)
    for (n, noise, plain, beside) in
        [(12, 1.0, 0.015, 0.01), (24, 1.0, 0.005, 0.003), (60, 1.0, 0.002, 0.001_5), (12, 2.0, 0.09, 0.015)]
    {
        const TRIALS: u32 = 20_000;
        let mut beyond = [0; 2];
        for _ in 0..TRIALS {
            let mut spread = |noise: f64| {
                let series: Vec<f64> = (0..n).map(|_| noise * normal()).collect();
                Spread::of(&series).unwrap()
            };
            let (series, own) = (spread(1.0), spread(noise));
            let value = noise * normal();
            beyond[0] += u32::from(series.z(value) > OUTLIER);
            beyond[1] += u32::from(series.z_of(&own, value) > OUTLIER);
        }
        let [alone, both] = beyond.map(|beyond| f64::from(beyond) / f64::from(TRIALS));
        assert!(alone < plain && both < beside && both < alone, "{n}, {noise}: {alone}, {both}");
    }
}
