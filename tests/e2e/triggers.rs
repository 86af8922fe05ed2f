//! Rollouts that a model registry begins.

use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use tests::{EnvoyOptions, Models, Serin, a_core, until};

/// An MLflow whose alias `challenger` is what the story says.
struct Registry {
    url: String,
    challenger: Arc<Mutex<Option<&'static str>>>,
    serving: JoinHandle<()>,
}

impl Registry {
    async fn start() -> Self {
        let challenger = Arc::new(Mutex::new(None));
        let route = "/api/2.0/mlflow/registered-models/alias";
        let router =
            axum::Router::new().route(route, axum::routing::get(alias)).with_state(challenger.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("served") });
        Self { url, challenger, serving }
    }

    fn set(&self, version: &'static str) {
        *self.challenger.lock().expect("not poisoned") = Some(version);
    }
}

async fn alias(
    State(challenger): State<Arc<Mutex<Option<&'static str>>>>,
    Query(query): Query<std::collections::BTreeMap<String, String>>,
) -> Response {
    let version = *challenger.lock().expect("not poisoned");
    match version.filter(|_| query["alias"] == "challenger" && query["name"] == "ranker") {
        Some(version) => {
            axum::Json(json!({"model_version": {"name": "ranker", "version": version, "status": "READY"}}))
                .into_response()
        }
        None => {
            let message = format!("Registered model alias {} not found.", query["alias"]);
            let body = axum::Json(json!({"error_code": "INVALID_PARAMETER_VALUE", "message": message}));
            (StatusCode::BAD_REQUEST, body).into_response()
        }
    }
}

/// Sends what MLflow sends when an alias is set, signed with a secret; returns the status and what it says.
async fn deliver(serin: &Serin, secret: &str, id: &str, version: &str) -> (u16, Value) {
    let body = json!({
        "entity": "model_version_alias", "action": "created", "timestamp": "2026-08-20T10:11:12.131415+00:00",
        "data": {"name": "ranker", "alias": "challenger", "version": version},
    })
    .to_string();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{id}.{now}.{body}").as_bytes());
    let answer = reqwest::Client::new()
        .post(serin.url("/v1/triggers/registry/webhook"))
        .header("content-type", "application/json")
        .header("x-mlflow-delivery-id", id)
        .header("x-mlflow-timestamp", now.to_string())
        .header("x-mlflow-signature", format!("v1,{}", BASE64_STANDARD.encode(tag)))
        .body(body)
        .send()
        .await
        .expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

async fn view(serin: &Serin) -> Value {
    let answer = reqwest::get(serin.url("/v1/triggers/registry")).await.expect("an answer");
    answer.json().await.expect("a view")
}

/// Waits until the trigger is as wanted.
async fn until_trigger(serin: &Serin, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until(what, async || {
        let view = view(serin).await;
        if wanted(&view) { Ok(view) } else { Err(view.to_string()) }
    })
    .await
}

/// The outcome of a version.
fn outcome(view: &Value, version: &str) -> Value {
    let versions = view["versions"].as_array().expect("versions");
    versions.iter().find(|one| one["version"] == version).map_or(Value::Null, |one| one["outcome"].clone())
}

fn phase(view: &Value) -> &str {
    view["phase"].as_str().unwrap_or_default()
}

/// A registry tells of one version by a webhook and of another when it is asked; each is rolled out once, in turn.
#[tokio::test(flavor = "multi_thread")]
async fn versions_of_a_registry_are_rolled_out_once_each_and_in_turn() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut serin = Serin::start(&models, EnvoyOptions::default()).await;
    let registry = Registry::start().await;
    registry.set("1");
    std::fs::write(serin.secrets().join("mlflow-hook"), "s3cret\n").expect("a secret");
    let file = serin.file(
        "trigger.yaml",
        &format!(
            "apiVersion: serin.dev/v1alpha1
kind: Trigger
metadata: {{name: registry}}
spec:
  mlflow: {{model: ranker, url: '{}', every: 5s, when: {{alias: challenger}}}}
  webhook: {{secret: mlflow-hook}}
  template:
    metadata: {{name: ranker}}
    spec:
      stable: {{version: v1}}
      canary: {{version: 'v{{{{version}}}}'}}
      stages: [{{weight: 5%, bake: 10m}}, {{weight: 100%, bake: 10m}}]
",
            registry.url
        ),
    );
    let (code, text) = serin.command(&["lint", "-f", &file]).await;
    assert!(code == 0 && text.contains("begins ranker by itself"), "{text}");
    let (code, text) = serin.command(&["apply", "-f", &file]).await;
    assert!(code == 0 && text.contains("registry: kept"), "{text}");
    // Asked at once, it names what stable serves.
    until_trigger(&serin, "the first answer", |view| outcome(view, "1") == "stable").await;

    let (status, said) = deliver(&serin, "wrong", "d-1", "2").await;
    assert!(
        status == 401 && said["error"].as_str().is_some_and(|why| why.contains("does not fit")),
        "{said}"
    );
    // A delivery alone begins nothing: the registry is asked what is so now.
    let (status, said) = deliver(&serin, "s3cret", "d-0", "2").await;
    assert!(status == 200 && said["triggered"] == false, "{said}");
    assert!(said["message"].as_str().is_some_and(|why| why.contains("names 1 now, not 2")), "{said}");
    registry.set("2");
    let (status, said) = deliver(&serin, "s3cret", "d-1", "2").await;
    assert!(status == 200 && said["triggered"] == true, "{said}");
    let (status, said) = deliver(&serin, "s3cret", "d-1", "2").await;
    assert!(status == 200 && said["triggered"] == false, "sent again: {said}");
    let run = serin.until("ranker", "the first stage", |view| phase(view) == "Progressing").await;
    assert_eq!((&run["run"], &run["stable"], &run["canary"]), (&json!(1), &json!("v1"), &json!("v2")));

    registry.set("3");
    let waits = until_trigger(&serin, "version 3 to wait", |view| view["pending"]["version"] == "3").await;
    assert_eq!(outcome(&waits, "2"), json!({"begun": {"run": 1}}));
    // What waits and what was done outlive the process.
    serin.kill();
    serin.run().await;
    let (code, text) = serin.command(&["abort", "ranker", "--reason", "seen enough"]).await;
    assert_eq!(code, 0, "{text}");
    let run = serin.until("ranker", "the second run", |view| view["run"] == 2).await;
    assert_eq!((&run["stable"], &run["canary"]), (&json!("v1"), &json!("v3")), "{run}");
    let (_, said) = deliver(&serin, "s3cret", "d-2", "2").await;
    assert_eq!(said["triggered"], false, "late, and it had its turn: {said}");

    registry.serving.abort();
    let silent = until_trigger(&serin, "the silence", |view| view["poll"]["failures"] != 0).await;
    assert!(silent["poll"]["error"].as_str().is_some_and(|why| why.contains("does not answer")), "{silent}");
    let metrics = reqwest::get(serin.url("/metrics")).await.expect("an answer").text().await.expect("text");
    let failures = "serin_trigger_poll_failures_total{trigger=\"registry\",rollout=\"ranker\"} 1";
    assert!(metrics.contains(failures), "{metrics}");
    let (code, text) = serin.command(&["trigger", "get", "registry"]).await;
    assert!(code == 0 && text.contains("no answer 1 times in a row") && text.contains("run 2"), "{text}");
    let (code, text) = serin.command(&["trigger", "fire", "registry", "2"]).await;
    assert!(code == 1 && text.contains("--again"), "{text}");
    let (code, text) = serin.command(&["trigger", "delete", "registry"]).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(phase(&serin.view("ranker").await), "Progressing", "what it began goes on");
}
