//! Gates: the three-way answer and the sentence.

use judge::anytime::{
    Better, Bins, BucketStratum, Group, SampleRatio, ScoreStratum, Stratum, TailStratum, Trials,
};
use judge::classical::{Margin, Test};
use judge::gate::{
    DriftGate, FixedRules, GateSettings, GuardrailGate, LatencyGate, RateGate, ScoreGate, Unit,
    fixed_finding, split_finding,
};
use judge::verdict::Correction;
use judge::{Finding, Verdict};

fn rate_gate(unit: Unit) -> RateGate {
    let settings = GateSettings { unit, ..GateSettings::new("errors") };
    RateGate::new(settings, 1.0, 1.5, 0.0).unwrap()
}

#[track_caller]
fn check(finding: &Finding, verdict: Verdict, begins: &str, contains: &str) {
    assert_eq!(finding.verdict, verdict, "{}", finding.why);
    assert!(finding.why.starts_with(begins), "{}", finding.why);
    assert!(finding.why.contains(contains), "{}", finding.why);
    assert!(finding.judge.starts_with("serin-judge/"));
}

#[test]
fn errors_doubled_roll_back_and_stay_failed() {
    let mut gate = rate_gate(Unit::Request);
    check(&gate.finding(false), Verdict::Insufficient, "Wait for errors: no events among 0", "");
    for _ in 0..100 {
        gate.observe(Stratum::new(50, 1, 950, 9)).unwrap();
    }
    let finding = gate.finding(false);
    check(&finding, Verdict::Fail, "Roll back on errors: canary 2.00 % of 5000", "> 1.00 (e ");
    assert!((finding.estimate.unwrap() - 2.11).abs() < 0.01);
    assert!(finding.interval.unwrap().lo > 1.0 && finding.interval.unwrap().anytime);
    for _ in 0..200 {
        gate.observe(Stratum::new(50, 0, 950, 19)).unwrap();
    }
    assert_eq!(gate.finding(true).verdict, Verdict::Fail, "harm once proven stays proven");
}

#[test]
fn equal_arms_pass_only_when_proven() {
    let mut gate = rate_gate(Unit::Request);
    for i in 0..30 {
        gate.observe(Stratum::new(50, u64::from(i % 2 == 0), 950, 10)).unwrap();
    }
    check(&gate.finding(false), Verdict::Insufficient, "Wait for errors", "not yet proven < 1.50");
    check(&gate.finding(true), Verdict::Marginal, "Hold errors", "nor proven < 1.50");
    for i in 0..600 {
        gate.observe(Stratum::new(50, u64::from(i % 2 == 0), 950, 10)).unwrap();
    }
    check(&gate.finding(false), Verdict::Pass, "Advance on errors", "< 1.50 (e ");
}

#[test]
fn below_the_floor_nothing_fails() {
    let mut gate = RateGate::new(GateSettings::new("errors"), 1.0, 1.5, 0.05).unwrap();
    for _ in 0..100 {
        gate.observe(Stratum::new(50, 1, 950, 9)).unwrap();
    }
    assert_eq!(gate.finding(true).verdict, Verdict::Marginal);
}

#[test]
fn sticky_users_without_groups_are_insufficient() {
    for unit in [Unit::Unknown, Unit::Grouped] {
        let mut gate = rate_gate(unit);
        for _ in 0..200 {
            gate.observe(Stratum::new(50, 3, 950, 9)).unwrap();
        }
        check(&gate.finding(true), Verdict::Insufficient, "Hold errors: unit unknown", "group counts");
    }
}

#[test]
fn groups_make_a_sticky_gate_answer() {
    let mut gate = rate_gate(Unit::Grouped);
    let groups: Vec<Group> = (0..100).map(|i| Group { n: 950, k: [4, 14][i % 2] }).collect();
    gate.set_groups(&groups).unwrap();
    for _ in 0..300 {
        gate.observe(Stratum::new(50, 2, 950, 9)).unwrap();
    }
    check(&gate.finding(false), Verdict::Fail, "Roll back on errors", "");
    let mut careless = rate_gate(Unit::Request);
    (0..300).for_each(|_| careless.observe(Stratum::new(50, 2, 950, 9)).unwrap());
    assert!(gate.log_e().0 < 0.7 * careless.log_e().0, "{:?} {:?}", gate.log_e(), careless.log_e());
    assert!(gate.set_groups(&groups[..5]).is_err());
}

#[test]
fn latency() {
    let interval = |shift: i32| {
        let arm = |n: u64, shift: i32| -> Bins {
            (0..20).map(|b| (90 + b + shift, n * (1 + u64::from(b < 15)))).collect()
        };
        TailStratum { canary: arm(2, shift), stable: arm(30, 0) }
    };
    let run = |shift| {
        let mut gate = LatencyGate::new(GateSettings::new("latency"), 1.0, 2.0).unwrap();
        (0..400).for_each(|_| gate.observe(&interval(shift)).unwrap());
        gate.finding(true)
    };
    check(&run(4), Verdict::Fail, "Roll back on latency", "slower than stable's p99");
    check(&run(0), Verdict::Pass, "Advance on latency", "< 2.00");
}

#[test]
fn scores() {
    let run = |mean: f64| {
        let mut gate = ScoreGate::new(GateSettings::new("confidence"), Better::Higher, 0.01).unwrap();
        for _ in 0..200 {
            let arm = |n: f64, m: f64| (n * m, n * (m * m + 0.006));
            let ((sum1, squares1), (sum0, squares0)) = (arm(50.0, mean), arm(950.0, 0.85));
            let stratum = ScoreStratum { n1: 50, sum1, squares1, n0: 950, sum0, squares0 };
            gate.observe(&stratum).unwrap();
        }
        gate.finding(true)
    };
    check(&run(0.83), Verdict::Fail, "Roll back on confidence: mean difference -0.0200", "worse");
    check(&run(0.85), Verdict::Pass, "Advance on confidence", "worse by less than 0.0100");
}

#[test]
fn guardrail() {
    let run = |k: u64, unit: Unit| {
        let settings = GateSettings { unit, ..GateSettings::new("5xx") };
        let mut gate = GuardrailGate::new(settings, 0.05).unwrap();
        (0..100).for_each(|_| gate.observe(Trials { n: 50, k }).unwrap());
        gate.finding(true)
    };
    check(&run(5, Unit::Request), Verdict::Fail, "Roll back on 5xx: canary 10.0 % of 5000", "> 5.00 %");
    check(&run(1, Unit::Request), Verdict::Pass, "Advance on 5xx", "< 5.00 %");
    check(&run(5, Unit::Unknown), Verdict::Insufficient, "Hold 5xx: unit unknown", "");
}

#[test]
fn gates_store_and_refuse_nonsense() {
    let mut gate = rate_gate(Unit::Request);
    gate.observe(Stratum::new(50, 1, 950, 9)).unwrap();
    gate.begin_stage();
    let text = serde_json::to_string(&gate).unwrap();
    assert_eq!(serde_json::from_str::<RateGate>(&text).unwrap(), gate);
    for finding in [gate.finding(false), rate_gate(Unit::Unknown).finding(true)] {
        let text = serde_json::to_string(&finding).unwrap();
        assert_eq!(serde_json::from_str::<Finding>(&text).unwrap(), finding, "{text}");
    }
    assert!(RateGate::new(GateSettings::new("x"), 1.0, 1.0, 0.0).is_err());
    let bad = GateSettings { alpha_harm: 0.0, ..GateSettings::new("x") };
    assert!(RateGate::new(bad, 1.0, 1.5, 0.0).is_err());
}

#[test]
fn fixed() {
    let rules = FixedRules {
        name: "accuracy".to_owned(),
        better: Better::Higher,
        margin: Margin::Relative(0.05),
        alpha: 0.05,
        test: Test::MannWhitney,
        min_samples: 50,
        correction: Correction::Holm { gates: 3 },
    };
    let sample =
        |mean: f64| -> Vec<f64> { (0..200).map(|i| mean + f64::from(i * 37 % 101) / 500.0 - 0.1).collect() };
    let run = |mean: f64| fixed_finding(&sample(mean), &sample(0.9), &rules);
    check(&run(0.89), Verdict::Pass, "Advance on accuracy: canary mean 0.890", "> 0.855 (p ");
    check(&run(0.8), Verdict::Fail, "Halt on accuracy", "not proven (p ");
    check(
        &fixed_finding(&sample(0.9)[..9], &sample(0.9), &rules),
        Verdict::Insufficient,
        "Wait for accuracy: 9 values",
        "< 50",
    );
    let bad = [sample(0.9), vec![f64::NAN]].concat();
    check(&fixed_finding(&bad, &sample(0.9), &rules), Verdict::Error, "Cannot judge accuracy", "NaN");
    assert_eq!(run(0.89).correction, Correction::Holm { gates: 3 });
}

#[test]
fn split() {
    let run = |canary: u64| {
        let mut guard = SampleRatio::new(&[0.95, 0.05], 100.0).unwrap();
        (0..100).for_each(|_| guard.update(&[950, canary]).unwrap());
        split_finding("split", &guard, 0.001).unwrap()
    };
    check(&run(50), Verdict::Pass, "Continue on split: canary share 5.00 %", "no mismatch");
    check(&run(60), Verdict::Error, "Stop judging on split: canary share 5.94 %", "5.00 % configured");
}

#[test]
fn drift() {
    let run = |canary: [u64; 4]| {
        let mut gate = DriftGate::new(GateSettings::new("classes"), 4, 1.0, 0.1).unwrap();
        let interval = BucketStratum { canary: canary.to_vec(), stable: vec![100, 200, 300, 400] };
        (0..200).for_each(|_| gate.observe(&interval).unwrap());
        gate.finding(true)
    };
    check(&run([10, 20, 30, 40]), Verdict::Pass, "Advance on classes: distance 0 and PSI 0 ", "< 0.100");
    check(&run([20, 20, 30, 30]), Verdict::Fail, "Roll back on classes: distance 0.100", "changed");
}
