//! An API server that keeps objects under versions, and fails as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use kube::{Client, Config};
use serde_json::{Value, json};

/// In place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This, and nothing is done.
    Status(u16),
    /// Nothing, and nothing is done.
    Silent,
    /// It is done, and nobody is told.
    Lost,
}

#[derive(Default)]
struct Kept {
    /// By path.
    objects: BTreeMap<String, Value>,
    version: u64,
    /// Method, part of the path, what happens, how often.
    faults: Vec<(Method, &'static str, Fault, usize)>,
    /// What was changed, as method and path.
    changes: Vec<(Method, String)>,
}

/// A client of what answers these paths, on a port of its own.
pub async fn client_of(router: Router) -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = Config::new(format!("http://{address}").parse().expect("an address"));
    Client::try_from(config).expect("a client")
}

#[derive(Clone, Default)]
pub struct ApiServer(Arc<Mutex<Kept>>);

impl ApiServer {
    fn kept<T>(&self, with: impl FnOnce(&mut Kept) -> T) -> T {
        with(&mut self.0.lock().expect("not poisoned"))
    }

    pub async fn client(&self) -> Client {
        let router = Router::new().fallback(answer).with_state(self.clone());
        client_of(router).await
    }

    /// The next questions of this method whose path has this part are answered so.
    pub fn fail(&self, method: Method, part: &'static str, fault: Fault, times: usize) {
        self.kept(|kept| kept.faults.push((method, part, fault, times)));
    }

    pub fn mend(&self) {
        self.kept(|kept| kept.faults.clear());
    }

    pub fn changes(&self) -> Vec<(Method, String)> {
        self.kept(|kept| kept.changes.clone())
    }

    /// The names of the objects whose path has this part.
    pub fn names(&self, part: &str) -> Vec<String> {
        let name = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
        self.kept(|kept| kept.objects.keys().filter(|path| path.contains(part)).map(name).collect())
    }

    pub fn object(&self, part: &str) -> Option<Value> {
        self.kept(|kept| {
            kept.objects.iter().find(|(path, _)| path.ends_with(part)).map(|(_, object)| object.clone())
        })
    }

    /// Somebody deletes an object by hand.
    pub fn remove(&self, part: &str) {
        self.kept(|kept| kept.objects.retain(|path, _| !path.ends_with(part)));
    }

    /// Somebody changes an object by hand.
    pub fn edit(&self, part: &str, edit: impl FnOnce(&mut Value)) {
        self.kept(|kept| {
            kept.version += 1;
            let version = kept.version.to_string();
            let (_, object) =
                kept.objects.iter_mut().find(|(path, _)| path.ends_with(part)).expect("an object");
            edit(object);
            object["metadata"]["resourceVersion"] = version.into();
        });
    }

    fn fault(&self, method: &Method, path: &str) -> Option<Fault> {
        self.kept(|kept| {
            let found = kept
                .faults
                .iter_mut()
                .find(|(of, part, _, times)| of == method && path.contains(part) && *times > 0)?;
            found.3 -= 1;
            Some(found.2)
        })
    }

    fn done(&self, method: &Method, uri: &Uri, body: &Bytes) -> Response {
        let path = uri.path().to_owned();
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        self.kept(|kept| {
            if *method != Method::GET {
                kept.changes.push((method.clone(), path.clone()));
            }
            if *method == Method::POST {
                let path = format!("{path}/{}", sent["metadata"]["name"].as_str().expect("a name"));
                if kept.objects.contains_key(&path) {
                    return problem(409, "AlreadyExists");
                }
                return kept.put(path, sent);
            }
            if let Some(query) = uri.query().filter(|query| query.contains("labelSelector")) {
                let label = query.rsplit("%3D").next().unwrap_or_default();
                let items = kept.objects.iter().filter(|(of, object)| {
                    of.starts_with(&path) && object["metadata"]["labels"]["serin.dev/journal"] == label
                });
                let items: Vec<&Value> = items.map(|(_, object)| object).collect();
                return Json(json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}))
                    .into_response();
            }
            let Some(object) = kept.objects.get(&path).cloned() else { return problem(404, "NotFound") };
            match *method {
                Method::GET => Json(object).into_response(),
                Method::DELETE => {
                    kept.objects.remove(&path);
                    Json(object).into_response()
                }
                _ if sent["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] => {
                    problem(409, "Conflict")
                }
                _ => kept.put(path, sent),
            }
        })
    }
}

impl Kept {
    fn put(&mut self, path: String, mut object: Value) -> Response {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(path, object.clone());
        Json(object).into_response()
    }
}

pub fn problem(code: u16, reason: &str) -> Response {
    let status = StatusCode::from_u16(code).expect("a status");
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": reason, "reason": reason,
        "code": code,
    });
    (status, [("retry-after", "1")], Json(body)).into_response()
}

async fn answer(State(server): State<ApiServer>, method: Method, uri: Uri, body: Bytes) -> Response {
    match server.fault(&method, uri.path()) {
        None => server.done(&method, &uri, &body),
        Some(Fault::Status(404)) => problem(404, "NotFound"),
        Some(Fault::Status(status)) => problem(status, "as it was told"),
        Some(fault) => {
            if fault == Fault::Lost {
                drop(server.done(&method, &uri, &body));
            }
            std::future::pending().await
        }
    }
}
