//! Rollouts that a model registry begins.

use std::sync::{Arc, Mutex};

use api::PhaseName::Progressing;
use api::{Fired, Refusal, TriggerView, VersionOutcome};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use serde_json::json;
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

/// The controller's answer to a webhook.
type Delivered = Result<Fired, Refusal>;

/// Sends what MLflow sends when an alias is set, signed with a secret.
async fn deliver(serin: &Serin, secret: &str, id: &str, version: &str) -> Delivered {
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
    let status = answer.status();
    if status.is_success() {
        Ok(answer.json().await.expect("a result"))
    } else {
        Err(Refusal::of(status.as_u16(), answer.json().await.expect("a refusal")))
    }
}

/// Waits until the trigger is as wanted.
async fn until_trigger(serin: &Serin, what: &str, wanted: impl Fn(&TriggerView) -> bool) -> TriggerView {
    until(what, async || {
        let view: TriggerView = serin.read("/v1/triggers/registry").await;
        if wanted(&view) { Ok(view) } else { Err(view) }
    })
    .await
}

/// The outcome of a version.
fn outcome(view: &TriggerView, version: &str) -> Option<VersionOutcome> {
    view.versions.iter().find(|one| one.version == version)?.outcome.known().cloned()
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
    until_trigger(&serin, "the first answer", |view| outcome(view, "1") == Some(VersionOutcome::Stable))
        .await;

    let said = deliver(&serin, "wrong", "d-1", "2").await;
    assert!(matches!(&said, Err(Refusal::Denied(why)) if why.contains("does not fit")), "{said:?}");
    // A delivery alone begins nothing: the registry is asked what is so now.
    let said = deliver(&serin, "s3cret", "d-0", "2").await.expect("taken");
    assert!(!said.triggered && said.message.contains("names 1 now, not 2"), "{said:?}");
    registry.set("2");
    let said = deliver(&serin, "s3cret", "d-1", "2").await.expect("taken");
    assert!(said.triggered, "{said:?}");
    let said = deliver(&serin, "s3cret", "d-1", "2").await.expect("taken");
    assert!(!said.triggered, "sent again: {said:?}");
    let run = serin.until("ranker", "the first stage", |view| view.is(Progressing)).await;
    assert_eq!((run.run.run, run.run.stable.as_str(), run.run.canary.as_str()), (1, "v1", "v2"));

    registry.set("3");
    let third = |view: &TriggerView| view.pending.as_ref().is_some_and(|pending| pending.version == "3");
    let waits = until_trigger(&serin, "version 3 to wait", third).await;
    assert_eq!(outcome(&waits, "2"), Some(VersionOutcome::Begun { run: 1 }));
    // What waits and what was done outlive the process.
    serin.kill();
    serin.run().await;
    let (code, text) = serin.command(&["abort", "ranker", "--reason", "seen enough"]).await;
    assert_eq!(code, 0, "{text}");
    let run = serin.until("ranker", "the second run", |view| view.run.run == 2).await;
    assert_eq!((run.run.stable.as_str(), run.run.canary.as_str()), ("v1", "v3"), "{run}");
    let said = deliver(&serin, "s3cret", "d-2", "2").await.expect("taken");
    assert!(!said.triggered, "late, and it had its turn: {said:?}");

    registry.serving.abort();
    let failing = |view: &TriggerView| view.poll.as_ref().is_some_and(|poll| poll.failures != 0);
    let silent = until_trigger(&serin, "the silence", failing).await;
    let error = silent.poll.and_then(|poll| poll.error).unwrap_or_default();
    assert!(error.contains("does not answer"), "{error}");
    let metrics = serin.metrics().await;
    let failures = "serin_trigger_poll_failures_total{trigger=\"registry\",rollout=\"ranker\"} 1";
    assert!(metrics.contains(failures), "{metrics}");
    let (code, text) = serin.command(&["trigger", "get", "registry"]).await;
    assert!(code == 0 && text.contains("no answer 1 times in a row") && text.contains("run 2"), "{text}");
    let (code, text) = serin.command(&["trigger", "fire", "registry", "2"]).await;
    assert!(code == 1 && text.contains("--again"), "{text}");
    let (code, text) = serin.command(&["trigger", "delete", "registry"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(serin.view("ranker").await.is(Progressing), "what it began goes on");
}
