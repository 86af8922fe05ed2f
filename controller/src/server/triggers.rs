//! Triggers: keeping them, looking at them, and what registries send them.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{Api, ask, who};
use crate::clock;
use crate::engine::{Command, Gone, Refusal, TriggerCommand};
use crate::webhook::{self, Said};
use sources::Text;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/triggers", get(list).post(keep))
        .route("/v1/triggers/{name}", get(one).delete(forget))
        .route("/v1/triggers/{name}/fire", post(fire))
        .route("/v1/triggers/{name}/webhook", post(deliver))
}

fn answer<T: serde::Serialize>(result: Result<T, Refusal>) -> Response {
    match result {
        Ok(done) => Json(done).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn list(State(api): State<Api>) -> Response {
    let views = api.triggers.borrow().clone();
    Json(views.values().collect::<Vec<_>>()).into_response()
}

fn unknown(name: &str) -> Refusal {
    Refusal::Unknown(format!("there is no trigger {name:?}"))
}

async fn one(State(api): State<Api>, Path(name): Path<String>) -> Response {
    let views = api.triggers.borrow().clone();
    answer(views.get(&name).ok_or_else(|| unknown(&name)))
}

async fn keep(State(api): State<Api>, Query(Asked { dry_run }): Query<Asked>, text: String) -> Response {
    answer(ask(&api, |answer| Command::Trigger(TriggerCommand::Keep { text, dry_run, answer })).await)
}

async fn forget(State(api): State<Api>, Path(name): Path<String>) -> Response {
    let done = ask(&api, |answer| Command::Trigger(TriggerCommand::Drop { name, answer })).await;
    answer(done.map(|()| json!({"done": true})))
}

/// Is it only asked what would be?
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fire {
    version: String,
    #[serde(default)]
    again: bool,
    #[serde(default)]
    reason: String,
}

/// A person names a version.
async fn fire(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(Fire { version, again, reason }): Json<Fire>,
) -> Response {
    let who = who(&headers);
    let by = if reason.is_empty() { who } else { format!("{who}: {reason}") };
    answer(go(&api, name, version, by, again).await)
}

async fn go(api: &Api, name: String, version: String, by: String, again: bool) -> Result<Gone, Refusal> {
    ask(api, |answer| Command::Trigger(TriggerCommand::Go { name, version, by, again, answer })).await
}

/// A registry tells of something.
async fn deliver(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(delivered(&api, name, &headers, &body).await)
}

async fn delivered(
    api: &Api,
    name: String,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<serde_json::Value, Refusal> {
    let trigger =
        api.triggers.borrow().get(&name).map(|view| view.spec.clone()).ok_or_else(|| unknown(&name))?;
    let Some(terms) = &trigger.webhook else {
        return Err(Refusal::Unknown(format!("{name} takes no webhooks; give it a spec.webhook")));
    };
    let secret = match &terms.secret {
        Some(secret) => Some(api.sources.secret(secret).await.map_err(Refusal::Failed)?),
        None => None,
    };
    let secret = secret.as_ref().map(Text::reveal);
    let now_ms = clock::unix_ms();
    let delivery = webhook::check(secret, terms.tolerance_ms, headers, body, now_ms)
        .map_err(|webhook::Unsigned(why)| Refusal::Denied(format!("{name}: {why}")))?;
    let nothing = |message: String| json!({"triggered": false, "message": message});
    if delivery.as_ref().is_some_and(|delivery| api.deliveries.knows(&name, delivery, now_ms)) {
        return Ok(nothing("this delivery was taken before".to_owned()));
    }
    let said = webhook::read(&trigger, body).map_err(|why| Refusal::Invalid(format!("{name}: {why}")))?;
    let answer = match said {
        Said::Go { version, by } => json!(go(api, name.clone(), version, by, false).await?),
        Said::Nothing(why) => nothing(why),
    };
    if let Some(delivery) = &delivery {
        api.deliveries.took(&name, delivery, terms.tolerance_ms);
    }
    Ok(answer)
}
