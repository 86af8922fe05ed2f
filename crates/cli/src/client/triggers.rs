//! Triggers from the command's side.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use api::{FireRequest, Fired, OpenEnum, PollView, TriggerView, TriggeredView, VersionOutcome, path};
use manifest::When;
use serde_json::Value;

use super::Client;
use crate::args::{Output, Trigger, TriggerAct};

pub async fn run(options: Trigger) -> Result<ExitCode> {
    let client = Client::new(&options.server);
    match options.act {
        TriggerAct::Get { name, output } => {
            let read_at = name.as_deref().map_or_else(|| path::TRIGGERS.to_owned(), path::trigger);
            let found = client.get(&read_at).await?;
            match (output, name) {
                (Output::Json, _) => print!("{}", found.pretty()?),
                (Output::Text, Some(_)) => print!("{}", one(&found.read()?, now_ms())),
                (Output::Text, None) => print!("{}", list(&found.read::<Vec<TriggerView>>()?)),
            }
        }
        TriggerAct::Fire { name, version, again, reason } => {
            let request = FireRequest { version, again, reason };
            let fired = client.post(&path::of_trigger(&name, path::FIRE), &request).await?;
            let Fired { triggered, version, message } = fired.read()?;
            println!("{name}: version {}: {message}", version.unwrap_or_default());
            if !triggered {
                return Ok(ExitCode::from(1));
            }
        }
        TriggerAct::Delete { name } => {
            client.delete(&path::trigger(&name), &()).await?;
            println!("{name}: forgotten");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn now_ms() -> u64 {
    crate::clock::unix_ms()
}

/// One line each.
fn list(all: &[TriggerView]) -> String {
    let mut out =
        format!("{:<24} {:<24} {:<34} {:<10} {}\n", "NAME", "ROLLOUT", "WAITS FOR", "LATEST", "REGISTRY");
    for view in all {
        let latest = view.versions.first().map_or("-", |version| version.version.as_str());
        let registry = match &view.poll {
            None => "is not asked".to_owned(),
            Some(PollView { error: Some(error), failures, .. }) => {
                format!("silent {failures} times: {error}")
            }
            Some(PollView { last_success_unix_ms: None, .. }) => "not asked yet".to_owned(),
            Some(_) => "answers".to_owned(),
        };
        // Writing to a String does not fail.
        let _ = writeln!(
            out,
            "{:<24} {:<24} {:<34} {:<10} {registry}",
            view.name,
            view.rollout,
            awaited(view),
            latest
        );
    }
    out
}

fn one(view: &TriggerView, now_ms: u64) -> String {
    let mut out = format!("{}: begins {}, waits for {}\n", view.name, view.rollout, awaited(view));
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
    for TriggeredView { version, by, outcome, .. } in &view.versions {
        let _ = writeln!(out, "  {version:<8} {} ({by})", said(outcome));
    }
    out
}

/// What it waits for.
fn awaited(view: &TriggerView) -> String {
    let Some(model) = &view.model else { return "whoever names a version".to_owned() };
    let what = match &view.when {
        Some(OpenEnum::Known(When::Alias(alias))) => format!("alias {alias}"),
        Some(OpenEnum::Known(When::Stage(stage))) => format!("stage {stage}"),
        Some(OpenEnum::Known(When::Tag { key, value: None })) => format!("tag {key}"),
        Some(OpenEnum::Known(When::Tag { key, value: Some(value) })) => format!("tag {key}={value}"),
        Some(OpenEnum::Known(When::Created)) | None => "made".to_owned(),
        Some(OpenEnum::Other(other)) => other.to_string(),
    };
    format!("{model} {what}")
}

/// The outcome of a version.
fn said(outcome: &OpenEnum<VersionOutcome, Value>) -> String {
    match outcome {
        OpenEnum::Known(VersionOutcome::Begun { run }) => format!("run {run}"),
        OpenEnum::Known(VersionOutcome::Queued { after_run }) => format!("queued after run {after_run}"),
        OpenEnum::Known(VersionOutcome::PassedOver { by_version }) => {
            format!("passed over: version {by_version} is the later one")
        }
        OpenEnum::Known(VersionOutcome::Withdrawn { by }) => format!("withdrawn by the registry: {by}"),
        OpenEnum::Known(VersionOutcome::Refused { why }) => format!("refused: {why}"),
        OpenEnum::Known(VersionOutcome::Stable) => "stable served it already".to_owned(),
        OpenEnum::Other(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_trigger_fits_a_terminal() {
        let view: TriggerView = serde_json::from_value(json!({
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
             \x20 5        passed over: version 6 is the later one (x)\n  4        queued after run 2 (x)\n\
             \x20 3        {\"later\":1} (x)\n"
        );
        let line = list(std::slice::from_ref(&view));
        assert!(line.contains("registry ") && line.contains("silent 2 times: no answer"), "{line}");
        assert_eq!(awaited(&TriggerView::default()), "whoever names a version");
    }
}
