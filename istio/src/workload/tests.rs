//! Workloads beside an API server that keeps objects and applies patches; what controllers would do a test does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use manifest::{ReadyOf, ReadyWorkloads, Workload, WorkloadChange, WorkloadWhat};
use serde_json::{Value, json};

use super::*;
use crate::api_server::client_of;

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/models/deployments/ranker";
const SERVICE: &str = "/api/v1/namespaces/models/services/ranker";

#[derive(Default)]
struct Kept {
    /// By their paths.
    objects: BTreeMap<String, Value>,
    version: u64,
    patched: usize,
    /// Instead of the next answers to patches, or to anything.
    refuses: VecDeque<(bool, u16)>,
    /// Pods of a new image are ready at once.
    rolls_out: bool,
}

#[derive(Clone, Default)]
struct ApiServer(Arc<Mutex<Kept>>);

impl ApiServer {
    fn kept<T>(&self, with: impl FnOnce(&mut Kept) -> T) -> T {
        with(&mut self.0.lock().expect("not poisoned"))
    }

    fn put(&self, path: &str, mut object: Value) {
        self.kept(|kept| {
            kept.version += 1;
            object["metadata"]["resourceVersion"] = kept.version.to_string().into();
            kept.objects.insert(path.to_owned(), object);
        });
    }

    fn edit(&self, path: &str, edit: impl FnOnce(&mut Value)) {
        let mut object = self.get(path);
        edit(&mut object);
        self.put(path, object);
    }

    fn get(&self, path: &str) -> Value {
        self.kept(|kept| kept.objects[path].clone())
    }

    fn refuse(&self, patch: bool, code: u16) {
        self.kept(|kept| kept.refuses.push_back((patch, code)));
    }

    async fn workloads(&self) -> Workloads {
        let router = Router::new().fallback(answer).with_state(self.clone());
        let client = client_of(router).await;
        Workloads { client, look: Duration::from_millis(5) }
    }
}

fn problem(code: u16) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": format!("told to {code}"),
        "reason": "any", "code": code,
    });
    (StatusCode::from_u16(code).expect("a status"), Json(body)).into_response()
}

async fn answer(
    State(server): State<ApiServer>,
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let patches = method == Method::PATCH;
    let refused = server.kept(|kept| {
        let fits = kept.refuses.front().is_some_and(|(of_patches, _)| patches || !of_patches);
        if fits { kept.refuses.pop_front() } else { None }
    });
    if let Some((_, code)) = refused {
        return problem(code);
    }
    let path = uri.path().to_owned();
    if patches {
        let operations: json_patch::Patch = serde_json::from_slice(&body).expect("operations");
        return server.kept(|kept| {
            let Some(before) = kept.objects.get(&path).cloned() else { return problem(404) };
            let mut after = before.clone();
            json_patch::patch(&mut after, &operations).expect("a patch that fits");
            if after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"] {
                return problem(409);
            }
            kept.version += 1;
            kept.patched += 1;
            after["metadata"]["resourceVersion"] = kept.version.to_string().into();
            after["metadata"]["generation"] =
                (before["metadata"]["generation"].as_i64().unwrap_or(0) + 1).into();
            if kept.rolls_out {
                after["status"]["observedGeneration"] = after["metadata"]["generation"].clone();
            }
            kept.objects.insert(path, after.clone());
            Json(after).into_response()
        });
    }
    if let Some(object) = server.kept(|kept| kept.objects.get(&path).cloned()) {
        return Json(object).into_response();
    }
    let labels = query.unwrap_or_default();
    let labels = labels.split('&').find_map(|part| part.strip_prefix("labelSelector="));
    let Some(labels) = labels else { return problem(404) };
    let labels = labels.replace("%3D", "=").replace("%2C", ",").replace("%2F", "/");
    let fits = |object: &Value| {
        labels.split(',').all(|label| match label.split_once('=') {
            Some((key, value)) => object["metadata"]["labels"][key] == value,
            None => !object["metadata"]["labels"][label].is_null(),
        })
    };
    let below = format!("{path}/");
    let items: Vec<Value> = server.kept(|kept| {
        let there = kept.objects.iter().filter(|(path, _)| path.starts_with(&below));
        there.map(|(_, object)| object.clone()).filter(|object| fits(object)).collect()
    });
    Json(json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items})).into_response()
}

fn deployment(image: &str, replicas: u32) -> Value {
    json!({
        "kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "ranker", "generation": 1},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "model", "image": image}]}}},
        "status": {
            "observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas,
            "availableReplicas": replicas,
        },
    })
}

fn put_pod(server: &ApiServer, name: &str, labels: Value, ready: bool) {
    let status = if ready { "True" } else { "False" };
    server.put(
        &format!("/api/v1/namespaces/models/pods/{name}"),
        json!({
            "kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": "models", "labels": labels},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": status}]},
        }),
    );
}

fn put_slice(server: &ApiServer, service: &str, number: u32, endpoints: &[(&str, Option<bool>, bool)]) {
    let endpoint = |(pod, ready, terminating): &(&str, Option<bool>, bool)| {
        json!({
            "addresses": ["10.0.0.1"], "conditions": {"ready": ready, "terminating": terminating},
            "targetRef": {"kind": "Pod", "name": pod},
        })
    };
    let endpoints: Vec<Value> = endpoints.iter().map(endpoint).collect();
    server.put(
        &format!("/apis/discovery.k8s.io/v1/namespaces/models/endpointslices/{service}-{number}"),
        json!({"metadata": {"labels": {"kubernetes.io/service-name": service}}, "endpoints": endpoints}),
    );
}

fn change(what: WorkloadWhat, timeout_ms: u64) -> WorkloadChange {
    WorkloadChange { namespace: "models".to_owned(), what, timeout_ms }
}

fn image(service: Option<&str>) -> WorkloadWhat {
    WorkloadWhat::Image {
        deployment: "ranker".to_owned(),
        container: None,
        image: "reg/ranker:{{version}}".to_owned(),
        service: service.map(str::to_owned),
    }
}

fn scale(replicas: u32) -> WorkloadWhat {
    WorkloadWhat::Scale {
        deployment: "ranker".to_owned(),
        container: Some("model".to_owned()),
        image: "reg/ranker:{{version}}".to_owned(),
        replicas,
    }
}

fn selector() -> WorkloadWhat {
    WorkloadWhat::Selector {
        service: "ranker".to_owned(),
        labels: [("version".to_owned(), "{{version}}".to_owned())].into(),
    }
}

async fn made(server: &ApiServer, what: WorkloadWhat, timeout_ms: u64) -> Result<(), String> {
    let workloads = server.workloads().await;
    workloads.change(&change(what, timeout_ms), &["v1".to_owned()], "v2").await
}

#[track_caller]
fn says(result: Result<(), String>, parts: &[&str]) {
    let error = result.expect_err("it is refused");
    for part in parts {
        assert!(error.contains(part), "{part:?} is missing in: {error}");
    }
}

#[tokio::test]
async fn an_image_is_changed_once_and_waited_for() {
    let server = ApiServer::default();
    server.put(DEPLOYMENT, deployment("reg/ranker:v1", 2));
    server.kept(|kept| kept.rolls_out = true);
    // Somebody else writes at the same time, and the API server is away for a moment.
    for refused in [(true, 409), (false, 503), (true, 500)] {
        server.refuse(refused.0, refused.1);
    }
    for _ in 0..2 {
        assert_eq!(made(&server, image(None), 60_000).await, Ok(()));
    }
    let container = &server.get(DEPLOYMENT)["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "reg/ranker:v2");
    assert_eq!(server.kept(|kept| kept.patched), 1, "what is done already is done");
}

#[tokio::test]
async fn what_somebody_puts_back_meanwhile_stays() {
    let server = ApiServer::default();
    server.put(DEPLOYMENT, deployment("reg/ranker:v1", 2));
    let undone = server.clone();
    let by_hand = tokio::spawn(async move {
        while undone.kept(|kept| kept.patched) == 0 {
            tokio::task::yield_now().await;
        }
        undone.edit(DEPLOYMENT, |object| {
            object["spec"]["template"]["spec"]["containers"][0]["image"] = "reg/ranker:v1".into();
        });
    });
    says(made(&server, image(None), 60_000).await, &["Deployment models/ranker", "put reg/ranker:v1 back"]);
    by_hand.await.expect("put back");
    assert_eq!(server.kept(|kept| kept.patched), 1);
}

#[tokio::test]
async fn the_rollout_of_a_deployment_is_waited_for_to_its_end() {
    for (edit, waits_for) in [
        (json!({"observedGeneration": 1}), "has not seen the change"),
        (json!({"updatedReplicas": 1}), "1 have reg/ranker:v2"),
        (json!({"availableReplicas": 1}), "1 are available"),
        (json!({"replicas": 3}), "3 are there"),
    ] {
        let server = ApiServer::default();
        server.put(DEPLOYMENT, deployment("reg/ranker:v2", 2));
        server.edit(DEPLOYMENT, |object| {
            object["metadata"]["generation"] = 2.into();
            object["status"]["observedGeneration"] = 2.into();
            for (field, value) in edit.as_object().expect("fields") {
                object["status"][field] = value.clone();
            }
        });
        says(made(&server, image(None), 30).await, &["not done within", waits_for]);
    }
    let server = ApiServer::default();
    server.put(DEPLOYMENT, deployment("reg/ranker:v2", 2));
    server.edit(DEPLOYMENT, |object| {
        object["status"]["updatedReplicas"] = 1.into();
        object["status"]["conditions"] = json!([{
            "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "no image",
        }]);
    });
    says(made(&server, image(None), 60_000).await, &["does not get on: no image"]);
}

#[tokio::test]
async fn what_is_neither_version_is_left_alone() {
    let server = ApiServer::default();
    server.put(DEPLOYMENT, deployment("reg/ranker:v7", 2));
    let parts =
        ["containers[0].image is reg/ranker:v7", "reg/ranker:v1 nor reg/ranker:v2", "correct `image`"];
    says(made(&server, image(None), 60_000).await, &parts);
    server.put(DEPLOYMENT, deployment("reg/ranker:v1", 0));
    says(made(&server, image(None), 60_000).await, &["0 replicas", "scale deployment ranker"]);
    server.put(DEPLOYMENT, deployment("reg/ranker:v2", 1));
    server.edit(DEPLOYMENT, |object| object["spec"]["paused"] = true.into());
    says(made(&server, image(None), 60_000).await, &["is paused", "rollout resume deployment ranker"]);
    server.edit(DEPLOYMENT, |object| {
        let two = json!([{"name": "model", "image": "reg/ranker:v1"}, {"name": "log", "image": "log"}]);
        object["spec"]["template"]["spec"]["containers"] = two;
    });
    says(made(&server, image(None), 60_000).await, &["several containers: model, log"]);
    server.kept(|kept| kept.objects.clear());
    says(made(&server, image(None), 60_000).await, &["there is no Deployment models/ranker"]);
    server.refuse(false, 403);
    let parts = ["may not get deployments in namespace models", "verbs: [get]"];
    says(made(&server, image(None), 60_000).await, &parts);
    server.put(DEPLOYMENT, deployment("reg/ranker:v1", 2));
    server.refuse(true, 403);
    says(made(&server, image(None), 60_000).await, &["may not patch deployments", "verbs: [patch]"]);
}

#[tokio::test]
async fn a_service_must_have_ready_endpoints() {
    let server = ApiServer::default();
    server.put(DEPLOYMENT, deployment("reg/ranker:v2", 1));
    says(made(&server, image(Some("ranker")), 30).await, &["has no EndpointSlice"]);
    put_slice(&server, "ranker", 1, &[("a", Some(false), false), ("b", Some(true), true)]);
    says(made(&server, image(Some("ranker")), 30).await, &["has no ready endpoint"]);
    put_slice(&server, "ranker", 2, &[("c", None, false)]);
    assert_eq!(made(&server, image(Some("ranker")), 60_000).await, Ok(()));
}

#[tokio::test]
async fn a_selector_is_switched_to_pods_that_are_ready() {
    let server = ApiServer::default();
    let service = |version: &str| json!({"metadata": {"name": "ranker"}, "spec": {"selector": {"app": "ranker", "version": version}}});
    server.put(SERVICE, service("v1"));
    let labels = |version: &str| json!({"app": "ranker", "version": version});
    put_pod(&server, "old", labels("v1"), true);
    put_pod(&server, "new-1", labels("v2"), false);
    put_slice(&server, "ranker", 1, &[("old", Some(true), false)]);
    says(
        made(&server, selector(), 30).await,
        &["no pod with app=ranker,version=v2 is ready", "left as it is"],
    );
    assert_eq!(server.get(SERVICE)["spec"]["selector"]["version"], "v1");
    put_pod(&server, "new-1", labels("v2"), true);
    // The endpoints are the old ones for a moment.
    says(made(&server, selector(), 30).await, &["has 1 ready endpoints, and 1 pods"]);
    assert_eq!(server.get(SERVICE)["spec"]["selector"], json!({"app": "ranker", "version": "v2"}));
    put_slice(&server, "ranker", 1, &[("new-1", Some(true), false)]);
    assert_eq!(made(&server, selector(), 60_000).await, Ok(()));
    server.put(SERVICE, service("v9"));
    says(
        made(&server, selector(), 60_000).await,
        &["spec.selector is app=ranker,version=v9", "version=v1 nor version=v2"],
    );
}

#[tokio::test]
async fn what_is_over_is_scaled_down_and_what_came_after_it_is_not() {
    let server = ApiServer::default();
    server.put(DEPLOYMENT, deployment("reg/ranker:v1", 2));
    for _ in 0..2 {
        assert_eq!(made(&server, scale(0), 60_000).await, Ok(()));
    }
    assert_eq!(server.get(DEPLOYMENT)["spec"]["replicas"], 0);
    assert_eq!(server.kept(|kept| kept.patched), 1);
    server.put(DEPLOYMENT, deployment("reg/ranker:v3", 2));
    assert_eq!(made(&server, scale(0), 60_000).await, Ok(()));
    assert_eq!(server.get(DEPLOYMENT)["spec"]["replicas"], 2, "the next version's");
}

async fn ready(server: &ApiServer, of: ReadyOf, arms: &[&str]) -> Result<(u32, Option<u32>), String> {
    let arms: Vec<String> = arms.iter().map(|arm| (*arm).to_owned()).collect();
    let wanted = ReadyWorkloads { namespace: "models".to_owned(), of };
    let counted = server.workloads().await.ready(&wanted, &arms).await?;
    Ok((counted.canary, counted.stable))
}

#[tokio::test]
async fn ready_endpoints_are_counted_by_arm_service_and_deployment() {
    let server = ApiServer::default();
    let arms = || ReadyOf::Arms { service: "ranker".to_owned() };
    let error = ready(&server, arms(), &["canary"]).await.expect_err("no such service");
    assert!(error.contains("Service models/ranker has no EndpointSlice"), "{error}");
    put_pod(&server, "s1", json!({"app": "ranker"}), true);
    // A Service of two families names each pod twice.
    for number in [1, 2] {
        let endpoints = [
            ("s1", Some(true), false),
            ("s2", Some(true), false),
            ("c1", Some(true), false),
            ("c2", Some(false), false),
            ("c3", Some(true), true),
            ("o1", Some(true), false),
            ("o2", None, false),
        ];
        put_slice(&server, "ranker", number, &endpoints);
    }
    let error = ready(&server, arms(), &["canary"]).await.expect_err("no pod has an arm");
    assert!(error.contains("serin.dev/arm=canary"), "{error}");
    for (name, arm) in [
        ("s1", "stable"),
        ("s2", "stable"),
        ("c1", "canary"),
        ("c2", "canary"),
        ("c3", "canary"),
        ("o1", "b"),
        ("o2", "b"),
        ("elsewhere", "canary"),
    ] {
        put_pod(&server, name, json!({"serin.dev/arm": arm}), true);
    }
    assert_eq!(ready(&server, arms(), &["canary"]).await, Ok((1, Some(2))));
    assert_eq!(ready(&server, arms(), &["canary", "b"]).await, Ok((1, Some(2))), "whoever has the fewest");
    assert_eq!(ready(&server, arms(), &["b"]).await, Ok((2, Some(2))));
    assert_eq!(ready(&server, arms(), &["unheard"]).await, Ok((0, Some(2))));

    server.put(DEPLOYMENT, deployment("reg/ranker:v1", 3));
    let each = |stable| ReadyOf::Each { canary: Workload::Deployment("ranker".to_owned()), stable };
    assert_eq!(ready(&server, each(None), &["canary"]).await, Ok((3, None)));
    let service = Workload::Service("ranker".to_owned());
    assert_eq!(ready(&server, each(Some(service)), &["canary"]).await, Ok((3, Some(5))));
    server.edit(DEPLOYMENT, |object| object["metadata"]["generation"] = 9.into());
    assert_eq!(ready(&server, each(None), &["canary"]).await, Ok((0, None)), "of another generation");
}
