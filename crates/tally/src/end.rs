//! How a request ended: from what Envoy says of its end to a class, by who ended it.
//!
//! Envoy's word on the end is `response.code_details`: which part of it completed or cut the answer. The families of
//! those words say who was at work (`upstream_…`, `downstream_…`, `http1.…`); what is in no family was said by a filter
//! or the route table of the proxy itself, and no model was asked.

use crate::Class;

/// What Envoy said of the end of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End<'d> {
    /// The status; `None` or 0: there was no response.
    pub code: Option<i64>,
    /// `response.flags`, by the bits of Envoy's response-flag list.
    pub flags: i64,
    /// `response.code_details`; empty: not read, because [`End::needs_details`] said so, or not given.
    pub details: &'d str,
    /// Did a model send anything (`response.backend_latency` is there)?
    pub answered: bool,
    /// The gRPC status; only for requests that are gRPC's.
    pub grpc_status: Option<i64>,
}

/// Bits of `response.flags`, in the order of Envoy's list.
mod flag {
    pub(super) const NO_HEALTHY_UPSTREAM: i64 = 1 << 1;
    pub(super) const UPSTREAM_REQUEST_TIMEOUT: i64 = 1 << 2;
    pub(super) const LOCAL_RESET: i64 = 1 << 3;
    pub(super) const UPSTREAM_REMOTE_RESET: i64 = 1 << 4;
    pub(super) const UPSTREAM_CONNECTION_FAILURE: i64 = 1 << 5;
    pub(super) const UPSTREAM_CONNECTION_TERMINATION: i64 = 1 << 6;
    /// The request went on, later: says nothing of its end.
    pub(super) const DELAY_INJECTED: i64 = 1 << 9;
    pub(super) const DOWNSTREAM_CONNECTION_TERMINATION: i64 = 1 << 14;
    pub(super) const STREAM_IDLE_TIMEOUT: i64 = 1 << 16;
    pub(super) const DOWNSTREAM_PROTOCOL_ERROR: i64 = 1 << 18;
    pub(super) const UPSTREAM_MAX_STREAM_DURATION_REACHED: i64 = 1 << 19;
    pub(super) const DURATION_TIMEOUT: i64 = 1 << 22;
    pub(super) const UPSTREAM_PROTOCOL_ERROR: i64 = 1 << 23;
    pub(super) const DNS_RESOLUTION_FAILED: i64 = 1 << 26;
    pub(super) const DOWNSTREAM_REMOTE_RESET: i64 = 1 << 28;
}

const CLIENT_FLAGS: i64 =
    flag::DOWNSTREAM_CONNECTION_TERMINATION | flag::DOWNSTREAM_PROTOCOL_ERROR | flag::DOWNSTREAM_REMOTE_RESET;
const TIME_FLAGS: i64 = flag::UPSTREAM_REQUEST_TIMEOUT
    | flag::STREAM_IDLE_TIMEOUT
    | flag::UPSTREAM_MAX_STREAM_DURATION_REACHED
    | flag::DURATION_TIMEOUT;
const NETWORK_FLAGS: i64 = flag::NO_HEALTHY_UPSTREAM
    | flag::LOCAL_RESET
    | flag::UPSTREAM_REMOTE_RESET
    | flag::UPSTREAM_CONNECTION_FAILURE
    | flag::UPSTREAM_CONNECTION_TERMINATION
    | flag::UPSTREAM_PROTOCOL_ERROR
    | flag::DNS_RESOLUTION_FAILED;

/// Who ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Party {
    /// The model answered to the end.
    Model,
    /// The way to the model broke, or there was none.
    Network,
    /// Somebody's patience with the model.
    Time,
    /// The proxy: no model was asked, or its answer was replaced.
    Proxy,
    /// The cluster's own limit: it would take no more.
    Full,
    /// The client left, or broke the protocol.
    Client,
}

impl End<'_> {
    /// Are the details wanted? They are a text, so the usual request does without: answered by a model, neither an error
    /// nor a redirect (which Envoy may follow by itself), and nothing to remark.
    #[must_use]
    pub fn needs_details(code: Option<i64>, flags: i64, answered: bool) -> bool {
        let usual = answered && flags & !flag::DELAY_INJECTED == 0 && matches!(code, Some(101 | 200..=299));
        !usual
    }

    /// The class.
    #[must_use]
    pub fn class(self) -> Class {
        let code = self.code.unwrap_or(0);
        match self.party() {
            // The client's own request was not complete: it was slow, not the model.
            Party::Time if code == 408 => Class::Local,
            // Another protocol by then: its end is no answer's.
            Party::Time | Party::Network if code == 101 => Class::Upgrade,
            Party::Time => Class::Timeout,
            Party::Network => Class::Reset,
            Party::Proxy => Class::Local,
            Party::Full => Class::Overflow,
            Party::Client if code == 101 => Class::Upgrade,
            Party::Client => Class::Gone,
            Party::Model => self.answer(code),
        }
    }

    fn party(self) -> Party {
        let said = said(self.details);
        match said {
            None | Some(Party::Model) => {}
            Some(party) => return party,
        }
        // The answer had begun, or there are no details: the flags say what cut it.
        if self.flags & CLIENT_FLAGS != 0 {
            Party::Client
        } else if self.flags & TIME_FLAGS != 0 {
            Party::Time
        } else if self.flags & NETWORK_FLAGS != 0 {
            Party::Network
        } else if self.code.unwrap_or(0) == 0 {
            Party::Client
        } else if said.is_some() || self.answered {
            Party::Model
        } else {
            Party::Proxy
        }
    }

    /// The class of a whole answer of the model's.
    const fn answer(self, code: i64) -> Class {
        match (code, self.grpc_status) {
            (200, Some(status)) => grpc(status),
            (101, _) => Class::Upgrade,
            (429, _) => Class::TooMany,
            (504, _) => Class::Timeout,
            (400..=499, _) => Class::ClientError,
            (500.., _) => Class::ServerError,
            _ => Class::Ok,
        }
    }
}

/// Families of details by how they begin, the narrower first.
const FAMILIES: [(&str, Party); 24] = [
    ("via_upstream", Party::Model),
    ("passthrough_internal_redirect", Party::Model),
    ("cache.insert_via_upstream", Party::Model),
    ("websocket_handshake_unsuccessful", Party::Model),
    ("grpc_bridge_", Party::Model),
    ("custom_response_", Party::Model),
    ("upstream_reset_before_response_started{overflow", Party::Full),
    // The proxy's own limit: nothing was sent.
    ("upstream_reset_before_response_started{overload", Party::Proxy),
    ("upstream_reset", Party::Network),
    ("no_healthy_upstream", Party::Network),
    ("cluster_not_found", Party::Network),
    ("dns_resolution_failure", Party::Network),
    ("cache_upstream_reset", Party::Network),
    // These two are said of responses.
    ("http1.transfer_encoding_not_allowed", Party::Network),
    ("http1.content_length_not_allowed", Party::Network),
    // Waiting for the client, or for the proxy's own parts.
    ("request_header_timeout", Party::Proxy),
    ("request_overall_timeout", Party::Proxy),
    ("downstream_header_timeout", Party::Proxy),
    ("duration_timeout", Party::Proxy),
    ("sub_cluster", Party::Proxy),
    ("upstream_max_stream_duration", Party::Time),
    ("downstream_local_disconnect(deferred_close_on_drained_connection", Party::Proxy),
    ("downstream_", Party::Client),
    ("codec_error", Party::Client),
];

/// Whom the details name; `None` without any. What is in no family was said by the proxy itself.
fn said(details: &str) -> Option<Party> {
    if details.is_empty() {
        return None;
    }
    let family = FAMILIES.iter().find(|(begins, _)| details.starts_with(begins)).map(|(_, party)| *party);
    let codec = || ["http1.", "http2.", "http3."].iter().any(|codec| details.starts_with(codec));
    Some(match family {
        Some(party) => party,
        None if details.contains("timeout") => Party::Time,
        None if codec() => Party::Client,
        None => Party::Proxy,
    })
}

/// gRPC status codes by whose fault they are (grpc/doc/statuscodes.md).
const fn grpc(status: i64) -> Class {
    match status {
        0 => Class::Ok,
        // DEADLINE_EXCEEDED
        4 => Class::Timeout,
        // RESOURCE_EXHAUSTED
        8 => Class::TooMany,
        // CANCELLED: by the client
        1 => Class::Gone,
        // INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE,
        // UNAUTHENTICATED
        3 | 5 | 6 | 7 | 9 | 10 | 11 | 16 => Class::ClientError,
        // UNKNOWN, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS, and what is not in the list
        _ => Class::GrpcError,
    }
}

#[cfg(test)]
#[path = "tests/end.rs"]
mod tests;
