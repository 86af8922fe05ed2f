//! Exports: `GET /v1/export?format=...&what=...`.

use rollout::{OpenEnum, View};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// A run of an export as JSON, or the part of it that was asked for. What is stored and passed on as it is (`stages`,
/// `state`, `measurements`) is described in docs/store.md.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportedRun {
    /// The rollout.
    pub name: String,
    /// Which of its runs.
    pub run: u64,
    /// What was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<String>,
    /// When, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_unix_ms: Option<u64>,
    /// The last moment it heard of, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_unix_ms: Option<u64>,
    /// The run, as the API shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
    /// The stages that were entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stages: Option<Value>,
    /// Why this controller cannot read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// What it cannot read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Value>,
    /// What happened.
    #[serde(flatten)]
    pub history: Option<Journal>,
    /// What was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measurements: Option<Value>,
}

/// What happened in a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Journal {
    /// Its lines, in order.
    pub journal: Vec<JournalLine>,
    /// The first line whose chain does not fit.
    pub journal_broken_at: Option<i64>,
}

/// What a line of the journal tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalKind {
    /// A person did something.
    Act,
    /// The run went on, or ended.
    Record,
    /// Weights were decided.
    Publish,
    /// People were told of something.
    Notice,
    /// A gate or guardrail changed its answer.
    Verdict,
}

/// A line of the journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JournalLine {
    /// Which, in the whole store.
    pub seq: i64,
    /// The rollout.
    pub name: String,
    /// Which of its runs.
    pub run: u64,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// What it tells of.
    pub kind: OpenEnum<JournalKind>,
    /// The person, where it was one.
    pub who: Option<String>,
    /// What.
    pub what: String,
    /// Why.
    pub why: Option<String>,
    /// More of it.
    pub detail: Option<Value>,
    /// SHA-256 over this line and the one before it in its run, in hex.
    pub chain: String,
}
