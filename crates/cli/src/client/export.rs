//! `serin export` and `serin history`: what the store holds, for tools and for people.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _, stdout};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use api::{ExportQuery, ExportedRun, Table, instant, moment};

use super::Client;
use crate::args::{self, Output};
use crate::clock;
use crate::table::{Side, columns};

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
    let mut answer = Client::new(&server).stream(api::path::EXPORT, &query).await?;
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

pub async fn history(options: args::History) -> Result<ExitCode> {
    let args::History { server, name, run, output } = options;
    let what = if run.is_some() { Table::History } else { Table::Runs };
    let query = ExportQuery { name: Some(name.clone()), run, what: Some(what), ..ExportQuery::default() };
    let found = Client::new(&server).get_with(api::path::EXPORT, &query).await?;
    let runs: Vec<ExportedRun> = found.read()?;
    if runs.is_empty() {
        eprintln!("{name} has no such run; see: serin history {name}, or serin get");
        return Ok(ExitCode::from(1));
    }
    match output {
        Output::Json => print!("{}", found.pretty()?),
        Output::Text => print!("{}", shown(&runs, run.is_some())),
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(runs: &[ExportedRun], lines: bool) -> String {
    if !lines {
        return table(runs);
    }
    let mut out = String::new();
    for run in runs {
        // Writing to a String does not fail.
        for line in run.history.iter().flat_map(|history| &history.journal) {
            let _ = write!(out, "{}  {:<8} {}", moment(line.unix_ms), line.kind, line.what);
            if let Some(who) = &line.who {
                let _ = write!(out, " by {who}");
            }
            let _ = writeln!(out, "{}", line.why.as_ref().map_or_else(String::new, |why| format!(": {why}")));
            if run.history.as_ref().and_then(|history| history.journal_broken_at) == Some(line.seq) {
                let _ = writeln!(
                    out,
                    "  the chain is broken here: this line, or one before it, was changed or taken out"
                );
            }
        }
    }
    out
}

/// A line for each run.
fn table(runs: &[ExportedRun]) -> String {
    let head = ["RUN", "APPLIED", "CANARY", "PHASE", "MESSAGE"].map(str::to_owned);
    let rows = runs.iter().map(|run| {
        let applied = moment(run.applied_unix_ms.unwrap_or_default());
        let applied = applied.split_once('.').map_or(applied.as_str(), |(seconds, _)| seconds);
        let view = run.view.clone().unwrap_or_default();
        let message = run.unreadable.clone().unwrap_or(view.message);
        [run.run.to_string(), applied.to_owned(), view.canary, view.phase.to_string(), message]
    });
    let sides = [Side::Right, Side::Left, Side::Left, Side::Left, Side::Left];
    columns(sides, [head].into_iter().chain(rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: serde_json::Value) -> Vec<ExportedRun> {
        serde_json::from_value(json).expect("runs")
    }

    #[test]
    fn runs_and_lines_fit_a_terminal() {
        let runs = json!([{"run": 2, "applied_unix_ms": 1_700_000_000_000_u64,
            "view": {"canary": "v2", "phase": "RolledBack", "message": "too slow"}}]);
        let text = shown(&read(runs), false);
        assert!(text.ends_with("  2  2023-11-14T22:13:20  v2      RolledBack  too slow\n"), "{text}");
        let lines = json!([{"run": 2, "journal_broken_at": 8, "journal": [
            {"seq": 7, "unix_ms": 1_000, "kind": "act", "who": "ben", "what": "abort", "why": "seen enough"},
            {"seq": 8, "unix_ms": 2_000, "kind": "record", "what": "Roll back v2"}]}]);
        assert_eq!(
            shown(&read(lines), true),
            "1970-01-01T00:00:01.000Z  act      abort by ben: seen enough\n\
             1970-01-01T00:00:02.000Z  record   Roll back v2\n  \
             the chain is broken here: this line, or one before it, was changed or taken out\n"
        );
    }
}
