//! Getting the new version behind the stable route: the hook, and asking stable's endpoints what they serve.

use std::time::Duration;

use futures::future::join_all;
use manifest::{HandBackHow, VersionIn};
use rollout::{Endpoint, HandBackRequest};
use serde_json::{Value, json};

use crate::hook::Hooks;

const HOOK_TIMEOUT: Duration = Duration::from_secs(60);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the hook; `Ok(false)`: there is none, a person does it. A crash can make it run twice: both times with the same
/// `key`.
pub async fn run(hooks: &Hooks, request: &HandBackRequest, key: &str) -> Result<bool, String> {
    let HandBackRequest { rollout, from, to, keep_ms, how } = request;
    // `from` is not to be taken down for so long after the run.
    let keep_seconds = keep_ms.map(|ms| ms / 1_000);
    let body = json!({"rollout": rollout, "from": from, "to": to, "keep_seconds": keep_seconds, "key": key});
    match how {
        HandBackHow::Manual => Ok(false),
        HandBackHow::Url(url) => hooks.post(url, &body, Some(key), HOOK_TIMEOUT).await.map(|()| true),
        HandBackHow::Command(words) => {
            let keep = keep_seconds.map(|seconds| seconds.to_string()).unwrap_or_default();
            let env = [
                ("SERIN_ROLLOUT", &**rollout),
                ("SERIN_FROM", from),
                ("SERIN_TO", to),
                ("SERIN_KEEP_SECONDS", &keep),
                ("SERIN_KEY", key),
            ];
            hooks.command(words, &env, HOOK_TIMEOUT).await.map(|()| true)
        }
    }
}

/// Asks all endpoints at once which version they serve.
pub async fn versions(
    client: &reqwest::Client,
    endpoints: &[String],
    version_in: &VersionIn,
) -> Vec<Endpoint> {
    let ask =
        async |url: &String| Endpoint { url: url.clone(), version: version(client, url, version_in).await };
    join_all(endpoints.iter().map(ask)).await
}

async fn version(client: &reqwest::Client, url: &str, place: &VersionIn) -> Option<String> {
    let answer = client.get(url).timeout(PROBE_TIMEOUT).send().await.ok()?.error_for_status().ok()?;
    match place {
        VersionIn::Header(name) => Some(answer.headers().get(name)?.to_str().ok()?.to_owned()),
        VersionIn::JsonPointer(pointer) => {
            Some(answer.json::<Value>().await.ok()?.pointer(pointer)?.as_str()?.to_owned())
        }
    }
}
