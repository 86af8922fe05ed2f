//! What can never do what it says is refused, and what watches less than it seems is warned of.

use super::problems::check;

#[test]
fn limits_beyond_the_range_are_refused() {
    let confidence = |range: &str, rest: &str| {
        format!("confidence: {{fromHeader: x-sure{range}}}\n{rest}\nbaseline: false")
    };
    let said = |field: &str, value: &str, range: &str| {
        format!(
            "error (line 8): {field}: {value} is not within the range of the confidence, {range}; write a number between the two, or the range the model answers in: spec.confidence.range"
        )
    };
    check(
        &confidence("", "gates: [{name: c, metric: confidence_mean, min: 65, failBelow: -1}]"),
        &[&said("spec.gates[0].failBelow", "-1", "0 to 1"), &said("spec.gates[0].min", "65", "0 to 1")],
    );
    check(
        &confidence(", range: {min: 0, max: 100}", "gates: [{name: c, metric: confidence_mean, min: 65}]"),
        &[
            "warning (line 8): spec.gates[0]: gate c knows a fixed limit alone: trouble that both versions share would fail it; add `against: stable` with a margin, on this gate or another of its metric",
        ],
    );
    check(
        &confidence("", "guardrails: [{name: c, metric: confidence_mean, min: 1}]"),
        &[&said("spec.guardrails[0].min", "1", "0 to 1")],
    );
    let points = |field: &str, points: &str, value: &str, range: &str| {
        format!(
            "error (line 8): spec.gates[0].{field}: {points} is {value} on a scale of {range}; points are hundredths of the unit: write 100pp for 1, or a part of stable's mean such as 2%"
        )
    };
    let gate = |margin: &str| {
        format!("gates: [{{name: c, metric: confidence_mean, against: stable, margin: {margin}}}]")
    };
    let hundred = ", range: {min: 0, max: 100}";
    check(
        &confidence(hundred, &gate("2pp")),
        &[&points("margin", "2pp", "0.02", "0 to 100"), &points("harm", "2pp", "0.02", "0 to 100")],
    );
    check(&confidence(hundred, &gate("200pp")), &[]);
    check(&confidence("", &gate("2pp, harm: 100pp")), &[&points("harm", "100pp", "1", "0 to 1")]);
    check(&confidence("", &gate("2pp")), &[]);
}

#[test]
fn margins_that_no_traffic_proves_are_refused() {
    let gate = |rest: &str| format!("gates: [{{name: g, against: stable, {rest}}}]");
    check(
        &gate("metric: latency_p99, margin: 1.25%"),
        &[
            "error (line 7): spec.gates[0].margin: answer times are counted in bins of 4.4%, and a margin of 1.25% is none; write 5% or more, such as 25%",
        ],
    );
    check(&gate("metric: latency_p99, margin: 5%"), &[]);
    check(
        &format!("answer: {{format: openai}}\n{}", gate("metric: time_per_output_token_p95, margin: 5%")),
        &[
            "error (line 8): spec.gates[0].margin: times of tokens are counted in bins of 9.1%, and a margin of 5.00% is none; write 10% or more, such as 25%",
        ],
    );
    check(
        &gate("metric: error_rate, margin: 0.5%"),
        &[
            "error (line 7): spec.gates[0].margin: no amount of traffic can tell 1.005 times stable's rate from stable's; write 2% or more, such as 50% or 1.5x; or percentage points, such as 0.5pp",
        ],
    );
    check(&gate("metric: error_rate, margin: 0.5pp"), &[]);
}

#[test]
fn stages_last_as_long_as_their_gates_ask() {
    let stages = "stages: [{weight: 5%, bake: 1m, deadline: 10m}, {weight: 100%, bake: 1m}]\n";
    let gate = |rest: &str| {
        format!("{stages}gates: [{{name: g, metric: error_rate, against: stable, margin: 2x, {rest}}}]")
    };
    let said = |field: &str, takes: &str| {
        format!(
            "error (line 8): spec.gates[0].{field}: gate g takes {takes} at least, and stage 1 has a deadline of 10m; set a later spec.stages[0].deadline, or a shorter startAfter and minWindow"
        )
    };
    check(&gate("startAfter: 10m"), &[]);
    check(&gate("startAfter: 11m"), &[&said("startAfter", "11m")]);
    check(&gate("minWindow: 1h"), &[&said("minWindow", "1h")]);
    check(&gate("startAfter: 6m, minWindow: 5m"), &[&said("minWindow", "11m")]);
    // What only reports holds nothing up.
    check(
        &gate("startAfter: 11m, level: advisory"),
        &[
            "warning (line 7): spec.stages[0].gates: the stage ends by time alone; name at least one hard gate: time proves nothing",
        ],
    );
    check(
        &format!("{stages}warmUp: 10m"),
        &[
            "error (line 8): spec.warmUp: it is no shorter than the deadline of stage 1 (10m), so that nothing is counted there; shorten it, or set a later spec.stages[0].deadline",
        ],
    );
    check(&format!("{stages}warmUp: 9m"), &[]);
}

#[test]
fn nothing_happens_after_no_time() {
    check(
        "noData: {after: 0s, action: rollback}",
        &[
            "error (line 7): spec.noData.after: counts are never younger, so that there would never be any; write a time such as 60s, or leave the field out",
        ],
    );
    check(
        "acknowledge: {timeout: 0s}",
        &[
            "error (line 7): spec.acknowledge.timeout: no proxy answers before it was asked; write a time such as 60s, or leave the field out",
        ],
    );
}

#[test]
fn an_empty_list_is_not_the_presets() {
    check(
        "gates: []",
        &[
            "error (line 7): spec.gates: it is empty, and the 3 of preset default would hold all the same; leave it out, or switch them off one by one: `{name: NAME, level: off}`",
        ],
    );
    check(
        "guardrails: []",
        &[
            "error (line 7): spec.guardrails: it is empty, and the 4 of preset default would hold all the same; leave it out, or switch them off one by one: `{name: NAME, level: off}`",
        ],
    );
    // Where the preset has nothing, it says what is.
    check("overrides: []\ncohorts: []\narms: []", &[]);
}

#[test]
fn the_last_gate_is_not_switched_off() {
    let said = |at: &str| {
        format!(
            "error (line 7): {at}.level: no gate is left: each stage would end by time alone, which proves nothing; leave one on, or write one of your own"
        )
    };
    check("gates: [{name: g, metric: error_rate, max: 1%, level: off}]", &[&said("spec.gates[0]")]);
    check(
        "gates: [{name: errors, level: off}, {name: latency, level: off}, {name: overdue, level: off}]\npreset: default",
        &[&said("spec.gates[2]")],
    );
    check("gates: [{name: errors, level: off}, {name: latency, level: off}]\npreset: default", &[]);
}

#[test]
fn what_is_switched_off_has_a_name_that_is_known() {
    check(
        "preset: default\ngates: [{name: latenzy, level: off}]",
        &[
            "error (line 8): spec.gates[0].name: there is no gate of this name to switch off; name one of errors, latency, overdue, or leave the entry out",
        ],
    );
    check(
        "preset: default\nguardrails: [{name: overdue_limit, level: off}]",
        &[
            "error (line 8): spec.guardrails[0].name: there is no guardrail of this name to switch off; name one of errors-limit, overdue-limit, gone-limit, retries-limit, or leave the entry out",
        ],
    );
    check("preset: default\nguardrails: [{name: overdue-limit, level: off}]", &[]);
}

#[test]
fn what_own_gates_leave_unwatched_is_said() {
    let gate = "{name: g, metric: error_rate, against: stable, margin: 2x}";
    let said = |at: &str, lists: &str, what: &str, name: &str| {
        format!(
            "warning (line {at}: {lists} of your own replace those of preset default, so none of them watches {what}; add `preset: default` to keep those beside yours (and leave one out by `{{name: {name}, level: off}}`), or watch them"
        )
    };
    check(&format!("gates: [{gate}]"), &[&said("7): spec.gates", "gates", "answer times", "latency")]);
    check(
        &format!("gates: [{gate}]\nguardrails: [{{name: r, metric: error_rate, max: 5%}}]"),
        &[&said(
            "7): spec.gates",
            "gates and guardrails",
            "answer times, requests that wait, clients that leave",
            "latency",
        )],
    );
    check(
        "guardrails: [{name: r, metric: overdue, max: 5%}]",
        &[&said("7): spec.guardrails", "guardrails", "clients that leave", "gone-limit")],
    );
    check(&format!("preset: default\ngates: [{gate}]"), &[]);
    check(&format!("gates: [{gate}, {{name: l, metric: latency_p99, against: stable, margin: 25%}}]"), &[]);
}
