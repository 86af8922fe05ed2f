//! A service of two arms under Istio, without pods: what istiod is told of it, and a sidecar for its callers.
//!
//! The manifests are those of `istio/`, for another namespace. The API server takes no endpoints on loopback, so a
//! `ServiceEntry` stands for the Services of the two Deployments; nobody redirects what applications send, so a
//! `Sidecar` opens the listener.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

/// A model service and where its two arms are.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its namespace, which is the callers' too.
    pub namespace: String,
    /// Its port, and that of the callers' listener on 127.0.0.1.
    pub port: u16,
    /// The server of the arm `stable`.
    pub stable: SocketAddr,
    /// The server of the arm `canary`.
    pub canary: SocketAddr,
}

/// A caller's pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// By which istiod's objects select it.
    pub labels: BTreeMap<String, String>,
    /// Clusters the proxy is started with, by name; those whose name ends in `ecds` speak HTTP/2.
    pub clusters: Vec<(String, SocketAddr)>,
}

const FAST_LANE: &str = include_str!("../../../istio/envoyfilter-fast-lane.yaml");
const ROUTES: [&str; 2] =
    [include_str!("../../../istio/destinationrule.yaml"), include_str!("../../../istio/virtualservice.yaml")];

/// The label of pods on the fast lane.
pub const ON_FAST_LANE: &str = "serin.dev/fast-lane";

impl Service {
    /// The name by which callers know it.
    pub fn host(&self) -> String {
        format!("ranker.{}.svc.cluster.local", self.namespace)
    }

    /// A manifest of `istio/` for this namespace.
    pub fn manifest(&self, text: &str) -> String {
        let own = text.replace("namespace: models", &format!("namespace: {}", self.namespace));
        own.replace("ranker.models", &format!("ranker.{}", self.namespace))
    }

    /// Its namespace, itself, the callers' listener, and the shipped subsets and routes: documents to apply.
    pub fn manifests(&self) -> Vec<String> {
        let Self { namespace, port, .. } = self;
        let endpoint = |at: SocketAddr, arm: &str| {
            let address = at.ip().to_string();
            json!({"address": address, "ports": {"http": at.port()}, "labels": {"serin.dev/arm": arm}})
        };
        let listener = json!({
            "port": {"number": port, "protocol": "HTTP", "name": "http"},
            "bind": "127.0.0.1", "captureMode": "NONE", "hosts": ["./*"],
        });
        let own = [
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            json!({
                "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
                "metadata": {"name": "ranker", "namespace": namespace},
                "spec": {
                    "hosts": [self.host()], "resolution": "STATIC",
                    "ports": [{"number": port, "name": "http", "protocol": "HTTP"}],
                    "endpoints": [endpoint(self.stable, "stable"), endpoint(self.canary, "canary")],
                },
            }),
            json!({
                "apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
                "metadata": {"name": "default", "namespace": namespace}, "spec": {"egress": [listener]},
            }),
        ];
        let shipped = ROUTES.map(|text| self.manifest(text));
        own.iter().map(Value::to_string).chain(shipped).collect()
    }

    /// The shipped fast lane, with the filter from that file.
    pub fn fast_lane(&self, wasm: &Path) -> String {
        self.manifest(FAST_LANE).replace("/etc/serin/filter.wasm", &wasm.display().to_string())
    }

    /// The configuration a plain Envoy is started with as the pod's sidecar, as far as it takes what an injected one
    /// gets; `xds` is istiod's address for those without certificates. Its admin port is chosen by the system for 0.
    pub fn bootstrap(&self, xds: SocketAddr, admin: u16, pod: &Pod) -> Value {
        let (namespace, name) = (&self.namespace, &pod.name);
        let source = json!({"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"});
        let others = pod.clusters.iter().map(|(name, at)| cluster(name, *at, name.ends_with("ecds")));
        let clusters: Vec<Value> = std::iter::once(cluster("xds-grpc", xds, true)).chain(others).collect();
        json!({
            "node": {
                "id": format!("sidecar~127.0.0.2~{name}.{namespace}~{namespace}.svc.cluster.local"),
                "cluster": format!("{name}.{namespace}"),
                "metadata": {
                    "NAME": name, "NAMESPACE": namespace, "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.32.0",
                    "MESH_ID": "cluster.local", "INSTANCE_IPS": "127.0.0.2", "LABELS": pod.labels,
                    "INTERCEPTION_MODE": "NONE", "SERVICE_ACCOUNT": "default", "WORKLOAD_NAME": name,
                },
            },
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
                },
                "cds_config": source.clone(), "lds_config": source,
            },
            "static_resources": {"clusters": clusters},
        })
    }
}

fn cluster(name: &str, at: SocketAddr, http2: bool) -> Value {
    let address = json!({"socket_address": {"address": at.ip().to_string(), "port_value": at.port()}});
    let endpoints = json!([{"lb_endpoints": [{"endpoint": {"address": address}}]}]);
    let protocol = match http2 {
        true => {
            json!({"http2_protocol_options": {"connection_keepalive": {"interval": "5s", "timeout": "5s"}}})
        }
        false => json!({"http_protocol_options": {}}),
    };
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": protocol,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Service { namespace: "demo-7".to_owned(), port: 18080, stable: at(1), canary: at(2) }
    }

    #[test]
    fn what_is_shipped_is_moved_into_the_namespace_whole() {
        let service = service();
        for text in service.manifests().into_iter().chain([service.fast_lane(Path::new("/f.wasm"))]) {
            assert!(text.contains("demo-7"), "{text}");
            assert!(!text.contains("models\n") && !text.contains("ranker.models"), "{text}");
        }
        assert!(service.fast_lane(Path::new("/f.wasm")).contains("filename: /f.wasm"));
        assert!(service.fast_lane(Path::new("/f.wasm")).contains(&format!("{ON_FAST_LANE}: \"true\"")));
    }

    #[test]
    fn the_sidecar_listens_where_the_service_is() {
        let pod = Pod { name: "a".to_owned(), labels: BTreeMap::new(), clusters: vec![] };
        let pod = Pod { clusters: vec![("serin-ecds".to_owned(), service().stable)], ..pod };
        let config = service().bootstrap(service().canary, 0, &pod);
        let clusters = &config["static_resources"]["clusters"];
        assert_eq!(
            (clusters[0]["name"].as_str(), clusters[1]["name"].as_str()),
            (Some("xds-grpc"), Some("serin-ecds"))
        );
        assert_eq!(config["node"]["id"], "sidecar~127.0.0.2~a.demo-7~demo-7.svc.cluster.local");
    }
}
