use demo::istio::{Pod, Service};

use super::{Cluster, EnvoyProcess};

/// Starts a plain Envoy that istiod configures as the pod's sidecar, and waits until it listens for its callers.
pub async fn sidecar(cluster: &Cluster, service: &Service, pod: &Pod) -> EnvoyProcess {
    let config = service.bootstrap(cluster.address("istiod", "xds"), 0, pod);
    EnvoyProcess::listening_at(config, service.port).await
}
