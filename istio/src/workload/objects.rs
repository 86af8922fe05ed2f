//! What is read of workloads; everything else of them is left out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::pods::Told;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Deployment {
    pub metadata: Metadata,
    pub spec: DeploymentSpec,
    pub status: DeploymentStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    pub resource_version: String,
    pub generation: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DeploymentSpec {
    pub replicas: Option<u32>,
    pub paused: bool,
    pub template: Template,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Template {
    pub spec: TemplateSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TemplateSpec {
    pub containers: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Container {
    pub name: String,
    pub image: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DeploymentStatus {
    pub observed_generation: i64,
    pub replicas: u32,
    pub updated_replicas: u32,
    pub ready_replicas: u32,
    pub available_replicas: u32,
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Condition {
    pub r#type: String,
    pub status: String,
    pub reason: String,
    pub message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Service {
    pub metadata: Metadata,
    pub spec: ServiceSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServiceSpec {
    pub selector: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Slices {
    pub items: Vec<Slice>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Slice {
    pub endpoints: Vec<Endpoint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Endpoint {
    pub addresses: Vec<String>,
    pub conditions: Conditions,
    pub target_ref: Option<Target>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Conditions {
    ready: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Target {
    pub kind: String,
    pub name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodList {
    pub items: Vec<Told>,
}

impl Slices {
    /// The ready endpoints, each once: by its pod, else by its address. A Service of two families has a slice for each.
    pub fn ready(&self) -> BTreeSet<&str> {
        let all = self.items.iter().flat_map(|slice| &slice.endpoints);
        // What is not said is to be taken for ready.
        let ready =
            all.filter(|one| one.conditions.ready != Some(false) && one.conditions.terminating != Some(true));
        ready.filter_map(Endpoint::name).collect()
    }
}

impl Endpoint {
    fn name(&self) -> Option<&str> {
        let pod = self.target_ref.as_ref().filter(|target| target.kind == "Pod");
        pod.map(|pod| pod.name.as_str()).or_else(|| self.addresses.first().map(String::as_str))
    }
}
