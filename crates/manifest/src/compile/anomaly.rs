//! What a reading is held against beside its limits.

use super::{Check, sources};
use crate::amount::Margin;
use crate::anomaly::Anomaly;
use crate::source::Source;
use crate::typed;

/// Fewer have no spread to speak of.
const FEWEST: u32 = 5;
/// So many are kept of a run.
const MOST: u32 = 100;

pub(super) fn anomaly(check: &mut Check, at: &str, written: &typed::Gate) -> Option<Anomaly> {
    let asked = written.anomaly?;
    let at = format!("{at}.anomaly");
    if written.source.is_none() {
        let remedy = "leave it out: counts are tested, which finds more and is wrong more seldom";
        check.refuse(&at, "it is for gates with a source", remedy);
    }
    let z = asked.z.unwrap_or(3.5);
    if !(z.is_finite() && (1.0..=100.0).contains(&z)) {
        let remedy = "use 1 to 100; 3.5 is usual, and less than 3 calls many alike readings outliers";
        check.refuse(format!("{at}.z"), format!("{z} is no distance"), remedy);
    }
    let min_readings = asked.min_readings.unwrap_or(12);
    if !(FEWEST..=MOST).contains(&min_readings) {
        check.refuse(
            format!("{at}.minReadings"),
            format!("{min_readings} readings are no series to hold one against"),
            format!("use {FEWEST} to {MOST}"),
        );
    }
    let (least, least_points) = match asked.least {
        None => (0.01, 0.0),
        Some(Margin::Part(part)) => (part, 0.0),
        Some(Margin::Points(points)) => (0.0, points),
        Some(Margin::Factor(_)) => {
            let remedy = "write a part of the median such as 1%, or points such as 0.5pp";
            check.refuse(format!("{at}.least"), "a factor is no distance from a median", remedy);
            (0.01, 0.0)
        }
    };
    if let Some(range) = asked.history {
        match &written.source {
            Some(Source::Prometheus(source)) if source.range.is_some() => {
                let remedy =
                    "put the time into the query, such as avg_over_time(x[10m]), and leave `range` out";
                check.refuse(
                    format!("{at}.history"),
                    "its values would be others than the readings, which `source.prometheus.range` reduces",
                    remedy,
                );
            }
            Some(Source::Prometheus(_)) => {
                sources::range(check, &format!("{at}.history"), range);
                let values = range.over.ms().checked_div(range.step.ms()).unwrap_or(0);
                if values > 0 && values < min_readings.into() {
                    check.refuse(
                        format!("{at}.history"),
                        format!("it has {values} values, and minReadings is {min_readings}"),
                        "lengthen `over`, or shorten `step`",
                    );
                }
            }
            _ => {
                let remedy = "leave it out: the readings of this run are the series";
                check.refuse(format!("{at}.history"), "only Prometheus knows what was before", remedy);
            }
        }
    }
    Some(Anomaly {
        z,
        min_readings,
        least,
        least_points,
        sides: asked.sides.unwrap_or_default(),
        history: asked.history,
    })
}
