//! What a proxy asks its controller, and is told: does the policy I run still stand?
//!
//! `GET /v1/lease?incarnation=1&generation=7&node=...&by_rollout=true`, answered as JSON. What a proxy keeps of it is a
//! [`Record`], shared by its VMs.

mod record;

use std::fmt::Write as _;

pub use record::{Due, News, Record, State};
use serde::{Deserialize, Serialize};

/// What a proxy asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Of the policy it runs.
    pub incarnation: u64,
    /// Of the policy it runs.
    pub generation: u64,
    /// Who asks: for the log, and for people who want to know who was told.
    #[serde(default)]
    pub node: String,
    /// Does it understand [`Answer::revoked`]? A filter of an earlier release is told `revoke` instead, of all rollouts.
    #[serde(default)]
    pub by_rollout: bool,
}

/// What it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// As it was asked.
    pub incarnation: u64,
    /// As it was asked.
    pub generation: u64,
    /// How the policy as a whole stands.
    pub lease: LeaseStatus,
    /// For how long it stands when it is renewed, in milliseconds; absent: for as long as the policy says.
    #[serde(default)]
    pub ttl_ms: Option<u32>,
    /// Rollouts of the policy that were taken back since: their requests go to stable, all others as the policy says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<String>,
}

/// How a policy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseStatus {
    /// It stands for another `ttl_ms`.
    Renew,
    /// It was taken back, all of it: stable, now.
    Revoke,
    /// Not one of the controller's: it runs out by itself.
    Unknown,
}

impl Question {
    /// As a query, with what is no plain letter escaped.
    #[must_use]
    pub fn query(&self) -> String {
        let Self { incarnation, generation, node, by_rollout } = self;
        let mut text =
            format!("incarnation={incarnation}&generation={generation}&by_rollout={by_rollout}&node=");
        for byte in node.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                text.push(char::from(byte));
            } else {
                // Writing to a String does not fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_escaped_for_a_query() {
        let node = "sidecar~10.0.0.1~a.b~x y&z".to_owned();
        let question = Question { incarnation: 1, generation: 2, node, by_rollout: true };
        assert_eq!(
            question.query(),
            "incarnation=1&generation=2&by_rollout=true&node=sidecar~10.0.0.1~a.b~x%20y%26z"
        );
    }

    #[test]
    fn an_answer_of_another_release_is_read() {
        let read = |text: &str| serde_json::from_str::<Answer>(text).ok();
        let answer = |ttl_ms, revoked| Answer {
            incarnation: 1,
            generation: 2,
            lease: LeaseStatus::Renew,
            ttl_ms,
            revoked,
        };
        for (text, expected) in [
            (r#"{"incarnation":1,"generation":2,"lease":"renew"}"#, Some(answer(None, vec![]))),
            (
                r#"{"incarnation":1,"generation":2,"lease":"renew","ttl_ms":9,"new":1}"#,
                Some(answer(Some(9), vec![])),
            ),
            (
                r#"{"incarnation":1,"generation":2,"lease":"renew","revoked":["a"]}"#,
                Some(answer(None, vec!["a".to_owned()])),
            ),
            (r#"{"incarnation":1,"generation":2,"lease":"maybe"}"#, None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        let text = serde_json::to_string(&answer(Some(5), vec![])).expect("JSON");
        assert_eq!(
            text, r#"{"incarnation":1,"generation":2,"lease":"renew","ttl_ms":5}"#,
            "as earlier releases say it"
        );
    }
}
