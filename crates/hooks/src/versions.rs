//! Which version endpoints serve, by their own word.

use std::time::Duration;

use futures::future::join_all;
use manifest::VersionIn;
use outbound::{Client, Question, Scrub};
use rollout::Endpoint;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(2);
/// An answer that names a version may name much more.
const LONGEST: usize = 1 << 20;

/// Asks all at once.
pub async fn ask(web: &Client, endpoints: &[String], version_in: &VersionIn) -> Vec<Endpoint> {
    let ask = async |url: &String| match version(web, url, version_in).await {
        Ok(version) => Endpoint { url: url.clone(), version: Some(version), error: None },
        Err(error) => Endpoint { url: url.clone(), version: None, error: Some(error) },
    };
    join_all(endpoints.iter().map(ask)).await
}

async fn version(web: &Client, text: &str, place: &VersionIn) -> Result<String, String> {
    let (url, headers) = web.url_with_credentials(text)?;
    let answer = web.ask(Question::get(&url).with(headers), PATIENCE, LONGEST).await?;
    let shown = outbound::shown(&url);
    if !answer.status.is_success() {
        return Err(format!("{shown} {}", answer.refusal(&Scrub::default())));
    }
    match place {
        VersionIn::Header(name) => {
            let value = answer.headers.get(name).ok_or_else(|| format!("{shown} sends no header {name}"))?;
            value
                .to_str()
                .map(str::to_owned)
                .map_err(|_| format!("{shown} sends a header {name} that is no text"))
        }
        VersionIn::JsonPointer(pointer) => {
            let body: Value = serde_json::from_slice(&answer.body)
                .map_err(|error| format!("{shown} answered no JSON: {error}"))?;
            match body.pointer(pointer) {
                Some(Value::String(text)) => Ok(text.clone()),
                // As it is written: versions that are numbers are texts here.
                Some(Value::Number(number)) => Ok(number.to_string()),
                Some(other) => Err(format!("{shown} has {other} at {pointer}, neither text nor number")),
                None => Err(format!("{shown} has nothing at {pointer}")),
            }
        }
    }
}
