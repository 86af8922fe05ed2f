//! What the user has run at a moment of a rollout: a program, or a POST.

use std::time::Duration;

use serde_json::Value;

/// A POST of JSON; anything but 2xx is a failure. One that is sent twice has the same key.
pub async fn post(
    client: &reqwest::Client,
    url: &str,
    body: &Value,
    key: Option<&str>,
    timeout: Duration,
) -> Result<(), String> {
    let mut request = client.post(url).json(body).timeout(timeout);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("{url} answered {}", answer.status())),
        Err(error) => Err(format!("{url} did not answer: {error}")),
    }
}

/// A program with arguments; anything but exit code 0 is a failure.
pub async fn command(words: &[String], env: &[(&str, &str)], timeout: Duration) -> Result<(), String> {
    let Some((program, arguments)) = words.split_first() else {
        return Err("the command is empty".to_owned());
    };
    let running = tokio::process::Command::new(program)
        .args(arguments)
        .envs(env.iter().copied())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(timeout, running).await {
        Err(_) => Err(format!("{program} did not end within {} s", timeout.as_secs())),
        Ok(Err(error)) => Err(format!("{program} could not be started: {error}")),
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{program} ended with {}: {}", output.status, said.trim()))
        }
    }
}
