//! Why nothing was written or read.

use std::time::Duration;

use crate::refusal;

/// Why nothing was written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another replica decides now, or may.
    #[error("another replica leads by now ({0}): this one decides nothing any more")]
    Deposed(String),
    /// The Lease was not renewed in time.
    #[error(
        "the Lease was not renewed in time, so another replica may lead: nothing rises until the API server answers"
    )]
    Unsure,
    /// The API server refused.
    #[error("{}", refusal::words(.error, .verb, "configmaps", Some(.namespace)))]
    Refused {
        /// What it said.
        error: kube::Error,
        /// What was asked, as a role would grant it.
        verb: &'static str,
        /// Where.
        namespace: String,
    },
    /// It did not answer.
    #[error(
        "the API server of Kubernetes did not answer within {} ms, or is busy and asks to wait longer (429)", .0.as_millis()
    )]
    Silent(Duration),
    /// An object of a page is not there.
    #[error("the ConfigMap {0} of the journal is missing")]
    Missing(String),
    /// The names of its pages are taken.
    #[error("the ConfigMap {0}-0 is there, and is no page of this journal: delete what is named so")]
    Taken(String),
    /// What is there cannot be read.
    #[error("the journal in the cluster is damaged: {0}")]
    Damaged(String),
}

impl JournalError {
    /// Somebody else wrote meanwhile.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { error: kube::Error::Api(status), .. }
            if status.is_conflict() || status.is_already_exists())
    }

    /// It is not there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { error: kube::Error::Api(status), .. } if status.code == 404)
    }

    /// The same question may be answered a little later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Silent(_) => true,
            Self::Refused { error: kube::Error::Api(status), .. } => status.code == 429 || status.code >= 500,
            Self::Refused { .. } => true,
            _ => false,
        }
    }
}
