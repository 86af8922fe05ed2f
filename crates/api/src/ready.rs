//! Is the controller ready?

use serde::{Deserialize, Serialize};

/// The answer of `GET /readyz`: 200 when it is ready, else 503.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Readiness {
    /// Are all checks passed?
    pub ready: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Check {
    /// `engine`: decisions are taken. `store`: they can be written. `counters`: at least one proxy's were read lately.
    pub name: String,
    /// Is it passed?
    pub ready: bool,
    /// What is wrong, or a remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Readiness {
    /// Ready when all of these are.
    #[must_use]
    pub fn of(checks: Vec<Check>) -> Self {
        Self { ready: checks.iter().all(|check| check.ready), checks }
    }
}

impl Check {
    /// `wrong`: why it is not passed.
    #[must_use]
    pub fn of(name: &str, wrong: Option<String>) -> Self {
        Self { name: name.to_owned(), ready: wrong.is_none(), why: wrong }
    }
}
