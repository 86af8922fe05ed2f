//! Gates: both answers, beginnings, storing and merging; the fixed gate's verdict and sentence.

use judge::anytime::{
    Better, Bins, HARM_PRIOR, LATE_HARM_PRIOR, RateRatio, SampleRatio, Scale, ScoreStratum, Stratum,
    TailStratum, Trials,
};
use judge::classical::{Margin, Test};
use judge::gate::{
    Answers, FixedRules, Gate, Limits, RateGate, RateLimit, RateRules, ScoreGate, ScoreLimit, ScoreRules,
    Span, TailGate, TailRules, Watch, fixed_finding, split_finding,
};
use judge::verdict::Correction;
use judge::{Finding, Verdict};
use serde::{Serialize, de::DeserializeOwned};

const TEN: Span = Span { ms: 10_000, of_stage: true };
const PLAIN: RateRules = RateRules {
    harm: 1.0,
    harm_points: 0.0,
    margin: 1.5,
    margin_points: 0.0,
    ignore_below: 0.0,
    pass_below: 0.0,
};
const HEALTHY: Stratum = Stratum { n1: 500, k1: 5, n0: 9500, k0: 95 };
const TWICE: Stratum = Stratum { n1: 500, k1: 10, n0: 9500, k0: 95 };

#[track_caller]
fn check(finding: &Finding, verdict: Verdict, begins: &str, contains: &str) {
    assert_eq!(finding.verdict, verdict, "{}", finding.why);
    assert!(finding.why.starts_with(begins), "{}", finding.why);
    assert!(finding.why.contains(contains), "{}", finding.why);
    assert!(finding.judge.starts_with("serin-judge/"));
}

/// Says which of harm, beyond the margin and no harm is proven at 5 %.
#[track_caller]
fn says(answers: Answers, harm: bool, beyond: Option<bool>, no_harm: bool) {
    let proven = |log_e: f64| log_e >= 20f64.ln();
    let said = (proven(answers.harm), answers.beyond.map(proven), proven(answers.no_harm));
    assert_eq!(said, (harm, beyond, no_harm), "{answers:?}");
}

fn rates(rules: RateRules, intervals: &[Stratum]) -> Answers {
    let mut gate = RateGate::new(rules).unwrap();
    intervals.iter().for_each(|s| gate.observe(*s, TEN).unwrap());
    gate.answers()
}

#[test]
fn rates_are_proven_harmful_harmless_or_neither() {
    says(rates(PLAIN, &[]), false, None, false);
    says(rates(PLAIN, &[TWICE; 10]), true, None, false);
    says(rates(PLAIN, &[HEALTHY; 10]), false, None, true);
    says(rates(PLAIN, &[HEALTHY; 2]), false, None, false);
    // Between the margin and harm.
    let late = RateRules { harm: 3.0, ..PLAIN };
    says(rates(late, &[TWICE; 40]), false, Some(true), false);
    // A rate below what is worth anything is no harm; one below what is good in any case passes.
    says(rates(RateRules { ignore_below: 0.05, ..PLAIN }, &[TWICE; 10]), false, None, false);
    says(rates(RateRules { pass_below: 0.05, ..PLAIN }, &[TWICE; 10]), true, None, true);
}

#[test]
fn margins_in_points() {
    let points = |points: f64| RateRules { margin: 1.0, margin_points: points, harm_points: points, ..PLAIN };
    let none = Stratum { n1: 500, k1: 0, n0: 9500, k0: 0 };
    says(rates(points(0.005), &[none; 3]), false, None, true);
    says(rates(points(0.005), &[HEALTHY; 12]), false, None, true);
    says(rates(points(0.005), &[TWICE; 20]), true, None, false);
    says(rates(points(0.02), &[TWICE; 20]), false, None, true);
    says(rates(RateRules { harm_points: 0.03, ..points(0.005) }, &[TWICE; 20]), false, Some(true), false);
    // Without points it is the ratio alone.
    assert_eq!(rates(points(0.0), &[TWICE; 5]).harm, rates(PLAIN, &[TWICE; 5]).harm);
}

#[test]
fn only_the_stage_is_proof() {
    let mut gate = RateGate::new(PLAIN).unwrap();
    (0..20).for_each(|_| gate.observe(HEALTHY, Span { of_stage: false, ..TEN }).unwrap());
    says(gate.answers(), false, None, false);
    (0..20).for_each(|_| gate.observe(HEALTHY, TEN).unwrap());
    says(gate.answers(), false, None, true);
    gate.begin_stage();
    says(gate.answers(), false, None, false);
}

#[test]
fn latency() {
    let interval = |shift: i32| {
        let arm = |n: u64, shift: i32| -> Bins {
            (0..20).map(|b| (90 + b + shift, n * (1 + u64::from(b < 15)))).collect()
        };
        TailStratum { canary: arm(2, shift), stable: arm(30, 0) }
    };
    let rules = |harm_bins| TailRules {
        harm_bins,
        margin_bins: 3,
        late: harm_bins > 3,
        more_beyond: 2.0,
        tail: 0.05,
        top: 1000,
    };
    let run = |harm_bins, shift| {
        let mut gate = TailGate::new(rules(harm_bins)).unwrap();
        (0..400).for_each(|_| gate.observe(&interval(shift), TEN).unwrap());
        gate.answers()
    };
    says(run(1, 6), true, None, false);
    says(run(1, 0), false, None, true);
    says(run(9, 6), false, Some(true), false);
}

/// Answer times of one version: 95 quick, and `slow` that take sixteen times as long.
fn times(n: u64, slow: u64) -> Bins {
    Bins::from([(100, n - slow), (164, slow)])
}

#[test]
fn a_stall_of_a_second_is_not_harm_and_one_that_lasts_is() {
    const SECOND: Span = Span { ms: 1_000, of_stage: true };
    let after = |stalled: u32| {
        let mut gate = tail_gate();
        let calm = TailStratum { canary: times(5, 0), stable: times(95, 1) };
        (0..60).for_each(|_| gate.observe(&calm, SECOND).unwrap());
        // The canary's only pod answers nothing for a while, and then everything late.
        let stall = TailStratum { canary: times(5, 5), ..calm };
        (0..stalled).for_each(|_| gate.observe(&stall, SECOND).unwrap());
        gate.answers().harm
    };
    assert!(after(1) < (1.0_f64 / 0.05).ln(), "{}", after(1));
    assert!(after(10) > (1.0_f64 / 0.001).ln(), "{}", after(10));
}

#[test]
fn equal_versions_that_always_take_the_same_time_pass() {
    let mut gate = tail_gate();
    let same = TailStratum { canary: Bins::from([(200, 10)]), stable: Bins::from([(200, 30)]) };
    (0..30).for_each(|_| gate.observe(&same, TEN).unwrap());
    assert!(gate.answers().no_harm > (1.0_f64 / 0.05).ln(), "{:?}", gate.answers());
    assert!(gate.answers().harm < 1.0, "{:?}", gate.answers());
    // Slower by more than the margin: no pass, and harm.
    let mut gate = tail_gate();
    let slower = TailStratum { canary: Bins::from([(208, 10)]), ..same };
    (0..30).for_each(|_| gate.observe(&slower, TEN).unwrap());
    assert!(gate.answers().no_harm < 0.0 && gate.answers().harm > 6.0, "{:?}", gate.answers());
}

fn tail_gate() -> TailGate {
    let rules =
        TailRules { harm_bins: 3, margin_bins: 5, late: false, more_beyond: 1.5, tail: 0.01, top: 309 };
    TailGate::new(rules).unwrap()
}

fn scores_of(mean: f64) -> ScoreStratum {
    let arm = |n: f64, m: f64| (n * m, n * (m * m + 0.006));
    let ((sum1, squares1), (sum0, squares0)) = (arm(50.0, mean), arm(950.0, 0.85));
    ScoreStratum { n1: 50, sum1, squares1, n0: 950, sum0, squares0 }
}

#[test]
fn scores() {
    let run = |harm: f64, mean: f64, intervals: usize| {
        let rules = ScoreRules {
            scale: Scale::UNIT,
            harm: Margin::Relative(harm),
            margin: Margin::Relative(0.01),
            late: harm > 0.01,
        };
        let mut gate = ScoreGate::new(rules).unwrap();
        (0..intervals).for_each(|_| gate.observe(&scores_of(mean), TEN).unwrap());
        gate.answers()
    };
    says(run(0.0, 0.83, 12), true, None, false);
    says(run(0.0, 0.85, 60), false, None, true);
    says(run(0.0, 0.85, 2), false, None, false);
    says(run(0.05, 0.83, 60), false, Some(true), false);
}

#[test]
fn a_mean_in_another_unit_and_turned_round_is_the_same_mean() {
    let plain = |scale: Scale, turn: fn(f64) -> f64| {
        let rules = ScoreRules {
            scale,
            harm: Margin::Absolute(0.0),
            margin: Margin::Absolute(0.1 * scale.max),
            late: false,
        };
        let mut gate = ScoreGate::new(rules).unwrap();
        for i in 0..30 {
            let mut both = ScoreStratum { n1: 40, n0: 120, ..ScoreStratum::default() };
            for j in 0..160 {
                let x = turn(f64::from((i * 37 + j * 11) % 20) / 20.0);
                let (sum, squares) = if j < 40 {
                    (&mut both.sum1, &mut both.squares1)
                } else {
                    (&mut both.sum0, &mut both.squares0)
                };
                (*sum, *squares) = (*sum + x, *squares + x * x);
            }
            gate.observe(&both, TEN).unwrap();
        }
        gate.answers()
    };
    let one = plain(Scale::UNIT, |x| x);
    let turned = plain(Scale { min: 0.0, max: 100.0, better: Better::Lower }, |x| 100.0 - 100.0 * x);
    assert!((one.harm - turned.harm).abs() < 1e-6 && (one.no_harm - turned.no_harm).abs() < 1e-6);
    let mut gate = ScoreGate::new(ScoreRules {
        scale: Scale::UNIT,
        harm: Margin::Absolute(0.0),
        margin: Margin::Absolute(0.1),
        late: false,
    })
    .unwrap();
    let beyond = ScoreStratum { n1: 2, sum1: 3.0, squares1: 5.0, n0: 2, sum0: 1.0, squares0: 1.0 };
    let error = gate.observe(&beyond, TEN).unwrap_err().to_string();
    assert!(error.contains("canary sums") && error.contains("within their range"), "{error}");
}

#[test]
fn limits() {
    let rate = |limits: Limits, k: u64| {
        let mut gate = RateLimit::new(limits).unwrap();
        (0..100).for_each(|_| gate.observe([Trials { n: 50, k }; 3], TEN).unwrap());
        gate.answers()
    };
    let one = Limits { fail: 0.05, pass: 0.05, two: false };
    says(rate(one, 5), true, None, false);
    says(rate(one, 1), false, None, true);
    says(rate(Limits { fail: 0.2, two: true, ..one }, 5), false, Some(true), false);
    let mean = |mean: f64| {
        let mut gate = ScoreLimit::new(Scale::UNIT, Limits { fail: 0.8, pass: 0.8, two: false }).unwrap();
        (0..100).for_each(|_| gate.observe(&scores_of(mean), TEN).unwrap());
        gate.answers()
    };
    says(mean(0.7), true, None, false);
    says(mean(0.9), false, None, true);
}

#[test]
fn harm_that_begins_late_is_found_sooner_than_by_one_test() {
    let mut watch = Watch::new(RateRatio::harm(1.0).unwrap(), &HARM_PRIOR, &LATE_HARM_PRIOR).unwrap();
    let mut plain = RateRatio::harm(1.0).unwrap();
    for _ in 0..180 {
        watch.observe(&HEALTHY, 10_000).unwrap();
        plain.update(HEALTHY).unwrap();
    }
    let quick = (1..).find(|_| {
        watch.observe(&TWICE, 10_000).unwrap();
        watch.log_e() >= 20f64.ln()
    });
    let slow = (1..).find(|_| {
        plain.update(TWICE).unwrap();
        plain.log_e() >= 20f64.ln()
    });
    assert!(quick.unwrap() * 4 < slow.unwrap(), "{quick:?} {slow:?}");
}

#[test]
fn looking_more_often_costs_nothing() {
    let run = |parts: u64| {
        let mut gate = RateGate::new(PLAIN).unwrap();
        for _ in 0..60 {
            for part in 0..parts {
                let of = |n: u64| n / parts + u64::from(part < n % parts);
                let s = Stratum::new(of(TWICE.n1), of(TWICE.k1), of(TWICE.n0), of(TWICE.k0));
                gate.observe(s, Span { ms: 10_000 / parts, ..TEN }).unwrap();
            }
        }
        gate.answers().harm
    };
    assert!((run(1) - run(10)).abs() < 0.1, "{} {}", run(1), run(10));
}

#[track_caller]
fn stores<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(state: &T) {
    let text = serde_json::to_string(state).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), state, "{text}");
}

#[test]
fn a_restored_gate_goes_on_where_it_stopped() {
    let rules = RateRules { harm: 3.0, ignore_below: 0.01, pass_below: 0.01, ..PLAIN };
    let mut through = RateGate::new(rules).unwrap();
    let mut stopped = through.clone();
    for stratum in [HEALTHY, TWICE, HEALTHY] {
        through.observe(stratum, TEN).unwrap();
        stopped = serde_json::from_str(&serde_json::to_string(&stopped).unwrap()).unwrap();
        stopped.observe(stratum, TEN).unwrap();
    }
    assert_eq!(through, stopped);
    let limits = Limits { fail: 0.5, pass: 0.4, two: true };
    stores(&ScoreLimit::new(Scale::UNIT, limits).unwrap());
    stores(&RateLimit::new(limits).unwrap());
}

#[test]
fn halves_of_the_requests_merge() {
    let whole = rates(PLAIN, &[TWICE; 12]);
    let half = Stratum { n1: 250, k1: 5, n0: 4750, k0: 47 };
    let mut one = RateGate::new(PLAIN).unwrap();
    (0..12).for_each(|_| one.observe(half, TEN).unwrap());
    let other = one.clone();
    one.merge(&other).unwrap();
    let merged = one.answers();
    // Proof adds up; a watch pays for its beginnings in both halves.
    assert!((merged.no_harm - whole.no_harm).abs() < 0.5, "{merged:?} {whole:?}");
    assert!(merged.harm < whole.harm + 0.5 && merged.harm > whole.harm - 1.5, "{merged:?} {whole:?}");
    let fresh = RateGate::new(PLAIN).unwrap();
    let before = one.answers();
    one.merge(&fresh).unwrap();
    assert!((one.answers().harm - before.harm).abs() < 1e-9, "nothing seen changes nothing");
    assert!(one.merge(&RateGate::new(RateRules { margin: 2.0, ..PLAIN }).unwrap()).is_err());
}

#[test]
fn a_person_sets_harm_aside_and_the_design_effect_weakens_it() {
    let mut gate = RateGate::new(PLAIN).unwrap();
    (0..10).for_each(|_| gate.observe(TWICE, TEN).unwrap());
    let careless = gate.answers().harm;
    gate.forget();
    assert!(gate.answers().harm.abs() < 1e-9);
    gate.set_design_effect(3.0).unwrap();
    (0..10).for_each(|_| gate.observe(TWICE, TEN).unwrap());
    assert!(gate.answers().harm < 0.5 * careless, "{} {careless}", gate.answers().harm);
    assert!(gate.set_design_effect(f64::NAN).is_err());
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
