//! How many endpoints of a cluster are healthy, as one Envoy sees them.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
struct Clusters {
    #[serde(default)]
    cluster_statuses: Vec<Cluster>,
}

#[derive(Deserialize)]
struct Cluster {
    name: String,
    #[serde(default)]
    host_statuses: Vec<Host>,
}

#[derive(Deserialize)]
struct Host {
    #[serde(default)]
    health_status: Health,
}

/// What speaks against an endpoint; what is absent does not.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Health {
    failed_active_health_check: bool,
    failed_outlier_check: bool,
    failed_active_degraded_check: bool,
    pending_dynamic_removal: bool,
    pending_active_hc: bool,
    excluded_via_immediate_hc_fail: bool,
    active_hc_timeout: bool,
    eds_health_status: String,
}

impl Health {
    fn is_good(&self) -> bool {
        let spoken_against = self.failed_active_health_check
            || self.failed_outlier_check
            || self.failed_active_degraded_check
            || self.pending_dynamic_removal
            || self.pending_active_hc
            || self.excluded_via_immediate_hc_fail
            || self.active_hc_timeout;
        // An endpoint of a static or a DNS cluster has no word from a discovery service.
        !spoken_against && matches!(self.eds_health_status.as_str(), "" | "HEALTHY" | "UNKNOWN")
    }
}

/// Healthy endpoints by cluster, out of `/clusters?format=json`.
pub(super) fn healthy(text: &str) -> Result<BTreeMap<String, u32>, String> {
    let clusters: Clusters = serde_json::from_str(text).map_err(|error| format!("/clusters: {error}"))?;
    let count = |cluster: &Cluster| {
        let good = cluster.host_statuses.iter().filter(|host| host.health_status.is_good());
        u32::try_from(good.count()).unwrap_or(u32::MAX)
    };
    Ok(clusters.cluster_statuses.iter().map(|cluster| (cluster.name.clone(), count(cluster))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_endpoints_nothing_speaks_against_are_healthy() {
        // As Envoy 1.40 writes it: what is false is left out.
        let host = |health: &str| {
            format!(
                r#"{{"address": {{"socket_address": {{"address": "10.0.0.1", "port_value": 8080}}}}, "stats": [],
                    "health_status": {{{health}}}, "weight": 1, "locality": {{}}}}"#
            )
        };
        let cluster = |name: &str, hosts: &[&str]| {
            let hosts: Vec<String> = hosts.iter().map(|health| host(health)).collect();
            format!(
                r#"{{"name": "{name}", "observability_name": "{name}", "host_statuses": [{}]}}"#,
                hosts.join(",")
            )
        };
        let text = format!(
            r#"{{"cluster_statuses": [{}, {}, {{"name": "empty", "added_via_api": true}}]}}"#,
            cluster(
                "canary",
                &[
                    r#""eds_health_status": "HEALTHY""#,
                    r#""eds_health_status": "HEALTHY", "failed_active_health_check": true"#,
                    r#""eds_health_status": "HEALTHY", "failed_outlier_check": true"#,
                    r#""eds_health_status": "HEALTHY", "pending_active_hc": true"#,
                    r#""eds_health_status": "DRAINING""#,
                    "",
                ]
            ),
            cluster("outbound|80||m", &[r#""eds_health_status": "UNHEALTHY""#]),
        );
        let found = healthy(&text).expect("clusters");
        let expected = [("canary", 2), ("empty", 0), ("outbound|80||m", 0)];
        assert_eq!(found, expected.map(|(name, n)| (name.to_owned(), n)).into());
        assert!(healthy("canary::default_priority::max_connections::1024").is_err());
    }
}
