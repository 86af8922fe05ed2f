//! Is a controller fit to do its work?

use serde::{Deserialize, Serialize};

/// The answer of `GET /readyz`: 200 when it is ready, else 503.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Readiness {
    /// Is everything?
    pub ready: bool,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Check {
    /// `engine`: decisions are taken. `store`: they can be written. `counters`: at least one proxy's were read lately.
    pub name: String,
    /// Is it as it should be?
    pub ready: bool,
    /// What is wrong with it, or worth knowing.
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
    /// `wrong`: why it is not as it should be.
    #[must_use]
    pub fn of(name: &str, wrong: Option<String>) -> Self {
        Self { name: name.to_owned(), ready: wrong.is_none(), why: wrong }
    }
}
