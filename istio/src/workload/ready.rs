//! How many endpoints are ready.

use std::collections::BTreeMap;

use manifest::{ARM_LABEL, ReadyOf, ReadyWorkloads, Workload};

use super::objects::{Deployment, PodList, Slices};
use super::{Kind, Ready, Undone, Workloads};

/// The label by which the slices of a Service are found.
const OF_SERVICE: &str = "kubernetes.io/service-name";

pub async fn count(workloads: &Workloads, wanted: &ReadyWorkloads, arms: &[String]) -> Result<Ready, Undone> {
    let namespace = wanted.namespace.as_str();
    match &wanted.of {
        ReadyOf::Arms { service } => {
            let counts = by_arm(workloads, namespace, service).await?;
            let of = |arm: &str| counts.get(arm).copied().unwrap_or(0);
            let canary = arms.iter().map(|arm| of(arm)).min().unwrap_or(0);
            Ok(Ready { canary, stable: Some(of("stable")) })
        }
        ReadyOf::Each { canary, stable } => {
            let canary = of_workload(workloads, namespace, canary).await?;
            let stable = match stable {
                Some(stable) => Some(of_workload(workloads, namespace, stable).await?),
                None => None,
            };
            Ok(Ready { canary, stable })
        }
    }
}

/// The slices of a Service. Nothing but an empty list tells of a Service that is not there.
pub async fn slices(workloads: &Workloads, namespace: &str, service: &str) -> Result<Slices, Undone> {
    let slices: Slices =
        workloads.list(Kind::EndpointSlice, namespace, &format!("{OF_SERVICE}={service}")).await?;
    if slices.items.is_empty() {
        return Err(Undone::NotYet(format!(
            "Service {namespace}/{service} has no EndpointSlice; is it there (kubectl -n {namespace} get service {service})?"
        )));
    }
    Ok(slices)
}

async fn by_arm(
    workloads: &Workloads,
    namespace: &str,
    service: &str,
) -> Result<BTreeMap<String, u32>, Undone> {
    let slices = slices(workloads, namespace, service).await?;
    let pods: PodList = workloads.list(Kind::Pod, namespace, ARM_LABEL).await?;
    let ready = slices.ready();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for pod in pods.items.iter().filter(|pod| ready.contains(pod.metadata.name.as_str())) {
        if let Some(arm) = pod.metadata.labels.get(ARM_LABEL) {
            *counts.entry(arm.clone()).or_default() += 1;
        }
    }
    if counts.is_empty() && !ready.is_empty() {
        return Err(Undone::NotYet(format!(
            "none of the {} ready endpoints of Service {namespace}/{service} is a pod with the label {ARM_LABEL}: give the pods \
             of each version {ARM_LABEL}=stable or {ARM_LABEL}=canary",
            ready.len()
        )));
    }
    Ok(counts)
}

async fn of_workload(workloads: &Workloads, namespace: &str, workload: &Workload) -> Result<u32, Undone> {
    match workload {
        Workload::Service(service) => {
            let slices = slices(workloads, namespace, service).await?;
            Ok(u32::try_from(slices.ready().len()).unwrap_or(u32::MAX))
        }
        Workload::Deployment(name) => {
            let deployment: Deployment = workloads.get(Kind::Deployment, namespace, name).await?;
            // A status of before the last change tells of other pods.
            let seen = deployment.status.observed_generation >= deployment.metadata.generation;
            Ok(if seen { deployment.status.ready_replicas } else { 0 })
        }
    }
}
