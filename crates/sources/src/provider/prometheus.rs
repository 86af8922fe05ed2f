//! A query of Prometheus, or of whatever speaks its API (<https://prometheus.io/docs/prometheus/latest/querying/api/>).

use std::collections::BTreeMap;
use std::time::Duration;

use manifest::{Prometheus, Range, Reduce};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{Answering, Asking, Provider};
use crate::{Pair, web};

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

impl Provider for Prometheus {
    type Answer = Pair;

    fn url(&self) -> &str {
        &self.url
    }

    fn access(&self) -> &manifest::Access {
        &self.access
    }

    fn ask<'a>(&'a self, asking: &'a Asking<'a>) -> Answering<'a, Pair> {
        Box::pin(now(self, asking))
    }

    fn remembers(&self) -> bool {
        true
    }

    fn before<'a>(&'a self, range: Range, asking: &'a Asking<'a>) -> Answering<'a, Vec<f64>> {
        Box::pin(before(self, range, asking))
    }
}

async fn now(source: &Prometheus, asking: &Asking<'_>) -> Result<Pair, String> {
    super::refuse_file(source.bearer_token_file.as_ref())?;
    let range = source.range.map(|range| (range, asking.now_ms));
    let one = async |question: &String| {
        let data = query(source, question, range, asking).await?;
        value(data, source.reduce.unwrap_or_default())
            .map_err(|error| format!("the query {question:?} {error}"))
    };
    let stable = async {
        match &source.stable_query {
            Some(question) => one(question).await,
            None => Ok(None),
        }
    };
    tokio::try_join!(one(&source.query), stable)
}

/// The numbers it gave over a time that ended one step ago: of stable, where stable is asked for.
async fn before(source: &Prometheus, range: Range, asking: &Asking<'_>) -> Result<Vec<f64>, String> {
    let question = source.stable_query.as_ref().unwrap_or(&source.query);
    let until_ms = asking.now_ms.saturating_sub(range.step.ms());
    let data = query(source, question, Some((range, until_ms)), asking).await?;
    numbers(data).map_err(|error| format!("the query {question:?} {error}"))
}

/// The data of an answer; `range`: over which time, and until when.
async fn query(
    source: &Prometheus,
    question: &str,
    range: Option<(Range, u64)>,
    asking: &Asking<'_>,
) -> Result<Data, String> {
    let Asking { web, access, .. } = asking;
    let mut url = web.url(&source.url)?;
    place(&mut url, question, range, access.timeout);
    let shown = web::shown(&url);
    let answer = web.get(&url, access).await?;
    let status = answer.status;
    let envelope: Envelope = match serde_json::from_slice(&answer.body) {
        Ok(envelope) => envelope,
        Err(_) => {
            let said = answer.excerpt(&access.scrub);
            return Err(if status.is_success() {
                format!("{shown} answered what no Prometheus answers: {said}; is the url the server's own?")
            } else {
                format!("{shown} answered {status}: {said}{}", answer.redirected())
            });
        }
    };
    if envelope.status != "success" || !status.is_success() {
        let Envelope { error_type, error, .. } = envelope;
        return Err(format!("{shown} refused the query {question:?}: {error_type}: {error} ({status})"));
    }
    // A note about style is none about truth; anything else says that part of the data is missing.
    if let Some(warning) = envelope.warnings.iter().find(|warning| !warning.starts_with("PromQL info")) {
        return Err(format!("{shown} does not vouch for its answer to {question:?}: {warning}"));
    }
    Ok(envelope.data)
}

/// `{server}/api/v1/query?query=...`, or `query_range` for a time and its end; the server may be behind a path.
fn place(url: &mut Url, question: &str, range: Option<(Range, u64)>, timeout: Duration) {
    let kind = if range.is_some() { "query_range" } else { "query" };
    let path = format!("{}/api/v1/{kind}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    let mut pairs = url.query_pairs_mut();
    pairs.append_pair("query", question).append_pair("timeout", &format!("{}ms", timeout.as_millis()));
    if let Some((range, now_ms)) = range {
        let start_ms = now_ms.saturating_sub(range.over.ms());
        for (name, ms) in [("start", start_ms), ("end", now_ms), ("step", range.step.ms())] {
            pairs.append_pair(name, &format!("{}.{:03}", ms / 1_000, ms % 1_000));
        }
    }
}

fn value(data: Data, reduce: Reduce) -> Result<Option<f64>, String> {
    match data.kind.as_str() {
        "scalar" => match serde_json::from_value(data.result) {
            Ok(sample) => number(&sample),
            Err(error) => Err(format!("gives a scalar that cannot be read: {error}")),
        },
        "vector" | "matrix" => match only(data)? {
            None => Ok(None),
            Some(Series { value: Some(sample), .. }) => number(&sample),
            Some(series) => reduced(&series.values, reduce),
        },
        other => Err(format!("gives a {other:?}; write one that gives a scalar or a vector of one element")),
    }
}

/// Every value that is a number, of an answer over a time.
fn numbers(data: Data) -> Result<Vec<f64>, String> {
    let values = only(data)?.map(|series| series.values).unwrap_or_default();
    let read: Result<Vec<Option<f64>>, String> = values.iter().map(number).collect();
    Ok(read?.into_iter().flatten().collect())
}

/// The one series of a vector or a matrix; `None`: there is none.
fn only(data: Data) -> Result<Option<Series>, String> {
    let mut series: Vec<Series> = serde_json::from_value(data.result)
        .map_err(|error| format!("gives a {} that cannot be read: {error}", data.kind))?;
    match series.as_slice() {
        [one] if one.histogram.is_some() || !one.histograms.is_empty() => Err(format!(
            "gives a histogram ({}); take a number of it, such as histogram_quantile(0.99, ...)",
            name(one)
        )),
        [] | [_] => Ok(series.pop()),
        [first, second, ..] => Err(format!(
            "gives {} series, such as {} and {}; make it one, by sum(...) or narrower labels",
            series.len(),
            name(first),
            name(second)
        )),
    }
}

/// One number of the values that are numbers.
fn reduced(values: &[Sample], reduce: Reduce) -> Result<Option<f64>, String> {
    let read: Result<Vec<Option<f64>>, String> = values.iter().map(number).collect();
    // The newest is asked for: an older one would pass for it.
    if reduce == Reduce::Last {
        return Ok(read?.last().copied().flatten());
    }
    let numbers: Vec<f64> = read?.into_iter().flatten().collect();
    Ok(match reduce {
        Reduce::Last | Reduce::Max => numbers.into_iter().reduce(f64::max),
        Reduce::Min => numbers.into_iter().reduce(f64::min),
        #[allow(clippy::cast_precision_loss)] // some thousand values
        Reduce::Avg => (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64),
    })
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
