//! What one request came to, as its client saw it.

use thiserror::Error;

/// One request of the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `x-request-id`.
    pub request_id: Box<str>,
    /// Number of the user; `x-user-id` is [`super::Users::id`] of it.
    pub user: u32,
    /// When it was sent, `CLOCK_MONOTONIC`.
    pub sent_ns: u64,
    /// When its answer was complete, or given up.
    pub finished_ns: u64,
    /// HTTP status.
    pub result: Result<u16, NoResponse>,
    /// `x-model-version`: what the server that answered calls itself.
    pub model_version: Option<Box<str>>,
    /// Every `x-serin-*` header of the answer, in order.
    pub serin: Vec<(Box<str>, Box<str>)>,
}

/// Why there was no response.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoResponse {
    /// None within the client's own time limit.
    #[error("no answer within the client's time limit")]
    Timeout,
    /// The connection could not be made, or broke.
    #[error("{0}")]
    Connection(Box<str>),
}

impl Record {
    /// The value of an `x-serin-*` header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.serin.iter().find(|(header, _)| &**header == name).map(|(_, value)| &**value)
    }

    /// The version the proxy says it chose.
    pub fn version_tag(&self) -> Option<&str> {
        self.header("x-serin-version")
    }

    /// Whether the client did not get what it asked for.
    pub fn failed(&self) -> bool {
        !matches!(self.result, Ok(status) if status < 400)
    }

    /// From sent to finished.
    pub fn latency_ns(&self) -> u64 {
        self.finished_ns.saturating_sub(self.sent_ns)
    }
}
