//! Applying a specification: `POST /v1/rollouts`, and `retry`.

use manifest::Change;
use serde::{Deserialize, Serialize};

/// How it is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApplyQuery {
    /// One that was rolled back is wanted once more.
    pub again: bool,
    /// Change nothing; answer what it would do.
    pub dry_run: bool,
}

/// The outcome of a specification, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Applied {
    /// The rollout.
    pub name: String,
    /// The run that began, or that is there.
    pub run: u64,
    /// Nothing changed: this very run is under way or done.
    pub unchanged: bool,
    /// It begins by itself when this run is over.
    pub queued: bool,
    /// This very run is under way or done; what is tried between runs changed, and nothing else.
    pub rescheduled: bool,
    /// The run that is aborted for it.
    pub replaces: Option<u64>,
    /// It was a dry run: nothing was changed.
    pub dry_run: bool,
    /// Of a dry run: the differences to the last applied specification, field by field.
    pub changes: Vec<Change>,
    /// Warnings, each in one English sentence.
    pub warnings: Vec<String>,
}
