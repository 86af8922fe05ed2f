//! Acts on a run, `POST /v1/rollouts/{name}/{verb}`, and their answers.

use std::fmt;
use std::str::FromStr;

use manifest::Percent;
use serde::{Deserialize, Serialize};
use split::Arm;

/// What a person can do to a rollout: the last part of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Roll back to stable; with an arm: drop that version only.
    Abort,
    /// Roll back to stable, or to an earlier version ([`RollbackRequest`]).
    Rollback,
    /// Advance by one stage without waiting; with an arm: choose that version.
    Promote,
    /// Approve the next stage.
    Approve,
    /// Pause at the present weight.
    Pause,
    /// Resume.
    Resume,
    /// Start a rolled-back run again.
    Retry,
    /// Set the weight.
    SetWeight,
}

impl Verb {
    /// All of them, as they are listed for people.
    pub const ALL: [Self; 8] = [
        Self::Abort,
        Self::Rollback,
        Self::Promote,
        Self::Approve,
        Self::Pause,
        Self::Resume,
        Self::Retry,
        Self::SetWeight,
    ];

    /// As it stands in the path.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Abort => "abort",
            Self::Rollback => "rollback",
            Self::Promote => "promote",
            Self::Approve => "approve",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry => "retry",
            Self::SetWeight => "set-weight",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Verb {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == text).ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            format!("nobody can {text:?} a rollout; one can {all}")
        })
    }
}

/// The body of an act; of [`Verb::Rollback`] it is [`RollbackRequest`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActRequest {
    /// Why.
    pub reason: String,
    /// For `set-weight`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Percent>,
    /// For `abort` and `promote` where there are several challengers: which of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arm: Option<Arm>,
}

/// The body of `rollback`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RollbackRequest {
    /// Why.
    pub reason: String,
    /// The version; absent: the previous one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Do not check that the version is deployed.
    pub unverified: bool,
}

/// The result of going back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RollbackReply {
    /// The rollout.
    pub name: String,
    /// The run that began, or that was ended.
    pub run: u64,
    /// Did a run begin for it? Otherwise the present one was aborted.
    pub begun: bool,
    /// One English sentence.
    pub message: String,
}

/// `DELETE /v1/rollouts/{name}?reason=...`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeleteQuery {
    /// Why.
    pub reason: String,
}

/// A pushed value for a gate or guardrail with the source `push`: `POST /v1/rollouts/{name}/metrics`, one or a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The gate or guardrail it is for.
    pub metric: String,
    /// The version it was measured on.
    pub version: String,
    /// What was measured.
    pub value: f64,
    /// How many samples it is the mean of.
    #[serde(default = "one")]
    pub n: u64,
}

const fn one() -> u64 {
    1
}

/// The answer to an act without a result of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Done {
    /// Was it done?
    pub done: bool,
    /// Warnings, each in one English sentence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Done {
    /// It was.
    pub const DONE: Self = Self { done: true, warnings: Vec::new() };
}
