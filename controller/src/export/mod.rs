//! What the store holds, for other tools: JSON with everything, or CSV by table.

mod csv;

use std::io::Write;

use anyhow::Result;
use api::{Format, Table as Wanted, moment};
use serde_json::{Value, json};

use store::{Archive, Filter, Kept};

/// Writes the runs that fit. One run at a time is held in memory.
pub fn write(
    archive: &Archive,
    filter: &Filter,
    format: Format,
    what: Option<Wanted>,
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
            let mut table = csv::Table::new(what.unwrap_or(Wanted::Runs), out)?;
            for kept in kept {
                table.run(archive, &kept?)?;
            }
            table.end()?;
        }
    }
    Ok(())
}

/// A run with everything, or with one table of it.
fn whole(archive: &Archive, kept: &Kept, what: Option<Wanted>) -> Result<Value> {
    let wants = |table: Wanted| what.is_none_or(|what| what == table);
    let mut run = json!({"name": kept.name, "run": kept.run});
    let mut add = |field: &str, value: Value| {
        if let Some(run) = run.as_object_mut() {
            run.insert(field.to_owned(), value);
        }
    };
    match kept.state() {
        Ok(state) => {
            if wants(Wanted::Runs) {
                add("spec", kept.spec.clone().into());
                add("applied_unix_ms", state.applied.unix_ms.into());
                add("last_unix_ms", state.last.unix_ms.into());
                add("view", serde_json::to_value(state.view())?);
            }
            if wants(Wanted::Stages) {
                add("stages", serde_json::to_value(&state.stages)?);
            }
        }
        // Nothing is lost over it: it is passed on as it is.
        Err(error) => {
            add("unreadable", format!("{error:#}").into());
            add("state", serde_json::from_str(&kept.raw)?);
        }
    }
    if wants(Wanted::History) || wants(Wanted::Gates) {
        let journal = archive.journal(&kept.name, kept.run)?;
        add("journal_broken_at", journal.broken_at.into());
        let wanted =
            journal.lines.iter().filter(|line| what != Some(Wanted::Gates) || line.kind == "verdict");
        add("journal", serde_json::to_value(wanted.collect::<Vec<_>>())?);
    }
    if wants(Wanted::Measurements) {
        add("measurements", serde_json::to_value(archive.looks(&kept.name, kept.run)?)?);
    }
    Ok(run)
}

#[cfg(test)]
mod tests;
