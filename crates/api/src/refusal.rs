//! Why something was not done: a status of HTTP, and one sentence.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

/// Why something was not done. The variant travels as the status of the answer, the sentence in [`Problem`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// There is no such rollout.
    #[error("{0}")]
    Unknown(String),
    /// Not now.
    #[error("{0}")]
    Conflict(String),
    /// Not from you.
    #[error("{0}")]
    Denied(String),
    /// Our fault.
    #[error("{0}")]
    Failed(String),
}

/// The body of an answer that something was not done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// One English sentence.
    pub error: String,
}

impl Refusal {
    /// One English sentence.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Invalid(text)
            | Self::Unknown(text)
            | Self::Conflict(text)
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
            Self::Conflict(_) => 409,
            Self::Denied(_) => 401,
            Self::Failed(_) => 500,
        }
    }

    /// What an answer with this status and body says. A status that is not ours is the client's fault below 500.
    #[must_use]
    pub fn of(status: u16, problem: Problem) -> Self {
        let Problem { error } = problem;
        match status {
            404 => Self::Unknown(error),
            409 => Self::Conflict(error),
            401 => Self::Denied(error),
            400..500 => Self::Invalid(error),
            _ => Self::Failed(error),
        }
    }

    /// The body of the answer.
    #[must_use]
    pub fn problem(&self) -> Problem {
        Problem { error: self.text().to_owned() }
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
