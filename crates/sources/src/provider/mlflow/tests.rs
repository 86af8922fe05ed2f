//! A stand-in for MLflow: routes, parameters and answers are those of MLflow's REST API 2.0 over its SQL store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use outbound::RootCertStore;

use crate::{Hosts, Secrets, Sources};

#[derive(Clone, Default)]
struct Registry {
    versions: Arc<Vec<Value>>,
    aliases: Arc<BTreeMap<&'static str, &'static str>>,
    token: Option<&'static str>,
    asked: Arc<Mutex<Vec<String>>>,
}

fn version(number: u32, stage: &str, status: &str, tags: &[(&str, &str)]) -> Value {
    let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    json!({
        "name": "ranker", "version": number.to_string(), "creation_timestamp": 1_755_600_000_000_u64,
        "last_updated_timestamp": 1_755_600_000_000_u64, "current_stage": stage, "description": "",
        "source": format!("models:/m-{number}"), "run_id": "", "status": status, "run_link": "", "tags": tags,
    })
}

fn fault(status: u16, code: &str, message: &str) -> Response {
    let body = Json(json!({"error_code": code, "message": message}));
    (StatusCode::from_u16(status).expect("a status"), body).into_response()
}

type Parameters = Query<BTreeMap<String, String>>;

impl Registry {
    async fn start(&self) -> String {
        let router = axum::Router::new()
            .route("/ml/api/2.0/mlflow/registered-models/alias", get(alias))
            .route("/ml/api/2.0/mlflow/model-versions/search", get(search))
            .with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/ml/", listener.local_addr().expect("its address"));
        tokio::spawn(axum::serve(listener, router).into_future());
        url
    }

    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get("authorization").and_then(|value| value.to_str().ok());
        self.token.is_none_or(|token| given == Some(&format!("Bearer {token}")))
    }
}

async fn alias(State(registry): State<Registry>, query: Parameters, headers: HeaderMap) -> Response {
    if !registry.lets_in(&headers) {
        return (StatusCode::UNAUTHORIZED, "You are not authenticated.").into_response();
    }
    if query["name"] != "ranker" {
        let message = format!("Registered Model with name={} not found", query["name"]);
        return fault(404, "RESOURCE_DOES_NOT_EXIST", &message);
    }
    let Some(version) = registry.aliases.get(query["alias"].as_str()) else {
        let message = format!("Registered model alias {} not found.", query["alias"]);
        return fault(400, "INVALID_PARAMETER_VALUE", &message);
    };
    let found =
        registry.versions.iter().find(|one| one["version"] == *version).expect("an alias of a version");
    Json(json!({"model_version": found})).into_response()
}

/// Two to a page, so that paging is seen.
async fn search(State(registry): State<Registry>, query: Parameters) -> Response {
    registry.asked.lock().expect("not poisoned").push(query["filter"].clone());
    assert_eq!(query["order_by"], "version_number DESC");
    let tag = query["filter"].split_once(" and tags.`").map(|(_, rest)| {
        let (key, value) = rest.split_once("`=").expect("a comparison");
        (key.to_owned(), value.trim_matches('\'').to_owned())
    });
    let fits = |version: &&Value| {
        query["filter"].starts_with("name='ranker'")
            && tag.as_ref().is_none_or(|(key, value)| {
                let tags = version["tags"].as_array().expect("tags");
                tags.iter().any(|tag| tag["key"] == **key && tag["value"] == **value)
            })
    };
    let mut found: Vec<Value> = registry.versions.iter().filter(fits).cloned().collect();
    found.reverse();
    let from: usize = query.get("page_token").map_or(0, |token| token.parse().expect("our own token"));
    let rest = found.split_off(from.min(found.len()));
    let mut page = json!({"model_versions": rest.iter().take(2).collect::<Vec<_>>()});
    if rest.len() > 2 {
        page["next_page_token"] = json!((from + 2).to_string());
    }
    // MLflow leaves an empty list out.
    if rest.is_empty() {
        page = json!({});
    }
    Json(page).into_response()
}

fn registry() -> Registry {
    Registry {
        versions: Arc::new(vec![
            version(3, "Production", "READY", &[]),
            version(4, "Staging", "READY", &[("production-ready", "true")]),
            version(9, "None", "READY", &[("production-ready", "false")]),
            version(10, "None", "READY", &[]),
            version(11, "Staging", "PENDING_REGISTRATION", &[("production-ready", "true")]),
        ]),
        aliases: Arc::new([("champion", "3"), ("challenger", "9"), ("uploading", "11")].into()),
        ..Registry::default()
    }
}

fn mlflow(url: &str, model: &str, when: &str) -> manifest::Mlflow {
    let text = format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Trigger\nmetadata: {{name: t}}\nspec:\n  mlflow: {{model: {model}, url: '{url}', when: {when}}}\n  template:\n    metadata: {{name: ranker}}\n    spec:\n      stable: {{version: '6'}}\n      canary: {{version: '{{{{version}}}}'}}\n"
    );
    manifest::load_trigger(&text).expect("a trigger").0.mlflow.expect("it")
}

fn of(secrets: Secrets) -> Sources {
    Sources::new(secrets, Arc::new(RootCertStore::empty()), Hosts::default()).expect("sources")
}

fn sources() -> Sources {
    of(Secrets::default())
}

async fn check(model: &str, when: &str, expected: Result<Option<&str>, &str>) {
    let url = registry().start().await;
    let said = sources().newest("t", &mlflow(&url, model, when)).await;
    match (said, expected) {
        (Ok(version), Ok(expected)) => assert_eq!(version.as_deref(), expected, "{when}"),
        (Err(error), Err(part)) => assert!(error.contains(part), "{part:?} is missing in: {error}"),
        (said, expected) => panic!("{when}: {said:?}, not {expected:?}"),
    }
}

#[tokio::test]
async fn the_version_that_means_go_is_found() {
    check("ranker", "{alias: challenger}", Ok(Some("9"))).await;
    check("ranker", "{alias: nobody}", Ok(None)).await;
    // An alias on what is still being uploaded means nothing yet.
    check("ranker", "{alias: uploading}", Ok(None)).await;
    check("rnaker", "{alias: challenger}", Err("RESOURCE_DOES_NOT_EXIST: Registered Model with name=rnaker"))
        .await;
    // By number, not as text, and not what is still being uploaded.
    check("ranker", "{created: true}", Ok(Some("10"))).await;
    check("nobody", "{created: true}", Ok(None)).await;
    check("ranker", "{stage: staging}", Ok(Some("4"))).await;
    check("ranker", "{stage: Archived}", Ok(None)).await;
    check("ranker", "{tag: {key: production-ready, value: 'true'}}", Ok(Some("4"))).await;
    check("ranker", "{tag: {key: production-ready}}", Ok(Some("9"))).await;
    check("ranker", "{tag: {key: ready}}", Ok(None)).await;
}

#[tokio::test]
async fn a_tag_is_asked_for_where_the_versions_are() {
    let registry = registry();
    let url = registry.start().await;
    let tag = mlflow(&url, "ranker", "{tag: {key: production-ready, value: 'true'}}");
    sources().newest("t", &tag).await.expect("an answer");
    let asked = registry.asked.lock().expect("not poisoned").clone();
    assert_eq!(asked, ["name='ranker' and tags.`production-ready`='true'"]);
    assert_eq!(super::quoted("anna's"), "\"anna's\"");
}

#[tokio::test]
async fn the_token_is_sent_and_whoever_is_no_mlflow_is_named() {
    let sources = sources();
    let guarded = Registry { token: Some("t0ken"), ..registry() };
    let url = guarded.start().await;
    let error =
        sources.newest("t", &mlflow(&url, "ranker", "{alias: challenger}")).await.expect_err("no token");
    assert!(error.contains("401") && error.contains("not authenticated"), "{error}");

    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("mlflow-token");
    std::fs::write(&file, "t0ken\n").expect("a file");
    let secrets = Secrets { dir: Some(dir.path().to_owned()), env_prefix: None };
    let offering = of(secrets);
    let asked = mlflow(&url, "ranker", "{alias: challenger}, access: {bearer: {secret: mlflow-token}}");
    assert_eq!(offering.newest("t", &asked).await, Ok(Some("9".to_owned())));
    std::fs::remove_file(&file).expect("removed");
    let error = offering.newest("t", &asked).await.expect_err("no file");
    assert!(error.contains("\"mlflow-token\" is not offered") && !error.contains("t0ken"), "{error}");

    for (url, part) in
        [(url.replace("/ml/", ""), "404"), ("http://127.0.0.1:1".to_owned(), "does not answer")]
    {
        let error =
            sources.newest("t", &mlflow(&url, "ranker", "{created: true}")).await.expect_err("no MLflow");
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn who_carries_no_alias_is_told_from_a_model_that_is_not_there() {
    for (message, expected) in [
        ("Registered model alias challenger not found.", true),
        ("Alias 'challenger' does not exist for model 'ranker'", true),
        ("Registered Model with name=ranker not found", false),
        ("Model alias-ranker is not there", false),
        ("Registered Model with name=alias challenger not found", false),
    ] {
        let fault = super::Fault { error_code: "X".to_owned(), message: message.to_owned() };
        assert_eq!(fault.is_about_alias("challenger"), expected, "{message}");
    }
}

#[test]
fn a_version_is_a_text_or_a_number() {
    let of = |json: &str| serde_json::from_str::<super::Version>(json).map(|version| version.version).ok();
    assert_eq!(of(r#"{"version": "7"}"#).as_deref(), Some("7"));
    assert_eq!(of(r#"{"version": 7}"#).as_deref(), Some("7"));
    assert_eq!(of(r#"{"version": null}"#), None);
    assert_eq!(of(r#"{"version": [7]}"#), None);
}
