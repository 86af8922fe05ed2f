//! Planning against published sizes, and what is said about them.

use judge::multiplicity::{GateGroup, hierarchical};
use judge::plan::{PlanInput, plan};
use judge::power::{
    Sided, power_two_means, sample_size_no_harm, sample_size_rule_of_thumb, sample_size_two_means,
    sample_size_two_proportions,
};
use judge::score::{ScoreThresholds, WeightedGate, score};
use judge::{JudgeError, Verdict};

#[track_caller]
fn near(got: f64, want: f64) {
    assert!((got - want).abs() <= 0.51, "{got}, expected {want}");
}

/// One-sided 5 %, power 80 %, canary requests at 5 % weight and with equal arms.
#[test]
fn sizes_for_rates() {
    let n = |p1, p0, ratio| sample_size_two_proportions(p1, p0, 0.05, 0.8, ratio, Sided::One).unwrap();
    for (p0, p1, unequal, equal) in [
        (0.001, 0.002, 8603.0, 18519.0),
        (0.01, 0.012, 17210.0, 33629.0),
        (0.01, 0.015, 3005.0, 6105.0),
        (0.01, 0.02, 850.0, 1826.0),
        (0.01, 0.05, 85.0, 224.0),
        (0.1, 0.11, 6038.0, 11620.0),
    ] {
        near(n(p1, p0, 19.0).ceil(), unequal);
        near(n(p1, p0, 1.0).ceil(), equal);
    }
    // A drop of half a point from 5 % conversion, two-sided alpha .05, arms of equal size.
    let drop = sample_size_two_proportions(0.045, 0.05, 0.05, 0.8, 1.0, Sided::Two).unwrap();
    assert!((drop - 28_200.0).abs() < 2_000.0, "{drop}");
}

#[test]
fn sizes_for_means_and_margins() {
    for (d, want) in [(0.05, 2604.0), (0.1, 651.0), (0.2, 163.0)] {
        let n = sample_size_two_means(d, 0.05, 0.8, 19.0, Sided::One).unwrap();
        assert!((n - want).abs() < 2.0, "{d}: {n}");
    }
    let n = sample_size_two_means(0.5, 0.05, 0.8, 1.0, Sided::Two).unwrap();
    assert!((power_two_means(0.5, 0.05, n, 1.0, Sided::Two).unwrap() - 0.8).abs() < 1e-9);
    assert!((power_two_means(0.0, 0.05, 50.0, 1.0, Sided::Two).unwrap() - 0.05).abs() < 1e-9);
    // d = .05: 4946 one-sided, 6279 two-sided.
    near(sample_size_rule_of_thumb(0.05, 0.05, 0.8, Sided::One).unwrap().ceil(), 4947.0);
    near(sample_size_rule_of_thumb(0.05, 0.05, 0.8, Sided::Two).unwrap().ceil(), 6280.0);
    let no_harm = |r: f64| sample_size_no_harm(0.01, r, 0.05, 0.8, 19.0).unwrap();
    assert!((no_harm(1.5) / 2578.0 - 1.0).abs() < 0.2, "{}", no_harm(1.5));
    assert!((no_harm(1.2) / 16109.0 - 1.0).abs() < 0.1, "{}", no_harm(1.2));
}

fn input() -> PlanInput {
    PlanInput {
        requests_per_second: 100.0,
        base_rate: 0.01,
        smallest_harm: 2.0,
        margin: 2.0,
        alpha: 0.05,
        power: 0.8,
        weights: vec![0.01, 0.05, 0.5],
        design_effect: 1.0,
        cost_per_hour: 4.0,
    }
}

#[test]
fn a_plan_adds_up() {
    let plan = plan(&input()).unwrap();
    assert_eq!(plan.stages.len(), 3);
    let five = &plan.stages[1];
    assert!((five.fixed_samples - 850.0).abs() < 1.0 && (five.samples - 2550.0).abs() < 3.0);
    assert!((five.bake_seconds - five.samples.max(five.samples_no_harm) / 5.0).abs() < 1e-9);
    assert!((plan.total_cost - 4.0 * plan.total_seconds / 3600.0).abs() < 1e-9);
    assert!(plan.advice[0].contains("base rate of 1 %"), "{:?}", plan.advice);
}

#[test]
fn low_traffic_is_said() {
    let few = PlanInput { requests_per_second: 0.2, ..input() };
    let advice = plan(&few).unwrap().advice.join(" ");
    assert!(
        advice.contains("Low traffic") && advice.contains("shadow") && advice.contains("hours"),
        "{advice}"
    );
    let sticky = PlanInput { design_effect: 5.5, ..input() };
    let ratio = plan(&sticky).unwrap().total_seconds / plan(&input()).unwrap().total_seconds;
    assert!((ratio - 5.5).abs() < 1e-9);
}

#[test]
fn bad_plans_name_the_field() {
    let check = |bad: PlanInput, part: &str| {
        let text = plan(&bad).unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    };
    check(PlanInput { base_rate: 0.6, ..input() }, "base_rate x smallest_harm");
    check(PlanInput { smallest_harm: 1.0, ..input() }, "smallest_harm");
    check(PlanInput { margin: 1.0, ..input() }, "margin");
    check(PlanInput { weights: vec![], ..input() }, "weights");
    check(PlanInput { weights: vec![1.0], ..input() }, "weight");
    check(PlanInput { requests_per_second: 0.0, ..input() }, "requests_per_second");
}

#[test]
fn scores() {
    let gate = |weight, verdict| WeightedGate { weight, verdict, critical: false };
    let of = |gates: &[WeightedGate]| score(gates, ScoreThresholds::default()).map(|s| s.verdict);
    use Verdict::{Error, Fail, Insufficient, Marginal, Pass};
    assert_eq!(of(&[gate(95.0, Pass), gate(5.0, Fail)]), Ok(Pass), "95 passes");
    assert_eq!(of(&[gate(60.0, Pass), gate(40.0, Fail)]), Ok(Fail), "60 fails");
    assert_eq!(of(&[gate(61.0, Pass), gate(39.0, Marginal)]), Ok(Marginal));
    assert_eq!(of(&[gate(99.0, Pass), gate(1.0, Insufficient)]), Ok(Insufficient));
    assert_eq!(of(&[gate(99.0, Pass), gate(1.0, Error)]), Ok(Error));
    let critical = WeightedGate { weight: 1.0, verdict: Fail, critical: true };
    assert_eq!(of(&[gate(99.0, Pass), critical]), Ok(Fail));
    assert_eq!(of(&[]), Err(JudgeError::Empty { what: "gates" }));
}

#[test]
fn groups_first() {
    let group =
        |name: &str, log_e: &[f64]| GateGroup { name: name.to_owned(), weight: 1.0, log_e: log_e.to_vec() };
    let found = hierarchical(&[group("errors", &[0.0, 6.0]), group("latency", &[0.5, 1.0])], 0.05).unwrap();
    assert_eq!((found[0].fired, found[0].members.clone()), (true, vec![1]));
    assert_eq!((found[1].fired, found[1].members.len()), (false, 0));
}
