//! The built-in triggers: when they fire, when they are quiet, and when they may not say either.

use judge::alert::{Alarm, AlertRule};

/// `n` values spread evenly over 0 to 1, moved by `shift`, in no order.
fn spread(n: u32, shift: f64) -> Vec<f64> {
    (0..n).map(|i| (f64::from(i) * 0.618_033_988_75).fract() + shift).collect()
}

fn rate(events: usize, n: usize) -> Vec<f64> {
    (0..n).map(|i| f64::from(u8::from(i < events))).collect()
}

/// `n` times of 100, `slow` of them of `ms`.
fn times(n: usize, slow: usize, ms: f64) -> Vec<f64> {
    (0..n).map(|i| if i < slow { ms } else { 100.0 }).collect()
}

#[track_caller]
fn check(name: &str, canary: &[f64], stable: &[f64], alarm: Alarm, says: &str) {
    let finding = AlertRule::named(name).unwrap().judge(canary, stable).unwrap();
    let text: Vec<&str> = finding.conditions.iter().map(|c| c.why.as_str()).collect();
    assert_eq!(finding.alarm, alarm, "{text:#?}");
    assert!(text.iter().any(|t| t.contains(says)), "{says:?} is not in {text:#?}");
}

#[test]
fn a_shift_needs_both_size_and_proof() {
    let name = "prediction_distribution_shift";
    let stable = spread(4_000, 0.0);
    check(name, &spread(2_000, 0.2), &stable, Alarm::Critical, "beyond statistic 0.1 and p 0.05");
    // Proven, and too small to matter.
    check(name, &spread(4_000, 0.07), &stable, Alarm::Quiet, "within");
    check(name, &spread(2_000, 0.0), &stable, Alarm::Quiet, "within");
    // Large, and not proven: 20 values show only a far larger one.
    check(name, &spread(20, 0.15), &stable, Alarm::Insufficient, "show only a statistic above 0.30");
    check(name, &spread(9, 0.9), &stable, Alarm::Insufficient, "9 values in the smaller arm < 10");
    // Few values are enough for what nobody could miss.
    check(name, &spread(20, 0.8), &stable, Alarm::Critical, "beyond");
    let finding = AlertRule::named(name).unwrap().judge(&spread(2_000, 0.2), &stable).unwrap();
    let names: Vec<&str> = finding.figures.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["ks", "p", "psi", "psi_by_chance", "js_bits"]);
    assert!(
        (finding.figures[0].1 - 0.2).abs() < 0.01 && finding.figures[2].1 > 0.25,
        "{:?}",
        finding.figures
    );
}

#[test]
fn errors_have_a_limit_and_a_ratio() {
    let stable = rate(100, 10_000);
    check("error_rate", &rate(60, 1_000), &stable, Alarm::Critical, "6 % > 5 %");
    check("error_rate", &rate(40, 1_000), &stable, Alarm::Critical, "4 % > 3 times stable's 1 %");
    check("error_rate", &rate(30, 1_000), &stable, Alarm::Quiet, "3 % <= 3 times stable's 1 %");
    // Two errors among twenty are a tenth, and prove nothing.
    check("error_rate", &rate(2, 20), &stable, Alarm::Insufficient, "fewer than 5 errors");
    check("error_rate", &rate(0, 99), &stable, Alarm::Insufficient, "it takes 100 requests to see 5 errors");
    check("error_rate", &rate(0, 120), &stable, Alarm::Insufficient, "it takes 167 requests");
    check("error_rate", &rate(0, 200), &stable, Alarm::Quiet, "0 of 200 failed");
    // Stable without an error: three times nothing is held against the least that counts.
    check(
        "error_rate",
        &rate(10, 6_000),
        &rate(0, 20_000),
        Alarm::Critical,
        "0.1667 % > 0.1 %, the least that counts",
    );
    check("error_rate", &rate(5, 6_000), &rate(0, 20_000), Alarm::Quiet, "0.1 %, the least");
    check(
        "error_rate",
        &rate(10, 1_000),
        &rate(0, 50),
        Alarm::Insufficient,
        "50 requests of stable do not show",
    );
    // What is proven by one condition is not hidden by the other's doubt.
    check("error_rate", &rate(60, 100), &rate(0, 2), Alarm::Critical, "60 % > 5 %");
}

#[test]
fn a_slow_tail_is_critical_and_a_slower_one_a_warning() {
    let stable = times(1_000, 0, 0.0);
    check("latency_p99", &times(1_000, 20, 900.0), &stable, Alarm::Critical, "p99 900 > 500");
    check("latency_p99", &times(1_000, 20, 300.0), &stable, Alarm::Warning, "p99 300 > 2 times stable's 100");
    check("latency_p99", &times(1_000, 20, 190.0), &stable, Alarm::Quiet, "p99 190 <= 2 times stable's 100");
    check(
        "latency_p99",
        &times(100, 3, 900.0),
        &stable,
        Alarm::Insufficient,
        "only 3 of 100 values are above it",
    );
    check("latency_p99", &times(400, 0, 0.0), &stable, Alarm::Insufficient, "400 values < 500");
    check(
        "latency_p99",
        &times(1_000, 0, 0.0),
        &times(400, 0, 0.0),
        Alarm::Insufficient,
        "400 values of stable",
    );
    check("latency_p99", &times(300, 9, 900.0), &times(400, 0, 0.0), Alarm::Critical, "p99 900 > 500");
}

#[track_caller]
fn cosines(values: &[f64], alarm: Alarm, says: &str) {
    let finding = AlertRule::named("embedding_drift").unwrap().judge_pairs(values).unwrap();
    assert_eq!(finding.alarm, alarm, "{finding:?}");
    assert!(finding.conditions.iter().any(|c| c.why.contains(says)), "{finding:?}");
}

#[test]
fn embeddings_drift_by_their_mean_cosine() {
    cosines(&vec![0.97; 50], Alarm::Quiet, "mean cosine 0.97");
    cosines(&vec![0.91; 50], Alarm::Warning, "< 0.92");
    cosines(&vec![0.85; 50], Alarm::Critical, "< 0.9");
    cosines(&[0.99; 9], Alarm::Insufficient, "9 pairs < 10");
    let wide: Vec<f64> = (0..20).map(|i| if i % 5 == 0 { 0.7 } else { 0.99 }).collect();
    cosines(&wide, Alarm::Insufficient, "its interval reaches below it");
}

#[test]
fn answers_change_for_a_share_of_inputs() {
    let of = |by: f64, changed: usize, n: usize| {
        let pairs: Vec<f64> = (0..n).map(|i| if i < changed { 0.3 } else { 0.01 }).collect();
        let rule = AlertRule::PredictionChange { by, warn: 0.05, fail: 0.10 };
        rule.judge_pairs(&pairs).unwrap().alarm
    };
    assert_eq!(of(0.1, 40, 1_000), Alarm::Quiet);
    assert_eq!(of(0.1, 60, 1_000), Alarm::Warning);
    assert_eq!(of(0.1, 110, 1_000), Alarm::Critical);
    assert_eq!(of(0.0, 0, 1_000), Alarm::Critical);
    assert_eq!(of(0.1, 3, 20), Alarm::Insufficient);
    assert_eq!(of(0.1, 0, 99), Alarm::Insufficient);
    let refused = |pairs: &[f64], warn: f64| {
        AlertRule::PredictionChange { by: 0.0, warn, fail: 0.1 }.judge_pairs(pairs).unwrap_err().to_string()
    };
    assert!(refused(&[], 0.05).contains("differences") && refused(&[-1.0], 0.05).contains("difference"));
    assert!(refused(&[1.0], 0.5).contains("fail"));
}

#[test]
fn misuse_is_refused_by_name() {
    for name in AlertRule::NAMES {
        let trigger = AlertRule::named(name).unwrap();
        assert_eq!(trigger.name(), name);
        assert!(trigger.judge(&[], &[1.0]).is_err() && trigger.judge(&[f64::NAN], &[1.0]).is_err());
    }
    assert_eq!(AlertRule::named("latency"), None);
    let refused = |trigger: AlertRule| trigger.judge(&[1.0], &[1.0]).unwrap_err().to_string();
    assert!(refused(AlertRule::ErrorRate { limit: 5.0, ratio: 3.0, floor: 0.0 }).contains("limit"));
    assert!(refused(AlertRule::ErrorRate { limit: 0.5, ratio: -3.0, floor: 0.0 }).contains("ratio"));
    assert!(refused(AlertRule::PredictionDistributionShift { p: 2.0, d: 0.1 }).contains('p'));
    assert!(refused(AlertRule::LatencyP99 { limit: f64::NAN, ratio: 2.0 }).contains("limit"));
    assert!(refused(AlertRule::EmbeddingDrift { warn: 0.9, fail: 0.8 }).contains("pairs"));
    let errors = AlertRule::named("error_rate").unwrap();
    assert!(errors.judge(&[0.5], &[0.0]).unwrap_err().to_string().contains("an error"));
    let drift = AlertRule::EmbeddingDrift { warn: 0.8, fail: 0.9 };
    assert!(drift.judge_pairs(&[1.0]).unwrap_err().to_string().contains("fail"));
    assert!(errors.judge_pairs(&[1.0]).is_err());
}
