//! What is tried between runs: drills and A/A checks.

use api::{Begun, DrillRequest, ExerciseKind, ParityRequest, Refusal};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use rollout::{ExerciseView, Human};
use serde::de::DeserializeOwned;

use super::people::{conditions, human};
use super::{Answer, Api, ask};
use controller::engine::{Command, Order};

pub async fn drill(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    text: String,
) -> Answer<Begun> {
    const FORM: &str = "write {\"weight\": \"0.1%\", \"limit\": \"30s\", \"reason\": TEXT}, or leave out what need not be said";
    Answer(match asked(&text, FORM) {
        Ok(DrillRequest { weight, limit, reason }) => {
            begin(&api, name, Order::Drill { weight, limit }, human(&headers, &reason), &headers).await
        }
        Err(refusal) => Err(refusal),
    })
}

pub async fn parity(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    text: String,
) -> Answer<Begun> {
    const FORM: &str = "write {\"share\": \"50%\", \"deployed\": false, \"duration\": \"1h\", \"until_evidence\": true, \
                        \"reason\": TEXT}, or leave out what need not be said";
    Answer(match asked(&text, FORM) {
        Ok(ParityRequest { share, deployed, duration, until_evidence, reason }) => {
            let order = Order::Parity { share, deployed, duration, until_evidence };
            begin(&api, name, order, human(&headers, &reason), &headers).await
        }
        Err(refusal) => Err(refusal),
    })
}

/// Nothing is a request for everything as usual.
fn asked<T: DeserializeOwned + Default>(text: &str, form: &str) -> Result<T, Refusal> {
    if text.trim().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_str(text).map_err(|error| Refusal::Invalid(format!("{error}; {form}")))
}

async fn begin(
    api: &Api,
    name: String,
    order: Order,
    human: Result<Human, Refusal>,
    headers: &HeaderMap,
) -> Result<Begun, Refusal> {
    let (human, conditions) = (human?, conditions(headers));
    let number = ask(api, |answer| Command::Exercise { name, order, human, conditions, answer }).await?;
    Ok(Begun { number })
}

pub async fn parity_checks(State(api): State<Api>, Path(name): Path<String>) -> Answer<Vec<ExerciseView>> {
    Answer(all(&api, name, ExerciseKind::Parity).await)
}

pub async fn one_parity(
    State(api): State<Api>,
    Path((name, number)): Path<(String, u64)>,
) -> Answer<ExerciseView> {
    Answer(one(&api, name, ExerciseKind::Parity, number).await)
}

pub async fn drills(State(api): State<Api>, Path(name): Path<String>) -> Answer<Vec<ExerciseView>> {
    Answer(all(&api, name, ExerciseKind::Drill).await)
}

pub async fn one_drill(
    State(api): State<Api>,
    Path((name, number)): Path<(String, u64)>,
) -> Answer<ExerciseView> {
    Answer(one(&api, name, ExerciseKind::Drill, number).await)
}

async fn all(api: &Api, name: String, what: ExerciseKind) -> Result<Vec<ExerciseView>, Refusal> {
    ask(api, |answer| Command::Exercises { name, what, answer }).await
}

async fn one(api: &Api, name: String, what: ExerciseKind, number: u64) -> Result<ExerciseView, Refusal> {
    let unknown = Refusal::Unknown(format!("{name} has no {} {number}", what.name()));
    let all = all(api, name, what).await?;
    all.into_iter().find(|view| number_of(view) == number).ok_or(unknown)
}

fn number_of(view: &ExerciseView) -> u64 {
    match view {
        ExerciseView::Drill(view) => view.number,
        ExerciseView::Parity(view) => view.number,
    }
}
