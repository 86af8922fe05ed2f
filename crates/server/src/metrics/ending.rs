//! What comes after the end of runs: what is kept warm, and hooks that are to be called.

use tally::metric;

use super::page::Page;
use controller::engine::Views;

#[allow(clippy::cast_precision_loss)] // milliseconds, and a few hooks
pub fn put(page: &mut Page, views: &Views) {
    let kept = || {
        let kept = views.values().filter_map(|view| Some((&*view.run.name, view.run.kept.as_ref()?)));
        kept.flat_map(|(name, kept)| kept.versions.iter().map(move |version| (name, &**version, kept)))
    };
    let left = page.gauge(metric::KEPT_WARM_SECONDS, "for how long a version without traffic is kept yet");
    for (name, version, kept) in kept() {
        let labels = [("rollout", name), ("version", version)];
        left.set(&labels, kept.left_ms as f64 / 1e3);
    }
    let standing = page.gauge(
        metric::KEPT_WARM_THERE,
        "1: all endpoints of the canary route report the version that is kept",
    );
    for (name, version, kept) in kept() {
        if let Some(there) = kept.there {
            let labels = [("rollout", name), ("version", version)];
            standing.set(&labels, f64::from(u8::from(there)));
        }
    }
    let pending = page.gauge(metric::HOOKS_PENDING, "hooks after the end that have not succeeded yet");
    for view in views.values() {
        pending.set(&[("rollout", &view.run.name)], view.run.calls.len() as f64);
    }
}
