use serde::Serialize;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The canary bore all traffic and was kept.
    Promoted,
    /// Back to stable.
    RolledBack {
        /// Which gate or guardrail, or what else.
        by: String,
    },
    /// It stopped and waits for a person.
    Held {
        /// Why.
        why: String,
    },
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// When, from the start of the run, in milliseconds.
    pub end_ms: u64,
    /// From the harm's beginning (or the canary's first traffic) to the end, in milliseconds.
    pub harmful_ms: u64,
    /// Requests the canary answered in that time.
    pub harmful_requests: u64,
    /// Requests the canary answered in all.
    pub exposed_requests: u64,
    /// Errors of the canary in that time, less those stable would have had: what the run cost users.
    pub extra_errors: f64,
    /// Requests all versions answered.
    pub requests: u64,
    /// Of these, errors.
    pub errors: u64,
    /// Looks at the counters.
    pub looks: u64,
}
