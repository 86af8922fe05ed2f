//! The runs as Prometheus metrics, made afresh from the views at every scrape.

mod demand;
mod ending;
pub mod page;
mod plugins;
mod practice;
mod selector;
mod triggers;
mod troubles;
mod watch;

#[cfg(test)]
mod tests;

use api::{Judged, Outcome, PhaseName};
use istio::Plugin;
use tally::metric;

pub use page::CONTENT_TYPE;
pub use selector::Query;

use controller::engine::{TriggerViews, Views};
use page::Page;
use scrape::Trouble;

/// The page that Prometheus reads.
pub fn render(views: &Views, triggers: &TriggerViews, plugins: &[Plugin], troubles: &[Trouble]) -> String {
    page(views, triggers, plugins, troubles).text()
}

/// All metrics of runs, triggers, plugins and proxies as they are now.
pub fn page(views: &Views, triggers: &TriggerViews, plugins: &[Plugin], troubles: &[Trouble]) -> Page {
    let mut page = Page::default();
    let phases = page.gauge(metric::ROLLOUT_PHASE, "1 for the phase the rollout is in");
    for view in views.values() {
        for phase in PhaseName::ALL {
            let is = u8::from(view.run.phase == phase);
            phases.set(&[("rollout", &view.run.name), ("phase", &phase.to_string())], is.into());
        }
    }
    let verdicts = page.gauge(
        metric::ROLLOUT_VERDICT,
        "1 for what the run says of the version it rolls out: pass, pending, inconclusive, fail",
    );
    for view in views.values() {
        let judgement = view.judgement(None);
        for judged in Judged::ALL {
            let labels = [
                ("rollout", &*view.run.name),
                ("version", &judgement.version),
                ("verdict", &api::OpenEnum::<_>::Known(judged).to_string()),
            ];
            verdicts.set(&labels, u8::from(judgement.verdict == judged).into());
        }
    }
    let weights =
        page.gauge(metric::ROLLOUT_CANARY_WEIGHT_RATIO, "the canary's share of the traffic, 0 to 1");
    for view in views.values() {
        let labels =
            [("rollout", &*view.run.name), ("stable", &view.run.stable), ("canary", &view.run.canary)];
        weights.set(&labels, f64::from(view.run.weight_ppm) / 1e6);
    }
    let overrides = page.gauge(
        metric::ROLLOUT_OVERRIDES,
        "how often a person went past a freeze or an unproven gate in this run",
    );
    for view in views.values() {
        #[allow(clippy::cast_precision_loss)] // a few
        overrides.set(&[("rollout", &view.run.name)], view.run.overrides.len() as f64);
    }
    let attention = page.gauge(
        metric::ROLLOUT_ATTENTION,
        "1 for each thing that holds, blinds or refuses the rollout: no_proxies, quorum, no_metrics, unread, no_requests, gate_error, shared_incident",
    );
    for view in views.values() {
        for found in &view.run.attention {
            attention.set(&[("rollout", &view.run.name), ("kind", &found.kind.to_string())], 1.0);
        }
    }
    let arms = page
        .gauge(metric::ROLLOUT_ARM_WEIGHT_RATIO, "the share of each of several versions on trial, 0 to 1");
    for view in views.values() {
        for arm in &view.run.arms {
            let arm_name = arm.arm.to_string();
            let labels = [("rollout", &*view.run.name), ("version", &arm.version), ("arm", &arm_name)];
            arms.set(&labels, f64::from(arm.weight_ppm) / 1e6);
        }
    }
    bandits(&mut page, views);
    let latencies = page.gauge(
        metric::ROLLBACK_LATENCY_SECONDS,
        "from the decision to the last request any proxy sent to the canary, as an interval; complete=false: a lower bound",
    );
    for view in views.values() {
        let Some(latency) = view.rollback_latency else { continue };
        let complete = if latency.complete { "true" } else { "false" };
        for (bound, ms) in [("from", latency.from_ms), ("to", latency.to_ms)] {
            let labels = [("rollout", &*view.run.name), ("bound", bound), ("complete", complete)];
            #[allow(clippy::cast_precision_loss)] // milliseconds
            latencies.set(&labels, ms as f64 / 1e3);
        }
    }
    drills(&mut page, views);
    demand::put(&mut page, views);
    ending::put(&mut page, views);
    triggers::put(&mut page, triggers);
    parity_checks(&mut page, views);
    practice::put(&mut page, views);
    watch::put(&mut page, views);
    plugins::put(&mut page, plugins);
    troubles::put(&mut page, troubles);
    page
}

/// Shares that follow the evidence.
fn bandits(page: &mut Page, views: &Views) {
    let probabilities = page.gauge(
        metric::ROLLOUT_BEST_PROBABILITY,
        "the probability that a version is the best of those compared, where shares follow it; absent: not known yet",
    );
    for view in views.values() {
        for known in view.run.bandit.iter().flat_map(|bandit| &bandit.versions) {
            if let Some(best) = known.best {
                let (rollout, version) = (&*view.run.name, &*known.version);
                let labels = [("rollout", rollout), ("version", version), ("arm", &known.arm.to_string())];
                probabilities.set(&labels, best);
            }
        }
    }
    let ceilings = page.gauge(
        metric::ROLLOUT_SHARE_CEILING_RATIO,
        "the largest share all versions on trial may get by evidence, 0 to 1",
    );
    for view in views.values() {
        if let Some(bandit) = &view.run.bandit {
            ceilings.set(&[("rollout", &view.run.name)], f64::from(bandit.ceiling_ppm) / 1e6);
        }
    }
}

/// A/A checks.
#[allow(clippy::cast_precision_loss)] // milliseconds
fn parity_checks(page: &mut Page, views: &Views) {
    let passes = page.gauge(metric::PARITY_PASSED, "1: the last A/A check that ended proved parity");
    for view in views.values() {
        if let Some(outcome) = view.parity.as_ref().and_then(|parity| parity.outcome.as_ref()) {
            let passed = u8::from(*outcome == Outcome::Passed);
            passes.set(&[("rollout", &view.run.name)], passed.into());
        }
    }
    let times = page.gauge(
        metric::PARITY_LAST_SUCCESS_TIMESTAMP_SECONDS,
        "when parity was last proven, in seconds since 1970",
    );
    for view in views.values() {
        if let Some(ms) = view.parity_passed_unix_ms {
            times.set(&[("rollout", &view.run.name)], ms as f64 / 1e3);
        }
    }
}

/// Drills of the rollback path.
#[allow(clippy::cast_precision_loss)] // milliseconds
fn drills(page: &mut Page, views: &Views) {
    let found = page
        .gauge(metric::DRILL_SECONDS, "what the last drill found, by the way back; absent: it never ended");
    for view in views.values() {
        let Some(drill) = &view.drill else { continue };
        let push = drill.push.as_ref();
        for (way, ms) in [
            ("lease", drill.lease.told_ms),
            ("push", push.and_then(|push| push.acknowledged_ms)),
            ("last_canary", push.and_then(|push| push.last_canary_ms)),
        ] {
            if let Some(ms) = ms {
                found.set(&[("rollout", &view.run.name), ("way", way)], ms as f64 / 1e3);
            }
        }
    }
    let passes = page.gauge(metric::DRILL_PASSED, "1: the last drill that ended passed");
    for view in views.values() {
        if let Some(outcome) = view.drill.as_ref().and_then(|drill| drill.outcome.as_ref()) {
            let passed = u8::from(*outcome == Outcome::Passed);
            passes.set(&[("rollout", &view.run.name)], passed.into());
        }
    }
    let times = page.gauge(
        metric::DRILL_LAST_SUCCESS_TIMESTAMP_SECONDS,
        "when a drill last passed, in seconds since 1970",
    );
    for view in views.values() {
        if let Some(ms) = view.drill_passed_unix_ms {
            times.set(&[("rollout", &view.run.name)], ms as f64 / 1e3);
        }
    }
}
