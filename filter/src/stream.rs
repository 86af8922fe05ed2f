//! One request: which arm, which headers, how it ended.

use std::borrow::Cow;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use split::{Arm, Assignment, Attribute, Cause, Claim, Confidence};
use tally::{Class, ConfidenceScale, End, Ending, GroupEvent, LATENCY_TOP, Ticket, What};

use crate::configure::Active;
use crate::count::Counters;
use crate::host::{self, Map};

/// A request under the policy it began with.
pub struct Stream {
    active: Option<Rc<Active>>,
    decided: Option<Decided>,
    /// Follows a request that the weights decided.
    ticket: Option<Ticket>,
    /// `grpc-status` of the response's trailers, which are gone by the time of the log.
    trailer_status: Option<i64>,
}

/// What was decided for a request this proxy counts.
#[derive(Clone, Copy)]
struct Decided {
    rollout: usize,
    assignment: Assignment,
}

/// The request as `split` reads it: each read is a host call, so only what the policy names is read.
struct Live;

impl split::Request for Live {
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        host::header(Map::Request, name).ok().map(Cow::Owned)
    }

    fn attribute(&self, attribute: Attribute) -> Option<Cow<'_, [u8]>> {
        match attribute {
            Attribute::SourceAddress => host::property("source\0address").ok().map(|mut address| {
                // Envoy gives address:port; the port changes with every connection.
                if let Some(colon) = address.iter().rposition(|byte| *byte == b':') {
                    address.truncate(colon);
                }
                Cow::Owned(address)
            }),
            Attribute::Port => {
                host::number("destination\0port").map(|port| Cow::Owned(port.to_string().into_bytes()))
            }
            Attribute::Direction => Some(Cow::Borrowed(match host::number("xds\0listener_direction")? {
                1 => b"inbound",
                2 => b"outbound",
                _ => b"unspecified",
            })),
            Attribute::Peer => host::property("connection\0uri_san_peer_certificate").ok().map(Cow::Owned),
        }
    }
}

impl Stream {
    pub const fn new(active: Option<Rc<Active>>) -> Self {
        Self { active, decided: None, ticket: None, trailer_status: None }
    }

    fn route(&mut self) -> Option<()> {
        let active = self.active.clone()?;
        let claim = active.splitter.claim(&Live)?;
        if claim.follows() {
            let route = claim.followed(&Live);
            let _ = host::set_header(Map::Request, claim.header(), route.as_str().as_bytes());
            return None;
        }
        let mut assignment =
            claim.assign(&Live, active.standing(claim.index()), &mut active.draws.borrow_mut());
        if host::set_header(Map::Request, claim.header(), assignment.route().as_str().as_bytes()).is_err() {
            // Without the header the route is stable's, and so it is counted.
            assignment = Assignment::stable(Cause::Fallback);
        }
        let counters = active.counters.get(claim.index())?;
        self.ticket = counters.assigned(assignment.arm, assignment.cause);
        if assignment.arm.is_challenger() {
            counters.challenger();
        }
        self.decided = Some(Decided { rollout: claim.index(), assignment });
        Some(())
    }

    /// The rollout and counters of a request this proxy decided.
    fn decided(&self) -> Option<(Claim<'_>, &Counters, Assignment)> {
        let (active, decided) = (self.active.as_ref()?, self.decided?);
        let claim = active.splitter.rollout(decided.rollout)?;
        Some((claim, active.counters.get(decided.rollout)?, decided.assignment))
    }

    fn tag(&self) -> Option<()> {
        if let Some(ticket) = &self.ticket {
            ticket.end(Ending::Answered);
        }
        let (claim, counters, assignment) = self.decided()?;
        let version = claim.version(assignment.arm);
        let _ = host::set_header(Map::Response, claim.version_header(), version.as_bytes());
        if let (Some(confidence), Some(active)) = (claim.confidence(), &self.active) {
            show_confidence(confidence, claim.confidence_in(assignment.arm), active, counters, assignment);
        }
        Some(())
    }

    fn finish(&self) -> Option<()> {
        let (claim, counters, assignment) = self.decided()?;
        let Assignment { arm, cause, group, .. } = assignment;
        let answer_ns = host::number("response\0backend_latency").and_then(|ns| u64::try_from(ns).ok());
        let class = class(answer_ns.is_some(), self.trailer_status);
        counters.finished(arm, cause, class);
        if let Some(ticket) = &self.ticket {
            ticket.end(match class {
                Class::Gone => Ending::Left,
                Class::Local | Class::Overflow => Ending::Nobodys,
                _ => Ending::Answered,
            });
        }
        if !class.is_outcome() {
            return None;
        }
        let retried = host::number("upstream\0request_attempt_count").is_some_and(|tries| tries > 1);
        if retried && cause == Cause::Weight {
            counters.count(arm, What::Retried);
        }
        let bin = if matches!(class, Class::Timeout | Class::Reset) {
            // A request the model never answered to the end has no latency of its own; it was longer than any.
            Some(LATENCY_TOP)
        } else {
            // Envoy measures the last try alone; of a request that was tried again, the whole is what its client waited for.
            let waited_ns =
                answer_ns.map(|ns| if retried { whole_ns().map_or(ns, |whole| whole.max(ns)) } else { ns });
            waited_ns.inspect(|ns| counters.latency(arm, ns / 1_000_000)).map(tally::latency_bin)
        };
        // Requests of the weights before are of another age in each arm.
        if let Some(bin) = bin
            && cause == Cause::Weight
            && counters.is_present()
        {
            counters.count(arm, What::Latency(bin));
        }
        if let Some(group) = group
            && claim.counts_groups()
            && arm == Arm::Stable
            && cause == Cause::Weight
        {
            counters.count(arm, What::Group(group, GroupEvent::Finished));
            if class.is_error() {
                counters.count(arm, What::Group(group, GroupEvent::Error));
            }
        }
        Some(())
    }
}

/// How it ended, as Envoy tells it; `answered`: a model sent something.
fn class(answered: bool, trailer_status: Option<i64>) -> Class {
    let code = host::number("response\0code");
    let flags = host::number("response\0flags").unwrap_or(0);
    let details = if End::needs_details(code, flags, answered) {
        host::property("response\0code_details").unwrap_or_default()
    } else {
        Vec::new()
    };
    let end = End {
        code,
        flags,
        details: std::str::from_utf8(&details).unwrap_or_default(),
        answered,
        grpc_status: if code == Some(200) { grpc_status(trailer_status) } else { None },
    };
    end.class()
}

/// The gRPC status of a call that is gRPC's.
fn grpc_status(trailer: Option<i64>) -> Option<i64> {
    let content_type = host::header(Map::Request, "content-type").ok()?.to_ascii_lowercase();
    if content_type.starts_with(b"application/grpc-web") {
        // Its status is in the body, which is not read; where Envoy translates it, in a trailer or header.
        return trailer.or_else(|| status_in(Map::Response));
    }
    if content_type.starts_with(b"application/grpc") { host::number("response\0grpc_status") } else { None }
}

fn status_in(map: Map) -> Option<i64> {
    let said = host::header(map, "grpc-status").ok()?;
    std::str::from_utf8(&said).ok()?.trim().parse().ok()
}

/// How long the request took as a whole.
fn whole_ns() -> Option<u64> {
    host::number("request\0duration").and_then(|ns| u64::try_from(ns).ok())
}

/// The model's own confidence when it gives one; else the rollout's in that version. A value that is no number in
/// range is counted and passed on to nobody, nor is a header of ours that the model wrote.
fn show_confidence(
    confidence: &Confidence,
    fallback: Option<&str>,
    active: &Active,
    counters: &Counters,
    assignment: Assignment,
) {
    let own = host::header(Map::Response, &confidence.from_header).ok();
    let point = own.as_ref().and_then(|bytes| {
        let value: f64 = std::str::from_utf8(bytes).ok()?.trim().parse().ok()?;
        let scale = ConfidenceScale::new(confidence.min, confidence.max)?;
        scale.point(value, active.draws.borrow_mut().draw())
    });
    if let Some(point) = point
        && assignment.cause == Cause::Weight
        && counters.is_present()
    {
        counters.count(assignment.arm, What::Confidence(point));
    }
    if own.is_some() && point.is_none() {
        counters.count(assignment.arm, What::ConfidenceInvalid);
    }
    match (own.as_deref().filter(|_| point.is_some()), fallback) {
        (Some(value), _) => shown(confidence, value.trim_ascii(), b"model"),
        (None, Some(value)) => shown(confidence, value.as_bytes(), b"rollout"),
        (None, None) => {
            let _ = host::remove_header(Map::Response, &confidence.header);
            let _ = host::remove_header(Map::Response, &confidence.source_header);
        }
    }
}

fn shown(confidence: &Confidence, value: &[u8], source: &[u8]) {
    let _ = host::set_header(Map::Response, &confidence.header, value);
    let _ = host::set_header(Map::Response, &confidence.source_header, source);
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        #[cfg(feature = "test-trap")]
        if host::header(Map::Request, "x-serin-test-trap").is_ok() {
            std::process::abort();
        }
        let _ = self.route();
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let _ = self.tag();
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        self.trailer_status = status_in(Map::ResponseTrailers);
        Action::Continue
    }

    /// Not in a response callback: a client that goes away never causes one.
    fn on_log(&mut self) {
        let _ = self.finish();
    }
}
