//! What begins rollouts by itself.

use std::fmt::Write as _;

use super::line;
use crate::engine::{TriggerView, TriggerViews};

pub fn render(out: &mut String, triggers: &TriggerViews) {
    type Of = fn(&TriggerView) -> Option<f64>;
    #[allow(clippy::cast_precision_loss)] // milliseconds and counts
    let metrics: [(&str, &str, &str, Of); 3] = [
        (
            "serin_trigger_last_success_timestamp_seconds",
            "gauge",
            "when the model registry last answered",
            |view| Some(view.poll.as_ref()?.last_success_unix_ms? as f64 / 1e3),
        ),
        (
            "serin_trigger_poll_failures_total",
            "counter",
            "questions the model registry left without an answer",
            |view| Some(view.poll.as_ref()?.failures_total as f64),
        ),
        (
            "serin_trigger_pending",
            "gauge",
            "1 while a version waits for the present run to be over",
            |view| Some(f64::from(u8::from(view.pending.is_some()))),
        ),
    ];
    for (name, kind, help, of) in metrics {
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for view in triggers.values() {
            let Some(value) = of(view) else { continue };
            line(out, name, &[("trigger", &view.name), ("rollout", &view.rollout)], value);
        }
    }
}
