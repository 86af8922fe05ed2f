//! An API server that keeps Rollouts, tells of them in a list and a watch, and fails as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::api_server::client_of;

const ROLLOUTS: &str = "/apis/serin.dev/v1alpha1/";

struct Kept {
    /// By namespace and name.
    objects: BTreeMap<(String, String), Value>,
    version: u64,
    told: broadcast::Sender<Value>,
    /// Method, status and how often.
    faults: Vec<(Method, u16, usize)>,
    /// Namespaces whose objects may not be listed.
    forbidden: BTreeSet<String>,
    /// How often watches end as expired.
    expired: usize,
    /// Reasons of Events.
    events: Vec<String>,
    /// Statuses that were written as they stood.
    repeated: usize,
    /// Writes are not answered any more.
    silent: bool,
    /// Writes that were refused or not answered.
    unwritten: usize,
}

#[derive(Clone)]
pub struct ApiServer(Arc<Mutex<Kept>>);

fn answer(code: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(code).expect("a status");
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

fn problem(code: u16) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "as it was told",
        "reason": "Told", "code": code,
    });
    let mut answer = answer(code, &body);
    if code == 429 {
        answer.headers_mut().insert("retry-after", "1".parse().expect("a number"));
    }
    answer
}

/// A merge patch (RFC 7386).
fn merge(into: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else { return *into = patch.clone() };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in fields {
        match value {
            Value::Null => {
                into.as_object_mut().expect("an object").remove(name);
            }
            value => merge(&mut into[name], value),
        }
    }
}

impl ApiServer {
    pub fn new() -> Self {
        let told = broadcast::Sender::new(1024);
        Self(Arc::new(Mutex::new(Kept {
            objects: BTreeMap::new(),
            version: 0,
            told,
            faults: Vec::new(),
            forbidden: BTreeSet::new(),
            expired: 0,
            events: Vec::new(),
            repeated: 0,
            silent: false,
            unwritten: 0,
        })))
    }

    fn kept<T>(&self, with: impl FnOnce(&mut Kept) -> T) -> T {
        with(&mut self.0.lock().expect("not poisoned"))
    }

    pub async fn client(&self) -> Client {
        let router = Router::new().fallback(asked).with_state(self.clone());
        client_of(router).await
    }

    /// Somebody applies a specification.
    pub fn apply(&self, namespace: &str, name: &str, spec: &Value) {
        self.kept(|kept| {
            let version = kept.version + 1;
            let key = (namespace.to_owned(), name.to_owned());
            let before = kept.objects.get(&key).cloned();
            let mut object = before.clone().unwrap_or_else(|| {
                json!({
                    "apiVersion": "serin.dev/v1alpha1", "kind": "Rollout",
                    "metadata": {"name": name, "namespace": namespace, "uid": format!("u{version}"), "generation": 0},
                })
            });
            object["spec"] = spec.clone();
            object["metadata"]["generation"] = (object["metadata"]["generation"].as_i64().unwrap_or(0) + 1).into();
            kept.put(key, object);
        });
    }

    /// Somebody deletes an object. `force`: whatever holds it.
    pub fn delete(&self, namespace: &str, name: &str, force: bool) {
        self.kept(|kept| {
            let key = (namespace.to_owned(), name.to_owned());
            let Some(mut object) = kept.objects.get(&key).cloned() else { return };
            object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            if force {
                object["metadata"]["finalizers"] = json!([]);
            }
            kept.put(key, object);
        });
    }

    /// Somebody edits an object by hand.
    pub fn edit(&self, namespace: &str, name: &str, edit: impl FnOnce(&mut Value)) {
        self.kept(|kept| {
            let key = (namespace.to_owned(), name.to_owned());
            let mut object = kept.objects.get(&key).cloned().expect("an object");
            edit(&mut object);
            kept.put(key, object);
        });
    }

    pub fn object(&self, namespace: &str, name: &str) -> Option<Value> {
        self.kept(|kept| kept.objects.get(&(namespace.to_owned(), name.to_owned())).cloned())
    }

    /// The next writes are answered so.
    pub fn fail(&self, code: u16, times: usize) {
        self.kept(|kept| kept.faults.push((Method::PATCH, code, times)));
    }

    /// May the objects of a namespace be listed and watched?
    pub fn allow(&self, namespace: &str, may: bool) {
        self.kept(|kept| {
            if may { kept.forbidden.remove(namespace) } else { kept.forbidden.insert(namespace.to_owned()) }
        });
    }

    /// Writes are not answered any more.
    pub fn silence(&self) {
        self.kept(|kept| kept.silent = true);
    }

    /// How many writes were refused as it was told, or not answered.
    pub fn unwritten(&self) -> usize {
        self.kept(|kept| kept.unwritten)
    }

    /// All watches end, and the next ones are told that they have expired.
    pub fn expire(&self) {
        self.kept(|kept| {
            kept.expired += 1;
            kept.told = broadcast::Sender::new(1024);
        });
    }

    pub fn events(&self) -> Vec<String> {
        self.kept(|kept| kept.events.clone())
    }

    pub fn repeated(&self) -> usize {
        self.kept(|kept| kept.repeated)
    }
}

impl Kept {
    fn is_silent(&mut self) -> bool {
        self.unwritten += usize::from(self.silent);
        self.silent
    }

    fn put(&mut self, key: (String, String), mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let held = object["metadata"]["finalizers"].as_array().is_some_and(|held| !held.is_empty());
        let goes = object["metadata"].get("deletionTimestamp").is_some();
        let kind = if goes && !held {
            self.objects.remove(&key);
            "DELETED"
        } else if self.objects.insert(key, object.clone()).is_some() {
            "MODIFIED"
        } else {
            "ADDED"
        };
        let _ = self.told.send(json!({"type": kind, "object": object}));
    }
}

async fn asked(
    State(server): State<ApiServer>,
    method: Method,
    uri: Uri,
    Query(query): Query<BTreeMap<String, String>>,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if uri.path().contains("/events") {
        let reason = body["reason"].as_str().unwrap_or_default().to_owned();
        server.kept(|kept| kept.events.push(reason));
        return answer(201, &body);
    }
    if method == Method::PATCH && server.kept(|kept| kept.is_silent()) {
        std::future::pending::<()>().await;
    }
    let Some(rest) = uri.path().strip_prefix(ROLLOUTS) else { return problem(404) };
    let parts: Vec<&str> = rest.split('/').collect();
    match (method, parts.as_slice()) {
        (Method::GET, list)
            if namespace(list).is_some_and(|here| server.kept(|kept| kept.forbidden.contains(here))) =>
        {
            problem(403)
        }
        (Method::GET, list) if query.contains_key("watch") => watch(&server, namespace(list)),
        (Method::GET, list) => server.kept(|kept| {
            let here = namespace(list);
            let of =
                kept.objects.iter().filter(|((namespace, _), _)| here.is_none_or(|here| here == namespace));
            let items: Vec<&Value> = of.map(|(_, object)| object).collect();
            answer(
                200,
                &json!({
                    "apiVersion": "serin.dev/v1alpha1", "kind": "RolloutList", "items": items,
                    "metadata": {"resourceVersion": kept.version.to_string()},
                }),
            )
        }),
        (Method::PATCH, [_, namespace, _, name, rest @ ..]) => server
            .kept(|kept| patch(kept, (*namespace).to_owned(), (*name).to_owned(), &body, !rest.is_empty())),
        _ => problem(404),
    }
}

fn namespace<'a>(list: &[&'a str]) -> Option<&'a str> {
    match list {
        ["namespaces", namespace, ..] => Some(namespace),
        _ => None,
    }
}

fn patch(kept: &mut Kept, namespace: String, name: String, body: &Value, status: bool) -> Response {
    if let Some(index) = kept.faults.iter().position(|(.., left)| *left > 0) {
        kept.faults[index].2 -= 1;
        kept.unwritten += 1;
        return problem(kept.faults[index].1);
    }
    let key = (namespace, name);
    let Some(mut object) = kept.objects.get(&key).cloned() else { return problem(404) };
    let meant = &body["metadata"];
    let is = |field: &str| meant.get(field).is_none_or(|meant| *meant == object["metadata"][field]);
    if !is("resourceVersion") || !is("uid") {
        return problem(409);
    }
    let before = object["status"].clone();
    merge(&mut object, body);
    kept.repeated += usize::from(status && object["status"] == before);
    kept.put(key, object.clone());
    answer(200, &object)
}

fn watch(server: &ApiServer, here: Option<&str>) -> Response {
    let (expired, told) = server.kept(|kept| {
        let expired = kept.expired > 0;
        kept.expired = kept.expired.saturating_sub(1);
        (expired, kept.told.subscribe())
    });
    if expired {
        return problem(410);
    }
    let here = here.map(str::to_owned);
    let lines = futures::stream::unfold((told, here), async |(mut told, here)| {
        loop {
            let event = told.recv().await.ok()?;
            let of = event["object"]["metadata"]["namespace"].as_str();
            if here.is_none() || here.as_deref() == of {
                return Some((Ok::<_, Infallible>(Bytes::from(format!("{event}\n"))), (told, here)));
            }
        }
    });
    ([("content-type", "application/json")], Body::from_stream(lines)).into_response()
}
