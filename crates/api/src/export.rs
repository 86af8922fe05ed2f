//! Exports: `GET /v1/export?format=...&what=...`.

use serde::{Deserialize, Serialize};

/// What is wanted; moments in milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// Of this rollout alone.
    pub name: Option<String>,
    /// Of this run alone.
    pub run: Option<u64>,
    /// Runs that were still under way then.
    pub since_ms: Option<u64>,
    /// Runs that had begun by then.
    pub until_ms: Option<u64>,
    /// The form.
    #[serde(default)]
    pub format: Format,
    /// The table; JSON holds all of them without it.
    pub what: Option<Table>,
}

/// The form of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A list of runs, each with everything.
    #[default]
    Json,
    /// One table, a header first.
    Csv,
}

/// A table of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// A line per run.
    Runs,
    /// A line per stage that was entered.
    Stages,
    /// A line per change of a gate's answer.
    Gates,
    /// A line per look (later: per minute) and arm, and per reading.
    Measurements,
    /// A line per act, decision, publication and notice.
    History,
}
