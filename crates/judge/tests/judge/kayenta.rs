//! The compatible judge beyond the vectors: published numbers, order of rules, strict configuration.

use judge::classical::{ShiftRoot, hodges_lehmann_ci};
use judge::kayenta::{
    Intervals, Label, MetricRules, ScoreLabel, ScoredMetric, Thresholds, classify, judge_series, score,
};
use std::collections::BTreeMap;

/// Numbers printed in a public report: seven of ten points at 100 against ten at 1.
#[test]
fn published_interval() {
    let mut experiment = vec![100.0; 7];
    experiment.extend([1.0; 3]);
    let shift = hodges_lehmann_ci(&experiment, &[1.0; 10], 0.98, ShiftRoot::Brent(1e-4)).unwrap();
    assert!((shift.lo - 6.825_022_991_538_781e-5).abs() < 1e-18, "{shift:?}");
    assert!((shift.hi - 99.0).abs() < 1e-12 && (shift.estimate - 98.999_929_04).abs() < 5e-9, "{shift:?}");
    let root = hodges_lehmann_ci(&experiment, &[1.0; 10], 0.98, ShiftRoot::Asymptotic).unwrap();
    assert!(root.lo.abs() < 1e-8 && (root.estimate - 99.0).abs() < 1e-8, "{root:?}");
}

#[track_caller]
fn check(rules: &str, control: &[f64], experiment: &[f64], label: Label, critical: bool) {
    let rules: MetricRules = serde_json::from_str(rules).unwrap();
    let got = classify(control, experiment, &rules);
    assert_eq!((got.label, got.critical), (label, critical), "{got:?}");
}

#[test]
fn labels() {
    let (low, high) = ([1.0, 2.0, 1.5, 1.2, 1.7], [11.0, 12.0, 11.5, 11.2, 11.7]);
    check("{}", &low, &high, Label::High, false);
    check("{}", &high, &low, Label::Low, false);
    check(r#"{"direction":"decrease"}"#, &low, &high, Label::Pass, false);
    check(r#"{"critical":true}"#, &low, &high, Label::High, true);
    let allowed = r#"{"critical":true,"effectSize":{"allowedIncrease":2.0,"criticalIncrease":20.0}}"#;
    check(allowed, &low, &high, Label::High, false);
    check(r#"{"mustHaveData":true}"#, &low, &[], Label::NodataFailMetric, false);
    check(r#"{"mustHaveData":true,"critical":true}"#, &low, &[], Label::Nodata, true);
    check(r#"{"nanStrategy":"replace"}"#, &low, &[], Label::Pass, false);
    check("{}", &[f64::NAN; 3], &high, Label::Nodata, false);
    check("{}", &[f64::INFINITY, 1.0], &high, Label::Error, false);
}

/// What Kayenta's own code answers, or most often answers: it adds noise to constant arms.
#[test]
fn one_point_and_constant_arms() {
    let critical = r#"{"direction":"increase","critical":true}"#;
    // 990 of 1000 runs of Kayenta; in the others x - (x - y) is y, all is tied, and the metric is in Error.
    check(critical, &[1.0], &[100.0], Label::High, true);
    // Within a factor of two the difference is exact: always tied. So is a fall, nearly always.
    check(critical, &[1.0], &[1.5], Label::Error, false);
    check("{}", &[100.0], &[1.0], Label::Error, false);
    check("{}", &[1.0], &[3.0], Label::Error, false);
    check("{}", &[0.0], &[5.0], Label::Error, false);
    check("{}", &[0.0; 3], &[5.0], Label::Error, false);
    check("{}", &[5.0], &[0.0], Label::Error, false);
    // One point against two is enough.
    check(critical, &[1.0], &[5.0; 2], Label::High, true);
    check(critical, &[1.0; 2], &[5.0], Label::High, true);
    check("{}", &[2.0; 2], &[1.0; 2], Label::Low, false);
    check("{}", &[1.0], &[1.0; 2], Label::Pass, false);
    let rules = MetricRules::default();
    let (once, again) = (classify(&[1.0], &[3.0], &rules), classify(&[1.0], &[3.0], &rules));
    assert!(once.reason == again.reason && once.reason.contains("of 101 draws of the noise"), "{once:?}");
    let many = classify(&[1.0; 30_000], &[2.0; 30_000], &rules);
    assert_eq!(many.label, Label::High, "{many:?}");
}

/// At an end of the search for the estimate rounding breaks a tie: Kayenta searches on without a bracket.
#[test]
fn ties_that_rounding_breaks() {
    let (control, experiment) = ([0.3, 0.3, 0.3, 1.73], [2.13; 6]);
    let shift = hodges_lehmann_ci(&experiment, &control, 0.98, ShiftRoot::Brent(1e-4)).unwrap();
    assert!((shift.estimate - 1.353_362_426_757_812).abs() < 1e-12, "{shift:?}");
    assert!((shift.lo - 0.4).abs() < 1e-12 && (shift.hi - 1.83).abs() < 1e-12, "{shift:?}");
    check(r#"{"direction":"increase","critical":true}"#, &control, &experiment, Label::High, true);
}

/// Means are taken as Kayenta's library takes them, so that a limit is met where it is met there.
#[test]
fn an_effect_just_at_its_limit() {
    let (control, experiment) = ([1.2, 1.2, 1.0, 1.0, 1.3, 1.1], [1.8, 1.8, 1.5, 1.5, 1.95, 1.65]);
    check(r#"{"effectSize":{"allowedIncrease":1.5}}"#, &control, &experiment, Label::High, false);
}

#[test]
fn unknown_values_are_errors() {
    for text in [
        r#"{"direction":"up"}"#,
        r#"{"nanStrategy":"drop"}"#,
        r#"{"tolerant":1}"#,
        r#"{"effectSize":{"measure":"median"}}"#,
        r#"{"outliers":{"strategy":"winsorise"}}"#,
    ] {
        assert!(serde_json::from_str::<MetricRules>(text).is_err(), "{text}");
    }
}

fn metric(label: Label, group: &str, critical: bool) -> ScoredMetric {
    ScoredMetric { label, groups: vec![group.to_owned()], critical, muted: false }
}

#[test]
fn scores() {
    let thresholds = Thresholds { pass: 95.0, marginal: 75.0 };
    let of = |metrics: &[ScoredMetric], weights: &[(&str, f64)]| {
        let weights: BTreeMap<String, f64> = weights.iter().map(|(g, w)| ((*g).to_owned(), *w)).collect();
        let scored = score(metrics, &weights, thresholds).unwrap();
        (scored.score, scored.label)
    };
    let pass = metric(Label::Pass, "a", false);
    assert_eq!(of(&[pass.clone(), metric(Label::High, "b", true)], &[]), (0.0, ScoreLabel::Fail));
    assert_eq!(of(&[pass.clone(), metric(Label::Nodata, "b", false)], &[]), (0.0, ScoreLabel::Fail));
    assert_eq!(of(&[pass.clone(), metric(Label::Error, "b", false)], &[]), (100.0, ScoreLabel::Pass));
    assert_eq!(of(&[pass], &[("a", 60.0), ("gone", 40.0)]), (60.0, ScoreLabel::Fail));
    let third =
        [metric(Label::Pass, "a", false), metric(Label::Pass, "a", false), metric(Label::High, "a", false)];
    assert_eq!(of(&third, &[]), (66.67, ScoreLabel::Fail));
}

#[test]
fn series() {
    let thresholds = Thresholds { pass: 95.0, marginal: 75.0 };
    let of = |scores: &[f64]| {
        let series = judge_series(scores, thresholds).unwrap();
        (series.passed, series.stopped_at)
    };
    assert_eq!(of(&[100.0, 80.0, 96.0]), (true, None));
    assert_eq!(of(&[100.0, 80.0, 90.0]), (false, None));
    assert_eq!(of(&[75.0, 100.0]), (false, Some(0)));
}

/// Lifetime, interval, look back and beginning in minutes; windows in minutes from the start.
#[track_caller]
fn windows(lifetime: u64, every: Option<u64>, back: u64, begin: u64, expected: &[(i64, i64)]) {
    let ms = |minutes: u64| minutes * 60_000;
    let intervals = Intervals {
        lifetime_ms: ms(lifetime),
        interval_ms: every.map(ms),
        lookback_ms: ms(back),
        begin_after_ms: ms(begin),
    };
    let got = intervals.windows().unwrap();
    let got: Vec<(i64, i64)> = got.iter().map(|w| (w.from_ms / 60_000, w.to_ms / 60_000)).collect();
    assert_eq!(got, expected);
}

#[test]
fn windows_of_an_analysis() {
    windows(60, None, 0, 0, &[(0, 60)]);
    windows(60, Some(0), 0, 0, &[(0, 60)]);
    windows(60, Some(90), 0, 0, &[(0, 60)]);
    windows(60, Some(20), 0, 0, &[(0, 20), (0, 40), (0, 60)]);
    // The remainder of the lifetime is never judged.
    windows(50, Some(20), 0, 0, &[(0, 20), (0, 40)]);
    windows(60, Some(20), 10, 0, &[(10, 20), (30, 40), (50, 60)]);
    // Warm-up shifts everything; a look back longer than the time passed reaches before it.
    windows(40, Some(20), 0, 15, &[(15, 35), (15, 55)]);
    windows(40, Some(20), 30, 15, &[(5, 35), (25, 55)]);
    windows(20, Some(20), 30, 0, &[(-10, 20)]);
    let none = Intervals { lifetime_ms: 0, interval_ms: None, lookback_ms: 0, begin_after_ms: 0 };
    assert!(none.windows().unwrap_err().to_string().contains("lifetime"));
    let many = Intervals { lifetime_ms: u64::MAX, interval_ms: Some(1), ..none };
    assert!(many.windows().is_err());
    let far = Intervals { lifetime_ms: u64::MAX, ..none };
    assert!(far.windows().is_err());
}
