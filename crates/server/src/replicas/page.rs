//! Who leads, as metrics.

use istio::leader::Standing;

use crate::metrics::page::Page;

/// As this replica knows it.
pub fn render(standing: &Standing) -> String {
    let mut page = Page::default();
    page.gauge("serin_leads", "1 while this replica decides").set(&[], u8::from(standing.leads).into());
    let leader = page.gauge("serin_leader", "1 for the replica that leads, as this one knows it");
    if let Some(replica) = &standing.leader {
        leader.set(&[("leader", &replica.identity)], 1.0);
    }
    page.gauge("serin_lease_transitions", "how often the Lease has changed hands")
        .set(&[], standing.transitions.into());
    let renewed = page.gauge("serin_lease_renewed_seconds", "how long ago the leader last renewed its Lease");
    if let Some(at) = standing.renewed {
        renewed.set(&[], at.elapsed().as_secs_f64());
    }
    let heard = page.gauge("serin_kubernetes_heard_seconds", "how long ago the API server last answered");
    if let Some(at) = standing.heard {
        heard.set(&[], at.elapsed().as_secs_f64());
    }
    page.text()
}
