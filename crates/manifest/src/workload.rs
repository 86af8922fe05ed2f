//! What is changed and asked of Kubernetes, as meant.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::typed::KubernetesWorkload as Workload;

/// The label by which pods of one Service are told apart: its value is `stable`, `canary`, or a further arm's name.
pub const ARM_LABEL: &str = "serin.dev/arm";

/// What stands for the version in images and selectors.
const PLACEHOLDER: &str = "{{version}}";

/// A change of an object of Kubernetes: the same however often it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadChange {
    /// Where the object is.
    pub namespace: String,
    /// What changes.
    pub what: WorkloadWhat,
    /// How long it may take until its pods are ready, in milliseconds.
    pub timeout_ms: u64,
}

/// What changes in an object of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WorkloadWhat {
    /// The image of a Deployment.
    Image {
        /// Which.
        deployment: String,
        /// Of which container; `None`: of the only one.
        container: Option<String>,
        /// With a place for the version.
        image: String,
        /// The Service whose endpoints must be ready.
        service: Option<String>,
    },
    /// The selector of a Service.
    Selector {
        /// Which.
        service: String,
        /// The labels that change, with a place for the version.
        labels: BTreeMap<String, String>,
    },
    /// The replicas of a Deployment, if it runs the version that is over.
    Scale {
        /// Which.
        deployment: String,
        /// Of which container the image tells the version; `None`: of the only one.
        container: Option<String>,
        /// With a place for the version.
        image: String,
        /// How many.
        replicas: u32,
    },
}

/// Whose ready endpoints are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadyWorkloads {
    /// Where they are.
    pub namespace: String,
    /// Which.
    pub of: ReadyOf,
}

/// Whose ready endpoints are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReadyOf {
    /// Those of one Service, by the label [`ARM_LABEL`] of its pods.
    Arms {
        /// Which.
        service: String,
    },
    /// Those of the versions' own.
    Each {
        /// What runs the canary.
        canary: Workload,
        /// What runs stable; `None`: it is not counted.
        stable: Option<Workload>,
    },
}

impl WorkloadChange {
    /// A text with its place for the version filled in.
    #[must_use]
    pub fn filled(text: &str, version: &str) -> String {
        text.replace(PLACEHOLDER, version)
    }

    /// Has it a place for the version?
    pub(crate) fn has_place(text: &str) -> bool {
        text.contains(PLACEHOLDER)
    }

    /// What it is about, for people: "Deployment models/ranker".
    #[must_use]
    pub fn words(&self) -> String {
        match &self.what {
            WorkloadWhat::Image { deployment, .. } | WorkloadWhat::Scale { deployment, .. } => {
                format!("Deployment {}/{deployment}", self.namespace)
            }
            WorkloadWhat::Selector { service, .. } => format!("Service {}/{service}", self.namespace),
        }
    }
}

impl ReadyOf {
    /// Does it count stable's as well?
    #[must_use]
    pub const fn gives_stable(&self) -> bool {
        match self {
            Self::Arms { .. } => true,
            Self::Each { stable, .. } => stable.is_some(),
        }
    }
}
