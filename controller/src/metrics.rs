//! The runs as Prometheus metrics, made afresh from the views at every scrape.

use std::fmt::Write as _;

use crate::engine::Views;

/// Phases, as values of the label `phase`.
const PHASES: [&str; 7] =
    ["Pending", "Progressing", "Paused", "Promoting", "HandBack", "Succeeded", "RolledBack"];

/// The text exposition format, version 0.0.4. Names and versions hold no character that needs escaping
/// (`split::policy`).
pub fn render(views: &Views) -> String {
    let mut out = String::new();
    head(&mut out, "serin_rollout_phase", "1 for the phase the rollout is in");
    for view in views.values() {
        for phase in PHASES {
            let is = u8::from(view.run.phase == phase);
            line(
                &mut out,
                "serin_rollout_phase",
                &[("rollout", &view.run.name), ("phase", phase)],
                is.into(),
            );
        }
    }
    head(&mut out, "serin_rollout_canary_weight_ratio", "the canary's share of the traffic, 0 to 1");
    for view in views.values() {
        let labels =
            [("rollout", &*view.run.name), ("stable", &view.run.stable), ("canary", &view.run.canary)];
        line(&mut out, "serin_rollout_canary_weight_ratio", &labels, f64::from(view.run.weight_ppm) / 1e6);
    }
    head(
        &mut out,
        "serin_rollback_latency_seconds",
        "from the decision to the last request any proxy sent to the canary, as an interval; complete=false: a lower bound",
    );
    for view in views.values() {
        let Some(latency) = view.rollback_latency else { continue };
        let complete = if latency.complete { "true" } else { "false" };
        for (bound, ms) in [("from", latency.from_ms), ("to", latency.to_ms)] {
            let labels = [("rollout", &*view.run.name), ("bound", bound), ("complete", complete)];
            #[allow(clippy::cast_precision_loss)] // milliseconds
            line(&mut out, "serin_rollback_latency_seconds", &labels, ms as f64 / 1e3);
        }
    }
    out
}

// Writing to a String does not fail.

fn head(out: &mut String, name: &str, help: &str) {
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n");
}

fn line(out: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let _ = writeln!(out, "{name}{{{}}} {value}", labels.join(","));
}
