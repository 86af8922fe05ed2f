//! What is watched after promotions.

use rollout::WatchView;

use super::{head, line};
use crate::engine::Views;

#[allow(clippy::cast_precision_loss)] // milliseconds
pub fn render(out: &mut String, views: &Views) {
    let watches: Vec<(&str, &WatchView)> = views
        .values()
        .filter_map(|view| Some((view.run.name.as_str(), view.run.watch.as_ref()?)))
        .filter(|(_, watch)| watch.standing == "watching")
        .collect();
    head(
        out,
        "serin_watch_age_seconds",
        "for how long the promoted version has been watched; absent: it is not",
    );
    for (name, watch) in &watches {
        let labels = [("rollout", *name), ("version", watch.version.as_str())];
        line(out, "serin_watch_age_seconds", &labels, watch.watched_ms as f64 / 1e3);
    }
    head(out, "serin_watch_drift", "1: the gate is proven out of the limit that holds since the promotion");
    for (name, watch) in &watches {
        for gate in &watch.gates {
            let labels = [("rollout", *name), ("gate", gate.name.as_str())];
            line(out, "serin_watch_drift", &labels, f64::from(u8::from(gate.standing == "drift")));
        }
    }
    head(
        out,
        "serin_watch_limit",
        "what the gate is held to since the promotion: a share, milliseconds, or a mean",
    );
    for (name, watch) in &watches {
        for gate in &watch.gates {
            let labels = [("rollout", *name), ("gate", gate.name.as_str()), ("metric", gate.metric)];
            line(out, "serin_watch_limit", &labels, gate.limit);
        }
    }
    head(out, "serin_watch_value", "what the gate shows in the last ten minutes, in the unit of its limit");
    for (name, watch) in &watches {
        for gate in &watch.gates {
            let labels = [("rollout", *name), ("gate", gate.name.as_str()), ("metric", gate.metric)];
            if let Some(value) = gate.value {
                line(out, "serin_watch_value", &labels, value);
            }
        }
    }
}
