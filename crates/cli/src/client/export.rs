//! `serin export` and `serin history`: what the store holds, for tools and for people.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _, stdout};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use reqwest::Client;
use serde::Deserialize;
use serde_json::Value;

use super::{accepted, send};
use crate::args::{self, Output};
use crate::clock;
use api::{ExportQuery, Table, instant, moment};

pub async fn export(options: args::Export) -> Result<ExitCode> {
    let args::Export { server, name, run, since, until, format, what, file } = options;
    let moment = |text: Option<String>| text.map(|text| instant(&text, clock::unix_ms())).transpose();
    let (since, until) = match (moment(since), moment(until)) {
        (Ok(since), Ok(until)) => (since, until),
        (Err(wrong), _) | (_, Err(wrong)) => {
            eprintln!("{wrong}");
            return Ok(ExitCode::from(1));
        }
    };
    let query = ExportQuery {
        name,
        run,
        since_ms: since,
        until_ms: until,
        format: format.into(),
        what: what.map(Into::into),
    };
    let url = format!("{}/v1/export", server.server);
    // No limit on the whole: half a year takes as long as it takes.
    let mut answer = Client::new().get(url).query(&query).send().await.context(
        "the controller does not answer; is `serin run` up, and is --server (or SERIN_SERVER) its address?",
    )?;
    if !answer.status().is_success() {
        accepted(answer).await?;
        return Ok(ExitCode::from(1));
    }
    let mut out: Box<dyn std::io::Write> = match &file {
        Some(path) => {
            let made = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
            Box::new(BufWriter::new(made))
        }
        None => Box::new(stdout().lock()),
    };
    while let Some(chunk) = answer.chunk().await.context("the export broke off; it is not complete")? {
        out.write_all(&chunk)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// A run, as far as its history is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Past {
    run: u64,
    applied_unix_ms: u64,
    view: super::view::View,
    unreadable: Option<String>,
    journal: Vec<Line>,
    journal_broken_at: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    seq: i64,
    unix_ms: u64,
    kind: String,
    who: Option<String>,
    what: String,
    why: Option<String>,
}

pub async fn history(options: args::History) -> Result<ExitCode> {
    let args::History { server, name, run, output } = options;
    let what = if run.is_some() { Table::History } else { Table::Runs };
    let query = ExportQuery { name: Some(name.clone()), run, what: Some(what), ..ExportQuery::default() };
    let request = Client::new().get(format!("{}/v1/export", server.server));
    let Some(found) = accepted(send(request.query(&query)).await?).await? else {
        return Ok(ExitCode::from(1));
    };
    if found.as_array().is_none_or(Vec::is_empty) {
        eprintln!("{name} has no such run; see: serin history {name}, or serin get");
        return Ok(ExitCode::from(1));
    }
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&found)?),
        Output::Text => print!("{}", shown(&found, run.is_some())?),
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(found: &Value, lines: bool) -> Result<String> {
    let runs = Vec::<Past>::deserialize(found)?;
    let mut out = String::new();
    // Writing to a String does not fail.
    if !lines {
        let _ = writeln!(out, "{:>4}  {:<20}  {:<24} {:<12}  MESSAGE", "RUN", "APPLIED", "CANARY", "PHASE");
    }
    for run in &runs {
        if !lines {
            let applied = moment(run.applied_unix_ms);
            let applied = applied.split_once('.').map_or(applied.as_str(), |(seconds, _)| seconds);
            let (view, message) = (&run.view, run.unreadable.as_ref().unwrap_or(&run.view.message));
            let _ = writeln!(
                out,
                "{:>4}  {applied:<20}  {:<24} {:<12}  {message}",
                run.run, view.canary, view.phase
            );
        }
        for line in &run.journal {
            let _ = write!(out, "{}  {:<8} {}", moment(line.unix_ms), line.kind, line.what);
            if let Some(who) = &line.who {
                let _ = write!(out, " by {who}");
            }
            let _ = writeln!(out, "{}", line.why.as_ref().map_or_else(String::new, |why| format!(": {why}")));
            if run.journal_broken_at == Some(line.seq) {
                let _ = writeln!(
                    out,
                    "  the chain is broken here: this line, or one before it, was changed or taken out"
                );
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn runs_and_lines_fit_a_terminal() {
        let runs = json!([{"run": 2, "applied_unix_ms": 1_700_000_000_000_u64,
            "view": {"canary": "v2", "phase": "RolledBack", "message": "too slow"}}]);
        let text = shown(&runs, false).expect("runs");
        assert!(
            text.ends_with("   2  2023-11-14T22:13:20   v2                       RolledBack    too slow\n"),
            "{text}"
        );
        let lines = json!([{"run": 2, "journal_broken_at": 8, "journal": [
            {"seq": 7, "unix_ms": 1_000, "kind": "act", "who": "ben", "what": "abort", "why": "seen enough"},
            {"seq": 8, "unix_ms": 2_000, "kind": "record", "what": "Roll back v2"}]}]);
        assert_eq!(
            shown(&lines, true).expect("lines"),
            "1970-01-01T00:00:01.000Z  act      abort by ben: seen enough\n\
             1970-01-01T00:00:02.000Z  record   Roll back v2\n  \
             the chain is broken here: this line, or one before it, was changed or taken out\n"
        );
    }
}
