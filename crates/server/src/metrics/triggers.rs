//! What begins rollouts by itself.

use api::TriggerView;
use tally::metric;

use super::page::{Metric, Page};
use controller::engine::TriggerViews;

pub fn put(page: &mut Page, triggers: &TriggerViews) {
    type Kind = for<'a> fn(&'a mut Page, &'static str, &'static str) -> &'a mut Metric;
    type Of = fn(&TriggerView) -> Option<f64>;
    #[allow(clippy::cast_precision_loss)] // milliseconds and counts
    let metrics: [(&str, Kind, &str, Of); 3] = [
        (
            metric::TRIGGER_LAST_SUCCESS_TIMESTAMP_SECONDS,
            Page::gauge,
            "when the model registry last answered",
            |view| Some(view.poll.as_ref()?.last_success_unix_ms? as f64 / 1e3),
        ),
        (
            metric::TRIGGER_POLL_FAILURES_TOTAL,
            Page::counter,
            "questions the model registry left without an answer",
            |view| Some(view.poll.as_ref()?.failures_total as f64),
        ),
        (
            metric::TRIGGER_PENDING,
            Page::gauge,
            "1 while a version waits for the present run to be over",
            |view| Some(f64::from(u8::from(view.pending.is_some()))),
        ),
    ];
    for (name, kind, help, of) in metrics {
        let metric = kind(page, name, help);
        for (view, _) in triggers.values() {
            let Some(value) = of(view) else { continue };
            metric.set(&[("trigger", &view.name), ("rollout", &view.rollout)], value);
        }
    }
}
