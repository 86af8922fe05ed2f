use std::path::Path;

use envoy::{Bootstrap, Endpoint, PolicySource, Resource};
use serde_json::{Value, json};
use tokio::process::Command;

use tests::tools;

const STRING: &str = "type.googleapis.com/google.protobuf.StringValue";
const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0";

/// An Envoy of ours; the filter is at `wasm`.
pub fn ours(wasm: &Path) -> Value {
    let any = || Endpoint::new("127.0.0.1", 0).expect("an endpoint");
    let nowhere = || Endpoint::new("127.0.0.1", 1).expect("an endpoint");
    let source = PolicySource::Grpc(nowhere());
    Bootstrap::new(any(), any(), nowhere(), nowhere(), source, Resource::local(wasm))
        .to_json()
        .expect("a bootstrap")
}

/// An Envoy as istiod leaves it: nothing of ours in it, and the agent's cluster for certificates.
pub fn istios() -> Value {
    let mut config = ours(Path::new("/nowhere"));
    let clusters = config["static_resources"]["clusters"].as_array_mut().expect("clusters");
    clusters.retain(|cluster| ["stable", "canary"].contains(&cluster["name"].as_str().unwrap_or_default()));
    clusters.push(json!({
        "name": "sds-grpc",
        "type": "STATIC",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }},
        "load_assignment": {"cluster_name": "sds-grpc", "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": {"pipe": {"path": "./socket"}}}},
        ]}]},
    }));
    let manager = manager(&mut config);
    manager.as_object_mut().expect("an object").remove("early_header_mutation_extensions");
    filters(manager).retain(|filter| filter["name"] != envoy::NAME);
    config
}

fn manager(config: &mut Value) -> &mut Value {
    config.pointer_mut(MANAGER).map(|filter| &mut filter["typed_config"]).expect("a connection manager")
}

fn filters(manager: &mut Value) -> &mut Vec<Value> {
    manager["http_filters"].as_array_mut().expect("filters")
}

/// The filter of ours in a configuration.
pub fn filter(config: &mut Value) -> &mut Value {
    filters(manager(config)).iter_mut().find(|filter| filter["name"] == envoy::NAME).expect("our filter")
}

/// Does to a configuration what istiod does for the patches of an `EnvoyFilter`.
pub fn patch(config: &mut Value, envoy_filter: &Value) {
    for patch in envoy_filter["spec"]["configPatches"].as_array().expect("patches") {
        let chain = &patch["match"]["listener"]["filterChain"]["filter"];
        assert_eq!(config.pointer(MANAGER).expect("a filter")["name"], chain["name"]);
        let what = (patch["applyTo"].as_str(), patch["patch"]["operation"].as_str());
        let value = &patch["patch"]["value"];
        match what {
            (Some("NETWORK_FILTER"), Some("MERGE")) => {
                let manager = manager(config);
                for (field, value) in value["typed_config"].as_object().expect("fields") {
                    assert!(
                        field == "@type" || manager.get(field).is_none(),
                        "{field}: no merging of lists here"
                    );
                    manager[field] = value.clone();
                }
            }
            (Some("HTTP_FILTER"), Some("INSERT_BEFORE")) => {
                let filters = filters(manager(config));
                let at = filters.iter().position(|filter| filter["name"] == chain["subFilter"]["name"]);
                filters.insert(at.expect("the filter to stand before"), value.clone());
            }
            other => panic!("{other:?}: teach this test what istiod makes of it"),
        }
    }
}

/// An Envoy with this policy from the start; the filter refuses what it would otherwise pass over.
pub fn with_policy(policy: &Value) -> Value {
    let mut config = ours(&tools::wasm());
    let filter = filter(&mut config);
    let mut wasm = filter["config_discovery"]["default_config"].take();
    wasm["config"]["configuration"] = json!({"@type": STRING, "value": policy.to_string()});
    wasm["config"]["vm_config"]["configuration"] = json!({"@type": STRING, "value": "strict"});
    *filter = json!({"name": envoy::NAME, "typed_config": wasm});
    config
}

/// Lets Envoy read a configuration without starting to serve; `more` is laid over it, as by istio-agent.
pub async fn validate(config: &Value, more: Option<&str>) -> Result<(), String> {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("envoy.json");
    std::fs::write(&file, config.to_string()).expect("the configuration");
    let output = Command::new(tools::envoy())
        .args(["--mode", "validate", "--disable-hot-restart", "-c"])
        .arg(&file)
        .args(more.into_iter().flat_map(|more| ["--config-yaml", more]))
        .kill_on_drop(true)
        .output()
        .await
        .expect("envoy starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(text) }
}
