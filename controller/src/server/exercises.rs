//! What is tried between runs: drills and A/A checks.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use manifest::{Percent, Span};
use rollout::{ExerciseView, Human};
use serde::Deserialize;
use serde_json::json;

use super::{Api, ask, who};
use crate::engine::{Command, Order, Refusal};

/// What a drill is asked for with; everything has a default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Drill {
    weight: Percent,
    limit: Span,
    reason: String,
}

impl Default for Drill {
    fn default() -> Self {
        Self { weight: Percent::from_ppm(0), limit: Span::from_ms(30_000), reason: String::new() }
    }
}

pub async fn drill(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    text: String,
) -> Response {
    let read = if text.trim().is_empty() { Ok(Drill::default()) } else { serde_json::from_str(&text) };
    let Drill { weight, limit, reason } = match read {
        Ok(drill) => drill,
        Err(error) => {
            const FORM: &str = "write {\"weight\": \"0.1%\", \"limit\": \"30s\", \"reason\": TEXT}, or leave out what need not be said";
            return Refusal::Invalid(format!("{error}; {FORM}")).into_response();
        }
    };
    let human = Human { who: who(&headers), reason };
    let order = Order::Drill { weight, limit };
    begun(ask(&api, |answer| Command::Exercise { name, order, human, answer }).await)
}

/// What an A/A check is asked for with; everything has a default.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Parity {
    share: Option<Percent>,
    deployed: bool,
    duration: Option<Span>,
    until_evidence: bool,
    reason: String,
}

pub async fn parity(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    text: String,
) -> Response {
    let read = if text.trim().is_empty() { Ok(Parity::default()) } else { serde_json::from_str(&text) };
    let Parity { share, deployed, duration, until_evidence, reason } = match read {
        Ok(parity) => parity,
        Err(error) => {
            const FORM: &str = "write {\"share\": \"50%\", \"deployed\": false, \"duration\": \"1h\", \"until_evidence\": true, \
                                \"reason\": TEXT}, or leave out what need not be said";
            return Refusal::Invalid(format!("{error}; {FORM}")).into_response();
        }
    };
    let human = Human { who: who(&headers), reason };
    let order = Order::Parity { share, deployed, duration, until_evidence };
    begun(ask(&api, |answer| Command::Exercise { name, order, human, answer }).await)
}

pub async fn parities(State(api): State<Api>, Path(name): Path<String>) -> Response {
    all(&api, name, "parity").await
}

pub async fn one_parity(State(api): State<Api>, Path((name, number)): Path<(String, usize)>) -> Response {
    one(&api, name, "parity", number).await
}

fn begun(number: Result<u64, Refusal>) -> Response {
    match number {
        Ok(number) => Json(json!({"number": number})).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

pub async fn drills(State(api): State<Api>, Path(name): Path<String>) -> Response {
    all(&api, name, "drill").await
}

pub async fn one_drill(State(api): State<Api>, Path((name, number)): Path<(String, usize)>) -> Response {
    one(&api, name, "drill", number).await
}

async fn all(api: &Api, name: String, kind: &'static str) -> Response {
    match ask(api, |answer| Command::Exercises { name, kind, answer }).await {
        Ok(views) => Json(views).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn one(api: &Api, name: String, kind: &'static str, number: usize) -> Response {
    let shown = name.clone();
    match ask(api, |answer| Command::Exercises { name, kind, answer }).await {
        Ok(views) => match views.iter().find(|view| number_of(view) == number as u64) {
            Some(view) => Json(view).into_response(),
            None => Refusal::Unknown(format!("{shown} has no {kind} {number}")).into_response(),
        },
        Err(refusal) => refusal.into_response(),
    }
}

fn number_of(view: &ExerciseView) -> u64 {
    match view {
        ExerciseView::Drill(view) => view.number,
        ExerciseView::Parity(view) => view.number,
    }
}
