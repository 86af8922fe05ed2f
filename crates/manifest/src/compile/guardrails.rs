//! The limits of the whole run.

use super::gates::{metric, nothing_to_switch_off, unread, value};
use super::{Check, possible, sources, span};
use crate::gate::{Gate, Guardrail, Metric, Reads};
use crate::typed::{self, Level, RolloutSpec};

/// Readings in a row beyond the limit that are borne: a single one is seldom the truth.
const BORNE: u32 = 2;

pub(super) fn guardrails(check: &mut Check, spec: &RolloutSpec, gates: &[Gate]) -> Vec<Guardrail> {
    let mut guardrails: Vec<Guardrail> = Vec::new();
    for written in &spec.guardrails {
        let at = check.place("guardrails", &written.name);
        match written.level {
            Some(Level::Off) => {
                if written.metric.is_none() && written.source.is_none() {
                    let others = spec.guardrails.iter().filter(|other| other.level != Some(Level::Off));
                    nothing_to_switch_off(check, &at, "guardrail", others.map(|other| other.name.as_str()));
                }
                continue;
            }
            Some(Level::Advisory) => {
                let remedy = "leave `level` out, or make it an advisory gate";
                check.refuse(format!("{at}.level"), "a guardrail that only reports guards nothing", remedy);
            }
            Some(Level::Hard) | None => {}
        }
        guardrails.extend(guardrail(check, &at, written, spec, gates));
    }
    guardrails
}

fn guardrail(
    check: &mut Check,
    at: &str,
    written: &typed::Guardrail,
    spec: &RolloutSpec,
    gates: &[Gate],
) -> Option<Guardrail> {
    let name = check.label(&format!("{at}.name"), &written.name);
    let metric = match &written.source {
        Some(_) => {
            if written.metric.is_some() {
                check.refuse(format!("{at}.metric"), "source is given as well", "keep one of the two");
            }
            if gates.iter().any(|gate| gate.figure().is_some() && gate.name == name) {
                let what = format!("a gate with a source is called {name:?} too");
                check.refuse(format!("{at}.name"), what, "rename one: figures are read by name");
            }
            // Which side is worse follows from the limit that is set.
            if written.min.is_some() && written.max.is_none() {
                Metric::ExternalHigh
            } else {
                Metric::ExternalLow
            }
        }
        None => metric(check, at, written.metric, spec)?,
    };
    let (side, given, other, wrong) = if metric.larger_is_worse() {
        ("max", written.max, "min", written.min)
    } else {
        ("min", written.min, "max", written.max)
    };
    if wrong.is_some() {
        let what = match metric.is_external() {
            true => "max is given as well".to_owned(),
            false => format!("{} is bounded on the other side", metric.name()),
        };
        let remedy = match metric.is_external() {
            true => "keep one of the two, and write a second guardrail for the other".to_owned(),
            false => format!("use {side}"),
        };
        check.refuse(format!("{at}.{other}"), what, remedy);
    }
    let Some(given) = given else {
        let remedy = if metric.is_external() { "add max or min".to_owned() } else { format!("add {side}") };
        check.refuse(at, format!("guardrail {name:?} sets no limit"), remedy);
        return None;
    };
    let limit = value(check, &format!("{at}.{side}"), given, metric);
    possible::limit(check, &format!("{at}.{side}"), limit, metric, spec);
    let reads = reads(check, at, written, metric);
    let against_stable = written.against.is_some();
    if against_stable && !metric.is_rate() {
        let remedy = "leave it out, or make it a gate `against: stable` with a margin";
        check.refuse(format!("{at}.against"), "only shares of requests are held beside stable", remedy);
    }
    Some(Guardrail { name, metric, limit, against_stable, reads })
}

/// How a figure of the user's own is read.
fn reads(check: &mut Check, at: &str, written: &typed::Guardrail, metric: Metric) -> Option<Box<Reads>> {
    let no_data = unread(check, &format!("{at}.noData"), written.no_data, metric);
    let on_error = unread(check, &format!("{at}.onError"), written.on_error, metric);
    let Some(source) = &written.source else {
        for (field, given) in
            [("every", written.every.is_some()), ("failureLimit", written.failure_limit.is_some())]
        {
            if given {
                let remedy = "leave it out: counts are tested at every look";
                check.refuse(format!("{at}.{field}"), "it is for guardrails with a source", remedy);
            }
        }
        return None;
    };
    sources::source(check, at, source);
    let every_ms = span(written.every, 60_000);
    if every_ms == 0 {
        let remedy = "write a time such as 1m";
        check.refuse(format!("{at}.every"), "there is no time between two readings", remedy);
    }
    let borne = written.failure_limit.unwrap_or(BORNE);
    Some(Box::new(Reads { source: source.clone(), every_ms, borne, no_data, on_error }))
}
