//! Practice that begins by itself.

use super::{head, line};
use crate::engine::Views;

pub(super) fn render(out: &mut String, views: &Views) {
    let all = || views.values().flat_map(|view| view.practice.iter().map(move |practice| (view, practice)));
    let name = "serin_practice_next_timestamp_seconds";
    head(out, name, "when practice is due next, in seconds since 1970; before now: something is in its way");
    for (view, practice) in all() {
        let labels = [("rollout", &*view.run.name), ("exercise", practice.exercise)];
        #[allow(clippy::cast_precision_loss)] // milliseconds
        if let Some(ms) = practice.next_unix_ms {
            line(out, name, &labels, ms as f64 / 1e3);
        }
    }
    let name = "serin_practice_overdue";
    head(out, name, "1: practice was due, and none has passed since; alert when it stays");
    for (view, practice) in all() {
        let labels = [("rollout", &*view.run.name), ("exercise", practice.exercise)];
        line(out, name, &labels, u8::from(practice.overdue).into());
    }
}
