//! What is wrong with a Canary where it comes from.

use super::{Checks, LEAST_INTERVAL_MS};
use crate::place::Place;
use crate::promql;
use crate::report::Ledger;
use crate::text::{duration, span};

/// A way back that takes longer is no safety.
const SLOW_MS: u64 = 300_000;

pub(super) fn check(
    spec: &Place<'_>,
    analysis: &Place<'_>,
    checks: &Checks,
    part: bool,
    ledger: &mut Ledger,
) {
    for (place, field) in [(spec.at("targetRef"), "targetRef"), (analysis.clone(), "analysis")] {
        if !place.is_there() {
            ledger.error(
                "refused",
                spec,
                format!("it has no `{field}`, and Flagger refuses that"),
                "write it",
            );
        }
    }
    if !spec.down("service.port").is_there() {
        let severity = "it has no `service.port`, and Flagger cannot make its services";
        ledger.error("refused", &spec.at("service"), severity, "write the port");
    }
    if part {
        let what = "it is no Canary by itself: it has no apiVersion and kind of its own";
        ledger.warning("refused", spec, what, "see that the chart makes a Canary of it");
    }
    if spec.at("skipAnalysis").flag() == Some(true) {
        let what = "`skipAnalysis` promotes whatever is deployed, unseen";
        ledger.error("never-fails", &spec.at("skipAnalysis"), what, "leave it out");
    }
    let interval = analysis.at("interval");
    if let Some(ms) = interval.text().and_then(|text| duration(&text)).filter(|ms| *ms < LEAST_INTERVAL_MS) {
        let what = format!("{} is below what Flagger does, which is 10s", span(ms));
        ledger.warning("interval", &interval, what, "write 10s or more");
    }
    let threshold = analysis.at("threshold");
    let takes = checks.interval_ms.saturating_mul(u64::from(checks.borne) + 1);
    if takes > SLOW_MS {
        let what = format!(
            "it is how many failed checks are borne, not how many good ones promote: a bad version keeps its traffic for {}",
            span(takes)
        );
        ledger.warning("slow-rollback", &threshold, what, "write a smaller threshold or interval");
    }
    weights(analysis, ledger);
    let metrics = analysis.at("metrics");
    if metrics.items().is_empty() {
        let what = "it measures nothing: the new version goes up by time alone";
        ledger.error("no-gate", analysis, what, "write `metrics`");
    }
    for at in metrics.items() {
        metric(&at, checks, ledger);
    }
}

fn weights(analysis: &Place<'_>, ledger: &mut Ledger) {
    let (step, most) = (analysis.at("stepWeight"), analysis.at("maxWeight"));
    let steps = analysis.at("stepWeights").is_there();
    let iterations = analysis.at("iterations").number().is_some_and(|wanted| wanted > 0.0);
    if iterations && (step.is_there() || steps) {
        let what = "`iterations` goes before: the weights are not stepped through";
        ledger.error("contradiction", &analysis.at("iterations"), what, "keep one of the two");
    }
    if !iterations && !steps && !step.number().is_some_and(|by| by > 0.0) {
        let what =
            "it has neither `stepWeight` nor `stepWeights` nor `iterations`: all traffic goes over at once";
        ledger.error("no-steps", analysis, what, "write `stepWeight: 5` and `maxWeight: 50`");
    }
    if let Some(most) = most.number().filter(|most| *most > 100.0 || *most <= 0.0) {
        ledger.error("refused", &analysis.at("maxWeight"), format!("{most} is no share"), "write 1 to 100");
    }
    if let (Some(by), Some(limit)) = (step.number(), most.number())
        && by > limit
        && !steps
    {
        ledger.error(
            "no-steps",
            &step,
            format!("the first step, {by}, is beyond `maxWeight`, {limit}"),
            "write a smaller step",
        );
    }
    let mut before = 0.0;
    for item in analysis.at("stepWeights").items() {
        let weight = item.number().unwrap_or(0.0);
        if weight <= before {
            ledger.error(
                "falling-weight",
                &item,
                format!("{weight} is not above {before}"),
                "let weights rise",
            );
        }
        before = weight;
    }
}

fn metric(at: &Place<'_>, checks: &Checks, ledger: &mut Ledger) {
    let name = at.at("name").text().unwrap_or_default();
    let built_in = !at.at("templateRef").is_there() && !at.at("query").is_there();
    let range = at.at("thresholdRange");
    let own = ["request-success-rate", "request-duration"].contains(&name.as_str());
    if built_in && !own {
        let what =
            "it has neither `templateRef` nor `query`: every check fails, and every version is rolled back";
        ledger.error("always-fails", at, what, "name a MetricTemplate by `templateRef`");
    }
    let threshold = at.at("threshold");
    if threshold.is_there() {
        ledger.warning(
            "deprecated",
            &threshold,
            "it is of before, and a maximum except for request-success-rate",
            "write `thresholdRange`",
        );
    }
    let min =
        range.at("min").number().or_else(|| threshold.number().filter(|_| name == "request-success-rate"));
    let max =
        range.at("max").number().or_else(|| threshold.number().filter(|_| name != "request-success-rate"));
    if built_in && name == "request-success-rate" {
        match min {
            Some(min) if min > 0.0 && min <= 1.0 => {
                let what = format!("it is in percent, and {min} % is next to nothing: it never fails");
                ledger.error("unit", &range.at("min"), what, "write percent, such as 99");
            }
            Some(min) if min > 100.0 => {
                ledger.error(
                    "always-fails",
                    &range.at("min"),
                    format!("no rate is {min} %"),
                    "write percent, such as 99",
                );
            }
            Some(min) if min >= 100.0 => {
                let what = "a single failed request fails the check";
                ledger.warning("unit", &range.at("min"), what, "write less, such as 99");
            }
            _ => {}
        }
    }
    if built_in
        && name == "request-duration"
        && let Some(max) = max.filter(|max| *max < 10.0)
    {
        let what = format!("it is in milliseconds, and no service answers within {max}");
        ledger.error("unit", &range.at("max"), what, "write milliseconds, such as 500");
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        ledger.error(
            "always-fails",
            &range,
            format!("nothing is above {min} and below {max}"),
            "exchange the two",
        );
    }
    let interval = at.at("interval");
    if let Some(ms) = interval.text().and_then(|text| duration(&text)).filter(|ms| *ms > checks.interval_ms) {
        let what = format!(
            "it looks back over {}, and a step lasts {}: it sees the steps before",
            span(ms),
            span(checks.interval_ms)
        );
        ledger.warning("longer-than-step", &interval, what, "look back no longer than `analysis.interval`");
    }
    if let Some(query) = at.at("query").text()
        && !promql::names_a_version(&query)
    {
        let what = "nothing in it tells the new version from the old";
        ledger.warning("not-of-the-canary", &at.at("query"), what, "select the new version by a label");
    }
}
