//! One request and its answer: what the test gives, and what the filter is allowed to see of it at each moment.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::abi::{Callback, Map, Status};
use crate::calls::HostCalls;
use crate::headers::{self, Headers};
use crate::properties::Properties;

/// A request as it reaches the filter, after the connection manager has dealt with it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Pseudo-headers (`:method`, `:path`, `:authority`, `:scheme`) included. Nothing is added by the host.
    pub headers: Headers,
    /// Body, chunk by chunk; none: the headers end the request.
    pub body: Vec<Vec<u8>>,
    /// Trailers, if any.
    pub trailers: Option<Headers>,
    /// `HTTP/1.1`, `HTTP/2` or `HTTP/3`.
    pub protocol: String,
    /// The client, `ADDRESS:PORT`.
    pub source_address: String,
    /// The listener's end of the connection, `ADDRESS:PORT`.
    pub destination_address: String,
    /// Further properties, or other values for those above.
    pub properties: Properties,
}

impl Request {
    /// A `GET` of `path` from `authority` over HTTP/1.1, from and to loopback.
    pub fn get(authority: &str, path: &str) -> Request {
        Request {
            headers: Headers::from([
                (":authority", authority),
                (":path", path),
                (":method", "GET"),
                (":scheme", "http"),
            ]),
            ..Request::bare()
        }
    }

    /// A request without a single header, as no client can send it and no filter may fail on it.
    pub fn bare() -> Request {
        Request {
            headers: Headers::new(),
            body: Vec::new(),
            trailers: None,
            protocol: "HTTP/1.1".to_owned(),
            source_address: "127.0.0.1:50000".to_owned(),
            destination_address: "127.0.0.1:10000".to_owned(),
            properties: Properties::new(),
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Request {
        self.headers.add(name, value);
        self
    }
}

/// Bits of the property `response.flags`, as Envoy numbers them.
pub mod flags {
    /// No healthy upstream (UH).
    pub const NO_HEALTHY_UPSTREAM: u64 = 0x2;
    /// The upstream took longer than the route's timeout (UT).
    pub const UPSTREAM_TIMEOUT: u64 = 0x4;
    /// The upstream reset the stream (UR).
    pub const UPSTREAM_REMOTE_RESET: u64 = 0x10;
    /// No connection to the upstream (UF).
    pub const UPSTREAM_CONNECTION_FAILURE: u64 = 0x20;
    /// The upstream closed the connection (UC).
    pub const UPSTREAM_CONNECTION_TERMINATION: u64 = 0x40;
    /// A circuit breaker refused the request (UO).
    pub const UPSTREAM_OVERFLOW: u64 = 0x80;
    /// No route (NR).
    pub const NO_ROUTE: u64 = 0x100;
    /// The client went away (DC).
    pub const DOWNSTREAM_DISCONNECT: u64 = 0x4000;
    /// The route names a cluster that does not exist (NC).
    pub const NO_CLUSTER: u64 = 0x100_0000;
}

/// How a request ended behind the filter.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// The upstream answered.
    Answer(Answer),
    /// Envoy answered itself (timeout, no upstream, no route). The filter sees these response headers too.
    Local {
        /// The status sent to the client.
        status: u16,
        /// `response.code_details`.
        details: String,
        /// `response.flags`; see [`flags`].
        flags: u64,
    },
    /// The client went away before an answer: no response callback, only the log.
    Disconnect,
}

/// An upstream's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `:status` included.
    pub headers: Headers,
    /// Body, chunk by chunk.
    pub body: Vec<Vec<u8>>,
    /// Trailers, if any: gRPC's status.
    pub trailers: Option<Headers>,
    /// From the first byte sent upstream to the last received.
    pub latency: Duration,
    /// How many tries it took (`upstream.request_attempt_count`).
    pub tries: u32,
    /// Set when the answer broke off after its headers; see [`flags`].
    pub flags: u64,
}

impl Answer {
    /// A complete answer without a body.
    pub fn status(status: u16) -> Answer {
        Answer {
            headers: Headers::from([(":status", status.to_string())]),
            body: Vec::new(),
            trailers: None,
            latency: Duration::from_millis(1),
            tries: 1,
            flags: 0,
        }
    }

    /// An answer that so many tries brought.
    pub fn tries(self, tries: u32) -> Answer {
        Answer { tries, ..self }
    }

    /// Adds a response header.
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Answer {
        self.headers.add(name, value);
        self
    }
}

impl Upstream {
    /// [`Answer::status`].
    pub fn status(status: u16) -> Upstream {
        Upstream::Answer(Answer::status(status))
    }

    /// The route's timeout: 504 from Envoy.
    pub fn timeout() -> Upstream {
        Upstream::Local {
            status: 504,
            details: "response_timeout".to_owned(),
            flags: flags::UPSTREAM_TIMEOUT,
        }
    }

    /// The connection was reset before an answer: 503 from Envoy.
    pub fn reset() -> Upstream {
        Upstream::Local {
            status: 503,
            details: "upstream_reset_before_response_started{connection_termination}".to_owned(),
            flags: flags::UPSTREAM_CONNECTION_TERMINATION,
        }
    }
}

impl From<Answer> for Upstream {
    fn from(answer: Answer) -> Upstream {
        Upstream::Answer(answer)
    }
}

/// An answer the filter itself gave through `proxy_send_local_response`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    /// The status.
    pub status: u32,
    /// `response.code_details`.
    pub details: String,
    /// The headers the filter asked to add.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

/// What a client and an upstream saw of one request, and what it cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exchange {
    /// Request headers as they left the filter: what the routes match on.
    pub request: Headers,
    /// Response headers as they left the filter; `None` when the client had gone.
    pub response: Option<Headers>,
    /// The filter answered by itself.
    pub local_reply: Option<LocalReply>,
    /// How often the filter asked for the route to be chosen again, besides its header writes (which do so too).
    pub route_clears: u32,
    /// What the filter stored with `proxy_set_property`, under the key it gave.
    pub filter_state: BTreeMap<String, Vec<u8>>,
    /// Calls into the host made for this request.
    pub host_calls: HostCalls,
    /// The filter trapped during this request, or the VM was dead already: the client got 503 if nothing was sent yet.
    pub failed: Option<String>,
    /// The VM was dead and the policy is `FailurePolicy::Open`: the filter was left out.
    pub bypassed: bool,
    /// The callback in which the filter paused and was never continued; a client would wait here for ever.
    pub paused: Option<Callback>,
}

impl Exchange {
    /// The response's status; `None` when the client had gone.
    pub fn status(&self) -> Option<u16> {
        self.response.as_ref()?.text(":status")?.parse().ok()
    }

    /// Envoy's 503 where the filter should have been.
    pub(crate) fn refused(self, reason: &str) -> Exchange {
        let response = Some(Headers::from([(":status", "503")]));
        Exchange { response, failed: Some(reason.to_owned()), ..self }
    }
}

/// A part of a message on its way to the filter.
#[derive(Debug)]
pub(crate) enum Part {
    Headers { end: bool },
    Body { chunk: Vec<u8>, end: bool },
    Trailers,
}

/// Which way a part goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Request,
    Response,
}

impl Way {
    pub(crate) fn callback(self, part: &Part) -> Callback {
        match (self, part) {
            (Way::Request, Part::Headers { .. }) => Callback::RequestHeaders,
            (Way::Request, Part::Body { .. }) => Callback::RequestBody,
            (Way::Request, Part::Trailers) => Callback::RequestTrailers,
            (Way::Response, Part::Headers { .. }) => Callback::ResponseHeaders,
            (Way::Response, Part::Body { .. }) => Callback::ResponseBody,
            (Way::Response, Part::Trailers) => Callback::ResponseTrailers,
        }
    }

    pub(crate) fn headers(self) -> Map {
        match self {
            Way::Request => Map::RequestHeaders,
            Way::Response => Map::ResponseHeaders,
        }
    }

    pub(crate) fn trailers(self) -> Map {
        match self {
            Way::Request => Map::RequestTrailers,
            Way::Response => Map::ResponseTrailers,
        }
    }
}

/// A message cut into the parts in which it reaches the filter. As over HTTP/1, where Envoy learns of the end after
/// the last byte, a body ends with an empty part of its own.
pub(crate) fn parts(way: Way, body: &[Vec<u8>], trailers: Option<&Headers>) -> VecDeque<(Way, Part)> {
    let ends = trailers.is_none();
    let mut parts = VecDeque::from([(way, Part::Headers { end: ends && body.is_empty() })]);
    parts.extend(body.iter().map(|chunk| (way, Part::Body { chunk: chunk.clone(), end: false })));
    if ends && !body.is_empty() {
        parts.push_back((way, Part::Body { chunk: Vec::new(), end: true }));
    }
    if !ends {
        parts.push_back((way, Part::Trailers));
    }
    parts
}

/// A stream inside a VM.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) root: u32,
    pub(crate) given: Request,
    pub(crate) exchange: Exchange,
    /// What has not reached the filter yet.
    pub(crate) queue: VecDeque<(Way, Part)>,
    /// `proxy_on_context_create` was called.
    pub(crate) created: bool,
    /// An answer, a local reply or a disconnect is known.
    pub(crate) answered: bool,
    pub(crate) response_trailers: Option<Headers>,
    pub(crate) code: Option<u16>,
    pub(crate) code_details: Option<String>,
    pub(crate) flags: u64,
    /// Flags that come up only after the response headers have passed.
    pub(crate) late_flags: u64,
    pub(crate) started: Duration,
    pub(crate) latency: Option<Duration>,
    pub(crate) tries: u32,
    pub(crate) contacted_upstream: bool,
    /// Response headers have gone to the client.
    pub(crate) sent: bool,
    /// The chunk of body at hand.
    pub(crate) chunk: Vec<u8>,
    /// The maps open for reading and writing: the current callback's, and those of one that paused.
    pub(crate) open: Vec<Map>,
    /// The access log's view: all maps readable, none writable.
    pub(crate) logging: bool,
    /// `proxy_continue_stream` was called since the last pause.
    pub(crate) continued: bool,
}

impl Stream {
    pub(crate) fn new(root: u32, request: Request, now: Duration) -> Stream {
        Stream {
            root,
            exchange: Exchange { request: request.headers.clone(), ..Exchange::default() },
            queue: parts(Way::Request, &request.body, request.trailers.as_ref()),
            given: request,
            created: false,
            answered: false,
            response_trailers: None,
            code: None,
            code_details: None,
            flags: 0,
            late_flags: 0,
            started: now,
            latency: None,
            tries: 0,
            contacted_upstream: false,
            sent: false,
            chunk: Vec::new(),
            open: Vec::new(),
            logging: false,
            continued: false,
        }
    }

    /// A map for reading. A map that is not open answers `BadArgument`, as Envoy does: request headers in the
    /// response phase, say. In the log every map is readable and one that never came is empty.
    pub(crate) fn map(&self, map: Map) -> Result<&Headers, Status> {
        if !self.logging && !self.open.contains(&map) {
            return Err(Status::BadArgument);
        }
        match map {
            Map::RequestHeaders => Ok(&self.exchange.request),
            Map::ResponseHeaders => Ok(self.exchange.response.as_ref().unwrap_or(&headers::EMPTY)),
            Map::ResponseTrailers => Ok(self.response_trailers.as_ref().unwrap_or(&headers::EMPTY)),
            // Envoy keeps no request trailers for the log: the map is there and empty.
            Map::RequestTrailers if self.logging => Ok(&headers::EMPTY),
            Map::RequestTrailers => self.given.trailers.as_ref().ok_or(Status::BadArgument),
            _ => Err(Status::BadArgument),
        }
    }

    /// A map for writing; nothing is writable in the log.
    pub(crate) fn map_mut(&mut self, map: Map) -> Result<&mut Headers, Status> {
        if self.logging || !self.open.contains(&map) {
            return Err(Status::BadArgument);
        }
        let found = match map {
            Map::RequestHeaders => Some(&mut self.exchange.request),
            Map::RequestTrailers => self.given.trailers.as_mut(),
            Map::ResponseHeaders => self.exchange.response.as_mut(),
            Map::ResponseTrailers => self.response_trailers.as_mut(),
            _ => None,
        };
        found.ok_or(Status::BadArgument)
    }

    /// Whether the properties that come from request headers are there.
    pub(crate) fn request_readable(&self) -> bool {
        self.logging || self.open.contains(&Map::RequestHeaders)
    }

    pub(crate) fn response_started(&self) -> bool {
        self.code.is_some()
    }

    /// The stream's end by a trap: the client gets 503 if nothing was sent to it and it is still there.
    pub(crate) fn died(self, reason: &str) -> Exchange {
        let gone = self.flags & flags::DOWNSTREAM_DISCONNECT != 0;
        let failed = Some(reason.to_owned());
        if self.sent || gone { Exchange { failed, ..self.exchange } } else { self.exchange.refused(reason) }
    }
}
