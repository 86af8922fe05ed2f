//! The load of each version, now and after the next step, for autoscalers.

use api::{Demand, Load};
use tally::metric;

use super::page::Page;
use controller::engine::Views;

/// Absent: not known. A scaler that reads nothing keeps what it has; a 0 would make it let go.
pub fn put(page: &mut Page, views: &Views) {
    type Of = fn(&Load) -> Option<f64>;
    let loads: [(&str, &str, Of); 6] = [
        (metric::DEMAND_REQUESTS_PER_SECOND, "requests per second a version gets", |load| load.per_second),
        (
            metric::DEMAND_NEXT_REQUESTS_PER_SECOND,
            "requests per second a version gets after the next change of weights",
            |load| load.next_per_second,
        ),
        (
            metric::DEMAND_PEAK_REQUESTS_PER_SECOND,
            "what a version must be able to bear now, the next change included: scale for this",
            |load| load.peak_per_second,
        ),
        (
            metric::DEMAND_NEXT_SHARE_RATIO,
            "a version's share after the next change of weights, 0 to 1",
            |load| Some(f64::from(load.next_share_ppm) / 1e6),
        ),
        (
            metric::DEMAND_LARGEST_SHARE_RATIO,
            "the largest share a version may have before another verdict or person, 0 to 1",
            |load| Some(f64::from(load.largest_share_ppm) / 1e6),
        ),
        (metric::READY_ENDPOINTS, "endpoints that are ready, where spec.ready counts them", |load| {
            load.ready_endpoints.map(f64::from)
        }),
    ];
    for (name, help, of) in loads {
        let metric = page.gauge(name, help);
        for view in views.values() {
            let Some(demand) = &view.demand else { continue };
            let others = demand.others.iter().map(|(arm, load)| (arm.to_string(), load));
            for (role, load) in [("canary".to_owned(), &demand.canary), ("stable".to_owned(), &demand.stable)]
                .into_iter()
                .chain(others)
            {
                let labels = [("rollout", &*view.run.name), ("role", &role), ("version", &load.version)];
                if let Some(value) = of(load) {
                    metric.set(&labels, value);
                }
            }
        }
    }
    type OfStep = fn(&Demand) -> Option<f64>;
    #[allow(clippy::cast_precision_loss)] // milliseconds
    let steps: [(&str, &str, OfStep); 2] = [
        (
            metric::DEMAND_NEXT_STEP_SECONDS,
            "the least time until the next change of weights; absent: a person is awaited, or none comes",
            |demand| Some(demand.next?.in_ms? as f64 / 1e3),
        ),
        (metric::NEEDED_ENDPOINTS, "ready endpoints the canary needs before its next step", |demand| {
            demand.next?.needs_endpoints.map(f64::from)
        }),
    ];
    for (name, help, of) in steps {
        let metric = page.gauge(name, help);
        for view in views.values() {
            if let Some(value) = view.demand.as_ref().and_then(of) {
                metric.set(&[("rollout", &view.run.name)], value);
            }
        }
    }
}
