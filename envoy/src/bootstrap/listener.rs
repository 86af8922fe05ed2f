use serde_json::{Value, json};

use super::{Bootstrap, CANARY, PolicySource, Role, SHADOW, STABLE, XDS};
use crate::{NAME, ecds, resource::WASM_URL};

const MANAGER: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const MUTATION: &str =
    "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";

impl Bootstrap {
    pub(super) fn listener(&self) -> Value {
        json!({
            "name": "models",
            "address": self.listen.to_json(),
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": self.manager(),
            }]}],
        })
    }

    fn manager(&self) -> Value {
        let mut manager = json!({
            "@type": MANAGER,
            "stat_prefix": "models",
            "codec_type": "AUTO",
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "route_config": self.routes(),
            "http_filters": [
                {"name": NAME, "config_discovery": self.discovery()},
                {"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}},
            ],
        });
        let removed = self.removed();
        if let (false, Some(fields)) = (removed.is_empty(), manager.as_object_mut()) {
            fields.insert(
                "early_header_mutation_extensions".to_owned(),
                json!([{
                    "name": "envoy.http.early_header_mutation.header_mutation",
                    "typed_config": {"@type": MUTATION, "mutations": removed},
                }]),
            );
        }
        manager
    }

    /// What a client brings of these is gone before routing and filters, so that a filter that is bypassed after a
    /// crash leaves nothing that could lead to the canary.
    fn removed(&self) -> Vec<Value> {
        let routing = (self.role == Role::Decide).then_some(&self.routing_header);
        routing.into_iter().chain(&self.removed_headers).map(|header| json!({"remove": header})).collect()
    }

    /// Static for good: the filter sets the header, no match means stable, and the baseline is stable too.
    fn routes(&self) -> Value {
        let timeout = format!("{}s", self.route_timeout.as_secs_f64());
        let route = |cluster: &str| json!({"cluster": cluster, "timeout": timeout});
        let header = |arm: &str| json!({"name": self.routing_header, "string_match": {"exact": arm}});
        let on_trial = std::iter::once(CANARY).chain(self.others.iter().map(|(name, _)| name.as_str()));
        let to = |arm: &str, route: Value| json!({"name": format!("r-{arm}"), "match": {"prefix": "/", "headers": [header(arm)]}, "route": route});
        let mut routes: Vec<Value> = on_trial.map(|arm| to(arm, route(arm))).collect();
        // Stable answers, and the canary gets a copy whose answer nobody sees. The copy keeps its host, so that the
        // model serves it as any other; the routing header tells it that it is a shadow.
        let mut shadow = route(STABLE);
        if let (false, Some(fields)) = (self.canary.is_empty(), shadow.as_object_mut()) {
            let mirror = json!([{"cluster": CANARY, "disable_shadow_host_suffix_append": true}]);
            fields.insert("request_mirror_policies".to_owned(), mirror);
        }
        routes.push(to(SHADOW, shadow));
        routes.push(json!({"name": "r-stable", "match": {"prefix": "/"}, "route": route(STABLE)}));
        json!({
            "name": "models",
            "virtual_hosts": [{"name": "models", "domains": ["*"], "routes": routes}],
        })
    }

    /// Requests are served at once, by the filter passing through, whether or not a policy ever comes.
    fn discovery(&self) -> Value {
        json!({
            "config_source": self.config_source(),
            "default_config": self.resource.to_json(""),
            "apply_default_config_without_warming": true,
            "type_urls": [WASM_URL],
        })
    }

    fn config_source(&self) -> Value {
        let grpc = |api_type: &str| {
            // A controller that was away is found again within two seconds; Envoy's own patience grows to half a minute.
            let again = json!({"retry_back_off": {"base_interval": "0.25s", "max_interval": "2s"}});
            json!({
                "resource_api_version": "V3",
                "api_config_source": {
                    "api_type": api_type,
                    "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": XDS, "retry_policy": again}}],
                },
            })
        };
        match &self.policy {
            PolicySource::Grpc(_) => grpc("GRPC"),
            PolicySource::DeltaGrpc(_) => grpc("DELTA_GRPC"),
            PolicySource::File(directory) => json!({
                "resource_api_version": "V3",
                "path_config_source": {
                    "path": ecds::path_in(directory).to_string_lossy(),
                    "watched_directory": {"path": directory.to_string_lossy()},
                },
            }),
        }
    }
}
