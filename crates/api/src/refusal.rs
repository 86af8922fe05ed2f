//! Refusals: an HTTP status, and one sentence.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

/// Why a request was refused. The variant travels as the status of the answer, the sentence in [`Problem`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// There is no such rollout.
    #[error("{0}")]
    Unknown(String),
    /// Not in the present state.
    #[error("{0}")]
    Conflict(String),
    /// The rollout has moved on since the revision that the act names.
    #[error("{0}")]
    MovedOn(String),
    /// Not authorised.
    #[error("{0}")]
    Denied(String),
    /// The controller failed.
    #[error("{0}")]
    Failed(String),
}

/// The body of a refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// One English sentence.
    pub error: String,
    /// Which kind of refusal it is, in one word, where the status does not tell.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
}

/// The code of [`Refusal::MovedOn`].
pub const MOVED_ON: &str = "moved_on";

impl Refusal {
    /// One English sentence.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Invalid(text)
            | Self::Unknown(text)
            | Self::Conflict(text)
            | Self::MovedOn(text)
            | Self::Denied(text)
            | Self::Failed(text) => text,
        }
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Invalid(_) => 422,
            Self::Unknown(_) => 404,
            Self::Conflict(_) | Self::MovedOn(_) => 409,
            Self::Denied(_) => 401,
            Self::Failed(_) => 500,
        }
    }

    /// What an answer with this status and body says. A status that is not ours is the client's fault below 500.
    #[must_use]
    pub fn of(status: u16, problem: Problem) -> Self {
        let Problem { error, code } = problem;
        match status {
            404 => Self::Unknown(error),
            409 if code == MOVED_ON => Self::MovedOn(error),
            409 => Self::Conflict(error),
            401 => Self::Denied(error),
            400..500 => Self::Invalid(error),
            _ => Self::Failed(error),
        }
    }

    /// The body of the answer.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let code = if matches!(self, Self::MovedOn(_)) { MOVED_ON } else { "" };
        Problem { error: self.text().to_owned(), code: code.to_owned() }
    }

    /// The store did not answer.
    #[must_use]
    pub fn unread(error: &impl Display) -> Self {
        Self::Failed(format!("the store cannot be read: {error:#}"))
    }

    /// The store took nothing, so nothing was done.
    #[must_use]
    pub fn unwritten(error: &impl Display) -> Self {
        Self::Failed(format!("nothing was changed, because it cannot be written down: {error:#}"))
    }
}
