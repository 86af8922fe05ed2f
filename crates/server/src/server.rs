//! The HTTP API: what the command, the demo and other tools talk to.

mod exercises;
mod export;
mod idempotency;
mod judged;
mod people;
mod query;
mod triggers;

#[cfg(test)]
mod tests;

pub use export::Exports;

use std::sync::Arc;
use std::time::Duration;

use api::{
    ActRequest, Applied, ApplyQuery, DeleteQuery, Demand, Done, Figure, OBJECT_ANNOTATION, ObjectView,
    Refusal, RollbackReply, RollbackRequest, RunView, Verb, path,
};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use envoy::Ecds;
use istio::Plugin;
use istio::leader::Standing;
use manifest::Percent;
use serde::Serialize;
use split::Arm;
use tally::lease::Question;
use tokio::sync::{mpsc, oneshot, watch};

use crate::access::{self, Proxies, RefusalReason, RefusedRequests, RequestGuard, prove};
use crate::metrics;
use crate::replicas::page;
use crate::webhook::Deliveries;
use controller::engine::{Act, Command, EngineMetrics, RollbackOrder, TriggerViews, Views};
use controller::health::Health;
use controller::specification::{Specification, SpecificationReaders};
use lease::Leases;
use people::{conditions, human};
use scrape::Trouble;
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
    pub metrics: EngineMetrics,
    /// Secrets, for what is signed.
    pub sources: Sources,
    /// What registries have sent.
    pub deliveries: Deliveries,
    /// Those who read what people apply.
    pub readers: SpecificationReaders,
    /// Who may come in.
    pub guard: RequestGuard,
    /// Is all as it should be?
    pub health: Health,
    /// How exports are written.
    pub exports: Exports,
    /// What proxies must show.
    pub proxies: Proxies,
    /// Who asks for policies.
    pub ecds: Ecds,
    /// The objects that policies are written into.
    pub plugins: Arc<[Plugin]>,
    /// Proxies that do not do what all should.
    pub troubles: watch::Receiver<Vec<Trouble>>,
    /// The namespaces whose Rollouts are kept; `None`: of none.
    pub kept: Option<istio::objects::Namespaces>,
    /// Who leads; `None`: there are no other replicas.
    pub standing: Option<watch::Receiver<Standing>>,
}

/// Of a proxy's name, in bytes: as long as one that asks for policies may have.
const LONGEST_NODE: usize = 512;

/// A decision may have to wait for the disk, not for more.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(10);

pub fn router(api: Api) -> Router {
    let guard = api.guard.clone();
    let below = |what: &str| path::of_rollout("{name}", what);
    let one_below = |kind: &str, which: &str| path::one_of_rollout("{name}", kind, which);
    Router::new()
        .route(path::HEALTHZ, get(|| async { "ok\n" }))
        .route(path::READYZ, get(ready))
        .route(path::METRICS, get(metrics))
        .route(path::LEASE, get(lease).layer(from_fn_with_state(api.proxies.clone(), prove)))
        .route(
            &path::lease_of("{document}"),
            get(lease_of).layer(from_fn_with_state(api.proxies.clone(), prove)),
        )
        .route(path::EXPORT, get(export::export))
        .route(path::ROLLOUTS, get(list).post(apply))
        .route(&path::rollout("{name}"), get(one).delete(delete))
        .route(&one_below(path::RUNS, "{run}"), get(run))
        .route(&below(path::DEMAND), get(demand))
        .route(&below(path::VERDICT), get(judged::verdict))
        .route(&one_below(path::HOOKS, "{hook}"), post(judged::hook))
        .route(path::QUERY, get(query::query).post(query::query))
        .route(&below(path::FIGURES), post(push))
        .route(&below(path::DRILL), post(exercises::drill))
        .route(&below(path::DRILLS), get(exercises::drills))
        .route(&one_below(path::DRILLS, "{number}"), get(exercises::one_drill))
        .route(&below(path::PARITY), get(exercises::parity_checks).post(exercises::parity))
        .route(&one_below(path::PARITY, "{number}"), get(exercises::one_parity))
        .route(&below(Verb::Rollback.as_str()), post(rollback))
        .route(&below("{act}"), post(act))
        .merge(triggers::routes())
        .layer(from_fn_with_state(idempotency::IdempotentAnswers::default(), idempotency::once))
        .with_state(api)
        .layer(from_fn_with_state(guard, access::guard))
}

/// What is served at the proxies' own port: policies, and the lease.
pub fn of_proxies(api: Api, ecds: Router, proxies: Proxies) -> Router {
    let lease = Router::new()
        .route(path::LEASE, get(lease))
        .route(&path::lease_of("{document}"), get(lease_of))
        .with_state(api);
    ecds.merge(lease).layer(from_fn_with_state(proxies, prove))
}

/// What the engine answers, as HTTP.
pub struct Answer<T>(Result<T, Refusal>);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match self.0 {
            Ok(answer) => Json(answer).into_response(),
            Err(refusal) => {
                let status = StatusCode::from_u16(refusal.status());
                (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(refusal.problem())).into_response()
            }
        }
    }
}

/// An answer that says nothing but that it was done.
fn done(result: Result<(), Refusal>) -> Answer<Done> {
    Answer(result.map(|()| Done::DONE))
}

async fn lease(state: State<Api>, question: Query<Question>) -> Response {
    leased(&state.lease, &state.guard.refused_requests, &question, None)
}

/// A proxy that names the document it runs. A name that is none of ours is another document's.
async fn lease_of(state: State<Api>, Path(document): Path<String>, question: Query<Question>) -> Response {
    // What is no digest says nothing of a document.
    let document = u64::from_str_radix(&document, 16).ok();
    leased(&state.lease, &state.guard.refused_requests, &question, document)
}

/// The answer to a proxy's question for its lease.
pub fn leased(
    leases: &Leases,
    refused_requests: &RefusedRequests,
    question: &Question,
    document: Option<u64>,
) -> Response {
    let node = &question.node;
    if node.len() > LONGEST_NODE || node.chars().any(char::is_control) {
        refused_requests.count(RefusalReason::Node);
        let why = format!(
            "node has {} bytes or control characters; {LONGEST_NODE} plain ones are taken",
            node.len()
        );
        return done(Err(Refusal::Invalid(why))).into_response();
    }
    if !leases.has_room(node) {
        // It is answered all the same: what it runs must end when it should.
        refused_requests.count(RefusalReason::Node);
    }
    match leases.answer(question, document) {
        Some(answer) => Json(answer).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the engine does not answer\n").into_response(),
    }
}

async fn ready(State(api): State<Api>) -> Response {
    let readiness = api.health.readiness(&api.lease, &api.archive).await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

async fn metrics(State(api): State<Api>) -> Response {
    let text =
        metrics::render(&api.views.borrow(), &api.triggers.borrow(), &api.plugins, &api.troubles.borrow())
            + &api.standing.as_ref().map(|standing| page::render(&standing.borrow())).unwrap_or_default()
            + &api.metrics.render()
            + &api.guard.refused_requests.render(api.ecds.refused());
    ([("content-type", metrics::CONTENT_TYPE)], text).into_response()
}

async fn list(State(api): State<Api>) -> Response {
    let views = api.views.borrow().clone();
    Json(views.values().map(|view| &**view).filter(|view| !view.is_member()).collect::<Vec<_>>())
        .into_response()
}

async fn one(State(api): State<Api>, Path(name): Path<String>) -> Answer<RunView> {
    Answer(shown(&api, &name).map(|view| RunView::clone(&view)))
}

/// What is shown of a run now.
fn shown(api: &Api, name: &str) -> Result<Arc<RunView>, Refusal> {
    let view = api.views.borrow().get(name).cloned();
    view.ok_or_else(|| Refusal::Unknown(format!("there is no rollout {name:?}")))
}

/// The load of its versions, for autoscalers.
async fn demand(State(api): State<Api>, Path(name): Path<String>) -> Answer<Demand> {
    let several = || Refusal::Unknown(format!("{name} goes up as several; ask its members"));
    Answer(shown(&api, &name).and_then(|view| view.demand.clone().ok_or_else(several)))
}

/// The present run under its number, or one before it.
async fn run(State(api): State<Api>, Path((name, run)): Path<(String, u64)>) -> Response {
    if let Ok(view) = shown(&api, &name)
        && view.run.run == run
    {
        return Json(&*view).into_response();
    }
    Answer(ask(&api, |answer| Command::Past { name, run, answer }).await).into_response()
}

async fn apply(
    State(api): State<Api>,
    Query(ApplyQuery { again, dry_run }): Query<ApplyQuery>,
    headers: HeaderMap,
    text: String,
) -> Answer<Applied> {
    let who = match human(&headers, "") {
        Ok(human) => human.who,
        Err(refusal) => return Answer(Err(refusal)),
    };
    let spec = match api.readers.read(move || Specification::read(text)).await {
        Ok(spec) => Box::new(spec),
        Err(refusal) => return Answer(Err(refusal)),
    };
    if ObjectView::of(&spec.loaded.typed).is_some() {
        let why = format!("metadata.annotations: {OBJECT_ANNOTATION} is the controller's own; leave it out");
        return Answer(Err(Refusal::Invalid(why)));
    }
    let conditions = conditions(&headers);
    Answer(ask(&api, |answer| Command::Apply { spec, who, again, dry_run, conditions, answer }).await)
}

async fn act(
    State(api): State<Api>,
    Path((name, verb)): Path<(String, String)>,
    headers: HeaderMap,
    request: Option<Json<ActRequest>>,
) -> Response {
    let ActRequest { reason, weight, arm } = request.map(|Json(request)| request).unwrap_or_default();
    let human = match human(&headers, &reason) {
        Ok(human) => human,
        Err(refusal) => return done(Err(refusal)).into_response(),
    };
    let conditions = conditions(&headers);
    match meant(&verb, weight, arm) {
        Ok(ActPrecondition::Retry) => {
            Answer(ask(&api, |answer| Command::Retry { name, human, conditions, answer }).await)
                .into_response()
        }
        Ok(ActPrecondition::Act(act)) => {
            Answer(ask(&api, |answer| Command::Act { name, act, human, conditions, answer }).await)
                .into_response()
        }
        Err(refusal) => done(Err(refusal)).into_response(),
    }
}

enum ActPrecondition {
    Act(Act),
    Retry,
}

/// What a verb means with a weight and an arm.
fn meant(verb: &str, weight: Option<Percent>, arm: Option<Arm>) -> Result<ActPrecondition, Refusal> {
    let of_the_whole = || {
        let text = format!("{verb} is of the whole rollout; an arm can be given to abort and promote");
        Err(Refusal::Invalid(text))
    };
    let act = match (verb.parse(), arm) {
        (Ok(Verb::Abort), arm) => arm.map_or(Act::Abort, Act::Drop),
        (Ok(Verb::Promote), arm) => arm.map_or(Act::Promote, Act::Choose),
        (Ok(Verb::SetWeight), _) => match weight {
            Some(weight) => Act::SetWeight(weight.ppm()),
            None => {
                return Err(Refusal::Invalid("which weight? Give {\"weight\": \"7%\"}".to_owned()));
            }
        },
        (_, Some(_)) => return of_the_whole(),
        (Ok(Verb::Approve), None) => Act::Approve,
        (Ok(Verb::Pause), None) => Act::Pause,
        (Ok(Verb::Resume), None) => Act::Resume,
        (Ok(Verb::Retry), None) => return Ok(ActPrecondition::Retry),
        // It has a route and a body of its own.
        (Ok(Verb::Rollback), None) => Act::Abort,
        (Err(why), None) => return Err(Refusal::Unknown(why)),
    };
    Ok(ActPrecondition::Act(act))
}

/// Out of the policy; its history stays.
async fn delete(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(DeleteQuery { reason }): Query<DeleteQuery>,
    headers: HeaderMap,
) -> Answer<Done> {
    let human = match human(&headers, &reason) {
        Ok(human) => human,
        Err(refusal) => return done(Err(refusal)),
    };
    // It would come back with the object, if that is looked at.
    let kept = |object: &ObjectView| api.kept.as_ref().is_some_and(|kept| kept.holds(&object.namespace));
    if let Some(object) = shown(&api, &name).ok().and_then(|view| view.object.clone()).filter(kept) {
        let why = format!(
            "{name} is kept by a Rollout of Kubernetes in namespace {}; delete that: {}",
            object.namespace,
            object.command("delete")
        );
        return done(Err(Refusal::Conflict(why)));
    }
    let conditions = conditions(&headers);
    done(ask(&api, |answer| Command::Delete { name, human, conditions, answer }).await)
}

/// Back to stable, or to a version that was there before.
async fn rollback(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    request: Option<Json<RollbackRequest>>,
) -> Answer<RollbackReply> {
    let RollbackRequest { reason, to, unverified } = request.map(|Json(request)| request).unwrap_or_default();
    let human = match human(&headers, &reason) {
        Ok(human) => human,
        Err(refusal) => return Answer(Err(refusal)),
    };
    let conditions = conditions(&headers);
    let order = RollbackOrder { to, unverified };
    Answer(ask(&api, |answer| Command::RollBack { name, order, human, conditions, answer }).await)
}

/// Figures for gates that take them: one object, or a list of them.
async fn push(State(api): State<Api>, Path(name): Path<String>, text: String) -> Answer<Done> {
    done(match figures(&text) {
        Ok(figures) => ask(&api, |answer| Command::Push { name, figures, answer }).await,
        Err(error) => Err(Refusal::Invalid(error)),
    })
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

async fn ask<T>(
    api: &Api,
    command: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Command,
) -> Result<T, Refusal> {
    asked(&api.commands, command).await
}

/// The engine's answer to a command, within a bound.
pub async fn asked<T>(
    commands: &mpsc::Sender<Command>,
    command: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Command,
) -> Result<T, Refusal> {
    let (answer, answered) = oneshot::channel();
    let asked = async {
        commands.send(command(answer)).await.ok()?;
        answered.await.ok()
    };
    match tokio::time::timeout(ENGINE_TIMEOUT, asked).await {
        Ok(Some(result)) => result,
        _ => Err(Refusal::Failed("the engine does not answer; see the controller's log".to_owned())),
    }
}
