//! Hooks after the end of a run: a version is to be put behind the canary route, or can be deleted.

use std::time::Duration;

use manifest::HookHow;
use rollout::CallRequest;
use serde_json::json;

use crate::hook::Hooks;

const HOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// Calls the hook. A crash can make it called twice: both times with the same `key`.
pub async fn run(hooks: &Hooks, request: &CallRequest, key: &str) -> Result<(), String> {
    let CallRequest { rollout, run, duty, versions, stable, next, keep_ms, how } = request;
    let keep_seconds = keep_ms.map(|ms| ms / 1_000);
    match how {
        HookHow::Url(url) => {
            let body = json!({
                "rollout": rollout, "run": run, "what": duty.word(), "versions": versions, "stable": stable,
                "next": next, "keep_seconds": keep_seconds, "key": key,
            });
            hooks.post(url, &body, Some(key), HOOK_TIMEOUT).await
        }
        HookHow::Command(words) => {
            let (run, versions) = (run.to_string(), versions.join(" "));
            let keep_seconds = keep_seconds.map(|seconds| seconds.to_string()).unwrap_or_default();
            let env = [
                ("SERIN_ROLLOUT", &**rollout),
                ("SERIN_RUN", &run),
                ("SERIN_WHAT", duty.word()),
                ("SERIN_VERSIONS", &versions),
                ("SERIN_STABLE", stable),
                ("SERIN_NEXT", next.as_deref().unwrap_or_default()),
                ("SERIN_KEEP_SECONDS", &keep_seconds),
                ("SERIN_KEY", key),
            ];
            hooks.command(words, &env, HOOK_TIMEOUT).await
        }
    }
}
