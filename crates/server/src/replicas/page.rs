//! Who leads, as metrics.

use istio::leader::Standing;
use tally::metric;

use crate::metrics::page::Page;

/// As this replica knows it.
pub fn render(standing: &Standing) -> String {
    let mut page = Page::default();
    page.gauge(metric::LEADS, "1 while this replica decides").set(&[], u8::from(standing.leads).into());
    let leader = page.gauge(metric::LEADER, "1 for the replica that leads, as this one knows it");
    if let Some(replica) = &standing.leader {
        leader.set(&[("leader", &replica.identity)], 1.0);
    }
    page.gauge(metric::LEASE_TRANSITIONS, "how often the Lease has changed hands")
        .set(&[], standing.transitions.into());
    let renewed = page.gauge(metric::LEASE_RENEWED_SECONDS, "how long ago the leader last renewed its Lease");
    if let Some(at) = standing.renewed {
        renewed.set(&[], at.elapsed().as_secs_f64());
    }
    let heard = page.gauge(metric::KUBERNETES_HEARD_SECONDS, "how long ago the API server last answered");
    if let Some(at) = standing.heard {
        heard.set(&[], at.elapsed().as_secs_f64());
    }
    page.text()
}
