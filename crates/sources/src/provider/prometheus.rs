//! A query of Prometheus, or of a server with its API (<https://prometheus.io/docs/prometheus/latest/querying/api/>).

use std::collections::BTreeMap;

use manifest::{Prometheus, Range, Reduce};
use outbound::Url;
use serde::Deserialize;
use serde_json::Value;

use super::{Answering, Figure, Figures, Provider, QueryContext};
use crate::when::{SampleTime, When};

/// The answer's envelope, as far as it is needed; the rest is theirs to change.
#[derive(Deserialize)]
struct Envelope {
    status: String,
    #[serde(default)]
    data: Data,
    #[serde(default, rename = "errorType")]
    error_type: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
    /// What VictoriaMetrics says when some of its nodes did not answer.
    #[serde(default, rename = "isPartial")]
    is_partial: Option<bool>,
    #[serde(default)]
    partial: Option<bool>,
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

/// A moment, in seconds since 1970, and a number as text: JSON knows no NaN.
type Sample = (f64, String);

impl Provider for Prometheus {
    type Answer = Figures;

    fn url(&self) -> &str {
        &self.url
    }

    fn access(&self) -> &manifest::Access {
        &self.access
    }

    fn ask<'a>(&'a self, asking: &'a QueryContext<'a>) -> Answering<'a, Figures> {
        Box::pin(now(self, asking))
    }

    fn remembers(&self) -> bool {
        true
    }

    fn before<'a>(&'a self, range: Range, asking: &'a QueryContext<'a>) -> Answering<'a, Vec<f64>> {
        Box::pin(before(self, range, asking))
    }
}

async fn now(source: &Prometheus, asking: &QueryContext<'_>) -> Result<Figures, String> {
    super::refuse_file(source.bearer_token_file.as_ref())?;
    let when = asking.when;
    // Of what was before the stage, or before the canary had traffic, nothing is asked for.
    let spell = match source.range {
        Some(range) => Spell::Over {
            from_ms: when.now_ms.saturating_sub(range.over.ms()).max(when.since_ms()),
            to_ms: when.now_ms,
            step_ms: range.step.ms(),
        },
        None => Spell::At(when.now_ms),
    };
    let one = async |question: &String| {
        let data = query(source, question, spell, asking).await?;
        value(data, source.reduce.unwrap_or_default(), spell, when)
            .map_err(|error| format!("the query {question:?} {error}"))
    };
    let stable = async {
        match &source.stable_query {
            Some(question) => one(question).await,
            None => Ok(Figure::default()),
        }
    };
    let (canary, stable) = tokio::try_join!(one(&source.query), stable)?;
    Ok(Figures::new(canary, stable))
}

/// What time a query is of.
#[derive(Clone, Copy)]
enum Spell {
    /// One moment, in milliseconds since 1970.
    At(u64),
    /// Some time.
    Over { from_ms: u64, to_ms: u64, step_ms: u64 },
}

/// The numbers it gave over a time that ended one step ago: of stable, where stable is asked for.
async fn before(source: &Prometheus, range: Range, asking: &QueryContext<'_>) -> Result<Vec<f64>, String> {
    let question = source.stable_query.as_ref().unwrap_or(&source.query);
    let to_ms = asking.when.now_ms.saturating_sub(range.step.ms());
    let from_ms = to_ms.saturating_sub(range.over.ms());
    let spell = Spell::Over { from_ms, to_ms, step_ms: range.step.ms() };
    let data = query(source, question, spell, asking).await?;
    numbers(data).map_err(|error| format!("the query {question:?} {error}"))
}

/// The data of an answer.
async fn query(
    source: &Prometheus,
    question: &str,
    spell: Spell,
    asking: &QueryContext<'_>,
) -> Result<Data, String> {
    let QueryContext { web, access, .. } = asking;
    let mut url = web.url(&source.url)?;
    place(&mut url, question, spell);
    url.query_pairs_mut().append_pair("timeout", &format!("{}ms", access.timeout.as_millis()));
    let shown = outbound::shown(&url);
    let answer = asking.get(&url).await?;
    let status = answer.status;
    let envelope: Envelope = match serde_json::from_slice(&answer.body) {
        Ok(envelope) => envelope,
        Err(_) => {
            return Err(if status.is_success() {
                let said = answer.excerpt(&access.scrub);
                format!("{shown} answered what no Prometheus answers: {said}; is the url the server's own?")
            } else {
                format!("{shown} {}", answer.refusal(&access.scrub))
            });
        }
    };
    if envelope.status != "success" || !status.is_success() {
        let Envelope { error_type, error, .. } = envelope;
        let (kind, error) = (error_type.unwrap_or_default(), error.unwrap_or_default());
        return Err(format!("{shown} refused the query {question:?}: {kind}: {error} ({status})"));
    }
    if envelope.is_partial == Some(true) || envelope.partial == Some(true) {
        return Err(format!("{shown} answered {question:?} with part of the data alone (isPartial)"));
    }
    // A note about style is none about truth; anything else says that part of the data is missing.
    if let Some(warning) =
        envelope.warnings.iter().flatten().find(|warning| !warning.starts_with("PromQL info"))
    {
        return Err(format!("{shown} does not vouch for its answer to {question:?}: {warning}"));
    }
    Ok(envelope.data)
}

/// `{server}/api/v1/query?query=...`, or `query_range` for some time; the server may be behind a path. The moment is ours,
/// so that times in the answer are told by our clock.
fn place(url: &mut Url, question: &str, spell: Spell) {
    let (kind, times) = match spell {
        Spell::At(at_ms) => ("query", vec![("time", at_ms)]),
        Spell::Over { from_ms, to_ms, step_ms } => {
            ("query_range", vec![("start", from_ms), ("end", to_ms), ("step", step_ms)])
        }
    };
    let path = format!("{}/api/v1/{kind}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    let mut pairs = url.query_pairs_mut();
    pairs.append_pair("query", question);
    for (name, ms) in times {
        pairs.append_pair(name, &format!("{}.{:03}", ms / 1_000, ms % 1_000));
    }
}

fn value(data: Data, reduce: Reduce, spell: Spell, when: When) -> Result<Figure, String> {
    match data.kind.as_str() {
        "scalar" => match serde_json::from_value(data.result) {
            Ok(sample) => present(&sample, when),
            Err(error) => Err(format!("gives a scalar that cannot be read: {error}")),
        },
        "vector" | "matrix" => match only(data)? {
            None => Ok(Figure::default()),
            Some(Series { value: Some(sample), .. }) => present(&sample, when),
            Some(series) => reduced(series.values, reduce, spell, when),
        },
        other => Err(format!("gives a {other:?}; write one that gives a scalar or a vector of one element")),
    }
}

/// The one value of a moment.
fn present(sample: &Sample, when: When) -> Result<Figure, String> {
    let timely = of_now(sample.0, when.oldest_present_ms(), when)?;
    Ok(Figure::at(number(sample)?, timely))
}

/// Is a time of the answer, in seconds since 1970, one of now?
fn of_now(seconds: f64, oldest_ms: f64, when: When) -> Result<SampleTime, String> {
    if !(0.0..1e11).contains(&seconds) {
        return Err(format!(
            "gives the time {seconds}, which is no number of seconds since 1970; does Prometheus answer?"
        ));
    }
    let timely = when.timely(seconds * 1e3, oldest_ms).map_err(|why| format!("gives a value that {why}"))?;
    Ok(match timely {
        SampleTime::Yes => SampleTime::Yes,
        SampleTime::No(why) => SampleTime::No(format!("the query's newest value {why}")),
    })
}

/// Every value that is a number, of an answer over a time.
fn numbers(data: Data) -> Result<Vec<f64>, String> {
    let values = only(data)?.map(|series| series.values).unwrap_or_default();
    let read: Result<Vec<f64>, String> = values.iter().map(number).collect();
    Ok(read?.into_iter().filter(|value| value.is_finite()).collect())
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

/// One number of the values of what is measured, if the newest of them is of now: a series that has ended says nothing of it.
#[allow(clippy::cast_precision_loss)] // milliseconds, and some thousand values
fn reduced(mut values: Vec<Sample>, reduce: Reduce, spell: Spell, when: When) -> Result<Figure, String> {
    values.sort_by(|one, other| one.0.total_cmp(&other.0));
    let step_ms = match spell {
        Spell::Over { step_ms, .. } => step_ms as f64,
        // Samples as they were scraped: how far they are apart is told by themselves.
        Spell::At(_) => between_ms(&values),
    };
    let Some(newest) = values.last() else { return Ok(Figure::default()) };
    // A range has its steps whatever `every` says, and its last value is one step old at most.
    let asked = if matches!(spell, Spell::Over { .. }) { When { every_ms: 0, ..when } } else { when };
    if let SampleTime::No(why) = of_now(newest.0, asked.oldest_ms(step_ms), when)? {
        return Ok(Figure { value: None, why: Some(why) });
    }
    let ours = values.iter().filter(|(seconds, _)| seconds * 1e3 >= when.since_ms() as f64);
    let read: Vec<f64> = ours.map(number).collect::<Result<_, _>>()?;
    // The newest is asked for: an older one would pass for it.
    if reduce == Reduce::Last {
        return Ok(read.last().copied().map_or_else(Figure::default, Figure::of));
    }
    let numbers: Vec<f64> = read.into_iter().filter(|value| !value.is_nan()).collect();
    let value = match reduce {
        Reduce::Last | Reduce::Max => numbers.into_iter().reduce(f64::max),
        Reduce::Min => numbers.into_iter().reduce(f64::min),
        Reduce::Avg => (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64),
    };
    Ok(value.map_or_else(Figure::default, Figure::of))
}

/// The usual time between two samples in their order, in milliseconds; 0 where there is one alone.
fn between_ms(values: &[Sample]) -> f64 {
    let mut gaps: Vec<f64> =
        values.iter().zip(values.iter().skip(1)).map(|(one, next)| next.0 - one.0).collect();
    gaps.sort_by(f64::total_cmp);
    gaps.get(gaps.len() / 2).map_or(0.0, |seconds| seconds * 1e3)
}

fn number((_, text): &Sample) -> Result<f64, String> {
    text.parse().map_err(|_| format!("gives {text:?}, which is no number"))
}

/// A series as Prometheus writes it: `up{job="node"}`.
fn name(series: &Series) -> String {
    let labels = series.metric.iter().filter(|(label, _)| *label != "__name__");
    let labels: Vec<String> = labels.map(|(label, value)| format!("{label}={value:?}")).collect();
    format!("{}{{{}}}", series.metric.get("__name__").map_or("", String::as_str), labels.join(","))
}
