use std::{env, fs, path::Path, process::Command};

use super::*;

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

fn plain() -> Bootstrap {
    Bootstrap::new(
        endpoint("127.0.0.1:10000"),
        endpoint("127.0.0.1:9901"),
        endpoint("127.0.0.1:8001"),
        endpoint("127.0.0.1:8002"),
        PolicySource::Grpc(endpoint("127.0.0.1:7071")),
        Resource::local("/etc/serin/filter.wasm"),
    )
}

/// What `docker-compose.yaml` starts its Envoy with: services by name. Envoy's admin is open to the containers'
/// network, where the controller and Prometheus read it; the compose file publishes it on loopback only.
fn composed() -> Bootstrap {
    Bootstrap {
        node_id: "envoy-1".to_owned(),
        lease: Some(endpoint("controller:7070")),
        ..Bootstrap::new(
            endpoint("0.0.0.0:10000"),
            endpoint("0.0.0.0:9901"),
            endpoint("model-v1:8080"),
            endpoint("model-v2:8080"),
            PolicySource::Grpc(endpoint("controller:7071")),
            Resource::local("/etc/serin/filter.wasm"),
        )
    }
}

fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    value.pointer(path).unwrap_or(&Value::Null)
}

const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

fn manager(bootstrap: &Bootstrap) -> Value {
    at(&bootstrap.to_json().unwrap(), MANAGER).clone()
}

#[track_caller]
fn check_removed(bootstrap: &Bootstrap, want: &[&str]) {
    let manager = manager(bootstrap);
    let mutations = at(&manager, "/early_header_mutation_extensions/0/typed_config/mutations").as_array();
    let got: Vec<&str> =
        mutations.into_iter().flatten().filter_map(|mutation| mutation["remove"].as_str()).collect();
    assert_eq!(got, want);
}

/// One that shows a token, over TLS.
fn secured(watch: Option<PathBuf>, certificate: Option<(PathBuf, PathBuf)>) -> Bootstrap {
    let token = Some(TokenFile { file: "/tmp/token".into(), watch });
    let tls = Some(Authority { ca: "/tmp/ca.pem".into(), name: None, certificate });
    let lease = Some(endpoint("controller:7071"));
    Bootstrap { credentials: Credentials { token, tls }, lease, ..plain() }
}

#[test]
fn both_ways_to_the_controller_show_the_token_and_neither_holds_it() {
    for (watch, secrets) in [(None, 1), (Some("/tmp/token.json".into()), 0)] {
        let json = secured(watch, None).to_json().unwrap();
        assert_eq!(at(&json, "/static_resources/secrets").as_array().map_or(0, Vec::len), secrets);
        let clusters = at(&json, "/static_resources/clusters").as_array().unwrap();
        for cluster in clusters {
            let http = &cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
            let shows = http["http_filters"][0]["typed_config"]["credential"]["typed_config"]["header_value_prefix"]
                == "Bearer ";
            let (name, tls) =
                (cluster["name"].as_str().unwrap(), &cluster["transport_socket"]["typed_config"]);
            let controllers = ["xds", "serin"].contains(&name);
            assert_eq!((shows, tls.is_object()), (controllers, controllers), "{name}");
            let san = &tls["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"][0];
            match name {
                "xds" => assert_eq!((&san["san_type"], &tls["sni"]), (&json!("IP_ADDRESS"), &Value::Null)),
                "serin" => assert_eq!((&san["san_type"], &tls["sni"]), (&json!("DNS"), &json!("controller"))),
                _ => {}
            }
        }
    }
    let mut relative = secured(None, None);
    relative.credentials.token = Some(TokenFile { file: "token".into(), watch: None });
    check_error(&relative, &["token", "absolute"]);
}

#[test]
fn a_client_cannot_choose_its_arm_where_this_proxy_decides() {
    check_removed(&plain(), &["x-serin-arm"]);
    let more = Bootstrap {
        routing_header: "x-arm".to_owned(),
        removed_headers: vec!["x-internal".to_owned()],
        ..plain()
    };
    check_removed(&more, &["x-arm", "x-internal"]);
    check_removed(&Bootstrap { role: Role::Follow, ..plain() }, &[]);
    check_removed(&Bootstrap { role: Role::Follow, ..more }, &["x-internal"]);
}

#[test]
fn no_match_means_stable() {
    let manager = manager(&Bootstrap { routing_header: "x-arm".to_owned(), ..plain() });
    let routes = at(&manager, "/route_config/virtual_hosts/0/routes").as_array().unwrap();
    let shown: Vec<String> = routes
        .iter()
        .map(|route| {
            let (to, mirror) = (&route["route"], &route["route"]["request_mirror_policies"][0]["cluster"]);
            let copy = mirror.as_str().map(|mirror| format!(", copy to {mirror}")).unwrap_or_default();
            format!("{} -> {} {}{copy}", route["match"], to["cluster"], to["timeout"])
        })
        .collect();
    assert_eq!(
        shown,
        [
            r#"{"headers":[{"name":"x-arm","string_match":{"exact":"canary"}}],"prefix":"/"} -> "canary" "0s""#,
            r#"{"headers":[{"name":"x-arm","string_match":{"exact":"shadow"}}],"prefix":"/"} -> "stable" "0s", copy to canary"#,
            r#"{"prefix":"/"} -> "stable" "0s""#,
        ]
    );
}

#[test]
fn a_further_arm_has_a_route_and_a_cluster_of_its_name() {
    let others = vec![("b".to_owned(), vec![endpoint("127.0.0.1:8003")])];
    let json = Bootstrap { others, ..plain() }.to_json().unwrap();
    let routes = at(&json, &format!("{MANAGER}/route_config/virtual_hosts/0/routes")).as_array().unwrap();
    let clusters: Vec<_> = routes.iter().map(|route| route["route"]["cluster"].as_str().unwrap()).collect();
    assert_eq!(clusters, ["canary", "b", "stable", "stable"]);
    assert_eq!(routes[1]["match"]["headers"][0]["string_match"]["exact"], "b");
    let names = at(&json, "/static_resources/clusters").as_array().unwrap();
    let names: Vec<_> = names.iter().map(|cluster| cluster["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["stable", "canary", "b", "xds"]);
}

#[test]
fn the_default_differs_from_a_push_in_nothing_but_the_policy() {
    let bootstrap = plain();
    let manager = manager(&bootstrap);
    let default = at(&manager, "/http_filters/0/config_discovery/default_config");
    let mut pushed = bootstrap.resource.to_json("{}");
    pushed["config"].as_object_mut().unwrap().remove("configuration").expect("a push has a policy");
    assert_eq!(default, &pushed);
    assert_eq!(default["config"]["failure_policy"], "FAIL_RELOAD");
    assert_eq!(
        at(&manager, "/http_filters/0/config_discovery/apply_default_config_without_warming"),
        &json!(true)
    );
}

#[track_caller]
fn check_timeout(timeout: Duration, want: &str) {
    let manager = manager(&Bootstrap { route_timeout: timeout, ..plain() });
    assert_eq!(at(&manager, "/route_config/virtual_hosts/0/routes/1/route/timeout"), want);
}

#[test]
fn timeouts() {
    check_timeout(Duration::from_secs(3), "3s");
    check_timeout(Duration::from_millis(250), "0.25s");
    check_timeout(Duration::ZERO, "0s");
}

#[track_caller]
fn check_error(bootstrap: &Bootstrap, parts: &[&str]) {
    let error = bootstrap.to_json().unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_cannot_stand_is_named() {
    check_error(&Bootstrap { node_id: String::new(), ..plain() }, &["node_id"]);
    check_error(&Bootstrap { stable: vec![], ..plain() }, &["stable", "HOST:PORT"]);
    let arm = |name: &str, served: &[&str]| (name.to_owned(), served.iter().map(|at| endpoint(at)).collect());
    let others = |others: &[(&str, &[&str])]| Bootstrap {
        others: others.iter().map(|(name, served)| arm(name, served)).collect(),
        ..plain()
    };
    let here: &[&str] = &["127.0.0.1:8003"];
    check_error(&others(&[("canary", here)]), &["canary", "lower-case"]);
    check_error(&others(&[("serin", here)]), &["serin", "the controller's"]);
    check_error(&others(&[("b", here), ("b", here)]), &["'b'", "twice"]);
    check_error(&others(&[("b", &[])]), &["'b'", "HOST:PORT"]);
    check_error(&Bootstrap { routing_header: "X-Arm".to_owned(), ..plain() }, &["X-Arm", "lower-case"]);
    check_error(&Bootstrap { removed_headers: vec![String::new()], ..plain() }, &["header name"]);
    check_error(
        &Bootstrap { resource: Resource::local("f.wasm"), ..plain() },
        &["wasm", "absolute", "f.wasm"],
    );
    check_error(&Bootstrap { policy: PolicySource::File("d".into()), ..plain() }, &["directory", "absolute"]);
}

/// Every kind of bootstrap there is.
fn kinds() -> Vec<Bootstrap> {
    vec![
        plain(),
        composed(),
        Bootstrap { policy: PolicySource::DeltaGrpc(endpoint("[::1]:7071")), role: Role::Follow, ..plain() },
        Bootstrap { policy: PolicySource::File("/tmp".into()), canary: vec![], ..plain() },
        secured(None, None),
        secured(Some("/tmp/token.json".into()), Some(("/tmp/own.pem".into(), "/tmp/own.key".into()))),
        Bootstrap { others: vec![("b".to_owned(), vec![endpoint("model-v3:8080")])], ..plain() },
        Bootstrap {
            upstream: Upstream::AsClient,
            lease: Some(endpoint("127.0.0.1:7070")),
            removed_headers: vec!["x-internal".to_owned()],
            route_timeout: Duration::ZERO,
            resource: Resource { body_before_headers: true, ..plain().resource },
            ..plain()
        },
    ]
}

#[test]
fn yaml_says_what_json_says() {
    for bootstrap in kinds() {
        let yaml = bootstrap.to_yaml().unwrap();
        let read: Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(read, bootstrap.to_json().unwrap(), "{yaml}");
    }
}

#[test]
fn the_composed_bootstrap_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("bootstrap.yaml");
    let head = "# Written by this crate's tests from `Bootstrap`; change it there. Start Envoy with it: docker-compose.yaml.\n";
    let want = format!("{head}{}", composed().to_yaml().unwrap());
    if fs::read_to_string(&path).ok().as_ref() != Some(&want) {
        fs::write(&path, want).unwrap();
        panic!("envoy/bootstrap.yaml was out of date and has been written anew; commit it");
    }
}

/// What the paths below `/tmp` of [`secured`] stand for, the longer names first.
fn credentials(directory: &Path) -> [&'static str; 5] {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let names = ["token.json", "token", "ca.pem", "own.pem", "own.key"];
    for name in names {
        let text = match name {
            "token.json" => r#"{"resources": []}"#.to_owned(),
            "token" => "secret".to_owned(),
            "own.key" => key.serialize_pem(),
            _ => certificate.pem(),
        };
        fs::write(directory.join(name), text).unwrap();
    }
    names
}

#[test]
fn envoy_takes_every_kind() {
    let Some(envoy) = env::var_os("SERIN_ENVOY") else {
        let advice =
            "no Envoy: run `cargo xtask test`, which fetches one, or set SERIN_ENVOY to an Envoy binary";
        assert!(env::var_os("CI").is_none(), "{advice}");
        eprintln!("skipped: {advice}");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let wasm = directory.path().join("filter.wasm");
    fs::write(&wasm, wat::parse_str(include_str!("../../tests/it/filter.wat")).unwrap()).unwrap();
    let names = credentials(directory.path());
    fs::write(directory.path().join("serin.json"), r#"{"resources": []}"#).unwrap();
    for mut bootstrap in kinds() {
        bootstrap.resource.wasm = crate::WasmCode::Local(wasm.clone());
        if let PolicySource::File(path) = &mut bootstrap.policy {
            *path = directory.path().to_owned();
        }
        let config = directory.path().join("envoy.yaml");
        let mut text = bootstrap.to_yaml().unwrap();
        for name in names {
            text = text.replace(&format!("/tmp/{name}"), &directory.path().join(name).display().to_string());
        }
        fs::write(&config, text).unwrap();
        let output = Command::new(&envoy).args(["--mode", "validate", "-c"]).arg(&config).output().unwrap();
        assert!(
            output.status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&output.stderr),
            bootstrap.to_yaml().unwrap()
        );
        let text = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(!text.contains("deprecated"), "{text}");
    }
}
