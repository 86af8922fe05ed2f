//! A field of a JSON answer.

use manifest::Http;
use outbound::StatusCode;
use serde_json::Value;

use super::{Answering, Figure, Figures, Provider, QueryContext};
use crate::moment::{self, Zone};
use crate::{json, when::SampleTime};

impl Provider for Http {
    type Answer = Figures;

    fn url(&self) -> &str {
        &self.url
    }

    fn access(&self) -> &manifest::Access {
        &self.access
    }

    fn ask<'a>(&'a self, asking: &'a QueryContext<'a>) -> Answering<'a, Figures> {
        Box::pin(fields(self, asking))
    }
}

async fn fields(source: &Http, asking: &QueryContext<'_>) -> Result<Figures, String> {
    super::refuse_file(source.bearer_token_file.as_ref())?;
    let QueryContext { web, access, .. } = asking;
    let url = web.url(&source.url)?;
    let shown = outbound::shown(&url);
    let answer = asking.get(&url).await?;
    if !answer.status.is_success() || answer.status == StatusCode::PARTIAL_CONTENT {
        return Err(format!("{shown} {}", answer.refusal(&access.scrub)));
    }
    if answer.body.is_empty() {
        return Ok(Figures::default());
    }
    let body: Value = json::read(&answer.body).map_err(|error| {
        format!("{shown} answered no JSON ({error}) but {}", answer.excerpt(&access.scrub))
    })?;
    let named = |error| format!("{shown}: {error}");
    let timely = match &source.time_pointer {
        None => SampleTime::Yes,
        Some(pointer) => time(&body, pointer, asking).map_err(named)?,
    };
    let value = |pointer: &str| {
        let value = number(&body, pointer).map_err(named)?;
        Ok::<_, String>(value.map_or_else(Figure::default, |value| Figure::at(value, timely.clone())))
    };
    let stable = source.stable_pointer.as_deref().map(value).transpose()?.unwrap_or_default();
    Ok(Figures::new(value(&source.json_pointer)?, stable))
}

/// When what is read was measured: is it of now?
fn time(body: &Value, pointer: &str, asking: &QueryContext<'_>) -> Result<SampleTime, String> {
    let read = match body.pointer(pointer) {
        None | Some(Value::Null) => {
            return Err(format!("{pointer} (timePointer) holds nothing; point at the time of the value"));
        }
        Some(Value::Number(number)) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            moment::of_number(number)
                .map(|seconds| (seconds, Zone::Said))
                .map_err(|why| (number.to_string(), why))
        }
        Some(Value::String(text)) => moment::of_text(text.trim()).map_err(|why| (format!("{text:?}"), why)),
        Some(other) => Err((other.to_string(), moment::NoMoment::Unreadable)),
    };
    let (seconds, zone) = read.map_err(|(shown, why)| {
        format!("{pointer} (timePointer) holds {shown}, which {}", moment::refusal(why))
    })?;
    if zone == Zone::Unsaid {
        return Err(format!(
            "{pointer} (timePointer) names no zone, and an hour more or less decides whether it is of now; write one, such \
             as Z or +01:00"
        ));
    }
    let timely = asking.when.timely(seconds * 1e3, asking.when.oldest_present_ms());
    let timely = timely.map_err(|why| format!("the value {why}"))?;
    Ok(match timely {
        SampleTime::Yes => SampleTime::Yes,
        SampleTime::No(why) => SampleTime::No(format!("the value {why}")),
    })
}

/// Absent, null and NaN are no data. A number in quotes is a number: not everybody's JSON is ours to choose.
fn number(body: &Value, pointer: &str) -> Result<Option<f64>, String> {
    let found = match body.pointer(pointer) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    match (found, body.pointer(pointer)) {
        (Some(number), _) => Ok(Some(number).filter(|number| !number.is_nan())),
        (None, other) => {
            let kind = match other {
                Some(Value::Array(_)) => "a list",
                Some(Value::Object(_)) => "an object",
                Some(Value::Bool(_)) => "true or false",
                _ => "a text",
            };
            Err(format!("{pointer} holds {kind}, not a number; point at the number itself"))
        }
    }
}
