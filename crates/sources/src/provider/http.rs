//! A field of a JSON answer.

use manifest::Http;
use serde_json::Value;

use super::{Answering, Asking, Provider};
use crate::Pair;
use crate::web;

impl Provider for Http {
    type Answer = Pair;

    fn url(&self) -> &str {
        &self.url
    }

    fn access(&self) -> &manifest::Access {
        &self.access
    }

    fn ask<'a>(&'a self, asking: &'a Asking<'a>) -> Answering<'a, Pair> {
        Box::pin(fields(self, asking))
    }
}

async fn fields(source: &Http, asking: &Asking<'_>) -> Result<Pair, String> {
    super::refuse_file(source.bearer_token_file.as_ref())?;
    let Asking { web, access, .. } = asking;
    let url = web.url(&source.url)?;
    let shown = web::shown(&url);
    let answer = web.get(&url, access).await?;
    if !answer.status.is_success() {
        let (status, said) = (answer.status, answer.excerpt(&access.scrub));
        return Err(format!("{shown} answered {status}, with {said}{}", answer.redirected()));
    }
    if answer.body.is_empty() {
        return Ok((None, None));
    }
    let body: Value = serde_json::from_slice(&answer.body).map_err(|error| {
        format!("{shown} answered no JSON ({error}) but {}", answer.excerpt(&access.scrub))
    })?;
    let value = |pointer: &str| number(&body, pointer).map_err(|error| format!("{shown}: {error}"));
    let stable = source.stable_pointer.as_deref().map(value).transpose()?.flatten();
    Ok((value(&source.json_pointer)?, stable))
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
        (Some(number), _) => Ok(Some(number).filter(|number| number.is_finite())),
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
