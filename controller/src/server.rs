//! The HTTP API: what the command, the demo and other tools talk to.

mod exercises;
mod export;
mod triggers;

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use manifest::Percent;
use rollout::Human;
use serde::Deserialize;
use serde_json::json;
use split::Arm;
use tally::lease::Question;
use tokio::sync::{mpsc, oneshot, watch};

use crate::engine::{Act, Command, Figure, GoBack, Pulse, Refusal, TriggerViews, Views};
use crate::lease::Leases;
use crate::metrics;
use crate::webhook::Deliveries;
use sources::Sources;
use store::Archive;

/// What the handlers reach.
#[derive(Clone)]
pub struct Api {
    pub commands: mpsc::Sender<Command>,
    pub views: watch::Receiver<Views>,
    pub triggers: watch::Receiver<TriggerViews>,
    pub lease: Leases,
    pub archive: Archive,
    pub pulse: Pulse,
    /// Secrets, for what is signed.
    pub sources: Sources,
    /// What registries have sent.
    pub deliveries: Deliveries,
}

/// A decision may have to wait for the disk, not for more.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(10);

pub fn router(api: Api) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(metrics))
        .route("/v1/lease", get(lease))
        .route("/v1/export", get(export::export))
        .route("/v1/rollouts", get(list).post(apply))
        .route("/v1/rollouts/{name}", get(one).delete(delete))
        .route("/v1/rollouts/{name}/runs/{run}", get(run))
        .route("/v1/rollouts/{name}/demand", get(demand))
        .route("/v1/rollouts/{name}/metrics", post(push))
        .route("/v1/rollouts/{name}/drill", post(exercises::drill))
        .route("/v1/rollouts/{name}/drills", get(exercises::drills))
        .route("/v1/rollouts/{name}/drills/{number}", get(exercises::one_drill))
        .route("/v1/rollouts/{name}/parity", get(exercises::parities).post(exercises::parity))
        .route("/v1/rollouts/{name}/parity/{number}", get(exercises::one_parity))
        .route("/v1/rollouts/{name}/rollback", post(rollback))
        .route("/v1/rollouts/{name}/{act}", post(act))
        .merge(triggers::routes())
        .with_state(api)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Invalid(text) => (StatusCode::UNPROCESSABLE_ENTITY, text),
            Self::Unknown(text) => (StatusCode::NOT_FOUND, text),
            Self::Conflict(text) => (StatusCode::CONFLICT, text),
            Self::Denied(text) => (StatusCode::UNAUTHORIZED, text),
            Self::Failed(text) => (StatusCode::INTERNAL_SERVER_ERROR, text),
        };
        (status, Json(json!({"error": text}))).into_response()
    }
}

async fn lease(State(api): State<Api>, Query(question): Query<Question>) -> Response {
    match api.lease.answer(&question) {
        Some(answer) => Json(answer).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the engine does not answer\n").into_response(),
    }
}

async fn metrics(State(api): State<Api>) -> Response {
    let text = metrics::render(&api.views.borrow(), &api.triggers.borrow()) + &api.pulse.render();
    ([("content-type", metrics::CONTENT_TYPE)], text).into_response()
}

async fn list(State(api): State<Api>) -> Response {
    let views = api.views.borrow().clone();
    Json(views.values().map(|view| &**view).filter(|view| !view.is_member()).collect::<Vec<_>>())
        .into_response()
}

async fn one(State(api): State<Api>, Path(name): Path<String>) -> Response {
    let views = api.views.borrow().clone();
    match views.get(&name) {
        Some(view) => Json(&**view).into_response(),
        None => Refusal::Unknown(format!("there is no rollout {name:?}")).into_response(),
    }
}

/// What its versions have to bear: for whoever scales them.
async fn demand(State(api): State<Api>, Path(name): Path<String>) -> Response {
    let views = api.views.borrow().clone();
    match views.get(&name) {
        Some(view) => match &view.demand {
            Some(demand) => Json(demand).into_response(),
            None => Refusal::Unknown(format!("{name} goes up as several; ask its members")).into_response(),
        },
        None => Refusal::Unknown(format!("there is no rollout {name:?}")).into_response(),
    }
}

/// The present run under its number, or one before it.
async fn run(State(api): State<Api>, Path((name, run)): Path<(String, u64)>) -> Response {
    let views = api.views.borrow().clone();
    if let Some(view) = views.get(&name).filter(|view| view.run.run == run) {
        return Json(&**view).into_response();
    }
    match ask(&api, |answer| Command::Past { name, run, answer }).await {
        Ok(view) => Json(view).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

#[derive(Deserialize)]
struct ApplyOptions {
    #[serde(default)]
    again: bool,
    /// Only say what would become of it.
    #[serde(default)]
    dry_run: bool,
}

async fn apply(
    State(api): State<Api>,
    Query(options): Query<ApplyOptions>,
    headers: HeaderMap,
    text: String,
) -> Response {
    let who = who(&headers);
    let ApplyOptions { again, dry_run } = options;
    let command = |answer| Command::Apply { text, who, again, dry_run, answer };
    match ask(&api, command).await {
        Ok(applied) => Json(applied).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Why {
    reason: String,
    /// For `set-weight`.
    weight: Option<Percent>,
    /// For `abort` and `promote` where there are several challengers: which of them.
    arm: Option<Arm>,
}

async fn act(
    State(api): State<Api>,
    Path((name, act)): Path<(String, String)>,
    headers: HeaderMap,
    why: Option<Json<Why>>,
) -> Response {
    let Why { reason, weight, arm } = why.map(|Json(why)| why).unwrap_or_default();
    if act == "retry" && arm.is_none() {
        let human = Human { who: who(&headers), reason };
        return match ask(&api, |answer| Command::Retry { name, human, answer }).await {
            Ok(applied) => Json(applied).into_response(),
            Err(refusal) => refusal.into_response(),
        };
    }
    let act = match act.as_str() {
        "set-weight" => match weight {
            Some(weight) => Act::SetWeight(weight.ppm()),
            None => {
                return Refusal::Invalid("which weight? Give {\"weight\": \"7%\"}".to_owned())
                    .into_response();
            }
        },
        "abort" => arm.map_or(Act::Abort, Act::Drop),
        "promote" => arm.map_or(Act::Promote, Act::Choose),
        other if arm.is_some() => {
            let text = format!("{other} is of the whole rollout; an arm can be given to abort and promote");
            return Refusal::Invalid(text).into_response();
        }
        "approve" => Act::Approve,
        "pause" => Act::Pause,
        "resume" => Act::Resume,
        other => {
            let text = format!(
                "nobody can {other:?} a rollout; one can abort, rollback, promote, approve, pause, resume, retry, set-weight"
            );
            return Refusal::Unknown(text).into_response();
        }
    };
    let human = Human { who: who(&headers), reason };
    match ask(&api, |answer| Command::Act { name, act, human, answer }).await {
        Ok(()) => Json(json!({"done": true})).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    #[serde(default)]
    reason: String,
}

/// Out of the policy; its history stays.
async fn delete(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(Reason { reason }): Query<Reason>,
    headers: HeaderMap,
) -> Response {
    let human = Human { who: who(&headers), reason };
    match ask(&api, |answer| Command::Delete { name, human, answer }).await {
        Ok(()) => Json(json!({"done": true})).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Back {
    reason: String,
    to: Option<String>,
    unverified: bool,
}

/// Back to stable, or to a version that was there before.
async fn rollback(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    back: Option<Json<Back>>,
) -> Response {
    let Back { reason, to, unverified } = back.map(|Json(back)| back).unwrap_or_default();
    let human = Human { who: who(&headers), reason };
    let order = GoBack { to, unverified };
    match ask(&api, |answer| Command::GoBack { name, order, human, answer }).await {
        Ok(went) => Json(went).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Figures for gates that take them: one object, or a list of them.
async fn push(State(api): State<Api>, Path(name): Path<String>, text: String) -> Response {
    let pushed = match figures(&text) {
        Ok(figures) => ask(&api, |answer| Command::Push { name, figures, answer }).await,
        Err(error) => Err(Refusal::Invalid(error)),
    };
    match pushed {
        Ok(()) => Json(json!({"done": true})).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

fn figures(text: &str) -> Result<Vec<Figure>, String> {
    const FORM: &str = "write {\"metric\": GATE, \"version\": VERSION, \"value\": NUMBER, \"n\": SAMPLES}, or a list of these";
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = if text.trim_start().starts_with('[') {
        serde_path_to_error::deserialize(&mut reader)
    } else {
        serde_path_to_error::deserialize(&mut reader).map(|one| vec![one])
    };
    let figures: Vec<Figure> = read.map_err(|error| {
        let field = error.path().to_string();
        let field = if field == "." { String::new() } else { format!("{field}: ") };
        format!("{field}{}; {FORM}", error.inner())
    })?;
    reader.end().map_err(|error| format!("{error}; {FORM}"))?;
    Ok(figures)
}

/// Who asks, as they say themselves.
fn who(headers: &HeaderMap) -> String {
    let name = headers.get("x-serin-user").and_then(|value| value.to_str().ok()).map(str::trim);
    name.filter(|name| !name.is_empty()).unwrap_or("somebody").to_owned()
}

async fn ask<T>(
    api: &Api,
    command: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Command,
) -> Result<T, Refusal> {
    let (answer, answered) = oneshot::channel();
    let asked = async {
        api.commands.send(command(answer)).await.ok()?;
        answered.await.ok()
    };
    match tokio::time::timeout(ENGINE_TIMEOUT, asked).await {
        Ok(Some(result)) => result,
        _ => Err(Refusal::Failed("the engine does not answer; see the controller's log".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<usize, &str>) {
        match (figures(text), expected) {
            (Ok(figures), Ok(n)) => assert_eq!(figures.len(), n, "{text}"),
            (Err(error), Err(part)) => {
                assert!(
                    error.contains(part) && error.contains("SAMPLES"),
                    "{text}: {part:?} is missing in: {error}"
                );
            }
            (read, expected) => panic!("{text}: {read:?}, not {expected:?}"),
        }
    }

    #[test]
    fn pushed_figures_are_one_or_a_list_and_what_is_wrong_is_named() {
        let one = r#"{"metric":"accuracy","version":"v2","value":0.9}"#;
        check(one, Ok(1));
        check(&format!(" [{one},{one}]"), Ok(2));
        check("[]", Ok(0));
        check("", Err("EOF"));
        check(&format!("{one}{one}"), Err("trailing"));
        check(r#"{"metric":"accuracy","version":"v2"}"#, Err("`value`"));
        check(r#"[{"metric":"accuracy","version":"v2","value":"many"}]"#, Err("[0].value: invalid type"));
        check(r#"{"metric":"accuracy","version":"v2","value":1,"n":-1}"#, Err("n: invalid value"));
        check(r#"{"metric":"accuracy","version":"v2","value":1,"unit":"ms"}"#, Err("unit"));
    }
}
