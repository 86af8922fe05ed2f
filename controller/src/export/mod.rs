//! What the store holds, for other tools: JSON with everything, or CSV by table.

mod csv;
mod time;

use std::io::Write;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use time::{instant, moment};

use crate::store::{Archive, Filter, Kept};

/// The form of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A list of runs, each with everything
    #[default]
    Json,
    /// One table, a header first
    Csv,
}

/// A table of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A line per run
    Runs,
    /// A line per stage that was entered
    Stages,
    /// A line per change of a gate's answer
    Gates,
    /// A line per look (later: per minute) and arm, and per reading
    Measurements,
    /// A line per act, decision, publication and notice
    History,
}

/// Writes the runs that fit. One run at a time is held in memory.
pub fn write(
    archive: &Archive,
    filter: &Filter,
    format: Format,
    what: Option<What>,
    out: &mut dyn Write,
) -> Result<()> {
    let runs = archive.runs(filter)?;
    let kept = runs.iter().filter_map(|(name, run)| archive.run(name, *run).transpose());
    match format {
        Format::Json => {
            out.write_all(b"[")?;
            for (at, kept) in kept.enumerate() {
                out.write_all(if at == 0 { b"\n" } else { b",\n" })?;
                serde_json::to_writer(&mut *out, &whole(archive, &kept?, what)?)?;
            }
            out.write_all(b"\n]\n")?;
        }
        Format::Csv => {
            let mut table = csv::Table::new(what.unwrap_or(What::Runs), out)?;
            for kept in kept {
                table.run(archive, &kept?)?;
            }
            table.end()?;
        }
    }
    Ok(())
}

/// A run with everything, or with one table of it.
fn whole(archive: &Archive, kept: &Kept, what: Option<What>) -> Result<Value> {
    let wants = |table: What| what.is_none_or(|what| what == table);
    let mut run = json!({"name": kept.name, "run": kept.run});
    let mut add = |field: &str, value: Value| {
        if let Some(run) = run.as_object_mut() {
            run.insert(field.to_owned(), value);
        }
    };
    match kept.state() {
        Ok(state) => {
            if wants(What::Runs) {
                add("spec", kept.spec.clone().into());
                add("applied_unix_ms", state.applied.unix_ms.into());
                add("last_unix_ms", state.last.unix_ms.into());
                add("view", serde_json::to_value(state.view())?);
            }
            if wants(What::Stages) {
                add("stages", serde_json::to_value(&state.stages)?);
            }
        }
        // Nothing is lost over it: it is passed on as it is.
        Err(error) => {
            add("unreadable", format!("{error:#}").into());
            add("state", serde_json::from_str(&kept.raw)?);
        }
    }
    if wants(What::History) || wants(What::Gates) {
        let journal = archive.journal(&kept.name, kept.run)?;
        add("journal_broken_at", journal.broken_at.into());
        let wanted = journal.lines.iter().filter(|line| what != Some(What::Gates) || line.kind == "verdict");
        add("journal", serde_json::to_value(wanted.collect::<Vec<_>>())?);
    }
    if wants(What::Measurements) {
        add("measurements", serde_json::to_value(archive.looks(&kept.name, kept.run)?)?);
    }
    Ok(run)
}

#[cfg(test)]
mod tests;
