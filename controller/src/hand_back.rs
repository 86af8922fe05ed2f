//! Getting the new version behind the stable route: the hook, and asking stable's endpoints what they serve.

use std::time::Duration;

use rollout::{Endpoint, HandBackRequest};
use serde_json::{Value, json};
use spec::{HandBack, HandBackHow, VersionIn};

const HOOK_TIMEOUT: Duration = Duration::from_secs(60);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the hook; `Ok(false)`: there is none, a person does it. A crash can make it run twice: both times with the same
/// `key`.
pub async fn run(client: &reqwest::Client, request: &HandBackRequest, key: &str) -> Result<bool, String> {
    let HandBackRequest { rollout, from, to, how } = request;
    let body = json!({"rollout": rollout, "from": from, "to": to, "key": key});
    match how {
        HandBackHow::Manual => Ok(false),
        HandBackHow::Url(url) => {
            let answer = client
                .post(url)
                .header("idempotency-key", key)
                .json(&body)
                .timeout(HOOK_TIMEOUT)
                .send()
                .await;
            match answer {
                Ok(answer) if answer.status().is_success() => Ok(true),
                Ok(answer) => Err(format!("{url} answered {}", answer.status())),
                Err(error) => Err(format!("{url} did not answer: {error}")),
            }
        }
        HandBackHow::Command(words) => {
            let Some((program, arguments)) = words.split_first() else {
                return Err("the command is empty".to_owned());
            };
            let running = tokio::process::Command::new(program)
                .args(arguments)
                .env("SERIN_ROLLOUT", rollout)
                .env("SERIN_FROM", from)
                .env("SERIN_TO", to)
                .env("SERIN_KEY", key)
                .kill_on_drop(true)
                .output();
            match tokio::time::timeout(HOOK_TIMEOUT, running).await {
                Err(_) => Err(format!("{program} did not end within {} s", HOOK_TIMEOUT.as_secs())),
                Ok(Err(error)) => Err(format!("{program} could not be started: {error}")),
                Ok(Ok(output)) if output.status.success() => Ok(true),
                Ok(Ok(output)) => {
                    let said = String::from_utf8_lossy(&output.stderr);
                    Err(format!("{program} ended with {}: {}", output.status, said.trim()))
                }
            }
        }
    }
}

/// Asks each endpoint which version it serves.
pub async fn versions(client: &reqwest::Client, plan: &HandBack) -> Vec<Endpoint> {
    let mut answers = Vec::with_capacity(plan.endpoints.len());
    for url in &plan.endpoints {
        answers.push(Endpoint { url: url.clone(), version: version(client, url, &plan.version_in).await });
    }
    answers
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
