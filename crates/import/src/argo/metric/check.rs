//! What is wrong with a metric where it comes from.

use super::{Conditions, Frame};
use crate::argo::Args;
use crate::argo::provider::Asked;
use crate::condition::Range;
use crate::place::Place;
use crate::promql::{self, Unit};
use crate::report::Ledger;

pub(super) fn metric(
    at: &Place<'_>,
    args: &Args,
    conditions: &Conditions,
    asked: &Asked,
    frame: &Frame,
    ledger: &mut Ledger,
) {
    let success = at.at("successCondition");
    if at.at("threshold").is_there() {
        let what = "Argo knows no `threshold` of a metric: nothing compares with it";
        ledger.error(
            "unknown-field",
            &at.at("threshold"),
            what,
            "write `successCondition: result[0] < LIMIT`",
        );
        ledger.lost(&at.at("threshold"), what, "the gate's limit is `max` or `min`");
    }
    let query = match asked {
        Asked::Prometheus(source) => Some(source.query.as_str()),
        _ => None,
    };
    if matches!(asked, Asked::Judge(..)) {
        // What judges by itself needs no condition.
    } else if conditions.says_nothing() {
        let filtered = query.and_then(promql::filter).is_some();
        let why = if filtered {
            ": a query that compares is empty where it does not hold, and empty passes too"
        } else {
            ""
        };
        let what = format!("it has no condition, so every measurement that does not err is Successful{why}");
        ledger.error("never-fails", at, what, "write `successCondition`, such as `result[0] < 0.01`");
    } else if conditions.never_fails() {
        ledger.error(
            "never-fails",
            &success,
            "its condition holds for every number",
            "compare with the result",
        );
    }
    if frame.failure_limit < 0 {
        let what = "`failureLimit: -1` bears any number of failures";
        ledger.error("never-fails", &at.at("failureLimit"), what, "write 0 or more");
    } else if let Some(count) = frame.count
        && i64::from(count) <= frame.failure_limit
    {
        let what = format!("{count} measurements cannot fail more often than {}", frame.failure_limit);
        ledger.error(
            "never-fails",
            &at.at("failureLimit"),
            what,
            "bear fewer failures than there are measurements",
        );
    }
    if frame.count == Some(1) && frame.failure_limit == 0 {
        let (place, what) = match at.at("count").is_there() {
            true => (at.at("count"), "one measurement decides"),
            false => (at.clone(), "without an `interval` one measurement decides"),
        };
        ledger.warning("one-sample", &place, what, "write `interval: 1m`, `count: 5` and `failureLimit: 1`");
    }
    if frame.background && at.at("count").is_there() && at.at("interval").is_there() {
        let what = "in the background it stops after `count` measurements, and later stages go unwatched";
        ledger.warning("stops-early", &at.at("count"), what, "leave `count` out");
    }
    for place in [&success, &at.at("failureCondition")] {
        if let Some(text) = place.text()
            && let Err(open) = args.fill(&text)
            && !args.awaits(&open)
            && !args.is_secret(&open)
        {
            unresolved(place, &open, ledger);
        }
    }
    data(at, conditions, query, ledger);
    gap(at, conditions, frame, ledger);
    if let Some(query) = query {
        look(at, query, conditions, ledger);
    }
}

/// What is filled in by nobody.
pub(in crate::argo) fn unresolved(at: &Place<'_>, open: &str, ledger: &mut Ledger) {
    let what =
        format!("{open} is filled in by nobody: the analysis ends in an error, and the rollout aborts");
    let remedy = "declare an argument and give it a value; the hash of the new pods is `valueFrom: {podTemplateHashValue: Latest}`";
    ledger.error("unresolved", at, what, remedy);
}

/// What happens without data.
fn data(at: &Place<'_>, conditions: &Conditions, query: Option<&str>, ledger: &mut Ledger) {
    let (success, failure) = (at.at("successCondition"), at.at("failureCondition"));
    let passes = |meaning: &crate::condition::Meaning| meaning.no_data == Some(true);
    if conditions.success.as_ref().is_some_and(passes) {
        let what = "no data passes: a version without traffic, or without metrics, is promoted";
        ledger.error(
            "passes-without-data",
            &success,
            what,
            "leave that part out, and bear errors by `consecutiveErrorLimit`",
        );
    } else if conditions.success.is_none()
        && conditions.bearable.as_ref().is_some_and(|bearable| bearable.no_data.is_none())
    {
        let what = "NaN is not beyond any limit, so a quotient of nothing by nothing passes";
        ledger.warning("passes-without-data", &failure, what, "write a `successCondition` as well");
    }
    if let Some(number) = query.and_then(promql::instead_of_nothing) {
        let holds = |meaning: &crate::condition::Meaning| {
            meaning.ranges.iter().all(|(_, range)| range.holds(number, true))
        };
        if conditions.success.as_ref().or(conditions.bearable.as_ref()).is_some_and(holds) {
            let what = format!("`or vector({number})` stands for no data, and {number} passes");
            let place = at.down("provider.prometheus.query");
            ledger.error("passes-without-data", &place, what, "leave it out: no data is no proof");
        }
    } else if conditions.success.as_ref().is_some_and(|success| success.indexed && success.no_data.is_none())
    {
        let what = "an empty answer is an error here, and five in a row abort a version that merely has no traffic yet";
        ledger.warning(
            "no-data-aborts",
            &success,
            what,
            "wait by `initialDelay`, or bear more by `consecutiveErrorLimit`",
        );
    }
}

/// What lies between good and bad, and what contradicts itself.
fn gap(at: &Place<'_>, conditions: &Conditions, frame: &Frame, ledger: &mut Ledger) {
    let (Some(success), Some(bearable)) = (&conditions.success, &conditions.bearable) else { return };
    let failure = at.at("failureCondition");
    for (path, pass) in &success.ranges {
        let Some((_, bear)) = bearable.ranges.iter().find(|(known, _)| known == path) else { continue };
        let gap = |pass: Option<f64>, bear: Option<f64>, wider: fn(f64, f64) -> bool| match (pass, bear) {
            (Some(pass), Some(bear)) if wider(bear, pass) => Some((pass, bear)),
            _ => None,
        };
        let upper = gap(pass.max, bear.max, |bear, pass| bear > pass);
        let lower = gap(pass.min, bear.min, |bear, pass| bear < pass);
        if let Some((one, other)) = upper.or(lower)
            && frame.inconclusive_limit == 0
        {
            let what = format!(
                "a value between {one} and {other} is inconclusive, and `inconclusiveLimit` is 0: the first one pauses the rollout \
                 until somebody comes"
            );
            ledger.warning(
                "inconclusive-blocks",
                &failure,
                what,
                "write `inconclusiveLimit: 3`, or close the gap",
            );
        }
        let crossed = gap(pass.max, bear.max, |bear, pass| bear < pass)
            .or(gap(pass.min, bear.min, |bear, pass| bear > pass))
            .or(gap(pass.max, bear.min, |bear, pass| bear >= pass))
            .or(gap(pass.min, bear.max, |bear, pass| bear <= pass));
        if let Some((pass, bear)) = crossed {
            let what = format!(
                "it overlaps with what passes: between {pass} and {bear} both hold, and then it fails"
            );
            ledger.error("contradiction", &failure, what, "exchange the limits, or close the overlap");
        }
    }
}

/// What the query shows.
fn look(at: &Place<'_>, query: &str, conditions: &Conditions, ledger: &mut Ledger) {
    let place = at.down("provider.prometheus.query");
    let written = place.text().unwrap_or_default();
    if !promql::names_a_version(&written) {
        let what =
            "nothing in it tells the new version from the old: it measures both together, mostly the old one";
        ledger.warning("not-of-the-canary", &place, what, "select the new version by a label");
    }
    if promql::is_of_many(query) {
        let what = "it may give several series, and `result[0]` is one of them, whichever";
        ledger.warning("several-series", &place, what, "put `sum`, `max` or `sum by (le)` around it");
    }
    let unit = promql::unit(query);
    let ranges =
        [&conditions.success, &conditions.bearable].into_iter().flatten().flat_map(|meaning| &meaning.ranges);
    let filter = promql::filter(query).filter(|_| conditions.says_nothing());
    let of_filter = filter.map(|filter| match filter.sign.starts_with('<') {
        true => Range { min: None, max: Some(filter.limit) },
        false => Range { min: Some(filter.limit), max: None },
    });
    let success = at.at("successCondition");
    let condition = if success.is_there() { success } else { at.at("failureCondition") };
    for range in ranges.map(|(_, range)| *range).chain(of_filter) {
        if let Some((what, remedy)) = out_of_unit(unit, range) {
            ledger.error("unit", if condition.is_there() { &condition } else { &place }, what, remedy);
        }
    }
}

/// A limit that is no limit in its unit.
fn out_of_unit(unit: Option<Unit>, range: Range) -> Option<(String, &'static str)> {
    match (unit?, range.min, range.max) {
        (Unit::Ratio, _, Some(max)) if max >= 1.0 => Some((
            format!("a part of the requests is never above 1, and the limit is {max}"),
            "write a part of 1, such as 0.01",
        )),
        (Unit::Ratio, Some(min), _) if min > 1.0 => Some((
            format!("a part of the requests is never {min}: it can never pass"),
            "write a part of 1, such as 0.99, or `100 *` in the query",
        )),
        (Unit::Percent, Some(min), _) if min > 0.0 && min <= 1.0 => Some((
            format!("it is measured in percent, and {min} % is next to nothing"),
            "write percent, such as 99",
        )),
        (Unit::Percent, _, Some(max)) if max >= 100.0 => {
            Some((format!("percent are never above 100, and the limit is {max}"), "write a smaller limit"))
        }
        (Unit::Seconds, _, Some(max)) if max >= 100.0 => Some((
            format!("it is measured in seconds, and {max} of them are no limit"),
            "write seconds, such as 0.5",
        )),
        (Unit::Milliseconds, _, Some(max)) if max > 0.0 && max < 1.0 => Some((
            format!("it is measured in milliseconds, and {max} of one is never kept"),
            "write milliseconds, such as 500",
        )),
        _ => None,
    }
}
