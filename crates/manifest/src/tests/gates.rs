//! What is said of gates that ask for more than a limit.

use super::MINIMAL;
use super::problems::check;
use crate::load;

#[test]
fn what_is_done_between_good_and_bad_is_checked() {
    let gate = |more: &str| {
        format!(
            "gates: [{{name: a, metric: error_rate, against: stable, margin: 2x, max: 1%, failAbove: 5%, {more}}}]"
        )
    };
    let at = "(line 7): spec.gates[0]";
    check(&gate("onMarginal: reanalyze, reanalyses: 2, marginalLimit: 3, maxHold: 30m"), &[]);
    check(
        &gate("reanalyses: 2"),
        &[&format!(
            "error {at}.reanalyses: nothing is measured again; write `onMarginal: reanalyze`, or leave it out"
        )],
    );
    check(
        &gate("onMarginal: reanalyze, reanalyses: 0, maxHold: 0s"),
        &[
            &format!("error {at}.reanalyses: 0 times is never; write 1 or more, or `onMarginal: hold`"),
            &format!(
                "error {at}.maxHold: it would not be held at all; write a time such as 30m, or `onMarginal: escalate`"
            ),
        ],
    );
    check(
        &gate("onMarginal: escalate, maxHold: 30m"),
        &[&format!(
            "error {at}.maxHold: it is never held: a person is asked at once; leave it out, or write `onMarginal: hold` to wait before a person is asked"
        )],
    );
    check(
        &gate("marginalLimit: 1, every: 0s"),
        &[&format!("error {at}.every: there is no time between two evaluations; write a time such as 1m")],
    );
    check(
        &gate("marginalLimit: 1"),
        &[&format!(
            "warning {at}.marginalLimit: gate a is held below it and beyond it, until the deadline; set `maxHold`, or `onMarginal: reanalyze` or `escalate`"
        )],
    );
    check(
        "gates: [{name: a, metric: error_rate, against: stable, margin: 2x, onMarginal: escalate}]",
        &[&format!(
            "warning {at}.onMarginal: nothing lies between what passes gate a and what fails it; set `failAbove` beside `max` (`failBelow` beside `min`), or a `harm` beyond the `margin`"
        )],
    );
}

#[test]
fn harm_begins_beyond_what_equal_versions_differ_by() {
    #[track_caller]
    fn check(gate: &str, harm: (f64, f64)) {
        let lines = format!(
            "  confidence: {{fromHeader: x-confidence}}\n  gates: [{{name: a, against: stable, {gate}}}]\n"
        );
        let loaded =
            load(&format!("{MINIMAL}{lines}")).unwrap_or_else(|problems| panic!("{gate}: {problems}"));
        let against = loaded.plan.gates[0].against.unwrap();
        assert_eq!((against.harm, against.harm_points), harm, "{gate}");
        assert!(!against.has_marginal_range(), "{gate}: what is worse than the margin is harm");
    }
    for rate in ["error_rate", "overdue", "gone_rate"] {
        check(&format!("metric: {rate}, margin: 2x"), (1.05, 0.0));
        // Never beyond the margin.
        check(&format!("metric: {rate}, margin: 3%"), (1.03, 0.0));
        // Where the margin is in points, so is what is borne: a tenth of it.
        check(&format!("metric: {rate}, margin: 0.5pp"), (1.0, 0.0005));
        check(&format!("metric: {rate}, margin: 2x, harm: 1x"), (1.0, 0.0));
        check(&format!("metric: {rate}, margin: 2x, harm: 1.4x"), (1.4, 0.0));
    }
    check("metric: latency_p99, margin: 25%", (1.13, 0.0));
    check("metric: latency_p99, margin: 1.1x", (1.1, 0.0));
    check("metric: latency_p99, margin: 25%, harm: 4%", (1.04, 0.0));
    check("metric: confidence_mean, margin: 2%", (0.02, 0.0));
    check("metric: confidence_mean, margin: 2pp", (0.0, 0.02));
    check("source: {push: {}}, better: higher, margin: 5%", (0.05, 0.0));
}

#[test]
fn harm_within_what_equal_versions_differ_by_is_warned_of() {
    let gate = |gate: &str| {
        format!(
            "confidence: {{fromHeader: c}}\nbaseline: false\ngates: [{{name: a, against: stable, {gate}}}]"
        )
    };
    let warning = |field: &str, begins: &str, remedy: &str| {
        format!(
            "warning (line 9): spec.gates[0].{field}: harm of gate a begins {begins}, and versions that are equal differ by as \
             much: a small arm has colder connections and caches; {remedy}"
        )
    };
    let leave = |default: &str| {
        format!("leave it out ({default}), or write what `serin aa NAME --deployed` measures of this service")
    };
    check(&gate("metric: error_rate, margin: 2x, harm: 1.05x"), &[]);
    check(&gate("metric: latency_p99, margin: 25%, harm: 1.05x"), &[]);
    check(&gate("metric: confidence_mean, margin: 2%, harm: 0.5%"), &[]);
    check(&gate("metric: error_rate, margin: 2x, harm: 1x, ignoreBelow: 1%"), &[]);
    check(
        &gate("metric: error_rate, margin: 2x, harm: 1x"),
        &[&warning("harm", "at 1 times stable's", &leave("1.05x"))],
    );
    check(
        &gate("metric: latency_p99, margin: 25%, harm: 4%"),
        &[&warning("harm", "at 1.04 times stable's", &leave("1.13x"))],
    );
    check(
        &gate("metric: confidence_mean, margin: 2%, harm: 0%"),
        &[&warning("harm", "0% below stable's", &leave("2%"))],
    );
    check(
        &gate("metric: error_rate, margin: 0.5pp, harm: 0pp"),
        &[&warning("harm", "at 1 times stable's", &leave("0.05pp"))],
    );
    check(
        &gate("metric: confidence_mean, margin: 2pp, harm: 0pp"),
        &[&warning("harm", "0% below stable's", &leave("2pp"))],
    );
    check(
        &gate("metric: error_rate, margin: 1.02x"),
        &[&warning("margin", "at 1.02 times stable's", "widen it: harm begins no later than the margin")],
    );
}

#[test]
fn readings_out_of_line_are_checked() {
    let at = "error (line 7): spec.gates[0]";
    let gate = |source: &str, anomaly: &str| {
        format!("gates: [{{name: a, better: higher, every: 5m, source: {source}, anomaly: {anomaly}}}]")
    };
    let prometheus = |more: &str| format!("{{prometheus: {{url: 'http://p', query: f{more}}}}}");
    check(&gate(&prometheus(""), "{history: {over: 6h, step: 5m}}"), &[]);
    check("gates: [{name: a, every: 5m, source: {push: {}}, anomaly: {sides: both, minReadings: 5}}]", &[]);
    check(
        "gates: [{name: a, every: 5m, source: {push: {}}, anomaly: {minReadings: 5}}]",
        &[&format!(
            "{at}.better: nothing says which way is better; write `better: higher` or `better: lower`"
        )],
    );
    check(
        "gates: [{name: a, metric: error_rate, max: 1%, against: stable, margin: 2x, anomaly: {}}]",
        &[&format!(
            "{at}.anomaly: it is for gates with a source; leave it out: counts are tested, which finds more and is wrong more seldom"
        )],
    );
    check(
        &gate("{push: {}}", "{z: 0, minReadings: 3, least: 2x, history: {over: 6h, step: 5m}}"),
        &[
            &format!(
                "{at}.anomaly.z: 0 is no distance; use 1 to 100; 3.5 is usual, and less than 3 calls many alike readings outliers"
            ),
            &format!("{at}.anomaly.minReadings: 3 readings are no series to hold one against; use 5 to 100"),
            &format!(
                "{at}.anomaly.least: a factor is no distance from a median; write a part of the median such as 1%, or points such as 0.5pp"
            ),
            &format!(
                "{at}.anomaly.history: only Prometheus knows what was before; leave it out: the readings of this run are the series"
            ),
        ],
    );
    check(
        &gate(&prometheus(", range: {over: 10m, step: 30s}"), "{history: {over: 6h, step: 5m}}"),
        &[&format!(
            "{at}.anomaly.history: its values would be others than the readings, which `source.prometheus.range` reduces; put the time into the query, such as avg_over_time(x[10m]), and leave `range` out"
        )],
    );
    check(
        &gate(&prometheus(""), "{history: {over: 30m, step: 5m}}"),
        &[&format!(
            "{at}.anomaly.history: it has 6 values, and minReadings is 12; lengthen `over`, or shorten `step`"
        )],
    );
    check(
        &gate(&prometheus(""), "{history: {over: 1m, step: 5m}}"),
        &[&format!(
            "{at}.anomaly.history.step: 1m holds no step of 5m; write a step above 0s and at most `over`, such as {{over: 10m, step: 30s}}"
        )],
    );
    check(
        &gate("{push: {}}", "{}"),
        &[
            "warning (line 7): spec.gates[0].anomaly: gate a wants 15 readings before its first stage ends, which takes 1h15m; the stage's deadline is 1h; shorten `every`, set `history` where the source is Prometheus, or a later deadline",
        ],
    );
}

#[test]
fn guardrails_on_figures_of_ones_own_are_checked() {
    let at = "error (line 7): spec.guardrails[0]";
    check("guardrails: [{name: cpu, source: {push: {}}, max: 1.1, every: 30s, failureLimit: 1}]", &[]);
    check(
        "guardrails: [{name: cpu, source: {push: {}}, metric: error_rate, max: 1.1, min: 0.9}]",
        &[
            &format!("{at}.metric: source is given as well; keep one of the two"),
            &format!(
                "{at}.min: max is given as well; keep one of the two, and write a second guardrail for the other"
            ),
        ],
    );
    check(
        "guardrails: [{name: cpu, source: {push: {}}, every: 0s}]",
        &[&format!("{at}: guardrail \"cpu\" sets no limit; add max or min")],
    );
    check(
        "guardrails: [{name: cpu, source: {http: {url: 'http://q', jsonPointer: /a, stablePointer: /b}}, max: 1.1, every: 0s}]",
        &[&format!("{at}.every: there is no time between two readings; write a time such as 1m")],
    );
    check(
        "guardrails: [{name: e, metric: error_rate, max: 5%, every: 30s, onError: {limit: 1}}]",
        &[
            &format!(
                "{at}.onError: it is for what has a source: counts arrive for all gates at once; leave it out; spec.noData says what is done while no counts arrive"
            ),
            &format!(
                "{at}.every: it is for guardrails with a source; leave it out: counts are tested at every look"
            ),
        ],
    );
    check(
        "gates: [{name: cpu, source: {push: {}}, max: 1, every: 5m}]\nguardrails: [{name: cpu, source: {push: {}}, max: 1.1}]",
        &[
            "error (line 8): spec.guardrails[0].name: a gate with a source is called \"cpu\" too; rename one: figures are read by name",
        ],
    );
    check(
        "guardrails: [{name: cpu, source: {prometheus: {url: 'http://p', query: c, access: {bearer: {secret: t}}}}, max: 1.1, onError: {action: rollback}}]",
        &[
            "warning (line 7): spec.guardrails[0].onError: a source of guardrail cpu that is away rolls a healthy canary back; write `action: pause`, or leave it out to hold",
            "warning (line 7): spec.guardrails[0].source.prometheus.access.bearer.secret: it travels in the clear: the url begins with http://; ask over https://, or leave it to a network nobody listens to",
        ],
    );
}

/// A preset says what the model's own figures must be; whoever uses it, where they are read.
#[test]
fn a_preset_leaves_sources_to_its_user() {
    let open = |name: &str| {
        format!(
            "error (line 7): spec.preset: preset ml-hour has a gate \"{name}\", and where its figures are read is yours to say; add to spec.gates `{{name: {name}, source: {{push: {{}}}}}}`, or `prometheus` or `http` in place of `push`; or leave the gate out by `{{name: {name}, level: off}}`"
        )
    };
    check("preset: ml-hour", &[&open("accuracy"), &open("drift"), &open("conversion")]);
    let push = |name: &str, more: &str| format!("- {{name: {name}, source: {{push: {{}}}}{more}}}\n");
    check(
        &format!("preset: ml-hour\ngates:\n{}- {{name: drift, level: off}}", push("accuracy", "")),
        &[&open("conversion")],
    );
    check(
        &format!(
            "preset: ml-hour\ngates:\n- {{name: accuracy, min: 0.9}}\n{}{}",
            push("drift", ""),
            push("conversion", "")
        ),
        &[&open("accuracy").replace("(line 7): spec.preset", "(line 9): spec.gates[0].source")],
    );
    let text = format!(
        "{MINIMAL}  preset: ml-hour\n  gates:\n  {}  - {{name: drift, level: off}}\n  {}",
        push("accuracy", ", margin: 3%"),
        push("conversion", "")
    );
    let plan = load(&text).unwrap_or_else(|problems| panic!("{problems}")).plan;
    let named = |stage: usize| {
        let gates = plan.stages[stage].gates.iter().map(|&gate| plan.gates[gate].name.as_str());
        gates.collect::<Vec<_>>()
    };
    assert_eq!(named(0), ["error-rate", "p99"]);
    assert_eq!(named(1), ["error-rate", "p99", "accuracy"]);
    assert_eq!(named(2), ["error-rate", "p99", "accuracy", "conversion"]);
    let gate = |name: &str| plan.gates.iter().find(|gate| gate.name == name).unwrap();
    assert_eq!(gate("accuracy").against.unwrap().margin, 0.03);
    assert_eq!((gate("accuracy").every_ms, gate("accuracy").consecutive), (300_000, 3));
    assert_eq!(gate("conversion").against.unwrap().margin, 0.02);
    assert_eq!(gate("conversion").anomaly().unwrap().z, 3.5);
    // A stage of one's own that names what is nowhere is still an error.
    check(
        "stages: [{weight: 5%, bake: 5m, gates: [errors, acuracy]}, {weight: 100%, bake: 5m}]",
        &[
            "error (line 7): spec.stages[0].gates[1]: there is no gate \"acuracy\"; use one of errors, latency, overdue, or add it to spec.gates",
        ],
    );
}

#[test]
fn more_than_is_wise_of_gates_and_series_is_said() {
    let gates: String = (0..6)
        .map(|n| format!("- {{name: g{n}, metric: error_rate, against: stable, margin: {}x}}\n", n + 2))
        .collect();
    check(
        &format!("gates:\n{gates}"),
        &[
            "warning (line 7): spec.gates: 6 gates must all pass; keep 5 or fewer hard, and set `level: advisory` on the rest",
        ],
    );
    check(&format!("gates:\n{}", gates.replace("margin: 7x", "margin: 7x, level: advisory")), &[]);
    check(
        "assignment: {mode: sticky, keys: [{header: x-user}]}\nconfidence: {fromHeader: x-c}",
        &[
            "error (line 4): spec: it can reach 2220 series in each sidecar, and 2000 are allowed: 320 outcomes, 1240 answer times, 260 confidence, 400 groups; count less: `baseline: false`, no `confidence`, or `assignment: {unit: request}`",
        ],
    );
}

/// What the guides show of gates and guardrails is what may be written.
#[test]
fn the_guides_gates_can_be_written() {
    let guides = [
        ("sources.md", include_str!("../../../../docs/sources.md")),
        ("judging.md", include_str!("../../../../docs/judging.md")),
    ];
    let mut found = 0;
    for (name, guide) in guides {
        let blocks = guide.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        for block in blocks {
            let first = block.lines().next().unwrap_or_default();
            let block = match first {
                "gates:" | "guardrails:" | "preset: ml-hour" => block.to_owned(),
                _ if first.starts_with("  - ") => format!("gates:\n{block}"),
                _ => continue,
            };
            let lines: String = block.lines().map(|line| format!("  {line}\n")).collect();
            let text = format!("{MINIMAL}  confidence: {{fromHeader: x-c}}\n{lines}");
            load(&text).unwrap_or_else(|problems| panic!("{name}: {problems}\n{text}"));
            found += 1;
        }
    }
    assert_eq!(found, 8);
}

/// What bodies say has a budget of counters of its own, and only what is asked for.
#[test]
fn what_bodies_say_costs_counters_of_its_own() {
    let of = |written: &str| {
        let plan = load(&format!("{MINIMAL}{written}")).expect("a plan").plan;
        crate::series(&plan).answers
    };
    assert_eq!(of(""), 0);
    assert_eq!(of("  confidence: {fromBody: /score}\n"), 4 * 11);
    assert_eq!(of("  answer: {class: {at: /label, names: [a, b]}}\n"), 4 * (11 + 3));
    assert_eq!(of("  answer: {format: openai}\n"), 4 * (11 + 5 + 2 * 77 + 2 * 155));
}
