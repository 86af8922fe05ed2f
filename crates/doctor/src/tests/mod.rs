//! Each finding, absent from an installation that is as it should be and there when one thing is changed.

mod figures;
mod objects;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{Api, Clock, KINDS, Page, Prometheus, Proxy, Report, Right, Sampled, Snapshot, examine};

const PAGE: &str = "serin_policy_generation 7\nserin_policy_incarnation 1\nserin_policy_refused_total{reason=\"stale\"} 2\n\
                    serin_finished_total{rollout=\"ranker\",version=\"v1\"} 5\n";

fn policy() -> Value {
    json!({
        "schema": 1, "incarnation": 1, "generation": 7,
        "lease": {"cluster": "outbound|7070||serin.serin-system.svc.cluster.local",
                  "authority": "serin.serin-system.svc.cluster.local", "path": "/v1/lease", "interval_ms": 1000, "ttl_ms": 5000},
        "rollouts": [{
            "name": "ranker", "epoch": 1, "match": {"authority": ["ranker", "ranker.models.svc.cluster.local"]},
            "header": "x-serin-arm", "version_header": "x-serin-version",
            "assignment": {"mode": "sticky", "salt": "ranker/1", "keys": [{"header": "x-user-id"}]},
            "arms": {"stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": 0}},
        }],
    })
}

fn pod(name: &str, labels: Value) -> Value {
    let tags = format!("extraStatTags: [{}]", tally::TAGS.join(", "));
    json!({
        "metadata": {"name": name, "namespace": "models", "labels": labels, "annotations": {"proxy.istio.io/config": tags}},
        "spec": {"containers": [{"name": "app"}, {"name": "istio-proxy"}]},
    })
}

fn route(name: &str, matched: Option<&str>, subset: &str) -> Value {
    let mut route = json!({"name": name, "route": [{"destination": {"host": "ranker.models.svc.cluster.local", "subset": subset}}]});
    if let Some(arm) = matched {
        route["match"] = json!([{"headers": {"x-serin-arm": {"exact": arm}}}]);
    }
    route
}

fn deployment(namespace: &str, name: &str, image: &str, args: &[&str]) -> Value {
    json!({
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"automountServiceAccountToken": true, "containers": [{"name": name, "image": image, "args": args}]},
        }},
        "status": {"readyReplicas": 1},
    })
}

fn sampled(pod: &str, age_ms: u64) -> Sampled {
    Sampled { namespace: "models".to_owned(), pod: pod.to_owned(), age_ms }
}

/// As it should be.
fn sound() -> Snapshot {
    let mut objects: BTreeMap<&'static str, Result<Vec<Value>, String>> =
        KINDS.iter().map(|kind| (*kind, Ok(Vec::new()))).collect();
    let mut put =
        |kind: &'static str, object: Value| objects.get_mut(kind).unwrap().as_mut().unwrap().push(object);
    let meta = |name: &str| json!({"name": name, "namespace": "models"});
    put(
        "TrafficExtension",
        json!({"metadata": meta("serin"), "spec": {
            "selector": {"matchLabels": {"serin.dev/decide": "true"}}, "match": [{"mode": "CLIENT"}],
            "wasm": {"url": "oci://r/serin/filter:0.1.0", "sha256": "a".repeat(64), "imagePullPolicy": "IfNotPresent",
                     "failStrategy": "FAIL_OPEN", "pluginName": "serin", "pluginConfig": policy()},
        }}),
    );
    put(
        "EnvoyFilter",
        json!({"metadata": meta("serin-early-removal"), "spec": {
            "workloadSelector": {"labels": {"serin.dev/decide": "true"}},
            "configPatches": [{"applyTo": "NETWORK_FILTER", "patch": {"value": {"typed_config": {
                "early_header_mutation_extensions": [{"typed_config": {"mutations": [{"remove": "x-serin-arm"}]}}]}}}}],
        }}),
    );
    put(
        "VirtualService",
        json!({"metadata": meta("ranker"), "spec": {
            "hosts": ["ranker.models.svc.cluster.local"],
            "http": [route("canary", Some("canary"), "canary"), route("stable", None, "stable")],
        }}),
    );
    put(
        "DestinationRule",
        json!({"metadata": meta("ranker"), "spec": {
            "host": "ranker.models.svc.cluster.local",
            "subsets": [{"name": "stable", "labels": {"serin.dev/arm": "stable"}}, {"name": "canary", "labels": {"serin.dev/arm": "canary"}}],
        }}),
    );
    put("Service", json!({"metadata": meta("ranker"), "spec": {"selector": {"app": "ranker"}}}));
    put("Service", json!({"metadata": {"name": "serin", "namespace": "serin-system"}, "spec": {}}));
    put(
        "Sidecar",
        json!({"metadata": meta("default"), "spec": {"egress": [{"hosts": ["./*", "serin-system/*"]}]}}),
    );
    put("Pod", pod("storefront-1", json!({"app": "storefront", "serin.dev/decide": "true"})));
    put("Pod", pod("ranker-1", json!({"app": "ranker", "serin.dev/arm": "stable"})));
    put("Pod", pod("ranker-2", json!({"app": "ranker", "serin.dev/arm": "canary"})));
    let args = ["--ecds=0.0.0.0:7071", "--istio-plugin=models/serin", "--prometheus=http://p"];
    put("Deployment", deployment("serin-system", "serin", "r/serin/controller:0.1.0", &args));
    put("Deployment", deployment("istio-system", "istiod", "r/pilot:1.31.2", &[]));
    let right = |verb, resource, name: &str, needed| Right {
        verb,
        group: "extensions.istio.io",
        resource,
        namespace: "models".to_owned(),
        name: name.to_owned(),
        needed,
    };
    Snapshot {
        program_version: "0.1.0".to_owned(),
        namespace: "serin-system".to_owned(),
        root_namespace: "istio-system".to_owned(),
        plugins: vec![("models".to_owned(), "serin".to_owned())],
        api: Ok(Api { served: BTreeSet::from(["extensions.istio.io/TrafficExtension".to_owned()]) }),
        objects,
        rights: vec![
            (right("patch", "trafficextensions", "serin", true), Ok(true)),
            (right("list", "secrets", "", false), Ok(false)),
        ],
        proxies: vec![Proxy { name: "models/storefront-1".to_owned(), page: Ok(Page(PAGE.to_owned())) }],
        controller: Ok(Page(
            "# TYPE serin_rollout_phase gauge\nserin_plugin_failing{plugin=\"models/serin\"} 0\nserin_counts_delay_seconds 4\n".to_owned(),
        )),
        prometheus: Ok(Prometheus {
            url: "http://p".to_owned(),
            sidecars: vec![sampled("storefront-1", 4_000)],
            failing: 0,
            flat: false,
        }),
        clocks: vec![Clock { of: "Prometheus".to_owned(), ahead_ms: 300 }],
        without: BTreeSet::new(),
    }
}

fn lines(report: &Report) -> Vec<String> {
    report.findings.iter().map(|one| format!("{}: {}: {}", one.check, one.object, one.what)).collect()
}

/// The object of a kind, the first of that name.
fn object<'s>(snapshot: &'s mut Snapshot, kind: &str, name: &str) -> &'s mut Value {
    let objects = snapshot.objects.get_mut(kind).unwrap().as_mut().unwrap();
    objects.iter_mut().find(|object| object["metadata"]["name"] == name).unwrap()
}

fn set(
    kind: &'static str,
    name: &'static str,
    pointer: &'static str,
    value: Value,
) -> impl Fn(&mut Snapshot) {
    move |snapshot| {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let parent = object(snapshot, kind, name).pointer_mut(parent).unwrap();
        match parent.as_array_mut() {
            Some(list) if field == "-" => list.push(value.clone()),
            Some(list) => list[field.parse::<usize>().unwrap()] = value.clone(),
            None => parent[field.replace("~1", "/")] = value.clone(),
        }
    }
}

fn remove(kind: &'static str, name: &'static str) -> impl Fn(&mut Snapshot) {
    move |snapshot| {
        let objects = snapshot.objects.get_mut(kind).unwrap().as_mut().unwrap();
        let before = objects.len();
        objects.retain(|object| object["metadata"]["name"] != name);
        assert!(objects.len() < before, "{kind} {name}");
    }
}

fn add(kind: &'static str, value: Value) -> impl Fn(&mut Snapshot) {
    move |snapshot| snapshot.objects.get_mut(kind).unwrap().as_mut().unwrap().push(value.clone())
}

#[track_caller]
fn check(change: impl Fn(&mut Snapshot), check: &str, part: &str) {
    let mut snapshot = sound();
    change(&mut snapshot);
    let report = examine(&snapshot);
    let found = report.findings.iter().find(|one| one.check == check && one.what.contains(part));
    let found = found.unwrap_or_else(|| panic!("{check}: {part} is not in {:#?}", lines(&report)));
    assert!(!found.object.is_empty() && !found.why.is_empty() && !found.mend.is_empty(), "{found:?}");
    assert_eq!(report.exit_code(), 1);
}
