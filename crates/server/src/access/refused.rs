//! Requests that were refused: their answers, and how many there were.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::Problem;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// It means another host.
    Host,
    /// It comes from a page of another origin.
    Origin,
    /// Its body is of a kind that is not read here.
    ContentType,
    /// Its body is too long, or does not come.
    Body,
    /// It does not prove who it is.
    Credentials,
    /// Its name is none, or there are too many.
    Node,
    /// There are too many connections.
    Connections,
    /// There are too many exports.
    Exports,
    /// It waited too long with an export half read.
    SlowReader,
}

impl RefusalReason {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Host, "host"),
        (Self::Origin, "origin"),
        (Self::ContentType, "content_type"),
        (Self::Body, "body"),
        (Self::Credentials, "credentials"),
        (Self::Node, "node"),
        (Self::Connections, "connections"),
        (Self::Exports, "exports"),
        (Self::SlowReader, "slow_reader"),
    ];
}

/// How many were not let in since the process began, by why.
#[derive(Clone, Debug, Default)]
pub struct RefusedRequests(Arc<[AtomicU64; RefusalReason::ALL.len()]>);

impl RefusedRequests {
    /// One more.
    pub fn count(&self, why: RefusalReason) {
        let place = RefusalReason::ALL.iter().position(|(known, _)| *known == why);
        if let Some(counter) = place.and_then(|place| self.0.get(place)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A counter, in the text exposition format.
    /// `nodes`: how many proxies were not let in by their name, as those say who keep their list.
    pub fn render(&self, nodes: u64) -> String {
        const NAME: &str = tally::metric::REFUSED_REQUESTS_TOTAL;
        let mut out = format!(
            "# HELP {NAME} what was refused at the door, by why (docs/securing.md)\n# TYPE {NAME} counter\n"
        );
        for ((kind, why), counter) in RefusalReason::ALL.iter().zip(self.0.iter()) {
            let more = if *kind == RefusalReason::Node { nodes } else { 0 };
            // Writing to a String does not fail.
            let _ = writeln!(out, "{NAME}{{reason=\"{why}\"}} {}", counter.load(Ordering::Relaxed) + more);
        }
        out
    }
}

/// What one that is not let in is told.
#[derive(Debug)]
pub struct RefusedRequest {
    pub status: StatusCode,
    pub why: RefusalReason,
    pub text: String,
}

impl RefusedRequest {
    /// `text`: one sentence with the remedy.
    pub const fn new(status: StatusCode, why: RefusalReason, text: String) -> Self {
        Self { status, why, text }
    }
}

impl IntoResponse for RefusedRequest {
    fn into_response(self) -> Response {
        (self.status, Json(Problem { error: self.text, ..Problem::default() })).into_response()
    }
}
