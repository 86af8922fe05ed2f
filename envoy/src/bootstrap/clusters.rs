use serde_json::{Map, Value, json};

use super::{Bootstrap, CANARY, LEASE, PolicySource, STABLE, Upstream, XDS};
use crate::Endpoint;

const HTTP: &str = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Model servers and the controller are near; a connection that takes longer is not going to be made.
const CONNECT_TIMEOUT: &str = "1s";

impl Bootstrap {
    pub(super) fn clusters(&self) -> Vec<Value> {
        let models = match self.upstream {
            Upstream::Http1 => None,
            Upstream::AsClient => Some(json!({
                "use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}},
            })),
        };
        let mut clusters = vec![
            cluster(STABLE, &self.stable, models.as_ref()),
            cluster(CANARY, &self.canary, models.as_ref()),
        ];
        clusters
            .extend(self.others.iter().map(|(name, endpoints)| cluster(name, endpoints, models.as_ref())));
        if let PolicySource::Grpc(controller) | PolicySource::DeltaGrpc(controller) = &self.policy {
            // Without the ping a controller that vanished would be missed only when TCP gives up, minutes later.
            let http2 = json!({"http2_protocol_options": {
                "connection_keepalive": {"interval": "5s", "timeout": "5s"},
            }});
            clusters.push(self.to_controller(XDS, controller, Some(&http2)));
        }
        if let Some(controller) = &self.lease {
            clusters.push(self.to_controller(LEASE, controller, None));
        }
        clusters
    }

    /// A cluster that leads to the controller, with what a proxy shows it.
    fn to_controller(&self, name: &str, controller: &Endpoint, protocol: Option<&Value>) -> Value {
        let filters = self.credentials.filters();
        let http1 = json!({"http_protocol_options": {}});
        let http = match (protocol.or_else(|| filters.as_ref().map(|_| &http1)), filters) {
            (None, _) => None,
            (Some(protocol), None) => Some(json!({"explicit_http_config": protocol})),
            (Some(protocol), Some(filters)) => {
                Some(json!({"explicit_http_config": protocol, "http_filters": filters}))
            }
        };
        let mut cluster = cluster(name, std::slice::from_ref(controller), http.as_ref());
        if let (Some(transport), Some(fields)) =
            (self.credentials.transport(controller), cluster.as_object_mut())
        {
            fields.insert("transport_socket".to_owned(), transport);
        }
        cluster
    }
}

fn cluster(name: &str, endpoints: &[Endpoint], http: Option<&Value>) -> Value {
    let resolved = endpoints.iter().all(Endpoint::is_address);
    let hosts: Vec<Value> =
        endpoints.iter().map(|endpoint| json!({"endpoint": {"address": endpoint.to_json()}})).collect();
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("name", json!(name));
    set("type", json!(if resolved { "STATIC" } else { "STRICT_DNS" }));
    set("connect_timeout", json!(CONNECT_TIMEOUT));
    set("load_assignment", json!({"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}));
    if let Some(http) = http {
        let mut options = http.clone();
        if let Some(options) = options.as_object_mut() {
            options.insert("@type".to_owned(), json!(HTTP));
        }
        set("typed_extension_protocol_options", json!({HTTP_KEY: options}));
    }
    Value::Object(fields)
}

const HTTP_KEY: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
