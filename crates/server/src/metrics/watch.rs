//! What is watched after promotions.

use api::{GateStanding, WatchStanding, WatchView};
use tally::metric;

use super::page::Page;
use controller::engine::Views;

#[allow(clippy::cast_precision_loss)] // milliseconds
pub fn put(page: &mut Page, views: &Views) {
    let watches: Vec<(&str, &WatchView)> = views
        .values()
        .filter_map(|view| Some((view.run.name.as_str(), view.run.watch.as_ref()?)))
        .filter(|(_, watch)| watch.standing == WatchStanding::Watching)
        .collect();
    let ages = page.gauge(
        metric::WATCH_AGE_SECONDS,
        "for how long the promoted version has been watched; absent: it is not",
    );
    for (name, watch) in &watches {
        let labels = [("rollout", *name), ("version", watch.version.as_str())];
        ages.set(&labels, watch.watched_ms as f64 / 1e3);
    }
    let drifts = page
        .gauge(metric::WATCH_DRIFT, "1: the gate is proven out of the limit that holds since the promotion");
    for (name, watch) in &watches {
        for gate in &watch.gates {
            let labels = [("rollout", *name), ("gate", gate.name.as_str())];
            drifts.set(&labels, f64::from(u8::from(gate.standing == GateStanding::Drift)));
        }
    }
    let limits = page.gauge(
        metric::WATCH_LIMIT,
        "what the gate is held to since the promotion: a share, milliseconds, or a mean",
    );
    for (name, watch) in &watches {
        for gate in &watch.gates {
            let labels =
                [("rollout", *name), ("gate", gate.name.as_str()), ("metric", &gate.metric.to_string())];
            limits.set(&labels, gate.limit);
        }
    }
    let values = page
        .gauge(metric::WATCH_VALUE, "what the gate shows in the last ten minutes, in the unit of its limit");
    for (name, watch) in &watches {
        for gate in &watch.gates {
            let labels =
                [("rollout", *name), ("gate", gate.name.as_str()), ("metric", &gate.metric.to_string())];
            if let Some(value) = gate.value {
                values.set(&labels, value);
            }
        }
    }
}
