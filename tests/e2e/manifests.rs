//! `istio/`: the API server, Envoy and the filter take what is shipped there, and its files agree with each other.
//! istiod itself is not run.

mod chart;
mod lift;
mod rules;
mod schema;

use std::path::{Path, PathBuf};

use serde_json::Value;

use tests::{a_core, tools};

/// The port of the lease and the API, and that of policies.
const PORTS: [u64; 2] = [7070, 7071];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../istio")
}

fn text(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).expect("YAML")
}

/// The only document of a file.
fn document(file: &str) -> Value {
    let mut documents = documents(&text(file));
    assert_eq!(documents.len(), 1, "{file}");
    documents.remove(0)
}

/// The document of a kind in a file that has several.
fn one_of(file: &str, kind: &str) -> Value {
    documents(&text(file)).into_iter().find(|document| document["kind"] == kind).expect("the kind")
}

fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer} of {value}"))
}

#[track_caller]
fn check(text: &str, expected: Result<(), &str>) {
    let faults: Vec<String> = documents(text)
        .iter()
        .flat_map(|document| schema::faults(document).into_iter().chain(rules::faults(document)))
        .collect();
    match expected {
        Ok(()) => assert_eq!(faults, [""; 0]),
        Err(part) => assert!(faults.iter().any(|fault| fault.contains(part)), "{part} is not in {faults:#?}"),
    }
}

#[test]
fn every_manifest_is_taken() {
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    files.sort();
    assert!(files.len() >= 6, "{files:?}");
    let readme = text("README.md");
    for file in files {
        let text = text(&file);
        assert!(text.starts_with("# "), "{file} does not say what it is");
        assert!(readme.contains(&file), "README.md does not name {file}");
        assert!(!documents(&text).is_empty(), "{file}");
        check(&text, Ok(()));
    }
}

#[test]
fn what_would_go_wrong_is_refused() {
    let rows = [
        // The API server.
        ("trafficextension.yaml", "pluginConfig:", "pluginConfg:", "'pluginConfg' was unexpected"),
        ("wasmplugin.yaml", "matchLabels:", "matchLabel:", "'matchLabel' was unexpected"),
        ("wasmplugin.yaml", "phase: STATS", "phase: STATISTICS", "STATISTICS"),
        ("wasmplugin.yaml", "  url:", "  uri:", "\"url\" is a required property"),
        ("destinationrule.yaml", "  host:", "  hots:", "'hots' was unexpected"),
        ("virtualservice.yaml", "exact: canary", "exactly: canary", "'exactly' was unexpected"),
        ("envoyfilter-early-removal.yaml", "operation: MERGE", "operation: MERGED", "MERGED"),
        (
            "envoyfilter-fast-lane.yaml",
            "networking.istio.io/v1alpha3",
            "networking.istio.io/v1",
            "known to nobody",
        ),
        ("controller.yaml", "kind: Service\n", "kind: Servise\n", "known to nobody"),
        // Ours.
        ("trafficextension.yaml", "url: oci://", "url: ", "url: begin with"),
        ("wasmplugin.yaml", "url: oci://", "url: file://", "url: begin with"),
        ("wasmplugin.yaml", "failStrategy: FAIL_OPEN", "failStrategy: FAIL_RELOAD", "answer 403"),
        ("wasmplugin.yaml", "  - mode: CLIENT", "  - mode: CLIENT_AND_SERVER", "two proxies decide"),
        ("trafficextension.yaml", "generation: 1", "generation: 9007199254740993", "above 2^53"),
        ("trafficextension.yaml", "generation: 1", "generation: 18446744073709551615", "above 2^53"),
        ("trafficextension.yaml", "salt: ranker/1", "salt: 1", "expected a string"),
        ("trafficextension.yaml", "weight_ppm: 0", "weight: 0", "unknown field `weight`"),
        ("trafficextension.yaml", "weight_ppm: 0", "weight_ppm: 1000001", "arms.canary.weight_ppm"),
        ("trafficextension.yaml", "weight_ppm: 0", "weight_ppm: 1", "begins at a weight"),
        (
            "virtualservice.yaml",
            "subset: canary",
            "subset: canary\n      weight: 5",
            "weights live in the filter",
        ),
        ("virtualservice.yaml", "  - name: stable", "  - name: stable\n    match: []", "unconditional"),
    ];
    for (file, good, bad, part) in rows {
        let text = text(file);
        assert!(text.contains(good), "{file} has no {good}");
        check(&text.replacen(good, bad, 1), Err(part));
    }
}

/// A whole number that was written as a double is still one.
#[test]
fn numbers_survive_the_way_through_istiod() {
    let text = text("wasmplugin.yaml");
    check(&text.replacen("incarnation: 1", "incarnation: 1763700000000.0", 1), Ok(()));
    check(&text.replacen("incarnation: 1", "incarnation: 9007199254740992", 1), Ok(()));
    check(&text.replacen("incarnation: 1", "incarnation: 1.5", 1), Err("pluginConfig: "));
}

#[test]
fn both_kinds_of_plugin_say_the_same() {
    let (mut extension, mut plugin) = (document("trafficextension.yaml"), document("wasmplugin.yaml"));
    let wasm = extension["spec"]["wasm"].take();
    let mut flat = extension["spec"].take();
    let flat = flat.as_object_mut().expect("a spec");
    flat.remove("wasm");
    flat.extend(wasm.as_object().expect("the module").clone());
    assert_eq!(Value::Object(flat.clone()), plugin["spec"].take());
    assert_eq!(extension["metadata"], plugin["metadata"]);
}

#[test]
fn routes_lead_to_subsets_by_the_policys_header() {
    let (routes, rule) = (document("virtualservice.yaml"), document("destinationrule.yaml"));
    let subsets: Vec<&Value> =
        rule["spec"]["subsets"].as_array().expect("subsets").iter().map(|subset| &subset["name"]).collect();
    let plugin = document("wasmplugin.yaml");
    let rollout = at(&plugin, "/spec/pluginConfig/rollouts/0");
    let header = rollout["header"].as_str().expect("a header");
    let authorities = rollout["match"]["authority"].as_array().expect("names");
    assert_eq!(routes["spec"]["hosts"], serde_json::json!([rule["spec"]["host"]]));
    assert!(authorities.contains(&rule["spec"]["host"]));
    for route in routes["spec"]["http"].as_array().expect("routes") {
        let destination = at(route, "/route/0/destination");
        assert_eq!(destination["host"], rule["spec"]["host"]);
        assert!(subsets.contains(&&destination["subset"]), "{destination}");
        if let Some(matches) = route.get("match") {
            let value = at(matches, &format!("/0/headers/{header}/exact"));
            match route.get("mirror") {
                None => assert_eq!(value, &destination["subset"], "the header's value is the arm's name"),
                Some(copy) => {
                    assert_eq!((value, &destination["subset"]), (&split::SHADOW.into(), &"stable".into()));
                    assert_eq!((&copy["host"], &copy["subset"]), (&rule["spec"]["host"], &"canary".into()));
                }
            }
        }
    }
    for file in ["envoyfilter-early-removal.yaml", "envoyfilter-fast-lane.yaml"] {
        let filter = document(file);
        let extensions =
            at(&filter, "/spec/configPatches/0/patch/value/typed_config/early_header_mutation_extensions");
        assert_eq!(
            at(extensions, "/0/typed_config/mutations"),
            &serde_json::json!([{"remove": header}]),
            "{file}"
        );
    }
}

#[test]
fn every_file_means_the_same_pods() {
    let selected = |file: &str, pointer: &str| at(&document(file), pointer).clone();
    assert_eq!(
        selected("envoyfilter-early-removal.yaml", "/spec/workloadSelector/labels"),
        selected("wasmplugin.yaml", "/spec/selector/matchLabels")
    );
    assert_eq!(
        selected("envoyfilter-fast-lane.yaml", "/spec/workloadSelector/labels"),
        selected("fast-lane-workload.yaml", "/spec/template/metadata/labels")
    );
}

#[test]
fn every_file_means_the_same_controller() {
    let service = one_of("controller.yaml", "Service");
    let metadata = |field: &str| service["metadata"][field].as_str().expect("text");
    let host = format!("{}.{}.svc.cluster.local", metadata("name"), metadata("namespace"));
    let ports: Vec<u64> = at(&service, "/spec/ports")
        .as_array()
        .expect("ports")
        .iter()
        .map(|port| port["port"].as_u64().expect("a port"))
        .collect();
    assert_eq!(ports, PORTS);

    let policy = rules::policy(at(&document("wasmplugin.yaml"), "/spec/pluginConfig")).expect("a policy");
    let lease = policy.lease.expect("a lease");
    // Of a policy that the controller vouches for the digest follows.
    let opened =
        at(&one_of("controller.yaml", "AuthorizationPolicy"), "/spec/rules/0/to/0/operation/paths").clone();
    assert_eq!(opened, serde_json::json!([lease.path, format!("{}/*", lease.path)]));
    assert_eq!((lease.cluster, lease.authority), (format!("outbound|{}||{host}", PORTS[0]), host.clone()));

    let clusters: Value = serde_json::from_str(&more()).expect("JSON");
    let clusters = at(&clusters, "/static_resources/clusters").as_array().expect("clusters");
    let identity = format!("spiffe://cluster.local/ns/{}/sa/{}", metadata("namespace"), metadata("name"));
    for (cluster, (name, port)) in clusters.iter().zip([("serin-ecds", PORTS[1]), (envoy::NAME, PORTS[0])]) {
        let address =
            at(cluster, "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address");
        assert_eq!(address, &serde_json::json!({"address": host, "port_value": port}));
        assert_eq!((cluster["name"].as_str(), cluster["type"].as_str()), (Some(name), Some("STRICT_DNS")));
        let tls = at(cluster, "/transport_socket/typed_config");
        assert_eq!(tls["sni"], format!("outbound_.{port}_._.{host}"));
        assert!(tls.to_string().contains(&format!("\"{identity}\"")), "{name}");
        assert!(
            !tls.to_string().contains("\"0s\""),
            "{name}: without a certificate the proxy would never start"
        );
    }
    assert_eq!(clusters.len(), 2);
}

/// The fast lane is our own bootstrap's filter, with the path and the cluster that the other files give it.
#[test]
fn the_fast_lane_is_the_bootstraps_filter() {
    let workload = document("fast-lane-workload.yaml");
    let mounts = at(&workload, "/spec/template/metadata/annotations/sidecar.istio.io~1userVolumeMount");
    let mounts: Value = serde_json::from_str(mounts.as_str().expect("text")).expect("JSON");
    let path = Path::new(at(&mounts, "/0/mountPath").as_str().expect("a path")).join("filter.wasm");
    let mut expected = lift::ours(&path);
    let expected = lift::filter(&mut expected);
    *expected
        .pointer_mut(
            "/config_discovery/config_source/api_config_source/grpc_services/0/envoy_grpc/cluster_name",
        )
        .expect("a cluster") = "serin-ecds".into();
    let manifest = document("envoyfilter-fast-lane.yaml");
    assert_eq!(at(&manifest, "/spec/configPatches/1/patch/value"), expected);

    let controller = one_of("controller.yaml", "Deployment");
    let arguments = at(&controller, "/spec/template/spec/containers/0/args").as_array().expect("arguments");
    assert!(arguments.contains(&format!("--wasm={}", path.display()).into()), "{arguments:?}");

    let annotation =
        |name: &str| at(&workload, &format!("/spec/template/metadata/annotations/{name}")).clone();
    let bootstrap = document("fast-lane-bootstrap.yaml");
    assert_eq!(annotation("sidecar.istio.io~1bootstrapOverride"), bootstrap["metadata"]["name"]);
}

#[test]
fn istio_is_told_every_tag() {
    let workload = document("stats-tags.yaml");
    let annotation = at(&workload, "/spec/template/metadata/annotations/proxy.istio.io~1config");
    let config: Value = serde_saphyr::from_str(annotation.as_str().expect("text")).expect("YAML");
    assert_eq!(config, serde_json::json!({"extraStatTags": tally::TAGS}));
}

/// The clusters a proxy of the fast lane is started with.
fn more() -> String {
    let bootstrap = document("fast-lane-bootstrap.yaml");
    at(&bootstrap, "/data/custom_bootstrap.json").as_str().expect("text").to_owned()
}

#[track_caller]
fn judge(what: &str, found: &Result<(), String>, expected: Result<(), &str>) {
    match (found, expected) {
        (Ok(()), Ok(())) => {}
        (Err(text), Err(part)) => assert!(text.contains(part), "{what}: {part} is not in {text}"),
        _ => panic!("{what}: expected {expected:?}, found {found:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_takes_the_patches() {
    let _core = a_core().await;
    let more = more();
    let rows = [
        ("envoyfilter-fast-lane.yaml", ("", ""), Some(more.as_str()), Ok(())),
        // What becomes of a labelled pod that was not started with the clusters.
        ("envoyfilter-fast-lane.yaml", ("", ""), None, Err("statically defined")),
        (
            "envoyfilter-fast-lane.yaml",
            ("default_config:", "default_confg:"),
            Some(more.as_str()),
            Err("default_confg"),
        ),
        ("envoyfilter-early-removal.yaml", ("", ""), None, Ok(())),
        ("envoyfilter-early-removal.yaml", ("- remove:", "- removes:"), None, Err("removes")),
    ];
    let wasm = tools::wasm();
    let wasm = wasm.to_str().expect("a path");
    for (file, (good, bad), more, expected) in rows {
        let text = text(file);
        assert!(text.contains(good), "{file} has no {good}");
        let text = text.replacen(good, bad, 1).replace("/etc/serin/filter.wasm", wasm);
        let mut config = lift::istios();
        lift::patch(&mut config, documents(&text).first().expect("a manifest"));
        judge(file, &lift::validate(&config, more).await, expected);
    }
}

/// The filter itself, in Envoy, reads what stands in the plugin's configuration.
#[tokio::test(flavor = "multi_thread")]
async fn the_filter_takes_the_policy() {
    let _core = a_core().await;
    let plugin = document("wasmplugin.yaml");
    let policy = at(&plugin, "/spec/pluginConfig");
    judge("the policy", &lift::validate(&lift::with_policy(policy), None).await, Ok(()));
    let mut bad = policy.clone();
    bad["rollouts"][0]["arms"]["canary"]["weight_ppm"] = 1_000_001.into();
    judge("a bad one", &lift::validate(&lift::with_policy(&bad), None).await, Err("weight_ppm"));
}
