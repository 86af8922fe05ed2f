//! Arguments of `serin export`.

use std::path::PathBuf;

use super::Server;

#[derive(Debug, clap::Args)]
pub struct Export {
    #[command(flatten)]
    pub server: Server,
    /// Name of the rollout; without it, all
    pub name: Option<String>,
    /// Only this run, by its number
    #[arg(long, requires = "name")]
    pub run: Option<u64>,
    /// Only runs that had not ended by this time: 2026-03-01, 2026-03-01T09:30:00Z, or 30d for 30 days ago
    #[arg(long)]
    pub since: Option<String>,
    /// Only runs that began before this time
    #[arg(long)]
    pub until: Option<String>,
    /// Format of the export
    #[arg(long, default_value = "json")]
    pub format: Format,
    /// Table to export; required for CSV, JSON has all without it
    #[arg(long, required_if_eq("format", "csv"))]
    pub what: Option<Table>,
    /// Write to this file in place of standard output
    #[arg(long)]
    pub file: Option<PathBuf>,
}

/// [`api::Format`], as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A list of runs with all their tables
    Json,
    /// One table, with a header
    Csv,
}

/// [`api::Table`], as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Table {
    /// A line per run
    Runs,
    /// A line per stage that was entered
    Stages,
    /// A line per change of a gate's verdict
    Gates,
    /// A line per evaluation (after an hour: per minute) and arm, and per measurement of a source
    Measurements,
    /// A line per act, decision, publication and notice
    History,
}

impl From<Format> for api::Format {
    fn from(typed: Format) -> Self {
        match typed {
            Format::Json => Self::Json,
            Format::Csv => Self::Csv,
        }
    }
}

impl From<Table> for api::Table {
    fn from(typed: Table) -> Self {
        match typed {
            Table::Runs => Self::Runs,
            Table::Stages => Self::Stages,
            Table::Gates => Self::Gates,
            Table::Measurements => Self::Measurements,
            Table::History => Self::History,
        }
    }
}
