//! The filter, the way of a request, the routes.

use serde_json::{Value, json};

use super::{add, check, lines, remove, route, set, sound};
use crate::{Api, Snapshot, examine};

#[test]
fn nothing_is_found_where_all_is_as_it_should_be() {
    let report = examine(&sound());
    assert_eq!(lines(&report), [""; 0]);
    assert_eq!(report.unseen, []);
    assert_eq!((report.exit_code(), report.fine.len()), (0, crate::checks::ALL.len()));
}

#[test]
fn the_filter() {
    const TE: &str = "TrafficExtension";
    check(|snapshot| snapshot.api = Ok(Api::default()), "kinds", "neither TrafficExtension nor WasmPlugin");
    check(remove(TE, "serin"), "plugin", "neither a TrafficExtension nor a WasmPlugin");
    check(
        |snapshot| {
            snapshot.plugins.clear();
            remove(TE, "serin")(snapshot);
        },
        "plugin",
        "no object installs it",
    );
    let twin = json!({"metadata": {"name": "serin", "namespace": "models"}, "spec": {"pluginName": "serin", "selector": {"matchLabels": {"serin.dev/decide": "true"}}}});
    check(add("WasmPlugin", twin.clone()), "plugin", "both a TrafficExtension and a WasmPlugin");
    check(add("WasmPlugin", twin), "one filter", "2 filters decide");
    check(
        set(TE, "serin", "/spec/wasm/failStrategy", "FAIL_CLOSE".into()),
        "module",
        "failStrategy is FAIL_CLOSE",
    );
    check(
        set(TE, "serin", "/spec/wasm/failStrategy", Value::Null),
        "module",
        "failStrategy is FAIL_CLOSE, the default",
    );
    check(set(TE, "serin", "/spec/wasm/url", "file:///f.wasm".into()), "module", "url is file://");
    check(set(TE, "serin", "/spec/wasm/url", "http://h/f.wasm".into()), "module", "url is http://");
    check(set(TE, "serin", "/spec/wasm/sha256", "".into()), "module", "sha256 is not set");
    check(
        set(TE, "serin", "/spec/wasm/imagePullPolicy", "Always".into()),
        "module",
        "imagePullPolicy is Always",
    );
    check(set(TE, "serin", "/spec/wasm/pluginName", "other".into()), "module", "pluginName is");
    check(set(TE, "serin", "/spec/match", json!([{"mode": "CLIENT_AND_SERVER"}])), "module", "modes");
    check(set(TE, "serin", "/spec/match", Value::Null), "module", "modes");
    check(set(TE, "serin", "/spec/selector", Value::Null), "module", "no selector");
    check(
        set(TE, "serin", "/spec/wasm/pluginConfig/forgotten", true.into()),
        "policy",
        "unknown field `forgotten`",
    );
    check(
        set(TE, "serin", "/spec/wasm/pluginConfig/rollouts/0/arms/canary/weight_ppm", 1_000_001.into()),
        "policy",
        "weight_ppm",
    );
    check(remove("Service", "serin"), "policy", "no Service serin-system/serin");
    let exposed = |snapshot: &mut Snapshot| {
        set(TE, "serin", "/spec/wasm/pluginConfig/rollouts/0/arms/canary/weight_ppm", 5.into())(snapshot);
        set(TE, "serin", "/spec/wasm/pluginConfig/lease", Value::Null)(snapshot);
    };
    check(exposed, "policy", "no lease");
}

#[test]
fn the_path_of_a_request() {
    check(remove("EnvoyFilter", "serin-early-removal"), "early removal", "x-serin-arm");
    check(
        set("EnvoyFilter", "serin-early-removal", "/spec/workloadSelector/labels", json!({"app": "other"})),
        "early removal",
        "x-serin-arm",
    );
    check(
        set("EnvoyFilter", "serin-early-removal", "/metadata/namespace", "other".into()),
        "early removal",
        "x-serin-arm",
    );
    check(
        set("TrafficExtension", "serin", "/spec/wasm/pluginConfig/rollouts/0/header", "x-arm".into()),
        "early removal",
        "x-arm",
    );
    let fast = json!({"metadata": {"name": "serin-fast-lane", "namespace": "models"}, "spec": {"configPatches": [
        {"applyTo": "HTTP_FILTER", "patch": {"value": {"config_discovery": {"default_config": {"config": {"root_id": "serin"}}}}}}]}});
    check(add("EnvoyFilter", fast), "one filter", "EnvoyFilter models/serin-fast-lane");
    check(remove("Pod", "storefront-1"), "pods that decide", "no pod of models");
    check(
        set("Pod", "storefront-1", "/spec/containers/1/name", "other".into()),
        "pods that decide",
        "no sidecar",
    );
    check(
        set("Pod", "storefront-1", "/metadata/annotations", json!({})),
        "labels of counters",
        "rollout, version",
    );
    check(
        set(
            "Pod",
            "storefront-1",
            "/metadata/annotations/proxy.istio.io~1config",
            "extraStatTags: [rollout, version]".into(),
        ),
        "labels of counters",
        "arm, cause",
    );
    check(
        set("Sidecar", "default", "/spec/egress/0/hosts", json!(["./*"])),
        "lease's way",
        "hides the namespace serin-system",
    );
}

#[test]
fn the_meshs_own_tags_and_sidecars_count() {
    let mut snapshot = sound();
    set("Pod", "storefront-1", "/metadata/annotations", json!({}))(&mut snapshot);
    let mesh = format!("defaultConfig:\n  extraStatTags: [{}]", tally::TAGS.join(","));
    add(
        "ConfigMap",
        json!({"metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": mesh}}),
    )(&mut snapshot);
    set("Sidecar", "default", "/spec/egress/0/hosts", json!(["*/*"]))(&mut snapshot);
    assert_eq!(lines(&examine(&snapshot)), [""; 0]);
    // Of other pods.
    set("Sidecar", "default", "/spec/egress/0/hosts", json!(["./*"]))(&mut snapshot);
    set("Sidecar", "default", "/spec/workloadSelector", json!({"labels": {"app": "other"}}))(&mut snapshot);
    assert_eq!(lines(&examine(&snapshot)), [""; 0]);
}

/// What stands in Istio's own namespace is for the pods of all.
#[test]
fn a_plugin_of_the_whole_mesh_selects_in_every_namespace() {
    let mut snapshot = sound();
    set("TrafficExtension", "serin", "/metadata/namespace", "istio-system".into())(&mut snapshot);
    set("EnvoyFilter", "serin-early-removal", "/metadata/namespace", "istio-system".into())(&mut snapshot);
    snapshot.plugins[0].0 = "istio-system".to_owned();
    let found = lines(&examine(&snapshot));
    assert!(found.iter().all(|line| !line.contains("no pod of istio-system")), "{found:#?}");
}

#[test]
fn the_routes() {
    const VS: &str = "VirtualService";
    let shared = json!([{"destination": {"host": "ranker", "subset": "stable"}, "weight": 60}, {"destination": {"host": "ranker", "subset": "canary"}, "weight": 30}]);
    check(
        set(VS, "ranker", "/spec/http/1/route", shared.clone()),
        "routes",
        "still shares traffic by weights ([60, 30])",
    );
    check(set(VS, "ranker", "/spec/http/1/route", shared), "routes", "sum to 90");
    check(set(VS, "ranker", "/spec/http/0", route("all", None, "stable")), "routes", "matches everything");
    check(
        set(VS, "ranker", "/spec/http/0", route("all", None, "stable")),
        "routes",
        "no route matches x-serin-arm: canary",
    );
    check(remove(VS, "ranker"), "routes", "no route matches x-serin-arm: canary");
    check(set(VS, "ranker", "/spec/http/1", route("stable", Some("x"), "stable")), "routes", "last route");
    check(set(VS, "ranker", "/spec/http/1", route("stable", None, "canary")), "routes", "last route");
    check(set("DestinationRule", "ranker", "/spec/subsets/1/name", "b".into()), "routes", "subset canary");
    check(remove("Pod", "ranker-1"), "subsets", "subset stable");
    check(remove("Pod", "ranker-2"), "subsets", "subset canary");
}

/// A header that leads to another version's pods is worse than none.
#[test]
fn a_header_leads_to_its_own_arm() {
    const VS: &str = "VirtualService";
    check(
        set(VS, "ranker", "/spec/http/0", route("canary", Some("canary"), "stable")),
        "routes",
        "matches x-serin-arm: canary and leads to \"stable\", not to canary",
    );
    let shadow = |subset| set(VS, "ranker", "/spec/http/0", route("shadow", Some("shadow"), subset));
    check(shadow("canary"), "routes", "shadow and leads to \"canary\", not to stable");
    let mut snapshot = sound();
    set(VS, "ranker", "/spec/http/0/route/0/destination", json!({"host": "ranker-canary"}))(&mut snapshot);
    assert_eq!(lines(&examine(&snapshot)), [""; 0]);
    set(VS, "ranker", "/spec/http/0/route/0/destination", json!({"host": "ranker"}))(&mut snapshot);
    assert_eq!(lines(&examine(&snapshot)).len(), 1);
}

#[test]
fn an_http_route_matches_as_well() {
    const HR: &str = "HTTPRoute";
    let gateway = |snapshot: &mut Snapshot| {
        remove("VirtualService", "ranker")(snapshot);
        let rule = json!({"matches": [{"headers": [{"name": "X-Serin-Arm", "value": "canary"}]}], "backendRefs": [{"name": "ranker-canary"}]});
        let rest = json!({"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [{"name": "ranker-stable"}]});
        let route =
            json!({"metadata": {"name": "ranker", "namespace": "models"}, "spec": {"rules": [rule, rest]}});
        add(HR, route)(snapshot);
        for name in ["ranker-stable", "ranker-canary"] {
            add("Service", json!({"metadata": {"name": name, "namespace": "models"}, "spec": {}}))(snapshot);
        }
    };
    let mut snapshot = sound();
    gateway(&mut snapshot);
    assert_eq!(lines(&examine(&snapshot)), [""; 0]);
    let with = |change: &dyn Fn(&mut Snapshot), part: &str| {
        check(
            |snapshot| {
                gateway(snapshot);
                change(snapshot);
            },
            "routes",
            part,
        );
    };
    let more = json!({"name": "ranker-stable", "weight": 5});
    with(&set(HR, "ranker", "/spec/rules/0/backendRefs/-", more), "still shares traffic");
    with(
        &set(HR, "ranker", "/spec/rules/0/backendRefs/0/name", "ranker-stable".into()),
        "canary and leads to \"ranker-stable\"",
    );
    with(
        &set(HR, "ranker", "/spec/rules/1/backendRefs/0/name", "ranker".into()),
        "no rule without conditions leads to stable",
    );
    with(&remove("Service", "ranker-canary"), "Service models/ranker-canary, which is not there");
}
