//! What runs the versions, where that is Kubernetes.

use std::path::PathBuf;
use std::sync::Arc;

use hooks::{Call, Calling, Cluster, Counting, DeployHook, ReadyCounts};
use istio::{Plugin, Workloads};
use manifest::{ReadyWorkloads, WorkloadChange};
use tokio::sync::OnceCell;

/// The cluster of the kubeconfig, or of the pod. It is looked for when it is needed: most controllers have none.
#[derive(Clone)]
pub struct InCluster {
    /// Where rollouts may change what runs.
    namespaces: Arc<[String]>,
    kubeconfig: Option<PathBuf>,
    workloads: Arc<OnceCell<Workloads>>,
}

impl InCluster {
    /// Asks nobody yet.
    pub fn new(namespaces: Vec<String>, kubeconfig: Option<PathBuf>) -> Self {
        Self { namespaces: namespaces.into(), kubeconfig, workloads: Arc::default() }
    }

    async fn workloads(&self) -> Result<&Workloads, String> {
        let found = async || {
            let client = Plugin::client(self.kubeconfig.as_deref()).await?;
            Ok::<_, istio::PluginError>(Workloads::new(client))
        };
        self.workloads.get_or_try_init(found).await.map_err(|error| error.to_string())
    }
}

impl Cluster for InCluster {
    fn may_change(&self, namespace: &str) -> Result<(), String> {
        if self.namespaces.iter().any(|known| known == namespace) {
            return Ok(());
        }
        let allowed = match self.namespaces.as_ref() {
            [] => "it changes nothing in Kubernetes".to_owned(),
            known => format!("it changes what runs in {} alone", known.join(", ")),
        };
        Err(format!(
            "this controller may not change what runs in namespace {namespace}: {allowed}; its operator can allow it (serin run \
             --kubernetes-workloads {namespace})"
        ))
    }

    fn change(&self, change: &WorkloadChange, from: &[String], to: &str) -> Box<dyn DeployHook> {
        let (change, from, to) = (change.clone(), from.to_vec(), to.to_owned());
        Box::new(Change { cluster: self.clone(), change, from, to })
    }

    fn ready<'a>(&'a self, workloads: &'a ReadyWorkloads, arms: &'a [String]) -> Counting<'a> {
        Box::pin(async move {
            let istio::Ready { canary, stable } = self.workloads().await?.ready(workloads, arms).await?;
            Ok(ReadyCounts { canary, stable })
        })
    }
}

/// A change, as a hook.
struct Change {
    cluster: InCluster,
    change: WorkloadChange,
    from: Vec<String>,
    to: String,
}

impl DeployHook for Change {
    fn call<'a>(&'a self, _: &'a Call) -> Calling<'a> {
        // How long it may take the change itself knows, and says what it waited for.
        Box::pin(
            async move { self.cluster.workloads().await?.change(&self.change, &self.from, &self.to).await },
        )
    }
}
