//! A small part of Prometheus' HTTP API over this controller's own metrics, for tools that can ask a Prometheus and nothing
//! else: `GET` and `POST /api/v1/query`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::Api;
use crate::metrics::{self, Query};
use controller::health::ENGINE_SILENT_MS;

/// Values are of now. Clocks may differ by so much, and one may ask a little late, in seconds.
const NOW_S: f64 = 60.0;

/// As Prometheus answers.
#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Answered {
    Success {
        data: Data,
    },
    #[serde(rename_all = "camelCase")]
    Error {
        error_type: &'static str,
        error: String,
    },
}

#[derive(Debug, Serialize)]
#[serde(tag = "resultType", content = "result", rename_all = "snake_case")]
enum Data {
    Scalar(Sample),
    Vector(Vec<Series>),
}

/// Seconds since 1970, and the value as text.
type Sample = (f64, String);

#[derive(Debug, Serialize)]
struct Series {
    metric: BTreeMap<&'static str, String>,
    value: Sample,
}

/// `query` and `time` in the address, or in the body as a form.
pub async fn query(State(api): State<Api>, RawQuery(address): RawQuery, body: String) -> Response {
    let asked = fields(&address.unwrap_or_default()).chain(fields(&body)).collect();
    match answer(&api, &asked) {
        Ok(data) => Json(Answered::Success { data }).into_response(),
        Err((status, error_type, error)) => {
            (status, Json(Answered::Error { error_type, error })).into_response()
        }
    }
}

fn fields(form: &str) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(form.trim().as_bytes()).into_owned()
}

type Failed = (StatusCode, &'static str, String);

fn answer(api: &Api, asked: &BTreeMap<String, String>) -> Result<Data, Failed> {
    let bad = |error: String| (StatusCode::BAD_REQUEST, "bad_data", error);
    let text = asked.get("query").ok_or_else(|| bad("query: give one, as in query=vector(1)".to_owned()))?;
    #[allow(clippy::cast_precision_loss)] // milliseconds
    let now = clock::unix_ms() as f64 / 1e3;
    let of_now = asked.get("time").is_none_or(|time| is_now(time, now));
    if !of_now {
        let error = "time: this is of now alone; ask the Prometheus that scrapes /metrics".to_owned();
        return Err((StatusCode::UNPROCESSABLE_ENTITY, "execution", error));
    }
    let silent_ms = api.lease.silent_ms();
    if silent_ms > ENGINE_SILENT_MS {
        let error = format!("the engine has not come round for {} s", silent_ms / 1_000);
        return Err((StatusCode::SERVICE_UNAVAILABLE, "unavailable", error));
    }
    Ok(match Query::parse(text).map_err(bad)? {
        Query::Scalar(value) => Data::Scalar((now, written(value))),
        Query::Vector(value) => {
            Data::Vector(vec![Series { metric: BTreeMap::new(), value: (now, written(value)) }])
        }
        Query::Series(selector) => {
            let page = metrics::page(
                &api.views.borrow(),
                &api.triggers.borrow(),
                &api.plugins,
                &api.troubles.borrow(),
            );
            let series = page.select(&selector).map(|(name, labels, value)| {
                let labels = labels.iter().map(|(label, value)| (*label, value.clone()));
                let metric = labels.chain([("__name__", name.to_owned())]).collect();
                Series { metric, value: (now, written(value)) }
            });
            Data::Vector(series.collect())
        }
    })
}

/// Seconds since 1970, or a moment as RFC 3339 writes it.
fn is_now(time: &str, now: f64) -> bool {
    #[allow(clippy::cast_precision_loss)] // milliseconds
    let moment = |time: &str| api::instant(time, 0).ok().map(|ms| ms as f64 / 1e3);
    time.parse().ok().or_else(|| moment(time)).is_some_and(|time: f64| (time - now).abs() <= NOW_S)
}

/// As Prometheus writes it.
fn written(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}
