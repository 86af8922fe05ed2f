//! Practice that begins by itself.

use tally::metric;

use super::page::Page;
use controller::engine::Views;

pub fn put(page: &mut Page, views: &Views) {
    let all = || views.values().flat_map(|view| view.practice.iter().map(move |practice| (view, practice)));
    let next = page.gauge(
        metric::PRACTICE_NEXT_TIMESTAMP_SECONDS,
        "when practice is due next, in seconds since 1970; before now: something is in its way",
    );
    for (view, practice) in all() {
        let labels = [("rollout", &*view.run.name), ("exercise", &practice.exercise.to_string())];
        #[allow(clippy::cast_precision_loss)] // milliseconds
        if let Some(ms) = practice.next_unix_ms {
            next.set(&labels, ms as f64 / 1e3);
        }
    }
    let overdue = page.gauge(
        metric::PRACTICE_OVERDUE,
        "1: practice was due, and none has passed since; alert when it stays",
    );
    for (view, practice) in all() {
        let labels = [("rollout", &*view.run.name), ("exercise", &practice.exercise.to_string())];
        overdue.set(&labels, u8::from(practice.overdue).into());
    }
}
