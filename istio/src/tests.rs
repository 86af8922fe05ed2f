//! The plugin beside an API server that keeps objects, applies JSON patches and fails as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use kube::Client;
use serde_json::{Value, json};

use crate::api_server::client_of;
use crate::keeper::Patience;
use crate::{Place, Plugin, PluginError, Standing};

const PATIENCE: Patience = Patience {
    look: Duration::from_millis(40),
    answer: Duration::from_secs(30),
    again: Duration::from_millis(10),
};

#[derive(Default)]
struct Kept {
    /// By kind's plural.
    objects: BTreeMap<String, Value>,
    version: u64,
    /// The generations that were written.
    written: Vec<u64>,
    /// When patches came.
    patches: Vec<Instant>,
    /// So many patches are answered 429, with so many seconds to wait.
    busy: (usize, u64),
    /// Instead of an answer to a patch.
    fails: Option<Fails>,
    /// Changes the object between a read and the next patch, once.
    meanwhile: bool,
}

#[derive(Clone, Copy, Debug)]
enum Fails {
    Status(u16),
    Silent,
}

#[derive(Clone, Default)]
struct ApiServer(Arc<Mutex<Kept>>);

fn problem(code: u16, reason: &str) -> Response {
    let status = StatusCode::from_u16(code).expect("a status");
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": reason, "reason": reason,
        "code": code,
    });
    (status, Json(body)).into_response()
}

impl ApiServer {
    fn of(objects: &[(&str, Value)]) -> Self {
        let server = Self::default();
        for (plural, spec) in objects {
            server.put(plural, spec.clone());
        }
        server
    }

    fn kept<T>(&self, with: impl FnOnce(&mut Kept) -> T) -> T {
        with(&mut self.0.lock().expect("not poisoned"))
    }

    /// Somebody writes the object.
    fn put(&self, plural: &str, spec: Value) {
        self.kept(|kept| {
            kept.version += 1;
            let object = json!({
                "apiVersion": "extensions.istio.io/v1alpha1", "kind": "Any",
                "metadata": {"name": "serin", "namespace": "models", "resourceVersion": kept.version.to_string()},
                "spec": spec,
            });
            kept.objects.insert(plural.to_owned(), object);
        });
    }

    fn spec(&self, plural: &str) -> Value {
        self.kept(|kept| kept.objects[plural]["spec"].clone())
    }

    async fn client(&self) -> Client {
        let path = "/apis/extensions.istio.io/v1alpha1/namespaces/models/{plural}/serin";
        let router = Router::new().route(path, get(read).patch(patch)).with_state(self.clone());
        client_of(router).await
    }

    async fn plugin(&self) -> Result<Plugin, PluginError> {
        self.plugin_with(PATIENCE).await
    }

    async fn plugin_with(&self, patience: Patience) -> Result<Plugin, PluginError> {
        let place: Place = "models/serin".parse().expect("a place");
        let lease = "serin.serin-system.svc.cluster.local:7070".parse().expect("an address");
        Plugin::kept(self.client().await, place, lease, patience).await
    }
}

async fn read(State(server): State<ApiServer>, Path(plural): Path<String>) -> Response {
    server.kept(|kept| match kept.objects.get(&plural) {
        Some(object) => Json(object.clone()).into_response(),
        None => problem(404, "NotFound"),
    })
}

async fn patch(State(server): State<ApiServer>, Path(plural): Path<String>, body: Bytes) -> Response {
    let busy = server.kept(|kept| {
        kept.patches.push(Instant::now());
        let busy = kept.busy.0 > 0;
        kept.busy.0 = kept.busy.0.saturating_sub(1);
        busy.then_some(kept.busy.1)
    });
    if let Some(seconds) = busy {
        let mut answer = problem(429, "TooManyRequests");
        answer.headers_mut().insert("retry-after", seconds.to_string().parse().expect("a number"));
        return answer;
    }
    match server.kept(|kept| kept.fails) {
        Some(Fails::Silent) => {
            std::future::pending::<()>().await;
        }
        Some(Fails::Status(status)) => return problem(status, "as it was told"),
        None => {}
    }
    server.kept(|kept| {
        if std::mem::take(&mut kept.meanwhile) {
            kept.version += 1;
            let version = kept.version.to_string();
            kept.objects.get_mut(&plural).expect("an object")["metadata"]["resourceVersion"] = version.into();
        }
        let Some(object) = kept.objects.get_mut(&plural) else { return problem(404, "NotFound") };
        let mut patched = object.clone();
        let operations: json_patch::Patch = serde_json::from_slice(&body).expect("a JSON patch");
        json_patch::patch(&mut patched, &operations).expect("it applies");
        if patched["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
            return problem(409, "Conflict");
        }
        kept.version += 1;
        patched["metadata"]["resourceVersion"] = kept.version.to_string().into();
        let spec = &patched["spec"];
        let policy = spec.pointer("/wasm/pluginConfig").or(spec.get("pluginConfig")).expect("a policy");
        kept.written.push(policy["generation"].as_u64().expect("a generation"));
        *object = patched.clone();
        Json(patched).into_response()
    })
}

fn policy(generation: u64) -> String {
    json!({"schema": 1, "incarnation": 5, "generation": generation, "rollouts": []}).to_string()
}

/// Waits until it stands so, and not for ever.
async fn until(plugin: &Plugin, what: &str, is: impl Fn(&Standing) -> bool) -> Standing {
    for _ in 0..2_000 {
        let standing = plugin.standing();
        if is(&standing) {
            return standing;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come: {:?}", plugin.standing());
}

#[tokio::test]
async fn the_object_is_found_under_the_kind_that_is_there() {
    let wasm = json!({"wasm": {"url": "oci://f"}});
    let plain = json!({"url": "oci://f"});
    for (objects, expected) in [
        (vec![("trafficextensions", wasm.clone())], Ok(())),
        (vec![("wasmplugins", plain.clone())], Ok(())),
        (vec![], Err("neither a TrafficExtension nor a WasmPlugin models/serin")),
        (vec![("trafficextensions", wasm), ("wasmplugins", plain)], Err("two filters would decide")),
        (vec![("trafficextensions", json!({"lua": {}}))], Err("no spec.wasm")),
    ] {
        let found = ApiServer::of(&objects).plugin().await.map(drop).map_err(|error| error.to_string());
        match (&found, expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.contains(part), "{part:?} is missing in {error}"),
            _ => panic!("{objects:?}: {found:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_policy_takes_the_place_of_what_was_there_and_the_rest_stays() {
    let left_over = json!({"schema": 99, "forgotten": true});
    for (plural, spec, path) in [
        (
            "trafficextensions",
            json!({"phase": "STATS", "wasm": {"url": "oci://f", "pluginConfig": left_over}}),
            "/wasm/pluginConfig",
        ),
        ("trafficextensions", json!({"phase": "STATS", "wasm": {"url": "oci://f"}}), "/wasm/pluginConfig"),
        (
            "wasmplugins",
            json!({"phase": "STATS", "url": "oci://f", "pluginConfig": left_over}),
            "/pluginConfig",
        ),
    ] {
        let server = ApiServer::of(&[(plural, spec)]);
        let plugin = server.plugin().await.expect("a plugin");
        assert_eq!(plugin.standing(), Standing::default(), "nothing is written before there is a policy");
        plugin.publish(&policy(3)).expect("a policy");
        let standing = until(&plugin, "generation 3", |standing| standing.generation == 3).await;
        assert_eq!((standing.written, standing.repaired, standing.failed), (1, 0, 0));
        let spec = server.spec(plural);
        let written = spec.pointer(path).expect("a policy");
        assert_eq!(*written, serde_json::from_str::<Value>(&policy(3)).expect("JSON"));
        assert_eq!(spec["phase"], "STATS");

        plugin.publish(&policy(3)).expect("the same");
        plugin.publish(&policy(4)).expect("another");
        until(&plugin, "generation 4", |standing| standing.generation == 4).await;
        assert_eq!(
            server.kept(|kept| kept.written.clone()),
            [3, 4],
            "what stands already is not written again"
        );
    }
}

#[tokio::test]
async fn what_somebody_else_changes_is_put_right() {
    let server = ApiServer::of(&[("trafficextensions", json!({"wasm": {"url": "oci://f"}}))]);
    let plugin = server.plugin().await.expect("a plugin");
    plugin.publish(&policy(3)).expect("a policy");
    until(&plugin, "generation 3", |standing| standing.generation == 3).await;
    server.put("trafficextensions", json!({"wasm": {"url": "oci://g", "pluginConfig": {"schema": 1}}}));
    let standing = until(&plugin, "a repair", |standing| standing.repaired == 1).await;
    assert_eq!((standing.written, standing.error), (2, None));
    let spec = server.spec("trafficextensions");
    assert_eq!(
        (&spec["wasm"]["url"], &spec["wasm"]["pluginConfig"]["generation"]),
        (&"oci://g".into(), &3.into())
    );
}

#[tokio::test]
async fn whatever_fails_is_tried_again_and_the_newest_goes_first() {
    for fails in [Fails::Status(500), Fails::Status(403), Fails::Status(409), Fails::Silent] {
        let server = ApiServer::of(&[("wasmplugins", json!({"url": "oci://f"}))]);
        let answer = match fails {
            Fails::Silent => Duration::from_millis(300),
            Fails::Status(_) => PATIENCE.answer,
        };
        let plugin = server.plugin_with(Patience { answer, ..PATIENCE }).await.expect("a plugin");
        server.kept(|kept| kept.fails = Some(fails));
        plugin.publish(&policy(1)).expect("a policy");
        let standing = until(&plugin, "a failure", |standing| standing.failed > 0).await;
        assert!(standing.error.is_some(), "{fails:?}");
        plugin.publish(&policy(2)).expect("a policy");
        plugin.publish(&policy(3)).expect("a policy");
        server.kept(|kept| kept.fails = None);
        let standing = until(&plugin, "generation 3", |standing| standing.generation == 3).await;
        assert_eq!(standing.error, None, "{fails:?}");
        let written = server.kept(|kept| kept.written.clone());
        assert!(!written.contains(&2), "{fails:?}: {written:?}");
        assert_eq!(server.spec("wasmplugins")["pluginConfig"]["generation"], 3);
    }
}

/// A busy API server says how long to wait: that is waited for, unless it is longer than anybody waits for one answer.
#[tokio::test]
async fn a_busy_api_server_is_left_alone_as_it_says() {
    let server = ApiServer::of(&[("wasmplugins", json!({"url": "oci://f"}))]);
    let plugin = server.plugin().await.expect("a plugin");
    server.kept(|kept| kept.busy = (2, 1));
    plugin.publish(&policy(1)).expect("a policy");
    until(&plugin, "generation 1", |standing| standing.generation == 1).await;
    let patches = server.kept(|kept| kept.patches.clone());
    let waits: Vec<Duration> = patches.windows(2).map(|two| two[1].duration_since(two[0])).collect();
    assert!(waits.len() == 2 && waits.iter().all(|wait| *wait >= Duration::from_secs(1)), "{waits:?}");
    assert_eq!(server.kept(|kept| kept.written.clone()), [1]);

    let server = ApiServer::of(&[("wasmplugins", json!({"url": "oci://f"}))]);
    let patience = Patience { answer: Duration::from_millis(300), ..PATIENCE };
    let plugin = server.plugin_with(patience).await.expect("a plugin");
    server.kept(|kept| kept.busy = (1, 3_600));
    plugin.publish(&policy(1)).expect("a policy");
    let standing = until(&plugin, "the wait", |standing| standing.failed > 0).await;
    assert!(standing.error.is_none_or(|error| error.contains("429")));
    until(&plugin, "generation 1", |standing| standing.generation == 1).await;
}

#[tokio::test]
async fn a_change_in_between_is_not_written_over_unseen() {
    let server = ApiServer::of(&[("wasmplugins", json!({"url": "oci://f"}))]);
    let plugin = server.plugin().await.expect("a plugin");
    server.kept(|kept| kept.meanwhile = true);
    plugin.publish(&policy(3)).expect("a policy");
    let standing = until(&plugin, "generation 3", |standing| standing.generation == 3).await;
    assert_eq!((standing.failed, standing.written), (1, 1), "refused once, read again, written");
}

/// Two controllers at one plugin would undo each other's work for ever, and the filter ignores the lower one anyhow.
#[tokio::test]
async fn a_newer_policy_of_another_controller_stands() {
    let theirs = json!({"schema": 1, "incarnation": 6, "generation": 1});
    let server = ApiServer::of(&[("wasmplugins", json!({"url": "oci://f", "pluginConfig": theirs}))]);
    let plugin = server.plugin().await.expect("a plugin");
    plugin.publish(&policy(3)).expect("a policy");
    let standing = until(&plugin, "a failure", |standing| standing.failed > 0).await;
    assert!(standing.error.is_some_and(|error| error.contains("another controller")));
    assert_eq!(server.spec("wasmplugins")["pluginConfig"], theirs);
    // It leaves; or ours begins a new incarnation.
    plugin.publish(&policy(1).replace("\"incarnation\":5", "\"incarnation\":7")).expect("a policy");
    until(&plugin, "ours", |standing| standing.written == 1).await;
}
