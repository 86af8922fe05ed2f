//! The same mesh with istiod between: it brings routes and filter, the controller the policy (the fast lane).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use super::processes::output_of;
use crate::istio::{ON_FAST_LANE, Pod, Service};

/// A cluster that runs.
#[derive(Debug, Clone)]
pub struct Istio {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    /// Where istiod serves proxies without certificates.
    xds: SocketAddr,
}

impl Istio {
    /// Reads what `cargo xtask cluster up` wrote into `cluster.json`.
    ///
    /// # Errors
    /// When the file cannot be read, or no istiod stands in it.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let remedy = "`cargo xtask cluster up` writes one";
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("--istio: cannot read {}; {remedy}", file.display()))?;
        Self::parse(&text).with_context(|| format!("--istio: {} names no istiod; {remedy}", file.display()))
    }

    fn parse(text: &str) -> Option<Self> {
        let record: Value = serde_json::from_str(text).ok()?;
        let path = |field: &str| record.get(field)?.as_str().map(PathBuf::from);
        let istiod = record.get("parts")?.as_array()?.iter().find(|part| part["name"] == "istiod")?;
        let xds = istiod.pointer("/addresses/xds")?.as_str()?.parse().ok()?;
        Some(Self { kubectl: path("kubectl")?, kubeconfig: path("kubeconfig")?, xds })
    }

    /// Tells istiod of the service and of the fast lane; the configuration of the callers' proxy.
    pub(super) async fn prepare(
        &self,
        dir: &Path,
        service: &Service,
        wasm: &Path,
        [admin, controller, ecds]: [SocketAddr; 3],
    ) -> anyhow::Result<Value> {
        for (at, manifest) in service.manifests().iter().chain([&service.fast_lane(wasm)]).enumerate() {
            let file = dir.join(format!("manifest-{at}.yaml"));
            std::fs::write(&file, manifest).with_context(|| format!("cannot write {}", file.display()))?;
            let [kubeconfig, file] = [&self.kubeconfig, &file].map(|path| path.display().to_string());
            let arguments = ["--kubeconfig", &kubeconfig, "apply", "--server-side", "--filename", &file];
            output_of(&self.kubectl, &arguments.map(str::to_owned)).await?;
        }
        let pod = Pod {
            name: "storefront-1".to_owned(),
            labels: BTreeMap::from([(ON_FAST_LANE.to_owned(), "true".to_owned())]),
            clusters: vec![("serin-ecds".to_owned(), ecds), ("serin".to_owned(), controller)],
        };
        Ok(service.bootstrap(self.xds, admin.port(), &pod))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_read() {
        let record = r#"{"kubeconfig": "/k", "kubectl": "/bin/kubectl", "parts": [
            {"name": "etcd", "addresses": {}}, {"name": "istiod", "addresses": {"xds": "127.0.0.1:15010"}}]}"#;
        let istio = Istio::parse(record).expect("a cluster");
        assert_eq!((istio.xds.port(), istio.kubeconfig), (15010, PathBuf::from("/k")));
        assert!(Istio::parse(&record.replace("istiod", "other")).is_none());
        assert!(Istio::parse("").is_none());
        assert!(
            Istio::read(Path::new("/nowhere.json")).expect_err("no file").to_string().contains("cluster up")
        );
    }
}
