//! The runs as Prometheus metrics, made afresh from the views at every scrape.

mod demand;
mod ending;
mod practice;
mod triggers;
mod watch;

use std::fmt::Write as _;

use crate::engine::{TriggerViews, Views};

/// Phases, as values of the label `phase`.
const PHASES: [&str; 7] =
    ["Pending", "Progressing", "Paused", "Promoting", "HandBack", "Succeeded", "RolledBack"];

/// The text exposition format, version 0.0.4. Names and versions hold no character that needs escaping
/// (`split::policy`).
pub fn render(views: &Views, triggers: &TriggerViews) -> String {
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
        "serin_rollout_overrides",
        "how often a person went past a freeze or an unproven gate in this run",
    );
    for view in views.values() {
        #[allow(clippy::cast_precision_loss)] // a few
        let overrides = view.run.overrides.len() as f64;
        line(&mut out, "serin_rollout_overrides", &[("rollout", &view.run.name)], overrides);
    }
    head(
        &mut out,
        "serin_rollout_arm_weight_ratio",
        "the share of each of several versions on trial, 0 to 1",
    );
    for view in views.values() {
        for arm in &view.run.arms {
            let labels = [("rollout", &*view.run.name), ("version", &arm.version), ("arm", arm.arm.as_str())];
            line(&mut out, "serin_rollout_arm_weight_ratio", &labels, f64::from(arm.weight_ppm) / 1e6);
        }
    }
    bandits(&mut out, views);
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
    drills(&mut out, views);
    demand::render(&mut out, views);
    ending::render(&mut out, views);
    triggers::render(&mut out, triggers);
    parities(&mut out, views);
    practice::render(&mut out, views);
    watch::render(&mut out, views);
    out
}

/// Shares that follow the evidence.
fn bandits(out: &mut String, views: &Views) {
    head(
        out,
        "serin_rollout_best_probability",
        "the probability that a version is the best of those compared, where shares follow it; absent: not known yet",
    );
    for view in views.values() {
        for known in view.run.bandit.iter().flat_map(|bandit| &bandit.versions) {
            if let Some(best) = known.best {
                let (rollout, version) = (&*view.run.name, &*known.version);
                let labels = [("rollout", rollout), ("version", version), ("arm", known.arm.as_str())];
                line(out, "serin_rollout_best_probability", &labels, best);
            }
        }
    }
    head(
        out,
        "serin_rollout_share_ceiling_ratio",
        "the largest share all versions on trial may get by evidence, 0 to 1",
    );
    for view in views.values() {
        if let Some(bandit) = &view.run.bandit {
            let ceiling = f64::from(bandit.ceiling_ppm) / 1e6;
            line(out, "serin_rollout_share_ceiling_ratio", &[("rollout", &view.run.name)], ceiling);
        }
    }
}

/// A/A checks.
#[allow(clippy::cast_precision_loss)] // milliseconds
fn parities(out: &mut String, views: &Views) {
    head(out, "serin_parity_passed", "1: the last A/A check that ended proved parity");
    for view in views.values() {
        if let Some(outcome) = view.parity.as_ref().and_then(|parity| parity.outcome) {
            let passed = u8::from(outcome == rollout::Outcome::Passed);
            line(out, "serin_parity_passed", &[("rollout", &view.run.name)], passed.into());
        }
    }
    head(
        out,
        "serin_parity_last_success_timestamp_seconds",
        "when parity was last proven, in seconds since 1970",
    );
    for view in views.values() {
        if let Some(ms) = view.parity_passed_unix_ms {
            let labels = [("rollout", &*view.run.name)];
            line(out, "serin_parity_last_success_timestamp_seconds", &labels, ms as f64 / 1e3);
        }
    }
}

/// Drills of the rollback path.
#[allow(clippy::cast_precision_loss)] // milliseconds
fn drills(out: &mut String, views: &Views) {
    head(out, "serin_drill_seconds", "what the last drill found, by the way back; absent: it never ended");
    for view in views.values() {
        let Some(drill) = &view.drill else { continue };
        let push = drill.push.as_ref();
        for (way, ms) in [
            ("lease", drill.lease.told_ms),
            ("push", push.and_then(|push| push.acknowledged_ms)),
            ("last_canary", push.and_then(|push| push.last_canary_ms)),
        ] {
            if let Some(ms) = ms {
                line(
                    out,
                    "serin_drill_seconds",
                    &[("rollout", &view.run.name), ("way", way)],
                    ms as f64 / 1e3,
                );
            }
        }
    }
    head(out, "serin_drill_passed", "1: the last drill that ended passed");
    for view in views.values() {
        if let Some(outcome) = view.drill.as_ref().and_then(|drill| drill.outcome) {
            let passed = u8::from(outcome == rollout::Outcome::Passed);
            line(out, "serin_drill_passed", &[("rollout", &view.run.name)], passed.into());
        }
    }
    head(
        out,
        "serin_drill_last_success_timestamp_seconds",
        "when a drill last passed, in seconds since 1970",
    );
    for view in views.values() {
        if let Some(ms) = view.drill_passed_unix_ms {
            let labels = [("rollout", &*view.run.name)];
            line(out, "serin_drill_last_success_timestamp_seconds", &labels, ms as f64 / 1e3);
        }
    }
}

// Writing to a String does not fail.

fn head(out: &mut String, name: &str, help: &str) {
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n");
}

fn line(out: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let _ = writeln!(out, "{name}{{{}}} {value}", labels.join(","));
}
