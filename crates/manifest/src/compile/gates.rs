//! What must hold.

use super::{Check, anomaly, answers, possible, sources, span};
use crate::amount::{Margin, Percent, Quantity, Span};
use crate::anomaly::Sides;
use crate::gate::{Against, Basis, Figure, Gate, Limit, Marginal, Metric, MetricKind, OnMarginal, Unread};
use crate::preset;
use crate::source::Source;
use crate::typed::{self, Better, Level, RolloutSpec};

/// A mean of fewer answers is no basis for exposing more people, however clear it looks.
const MIN_SAMPLES_OF_MEANS: u64 = 300;
const MIN_SAMPLES: u64 = 100;

pub(super) fn gates(check: &mut Check, spec: &RolloutSpec) -> Vec<Gate> {
    let mut gates: Vec<Gate> = Vec::new();
    for written in &spec.gates {
        let at = check.place("gates", &written.name);
        if written.level == Some(Level::Off) {
            let says_nothing = written.metric.is_none() && written.source.is_none();
            if says_nothing && !is_of_preset(spec, &written.name) {
                let others = spec.gates.iter().filter(|gate| gate.level != Some(Level::Off));
                nothing_to_switch_off(check, &at, "gate", others.map(|gate| gate.name.as_str()));
            }
            continue;
        }
        if written.metric.is_none() && written.source.is_none() && is_of_preset(spec, &written.name) {
            source_is_yours(check, &at, &written.name, spec);
            continue;
        }
        if let Some(gate) = gate(check, &at, written, spec) {
            gates.push(gate);
        }
    }
    possible::any_gate(check, spec, &gates);
    gates
}

/// Does the preset that is named have a gate of this name?
fn is_of_preset(spec: &RolloutSpec, name: &str) -> bool {
    let preset = spec.preset.as_deref().and_then(preset::find);
    preset.is_some_and(|preset| preset.gates.iter().any(|gate| gate.name == name))
}

/// `{name: NAME, level: off}` where nothing has that name: most likely it is misspelt, and what was meant goes on.
pub(super) fn nothing_to_switch_off<'a>(
    check: &mut Check,
    at: &str,
    kind: &str,
    others: impl Iterator<Item = &'a str>,
) {
    let others = others.collect::<Vec<_>>().join(", ");
    let remedy = match others.is_empty() {
        true => "leave the entry out".to_owned(),
        false => format!("name one of {others}, or leave the entry out"),
    };
    check.refuse(format!("{at}.name"), format!("there is no {kind} of this name to switch off"), remedy);
}

/// A preset knows what an accuracy must be, and not where yours is read.
fn source_is_yours(check: &mut Check, at: &str, name: &str, spec: &RolloutSpec) {
    let preset = spec.preset.as_deref().unwrap_or_default();
    // What the user did not write has no field of its own.
    let field = if at == "spec.preset" { at.to_owned() } else { format!("{at}.source") };
    check.refuse(
        field,
        format!("preset {preset} has a gate {name:?}, and where its figures are read is yours to say"),
        format!(
            "add to spec.gates `{{name: {name}, source: {{push: {{}}}}}}`, or `prometheus` or `http` in place of `push`; or \
             leave the gate out by `{{name: {name}, level: off}}`"
        ),
    );
}

fn gate(check: &mut Check, at: &str, written: &typed::Gate, spec: &RolloutSpec) -> Option<Gate> {
    let name = check.label(&format!("{at}.name"), &written.name);
    let metric = match &written.source {
        Some(source) => external(check, at, written, source)?,
        None => {
            if written.better.is_some() {
                let remedy = "leave it out: it is for a source";
                check.refuse(format!("{at}.better"), "which way is better follows from the metric", remedy);
            }
            metric(check, at, written.metric, spec)?
        }
    };
    let limit = limit(check, at, written, metric, spec);
    let against = against(check, at, written, metric);
    if let Some(against) = &against {
        possible::margin(check, at, against, metric, spec);
    }
    let anomaly = anomaly::anomaly(check, at, written);
    if limit.is_none() && against.is_none() && anomaly.is_none() {
        check.refuse(
            at,
            format!("gate {name:?} sets no limit"),
            if metric.larger_is_worse() {
                "add `max`, or `against: stable` with a `margin`"
            } else {
                "add `min`, or `against: stable` with a `margin`"
            },
        );
    }
    let counts = written.failure_limit.is_some() || written.marginal_limit.is_some();
    if metric.is_external() || written.consecutive.unwrap_or(0) > 0 || counts {
        let every = span(written.every, 60_000);
        if every == 0 {
            check.refuse(
                format!("{at}.every"),
                "there is no time between two evaluations",
                "write a time such as 1m",
            );
        }
    }
    let default = match metric {
        Metric::ConfidenceMean => MIN_SAMPLES_OF_MEANS,
        Metric::ExternalLow | Metric::ExternalHigh => 0,
        _ => MIN_SAMPLES,
    };
    let readings = metric.is_external().then_some((3, 2));
    let no_data = unread(check, &format!("{at}.noData"), written.no_data, metric);
    let on_error = unread(check, &format!("{at}.onError"), written.on_error, metric);
    let basis = match &written.source {
        None => Basis::Counters { metric, min_samples: written.min_samples.unwrap_or(default) },
        Some(source) => {
            let better = if metric.larger_is_worse() { Better::Lower } else { Better::Higher };
            Basis::Figure(Box::new(Figure { better, source: source.clone(), anomaly, no_data, on_error }))
        }
    };
    Some(Gate {
        name,
        basis,
        limit,
        against,
        hard: written.level != Some(Level::Advisory),
        on_fail: written.on_fail.unwrap_or_default(),
        on_marginal: written.on_marginal.unwrap_or_default(),
        marginal: marginal(check, at, written),
        start_after_ms: span(written.start_after, 0),
        min_window_ms: span(written.min_window, 0),
        consecutive: written.consecutive.unwrap_or(readings.map_or(0, |(good, _)| good)),
        every_ms: span(written.every, 60_000),
        failure_limit: written.failure_limit.or(readings.map(|(_, bad)| bad)),
    })
}

/// What is borne between good and bad.
fn marginal(check: &mut Check, at: &str, written: &typed::Gate) -> Marginal {
    let action = written.on_marginal.unwrap_or_default();
    if let Some(times) = written.reanalyses {
        if action != OnMarginal::Reanalyze {
            let remedy = "write `onMarginal: reanalyze`, or leave it out";
            check.refuse(format!("{at}.reanalyses"), "nothing is measured again", remedy);
        } else if times == 0 {
            let remedy = "write 1 or more, or `onMarginal: hold`";
            check.refuse(format!("{at}.reanalyses"), "0 times is never", remedy);
        }
    }
    if let Some(hold) = written.max_hold {
        if action == OnMarginal::Escalate {
            let remedy = "leave it out, or write `onMarginal: hold` to wait before a person is asked";
            check.refuse(format!("{at}.maxHold"), "it is never held: a person is asked at once", remedy);
        } else if hold.ms() == 0 {
            let remedy = "write a time such as 30m, or `onMarginal: escalate`";
            check.refuse(format!("{at}.maxHold"), "it would not be held at all", remedy);
        }
    }
    Marginal {
        borne: written.marginal_limit,
        again: written.reanalyses.unwrap_or(1),
        hold_ms: written.max_hold.map(Span::ms),
    }
}

pub(super) fn unread(check: &mut Check, at: &str, written: Option<typed::Unread>, metric: Metric) -> Unread {
    let mut unread = Unread::default();
    if let Some(written) = written {
        if !metric.is_external() {
            let remedy = "leave it out; spec.noData says what is done while no counts arrive";
            check.refuse(at, "it is for what has a source: counts arrive for all gates at once", remedy);
        }
        unread.borne = written.limit.unwrap_or(unread.borne);
        unread.action = written.action.unwrap_or(unread.action);
    }
    unread
}

/// A metric of the user's own: which way is better, and whether its source can be asked.
fn external(check: &mut Check, at: &str, written: &typed::Gate, source: &Source) -> Option<Metric> {
    if written.metric.is_some() {
        check.refuse(format!("{at}.metric"), "source is given as well", "keep one of the two");
    }
    if written.min_samples.is_some() {
        let remedy = "leave it out, and write how many good readings are wanted in `consecutive`";
        check.refuse(format!("{at}.minSamples"), "a reading does not say of how many samples it is", remedy);
    }
    if written.consecutive == Some(0) {
        let remedy = "write 1 or more: readings are not tested, so without any the gate would pass unseen";
        check.refuse(format!("{at}.consecutive"), "the gate would pass without a good reading", remedy);
    }
    sources::source(check, at, source);
    if written.against.is_some() && !source.gives_stable() {
        let remedy = "say where stable's value is read: prometheus.stableQuery or http.stablePointer";
        check.refuse(format!("{at}.source"), "`against: stable` has nothing to compare with", remedy);
    }
    match (
        written.better,
        written.max.is_some() || written.fail_above.is_some(),
        written.min.is_some() || written.fail_below.is_some(),
    ) {
        (Some(Better::Lower), _, _) | (None, true, false) => Some(Metric::ExternalLow),
        (Some(Better::Higher), _, _) | (None, false, true) => Some(Metric::ExternalHigh),
        // Either side counts, so neither is worse.
        (None, false, false) if written.against.is_none() && of_both_sides(written) => {
            Some(Metric::ExternalLow)
        }
        (None, _, _) => {
            check.refuse(
                format!("{at}.better"),
                "nothing says which way is better",
                "write `better: higher` or `better: lower`",
            );
            None
        }
    }
}

fn of_both_sides(written: &typed::Gate) -> bool {
    written.anomaly.is_some_and(|anomaly| anomaly.sides == Some(Sides::Both))
}

pub(super) fn metric(
    check: &mut Check,
    at: &str,
    written: Option<Metric>,
    spec: &RolloutSpec,
) -> Option<Metric> {
    let Some(metric) = written.filter(|metric| !metric.is_external()) else {
        let remedy = "name one of error_rate, latency_p99, confidence_mean, overdue, gone_rate, retry_rate, one of what answers \
                      say (answer_error_rate, unseen_rate, invalid_rate, refusal_rate, empty_rate, time_to_first_token_p95, \
                      time_per_output_token_p95), or a `source`, or write the name of a gate of a preset and name that preset";
        check.refuse(format!("{at}.metric"), "no metric is named", remedy);
        return None;
    };
    if metric == Metric::ConfidenceMean && spec.confidence.is_none() {
        let remedy = "add spec.confidence with fromHeader, the response header in which the model reports it, \
                      or fromBody, where it stands in the answer";
        check.refuse(format!("{at}.metric"), "nothing says where the model's confidence is read", remedy);
    }
    if metric.is_of_bodies() && spec.answer.is_none() {
        let remedy = "add spec.answer with the format of the answers, such as `answer: {format: openai}`";
        let problem = format!("nothing asks for the bodies that {} is of", metric.name());
        check.refuse(format!("{at}.metric"), problem, remedy);
    } else if let Some(answer) = &spec.answer {
        answers::told_of(check, at, metric, answer);
    }
    Some(metric)
}

fn limit(
    check: &mut Check,
    at: &str,
    written: &typed::Gate,
    metric: Metric,
    spec: &RolloutSpec,
) -> Option<Limit> {
    let (side, wrong_side) = if metric.larger_is_worse() {
        (
            ("max", written.max, "failAbove", written.fail_above),
            ("min", written.min, "failBelow", written.fail_below),
        )
    } else {
        (
            ("min", written.min, "failBelow", written.fail_below),
            ("max", written.max, "failAbove", written.fail_above),
        )
    };
    let (pass_name, pass, fail_name, fail) = side;
    for (name, given) in [(wrong_side.0, wrong_side.1), (wrong_side.2, wrong_side.3)] {
        if given.is_some() {
            check.refuse(
                format!("{at}.{name}"),
                format!(
                    "a {} is never too {}",
                    metric.name(),
                    if metric.larger_is_worse() { "small" } else { "large" }
                ),
                format!("use {pass_name}"),
            );
        }
    }
    let mut value = |name: &str, written: Quantity| {
        let field = format!("{at}.{name}");
        let value = value(check, &field, written, metric);
        possible::limit(check, &field, value, metric, spec);
        value
    };
    let fail = fail.map(|fail| value(fail_name, fail));
    let Some(pass) = pass else {
        if fail.is_some() {
            check.refuse(
                format!("{at}.{fail_name}"),
                format!("it is given without {pass_name}"),
                format!("add {pass_name}"),
            );
        }
        return None;
    };
    let pass = value(pass_name, pass);
    let fail = fail.unwrap_or(pass);
    if if metric.larger_is_worse() { fail < pass } else { fail > pass } {
        check.refuse(
            format!("{at}.{fail_name}"),
            format!("what fails ({fail}) is better than what passes ({pass})"),
            "exchange the two",
        );
    }
    Some(Limit { pass, fail })
}

fn against(check: &mut Check, at: &str, written: &typed::Gate, metric: Metric) -> Option<Against> {
    if written.against.is_none() {
        for (name, given) in [
            ("margin", written.margin.is_some()),
            ("harm", written.harm.is_some()),
            ("ignoreBelow", written.ignore_below.is_some()),
            ("passBelow", written.pass_below.is_some()),
        ] {
            if given {
                check.refuse(
                    format!("{at}.{name}"),
                    "there is nothing it could be measured from",
                    "add `against: stable`",
                );
            }
        }
        return None;
    }
    let Some(margin) = written.margin else {
        let remedy = "add one such as 1.5x or 0.5pp for a rate, 25% for a latency or 2% for a mean: no number of \
                      requests proves two versions exactly alike";
        check.refuse(format!("{at}.margin"), "no margin is given", remedy);
        return None;
    };
    for (name, given) in [("ignoreBelow", written.ignore_below), ("passBelow", written.pass_below)] {
        if given.is_some() && !metric.is_rate() {
            check.refuse(format!("{at}.{name}"), format!("{} is not a rate", metric.name()), "leave it out");
        }
    }
    let in_points = matches!(margin, Margin::Points(_));
    let (margin, margin_points) = distance(check, &format!("{at}.margin"), margin, metric);
    let none = if metric.larger_is_worse() { 1.0 } else { 0.0 };
    let (harm, harm_points) = match written.harm {
        Some(harm) => distance(check, &format!("{at}.harm"), harm, metric),
        // Nobody who writes a margin expects harm beyond it to be borne, nor equal versions to be harm.
        None => match metric.kind() {
            MetricKind::Rate if in_points => (none, margin_points * Against::PART_OF_POINTS),
            MetricKind::Rate | MetricKind::Time => (Against::tolerance(metric).min(margin), 0.0),
            MetricKind::Score | MetricKind::Figure => (margin, margin_points),
        },
    };
    if in_points && harm > none || !in_points && harm_points > 0.0 {
        let remedy = "write both as points (0.5pp), or both as a factor or a part (1.5x, 50%)";
        check.refuse(format!("{at}.harm"), "it is measured otherwise than the margin", remedy);
    }
    if margin <= none && margin_points <= 0.0 {
        let remedy = "widen it: no number of requests proves two versions exactly alike";
        check.refuse(format!("{at}.margin"), "it leaves no room at all", remedy);
    }
    // Points say how much is too much even where stable never fails, so they need no share that is good in any case.
    let pass_below = match written.pass_below {
        Some(below) if metric.is_rate() => below.share(),
        None if metric.is_rate() && !in_points => 0.01,
        _ => 0.0,
    };
    let ignore_below = written.ignore_below.map_or(0.0, Percent::share);
    Some(Against { margin, margin_points, harm, harm_points, ignore_below, pass_below })
}

/// A distance from stable: as a factor (rates, latencies) or as the part that may be lost (means), and as points beside.
pub(super) fn distance(check: &mut Check, field: &str, margin: Margin, metric: Metric) -> (f64, f64) {
    let (distance, points) = match (metric.larger_is_worse(), margin) {
        (true, Margin::Factor(factor)) => (factor, 0.0),
        (true, Margin::Part(part)) => (1.0 + part, 0.0),
        (false, Margin::Factor(factor)) => (1.0 - factor, 0.0),
        (false, Margin::Part(part)) => (part, 0.0),
        (true, Margin::Points(points)) => (1.0, points),
        (false, Margin::Points(points)) => (0.0, points),
    };
    let in_points = matches!(margin, Margin::Points(_));
    if in_points && (metric.is_time() || metric.is_rate() && points >= 1.0) {
        let remedy =
            "use 0pp to 99pp for a rate, such as 0.5pp; for a latency a factor or a part, such as 25%";
        check.refuse(field, format!("{margin} is no distance for {}", metric.name()), remedy);
    }
    let fits = if metric.larger_is_worse() {
        (1.0..=100.0).contains(&distance)
    } else {
        (0.0..1.0).contains(&distance)
    };
    if !fits {
        let remedy = if metric.larger_is_worse() {
            "use 1x to 100x, or 0% to 9900%: how many times stable's value; or points such as 0.5pp"
        } else {
            "use 0% to 99%: how much of stable's mean may be lost; or points such as 0.5pp"
        };
        check.refuse(field, format!("{margin} is no distance for {}", metric.name()), remedy);
    }
    (distance, points)
}

/// A limit in the metric's unit.
pub(super) fn value(check: &mut Check, field: &str, written: Quantity, metric: Metric) -> f64 {
    let (fits, value, remedy) = match (metric.kind(), written) {
        (MetricKind::Time, Quantity::Time(ms)) => (ms >= 0.1, ms, "use a time from 1ms"),
        (MetricKind::Time, Quantity::Share(v) | Quantity::Plain(v)) => (false, v, "use a time such as 500ms"),
        (MetricKind::Score, Quantity::Plain(v)) => (v.is_finite(), v, ""),
        // Its unit is the user's: a share is a part of 1, a time is milliseconds.
        (MetricKind::Figure, Quantity::Plain(v) | Quantity::Share(v) | Quantity::Time(v)) => {
            (v.is_finite(), v, "")
        }
        (MetricKind::Score, Quantity::Share(v) | Quantity::Time(v)) => {
            (false, v, "use a plain number on the scale of spec.confidence.range, such as 0.65")
        }
        (MetricKind::Rate, Quantity::Share(v) | Quantity::Plain(v)) => {
            (v > 0.0 && v < 1.0, v, "use a share above 0% and below 100%")
        }
        (MetricKind::Rate, Quantity::Time(v)) => (false, v, "use a share such as 1%"),
    };
    if !fits {
        check.refuse(field, format!("{written} is no limit for {}", metric.name()), remedy);
    }
    value
}
