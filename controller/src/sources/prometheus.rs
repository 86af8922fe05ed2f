//! An instant query of Prometheus, or of whatever speaks its API (<https://prometheus.io/docs/prometheus/latest/querying/api/>).

use std::collections::BTreeMap;

use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use spec::Prometheus;

use super::Pair;
use super::web::{self, Web};

/// The answer's envelope, as far as it is needed; the rest is theirs to change.
#[derive(Deserialize)]
struct Envelope {
    status: String,
    #[serde(default)]
    data: Data,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: Value,
}

/// One series of a vector (`value`) or a matrix (`values`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Series {
    metric: BTreeMap<String, String>,
    value: Option<Sample>,
    values: Vec<Sample>,
    histogram: Option<Value>,
    histograms: Vec<Value>,
}

/// A moment and a number as text: JSON knows no NaN.
type Sample = (f64, String);

pub async fn ask(web: &Web, source: &Prometheus) -> Result<Pair, String> {
    let token = source.bearer_token_file.as_deref();
    let stable = async {
        match &source.stable_query {
            Some(question) => query(web, &source.url, question, token).await,
            None => Ok(None),
        }
    };
    tokio::try_join!(query(web, &source.url, &source.query, token), stable)
}

async fn query(web: &Web, server: &str, question: &str, token: Option<&str>) -> Result<Option<f64>, String> {
    let url = place(server, question)?;
    let shown = web::shown(&url);
    let answer = web.get(&url, token).await?;
    let envelope: Envelope = match serde_json::from_slice(&answer.body) {
        Ok(envelope) => envelope,
        Err(_) if answer.status.is_success() => {
            return Err(format!(
                "{shown} answered what no Prometheus answers: {}; is the url the server's own?",
                web::excerpt(&answer.body)
            ));
        }
        Err(_) => return Err(format!("{shown} answered {}: {}", answer.status, web::excerpt(&answer.body))),
    };
    if envelope.status != "success" || !answer.status.is_success() {
        let Envelope { error_type, error, .. } = envelope;
        return Err(format!(
            "{shown} refused the query {question:?}: {error_type}: {error} ({})",
            answer.status
        ));
    }
    // A note about style is none about truth; anything else says that part of the data is missing.
    if let Some(warning) = envelope.warnings.iter().find(|warning| !warning.starts_with("PromQL info")) {
        return Err(format!("{shown} does not vouch for its answer to {question:?}: {warning}"));
    }
    value(envelope.data).map_err(|error| format!("the query {question:?} {error}"))
}

/// `{server}/api/v1/query?query=...`; the server may be behind a path.
fn place(server: &str, question: &str) -> Result<Url, String> {
    let mut url = web::url(server)?;
    let path = format!("{}/api/v1/query", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.query_pairs_mut().append_pair("query", question).append_pair("timeout", "10s");
    Ok(url)
}

fn value(data: Data) -> Result<Option<f64>, String> {
    match data.kind.as_str() {
        "scalar" => match serde_json::from_value(data.result) {
            Ok(sample) => number(&sample),
            Err(error) => Err(format!("gives a scalar that cannot be read: {error}")),
        },
        "vector" | "matrix" => {
            let series: Vec<Series> = serde_json::from_value(data.result)
                .map_err(|error| format!("gives a {} that cannot be read: {error}", data.kind))?;
            match series.as_slice() {
                [] => Ok(None),
                [one] if one.histogram.is_some() || !one.histograms.is_empty() => Err(format!(
                    "gives a histogram ({}); take a number of it, such as histogram_quantile(0.99, ...)",
                    name(one)
                )),
                [one] => one.value.as_ref().or(one.values.last()).map_or(Ok(None), number),
                [first, second, ..] => Err(format!(
                    "gives {} series, such as {} and {}; make it one, by sum(...) or narrower labels",
                    series.len(),
                    name(first),
                    name(second)
                )),
            }
        }
        other => Err(format!("gives a {other:?}; write one that gives a scalar or a vector of one element")),
    }
}

/// NaN and the infinities, such as 0/0 while nothing happens, are no data.
fn number((_, text): &Sample) -> Result<Option<f64>, String> {
    match text.parse::<f64>() {
        Ok(number) => Ok(Some(number).filter(|number| number.is_finite())),
        Err(_) => Err(format!("gives {text:?}, which is no number")),
    }
}

/// A series as Prometheus writes it: `up{job="node"}`.
fn name(series: &Series) -> String {
    let labels = series.metric.iter().filter(|(label, _)| *label != "__name__");
    let labels: Vec<String> = labels.map(|(label, value)| format!("{label}={value:?}")).collect();
    format!("{}{{{}}}", series.metric.get("__name__").map_or("", String::as_str), labels.join(","))
}
