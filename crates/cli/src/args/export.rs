//! What `serin export` is told.

use std::path::PathBuf;

use super::Server;

#[derive(Debug, clap::Args)]
pub struct Export {
    #[command(flatten)]
    pub server: Server,
    /// The rollout's name; without one, all
    pub name: Option<String>,
    /// One run, by its number
    #[arg(long, requires = "name")]
    pub run: Option<u64>,
    /// Only runs still under way then: 2026-03-01, 2026-03-01T09:30:00Z, or 30d for 30 days ago
    #[arg(long)]
    pub since: Option<String>,
    /// Only runs that had begun by then
    #[arg(long)]
    pub until: Option<String>,
    /// The form
    #[arg(long, default_value = "json")]
    pub format: Format,
    /// The table; JSON holds all of them without it
    #[arg(long, required_if_eq("format", "csv"))]
    pub what: Option<Table>,
    /// Write here and not to standard output
    #[arg(long)]
    pub file: Option<PathBuf>,
}

/// [`api::Format`], as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A list of runs, each with everything
    Json,
    /// One table, a header first
    Csv,
}

/// [`api::Table`], as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Table {
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
