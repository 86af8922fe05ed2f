//! Triggers: keeping them, looking at them, and what registries send them.

use api::{Done, FireRequest, Fired, Refusal, TriggerApplied, TriggerQuery, TriggerView, path};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use rollout::Human;

use super::people::human;
use super::{Answer, Api, ask, done};
use crate::webhook::{self, Delivered};
use controller::engine::{Command, TriggerCommand};
use controller::specification::ReadTrigger;
use sources::Text;

pub fn routes() -> Router<Api> {
    Router::new()
        .route(path::TRIGGERS, get(list).post(keep))
        .route(&path::trigger("{name}"), get(one).delete(forget))
        .route(&path::of_trigger("{name}", path::FIRE), post(fire))
        .route(&path::of_trigger("{name}", path::WEBHOOK), post(deliver))
}

async fn list(State(api): State<Api>) -> Response {
    let views = api.triggers.borrow().clone();
    Json(views.values().map(|(view, _)| view).collect::<Vec<_>>()).into_response()
}

fn unknown(name: &str) -> Refusal {
    Refusal::Unknown(format!("there is no trigger {name:?}"))
}

async fn one(State(api): State<Api>, Path(name): Path<String>) -> Answer<TriggerView> {
    let view = api.triggers.borrow().get(&name).map(|(view, _)| view.clone());
    Answer(view.ok_or_else(|| unknown(&name)))
}

async fn keep(
    State(api): State<Api>,
    Query(TriggerQuery { dry_run }): Query<TriggerQuery>,
    text: String,
) -> Answer<TriggerApplied> {
    let read = match api.readers.read(move || ReadTrigger::read(text)).await {
        Ok(read) => Box::new(read),
        Err(refusal) => return Answer(Err(refusal)),
    };
    Answer(ask(&api, |answer| Command::Trigger(TriggerCommand::Keep { read, dry_run, answer })).await)
}

async fn forget(State(api): State<Api>, Path(name): Path<String>) -> Answer<Done> {
    done(ask(&api, |answer| Command::Trigger(TriggerCommand::Drop { name, answer })).await)
}

/// A person names a version.
async fn fire(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(FireRequest { version, again, reason }): Json<FireRequest>,
) -> Answer<Fired> {
    let by = match human(&headers, &reason) {
        Ok(Human { who, reason }) if reason.is_empty() => who,
        Ok(Human { who, reason }) => format!("{who}: {reason}"),
        Err(refusal) => return Answer(Err(refusal)),
    };
    Answer(go(&api, name, version, by, again).await)
}

async fn go(api: &Api, name: String, version: String, by: String, again: bool) -> Result<Fired, Refusal> {
    ask(api, |answer| Command::Trigger(TriggerCommand::Go { name, version, by, again, answer })).await
}

/// A registry tells of something.
async fn deliver(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Fired> {
    Answer(delivered(&api, name, &headers, &body).await)
}

async fn delivered(api: &Api, name: String, headers: &HeaderMap, body: &[u8]) -> Result<Fired, Refusal> {
    let trigger = api.triggers.borrow().get(&name).map(|(_, spec)| spec.clone());
    let trigger = trigger.ok_or_else(|| unknown(&name))?;
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
    let nothing = |message: String| Fired { triggered: false, version: None, message };
    if delivery.as_ref().is_some_and(|delivery| api.deliveries.contains(&name, delivery, now_ms)) {
        return Ok(nothing("this delivery was taken before".to_owned()));
    }
    let said = webhook::read(&trigger, body).map_err(|why| Refusal::Invalid(format!("{name}: {why}")))?;
    let answer = match said {
        Delivered::Event(news) => {
            let name = name.clone();
            ask(api, |answer| Command::Trigger(TriggerCommand::Hear { name, news, answer })).await?
        }
        Delivered::Ignored(why) => nothing(why),
    };
    if let Some(delivery) = &delivery {
        api.deliveries.insert(&name, delivery, terms.tolerance_ms);
    }
    Ok(answer)
}
