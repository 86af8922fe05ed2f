//! A field of a JSON answer.

use serde_json::Value;
use spec::Http;

use super::Pair;
use super::web::{self, Web};

pub async fn ask(web: &Web, source: &Http) -> Result<Pair, String> {
    let url = web::url(&source.url)?;
    let shown = web::shown(&url);
    let answer = web.get(&url, source.bearer_token_file.as_deref()).await?;
    if !answer.status.is_success() {
        let redirect = if answer.status.is_redirection() { "; write the address it leads to" } else { "" };
        return Err(format!(
            "{shown} answered {}, with {}{redirect}",
            answer.status,
            web::excerpt(&answer.body)
        ));
    }
    if answer.body.is_empty() {
        return Ok((None, None));
    }
    let body: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("{shown} answered no JSON ({error}) but {}", web::excerpt(&answer.body)))?;
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
