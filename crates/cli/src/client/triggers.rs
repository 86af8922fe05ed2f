//! Triggers from the command's side.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{accepted, send};
use crate::args::{Output, Trigger, TriggerAct};

/// What the controller answers, as far as a person is shown it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct View {
    name: String,
    rollout: String,
    model: Option<String>,
    when: Value,
    webhook: bool,
    poll: Option<Poll>,
    pending: Option<Version>,
    versions: Vec<Version>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Poll {
    url: String,
    every_ms: u64,
    last_success_unix_ms: Option<u64>,
    failures: u32,
    error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Version {
    version: String,
    by: String,
    outcome: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Gone {
    triggered: bool,
    version: String,
    message: String,
}

pub async fn run(options: Trigger) -> Result<ExitCode> {
    let base = format!("{}/v1/triggers", options.server.server);
    let refused = Ok(ExitCode::from(1));
    match options.act {
        TriggerAct::Get { name, output } => {
            let url = name.as_ref().map_or(base.clone(), |name| format!("{base}/{name}"));
            let Some(found) = accepted(send(Client::new().get(url)).await?).await? else { return refused };
            match (output, name) {
                (Output::Json, _) => println!("{}", serde_json::to_string_pretty(&found)?),
                (Output::Text, Some(_)) => print!("{}", one(&serde_json::from_value(found)?, now_ms())),
                (Output::Text, None) => print!("{}", list(&serde_json::from_value::<Vec<View>>(found)?)),
            }
        }
        TriggerAct::Fire { name, version, again, reason } => {
            let body = json!({"version": version, "again": again, "reason": reason});
            let answer = send(Client::new().post(format!("{base}/{name}/fire")).json(&body)).await?;
            let Some(gone) = accepted(answer).await? else { return refused };
            let Gone { triggered, version, message } = serde_json::from_value(gone)?;
            println!("{name}: version {version}: {message}");
            if !triggered {
                return refused;
            }
        }
        TriggerAct::Delete { name } => {
            let answer = send(Client::new().delete(format!("{base}/{name}"))).await?;
            if accepted(answer).await?.is_none() {
                return refused;
            }
            println!("{name}: forgotten");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn now_ms() -> u64 {
    crate::clock::unix_ms()
}

/// One line each.
fn list(all: &[View]) -> String {
    let mut out =
        format!("{:<24} {:<24} {:<34} {:<10} {}\n", "NAME", "ROLLOUT", "WAITS FOR", "LATEST", "REGISTRY");
    for view in all {
        let latest = view.versions.first().map_or("-", |version| version.version.as_str());
        let registry = match &view.poll {
            None => "is not asked".to_owned(),
            Some(Poll { error: Some(error), failures, .. }) => format!("silent {failures} times: {error}"),
            Some(Poll { last_success_unix_ms: None, .. }) => "not asked yet".to_owned(),
            Some(_) => "answers".to_owned(),
        };
        // Writing to a String does not fail.
        let _ = writeln!(
            out,
            "{:<24} {:<24} {:<34} {:<10} {registry}",
            view.name,
            view.rollout,
            view.awaited(),
            latest
        );
    }
    out
}

fn one(view: &View, now_ms: u64) -> String {
    let mut out = format!("{}: begins {}, waits for {}\n", view.name, view.rollout, view.awaited());
    if let Some(poll) = &view.poll {
        let ago = |unix_ms: u64| now_ms.saturating_sub(unix_ms) / 1_000;
        let last = poll.last_success_unix_ms.map_or_else(
            || "it has not answered yet".to_owned(),
            |unix_ms| format!("it answered {} s ago", ago(unix_ms)),
        );
        let _ = writeln!(out, "  asks {} every {} s; {last}", poll.url, poll.every_ms / 1_000);
        if let Some(error) = &poll.error {
            let _ = writeln!(out, "  no answer {} times in a row: {error}", poll.failures);
        }
    }
    if view.webhook {
        let _ = writeln!(out, "  takes webhooks at /v1/triggers/{}/webhook", view.name);
    }
    if let Some(pending) = &view.pending {
        let _ =
            writeln!(out, "  {:<8} waits until the present run is over ({})", pending.version, pending.by);
    }
    for Version { version, by, outcome } in &view.versions {
        let _ = writeln!(out, "  {version:<8} {} ({by})", said(outcome));
    }
    out
}

impl View {
    fn awaited(&self) -> String {
        let Some(model) = &self.model else { return "whoever names a version".to_owned() };
        let text = |pointer: &str| self.when.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let what = text("/alias")
            .map(|alias| format!("alias {alias}"))
            .or_else(|| text("/stage").map(|stage| format!("stage {stage}")))
            .or_else(|| {
                let value = text("/tag/value").map(|value| format!("={value}")).unwrap_or_default();
                text("/tag/key").map(|key| format!("tag {key}{value}"))
            });
        format!("{model} {}", what.unwrap_or_else(|| "made".to_owned()))
    }
}

/// What became of a version.
fn said(outcome: &Value) -> String {
    let text = |pointer: &str| outcome.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let number = |pointer: &str| outcome.pointer(pointer).and_then(Value::as_u64);
    if let Some(run) = number("/begun/run") {
        format!("run {run}")
    } else if let Some(run) = number("/queued/after_run") {
        format!("queued after run {run}")
    } else if outcome.get("passed_over").is_some() {
        format!("passed over: version {} came while it waited", text("/passed_over/by_version"))
    } else if outcome.get("refused").is_some() {
        format!("refused: {}", text("/refused/why"))
    } else if outcome == "stable" {
        "stable served it already".to_owned()
    } else {
        outcome.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_fits_a_terminal() {
        let view: View = serde_json::from_value(json!({
            "name": "registry", "rollout": "ranker", "model": "ranker-model", "unknown": 1,
            "when": {"tag": {"key": "production-ready", "value": "true"}}, "webhook": true,
            "poll": {"url": "http://mlflow", "every_ms": 60_000, "last_success_unix_ms": 1_000, "failures": 2, "error": "no answer"},
            "pending": {"version": "9", "by": "a webhook"},
            "versions": [
                {"version": "8", "by": "anna", "outcome": {"refused": {"why": "not now"}}},
                {"version": "7", "by": "x", "outcome": {"begun": {"run": 3}}},
                {"version": "6", "by": "x", "outcome": "stable"},
                {"version": "5", "by": "x", "outcome": {"passed_over": {"by_version": "6"}}},
                {"version": "4", "by": "x", "outcome": {"queued": {"after_run": 2}}},
                {"version": "3", "by": "x", "outcome": {"later": 1}},
            ],
        }))
        .expect("a view");
        assert_eq!(
            one(&view, 31_000),
            "registry: begins ranker, waits for ranker-model tag production-ready=true\n\
             \x20 asks http://mlflow every 60 s; it answered 30 s ago\n  no answer 2 times in a row: no answer\n\
             \x20 takes webhooks at /v1/triggers/registry/webhook\n\
             \x20 9        waits until the present run is over (a webhook)\n  8        refused: not now (anna)\n\
             \x20 7        run 3 (x)\n  6        stable served it already (x)\n\
             \x20 5        passed over: version 6 came while it waited (x)\n  4        queued after run 2 (x)\n\
             \x20 3        {\"later\":1} (x)\n"
        );
        let line = list(std::slice::from_ref(&view));
        assert!(line.contains("registry ") && line.contains("silent 2 times: no answer"), "{line}");
        assert_eq!(View::default().awaited(), "whoever names a version");
    }
}
