//! What is said of gates.

use super::{said, says};

fn with(gate: &str) -> String {
    format!("confidence: {{fromHeader: x-confidence}}\ngates: [{{name: a, against: stable, {gate}}}]")
}

#[track_caller]
fn one(lines: &str, part: &str) {
    says(lines, &[part]);
}

#[test]
fn where_harm_begins() {
    #[track_caller]
    fn check(gate: &str, fails: &str) {
        one(&with(gate), fails);
    }
    for rate in ["error_rate", "overdue", "gone_rate"] {
        check(&format!("metric: {rate}, margin: 2x"), "is above 1.05 times stable's\n");
        check(&format!("metric: {rate}, margin: 3%"), "is above 1.03 times stable's\n");
        check(&format!("metric: {rate}, margin: 0.5pp"), "is more than 0.05 percentage points above");
        check(&format!("metric: {rate}, margin: 2x, harm: 1x"), "is above stable's\n");
        check(&format!("metric: {rate}, margin: 2x, harm: 1.4x"), "is above 1.4 times stable's\n");
    }
    check("metric: latency_p99, margin: 25%", "is above 1.13 times stable's\n");
    check("metric: latency_p99, margin: 1.1x", "is above 1.1 times stable's\n");
    check("metric: latency_p99, margin: 25%, harm: 4%", "is above 1.04 times stable's\n");
    check("metric: confidence_mean, margin: 2%", "is more than 2% below stable's\n");
    check("metric: confidence_mean, margin: 2pp", "is more than 0.02 below stable's\n");
    check("source: {push: {}}, better: higher, margin: 5%", "is more than 5% below stable's");
}

#[test]
fn margins_in_points() {
    #[track_caller]
    fn check(gate: &str, parts: &[&str]) {
        says(&with(gate), parts);
    }
    check(
        "metric: error_rate, margin: 0.5pp",
        &[
            "less than 0.5 percentage points above stable's",
            "more than 0.05 percentage points above stable's",
        ],
    );
    check(
        "metric: gone_rate, margin: 0.5pp, harm: 2pp, passBelow: 0.1%",
        &["above stable's, or below 0.1%", "more than 2 percentage points above stable's"],
    );
    check("metric: confidence_mean, margin: 2pp", &["less than 0.02 below stable's"]);
}

#[test]
fn what_lies_within_the_margin_and_is_harm_is_explained() {
    #[track_caller]
    fn check(gate: &str, expected: Option<&str>) {
        let said = said(&with(gate));
        let title = "Between good and bad\n  a: ";
        match expected {
            Some(expected) => assert!(said.contains(&format!("{title}{expected}\n")), "{gate}: {said}"),
            None => assert!(!said.contains(title), "{gate}: {said}"),
        }
    }
    let then = "a stage may pass, until harm is proven and it goes back";
    check("metric: error_rate, margin: 2x", Some(&format!("from 1.05 to 2 times stable's {then}")));
    check("metric: latency_p99, margin: 25%", Some(&format!("from 1.13 to 1.25 times stable's {then}")));
    check(
        "metric: error_rate, margin: 0.5pp",
        Some(&format!("from 0.05 percentage points to 0.5 percentage points above stable's {then}")),
    );
    check(
        "metric: confidence_mean, margin: 2%, harm: 1%",
        Some(&format!("from 1% to 2% below stable's {then}")),
    );
    check(
        "metric: error_rate, margin: 2x, onFail: pause",
        Some("from 1.05 to 2 times stable's a stage may pass, until harm is proven and it pauses"),
    );
    check("metric: error_rate, margin: 2x, harm: 2x", None);
    check("metric: confidence_mean, margin: 2%", None);
    check("metric: error_rate, margin: 2x, level: advisory", None);
    // Beyond the margin and not yet harm: as before.
    check("metric: error_rate, margin: 1.5x, harm: 2x", Some("held until the deadline"));
}

#[test]
fn what_happens_between_good_and_bad_is_explained() {
    #[track_caller]
    fn check(policy: &str, expected: &str) {
        let gate =
            format!("{{name: a, source: {{push: {{}}}}, min: 0.95, failBelow: 0.9, every: 2m, {policy}}}");
        let said = said(&format!("gates: [{gate}]"));
        assert!(said.contains(&format!("Between good and bad\n  a: {expected}\n")), "{policy}: {said}");
    }
    check("onMarginal: hold", "held until the deadline");
    check("maxHold: 30m", "held for 30m, then a person is asked");
    check(
        "onMarginal: escalate, marginalLimit: 3",
        "after more than 3 evaluations, one every 2m, a person is asked",
    );
    check("onMarginal: reanalyze", "measured again once, then held until the deadline");
    check(
        "onMarginal: reanalyze, reanalyses: 3, maxHold: 1h",
        "measured again up to 3 times, then held for 1h, then a person is asked",
    );
}

#[test]
fn figures_of_ones_own_are_explained() {
    one(
        "guardrails: [{name: cpu, source: {push: {}}, max: 1.1, every: 30s}]",
        "cpu: its reading is above 1.1 (3 readings in a row, one every 30s)",
    );
    let gate = "name: a, better: higher, every: 5m, source: {push: {}}";
    one(
        &format!("gates: [{{{gate}, anomaly: {{z: 5}}}}]"),
        "a: it is no outlier below at least 12 readings of stable, or of its own where stable has none (z 5) (3 readings in a row, one every 5m)",
    );
    one(
        &format!("gates: [{{{gate}, against: stable, margin: 2%, anomaly: {{sides: both}}}}]"),
        "a: its reading is more than 2% below stable's, or it is an outlier (3 readings)",
    );
}
