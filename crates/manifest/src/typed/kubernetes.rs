//! What the controller does in Kubernetes, where its operator allows it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::Span;

/// What puts the new version behind the stable route in Kubernetes: the image of a Deployment (`deployment` and `image`), or the
/// selector of a Service (`service` and `selector`). Done only where the present value is the one of the version before,
/// and waited for until the new pods are ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubernetesHandBack {
    /// Where the objects are. Default: `metadata.namespace`, else `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The stable Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// The container of the model. Default: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Its image, where `{{version}}` stands for the version: registry.example.com/ranker:{{version}}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// With `selector`, the stable Service. With `deployment`, the Service whose endpoints must be ready, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The labels of the Service's selector that change, where `{{version}}` stands for the version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    /// How long it may take until the new pods are ready. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

/// The Deployment behind the canary route. After a promotion the old version is put there; when its time is over, it is scaled
/// down, if `replicas` is given. After a rollback it keeps the new version for as long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubernetesKeepWarm {
    /// Where it is. Default: `metadata.namespace`, else `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub deployment: String,
    /// The container of the model. Default: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Its image, where `{{version}}` stands for the version.
    pub image: String,
    /// How many replicas are left when its time is over. Default: as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// How long it may take until the pods of the old version are ready. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

/// Whose ready endpoints are counted in Kubernetes: those of one Service by the arm's label on its pods (`service`), or those of
/// the versions' own Services or Deployments (`canary`, `stable`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubernetesReady {
    /// Where they are. Default: `metadata.namespace`, else `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The Service of all versions, whose pods have the label `serin.dev/arm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What runs the canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<KubernetesWorkload>,
    /// What runs stable. Needed with `ofStable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<KubernetesWorkload>,
}

/// What runs a version, and by which its ready pods are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum KubernetesWorkload {
    /// A Service: the ready endpoints of its EndpointSlices.
    Service(String),
    /// A Deployment: its ready replicas.
    Deployment(String),
}

impl KubernetesHandBack {
    /// Every text in which a fleet's placeholders may stand.
    pub(crate) fn texts_mut(&mut self) -> Vec<&mut String> {
        let Self { namespace, deployment, container, image, service, selector, timeout: _ } = self;
        let named = [namespace, deployment, container, image, service].into_iter().flatten();
        named.chain(selector.values_mut()).collect()
    }
}

impl KubernetesKeepWarm {
    /// Every text in which a fleet's placeholders may stand.
    pub(crate) fn texts_mut(&mut self) -> Vec<&mut String> {
        let Self { namespace, deployment, container, image, replicas: _, timeout: _ } = self;
        [namespace, container].into_iter().flatten().chain([deployment, image]).collect()
    }
}

impl KubernetesReady {
    /// Every text in which a fleet's placeholders may stand.
    pub(crate) fn texts_mut(&mut self) -> Vec<&mut String> {
        let Self { namespace, service, canary, stable } = self;
        let named = [canary, stable].into_iter().flatten().map(|workload| match workload {
            KubernetesWorkload::Service(name) | KubernetesWorkload::Deployment(name) => name,
        });
        [namespace, service].into_iter().flatten().chain(named).collect()
    }
}
