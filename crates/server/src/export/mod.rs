//! What the store holds, for other tools: JSON with everything, or CSV by table.

mod csv;

use std::io::Write;

use anyhow::Result;
use api::{ExportedRun, Format, Journal, JournalKind, JournalLine, OpenEnum, Table as Wanted, moment};

use store::{Archive, Filter, Kept, Kind, Line};

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
fn whole(archive: &Archive, kept: &Kept, what: Option<Wanted>) -> Result<ExportedRun> {
    let wants = |table: Wanted| what.is_none_or(|what| what == table);
    let mut run = ExportedRun { name: kept.name.clone(), run: kept.run, ..ExportedRun::default() };
    match kept.state() {
        Ok(state) => {
            if wants(Wanted::Runs) {
                run.spec = Some(kept.spec.clone());
                run.applied_unix_ms = Some(state.applied.unix_ms);
                run.last_unix_ms = Some(state.last.unix_ms);
                run.view = Some(state.view());
            }
            if wants(Wanted::Stages) {
                run.stages = Some(serde_json::to_value(&state.stages)?);
            }
        }
        // Nothing is lost over it: it is passed on as it is.
        Err(error) => {
            run.unreadable = Some(format!("{error:#}"));
            run.state = Some(serde_json::from_str(&kept.raw)?);
        }
    }
    if wants(Wanted::History) || wants(Wanted::Gates) {
        let journal = archive.journal(&kept.name, kept.run)?;
        let wanted = journal
            .lines
            .into_iter()
            .filter(|line| what != Some(Wanted::Gates) || line.kind == Kind::Verdict);
        let lines = wanted.map(journal_line).collect();
        run.history = Some(Journal { journal: lines, journal_broken_at: journal.broken_at });
    }
    if wants(Wanted::Measurements) {
        run.measurements = Some(serde_json::to_value(archive.samples(&kept.name, kept.run)?)?);
    }
    Ok(run)
}

fn journal_line(line: Line) -> JournalLine {
    let Line { seq, name, run, unix_ms, kind, who, what, why, detail, chain } = line;
    let kind = match kind {
        OpenEnum::Known(kind) => OpenEnum::Known(match kind {
            Kind::Act => JournalKind::Act,
            Kind::Record => JournalKind::Record,
            Kind::Publish => JournalKind::Publish,
            Kind::Notice => JournalKind::Notice,
            Kind::Verdict => JournalKind::Verdict,
        }),
        OpenEnum::Other(word) => OpenEnum::Other(word),
    };
    JournalLine { seq, name, run, unix_ms, kind, who, what, why, detail, chain }
}

#[cfg(test)]
mod tests;
