//! What is read of a pod, and what of it is kept.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

/// A pod that runs and has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Where it is.
    pub namespace: String,
    /// Its name. A pod of a StatefulSet that was made anew has the name of the one before it, and another uid.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its own address; of two families that of IPv4.
    pub ip: IpAddr,
    /// It is being deleted, or is not ready: it may count for a while, and nobody waits for it.
    pub leaving: bool,
    /// When it was started, as the API server writes it; the later the greater.
    pub started: String,
}

/// A pod as the API server tells it, of which little is kept: 5,000 whole ones are 100 MB.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Told {
    pub metadata: Metadata,
    pub status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub resource_version: String,
    pub labels: BTreeMap<String, String>,
    deletion_timestamp: Option<String>,
    creation_timestamp: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<Ip>,
    start_time: Option<String>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Ip {
    ip: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Condition {
    r#type: String,
    status: String,
}

/// One part of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Page {
    pub metadata: PageMetadata,
    pub items: Vec<Told>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PageMetadata {
    pub resource_version: String,
    pub r#continue: String,
}

impl Told {
    /// The pod; `None`: it does not run, or has no address.
    pub fn pod(self) -> Option<Pod> {
        let Self { metadata, status } = self;
        if status.phase != "Running" {
            return None;
        }
        let all = status.pod_ips.iter().map(|one| one.ip.as_str()).chain([status.pod_ip.as_str()]);
        let all: Vec<IpAddr> = all.filter_map(|ip| ip.parse().ok()).collect();
        let ip = all.iter().find(|ip| ip.is_ipv4()).or(all.first()).copied()?;
        Some(Pod {
            leaving: metadata.deletion_timestamp.is_some() || !is_ready(&status),
            started: status.start_time.or(metadata.creation_timestamp).unwrap_or_default(),
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            ip,
        })
    }

    /// Is it ready, and not on its way out?
    pub fn is_ready(&self) -> bool {
        self.metadata.deletion_timestamp.is_none() && self.status.phase == "Running" && is_ready(&self.status)
    }
}

fn is_ready(status: &Status) -> bool {
    status.conditions.iter().any(|condition| condition.r#type == "Ready" && condition.status == "True")
}

/// Who answers at each address: a pod that is deleted may stand in the list for a while after its address went to another,
/// and counts that are read there are the newer one's.
pub fn one_for_each_address(pods: &BTreeMap<String, Pod>) -> BTreeMap<String, Pod> {
    let mut at: BTreeMap<IpAddr, &Pod> = BTreeMap::new();
    for pod in pods.values() {
        let rank = |pod: &Pod| (!pod.leaving, pod.started.clone(), pod.uid.clone());
        match at.get(&pod.ip) {
            Some(other) if rank(other) >= rank(pod) => {}
            _ => drop(at.insert(pod.ip, pod)),
        }
    }
    at.into_values().map(|pod| (pod.uid.clone(), pod.clone())).collect()
}
