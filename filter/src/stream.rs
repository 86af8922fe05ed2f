//! One request: which arm, which headers, how it ended.

use std::borrow::Cow;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use split::{Assignment, Attribute, Cause, Claim, Confidence};
use tally::{
    AnswerReading, AnswerTime, Class, ConfidenceReading, End, Ending, Outcome, StatusIn, Ticket, grpc_status,
};

use crate::body::Body;
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
    /// When the request began, in nanoseconds by the steady clock: known where its answer is to be read.
    began_ns: Option<u64>,
    body: Option<Body>,
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
            Attribute::SourceAddress => {
                host::property("source\0address").ok().map(split::without_port).map(Cow::Owned)
            }
            Attribute::Port => {
                host::number("destination\0port").map(|port| Cow::Owned(port.to_string().into_bytes()))
            }
            Attribute::Direction => host::number("xds\0listener_direction")
                .map(|number| Cow::Borrowed(split::direction(number).as_bytes())),
            Attribute::Peer => host::property("connection\0uri_san_peer_certificate").ok().map(Cow::Owned),
        }
    }
}

impl Stream {
    pub const fn new(active: Option<Rc<Active>>) -> Self {
        Self { active, decided: None, ticket: None, trailer_status: None, began_ns: None, body: None }
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
            claim.assign(&Live, active.standing_of(claim.index()), &mut active.draws.borrow_mut());
        if host::set_header(Map::Request, claim.header(), assignment.route().as_str().as_bytes()).is_err() {
            // Without the header the route is stable's, and so it is counted.
            assignment = Assignment::stable(Cause::Fallback);
        }
        let counters = active.counters.get(claim.index())?;
        self.ticket = counters.count_assigned(assignment.arm, assignment.cause);
        if assignment.arm.is_challenger() {
            counters.note_challenger();
        }
        if claim.answers().is_some() && assignment.cause == Cause::Weight {
            self.began_ns = host::steady().ok();
        }
        self.decided = Some(Decided { rollout: claim.index(), assignment });
        Some(())
    }

    /// The rollout and counters of a request this proxy decided.
    fn decision(&self) -> Option<(Claim<'_>, &Counters, Assignment)> {
        let (active, decided) = (self.active.as_ref()?, self.decided?);
        let claim = active.splitter.rollout(decided.rollout)?;
        Some((claim, active.counters.get(decided.rollout)?, decided.assignment))
    }

    fn tag(&mut self) -> Option<()> {
        if let Some(ticket) = &self.ticket {
            ticket.end(Ending::Answered);
        }
        let (claim, counters, assignment) = self.decision()?;
        let version = claim.version(assignment.arm);
        let _ = host::set_header(Map::Response, claim.version_header(), version.as_bytes());
        if let (Some(confidence), Some(active)) = (claim.confidence(), &self.active) {
            show_confidence(confidence, claim.confidence_in(assignment.arm), active, counters, assignment);
        }
        let body = Body::begin(claim.answers()?, self.began_ns?);
        self.body = body;
        Some(())
    }

    fn finish(&mut self) -> Option<()> {
        let body = self.body.take();
        let (claim, counters, assignment) = self.decision()?;
        let Assignment { arm, cause, .. } = assignment;
        let answer_ns = nanoseconds("response\0backend_latency");
        let class = class(answer_ns.is_some(), self.trailer_status);
        counters.count_finished(arm, cause, class);
        if let Some(ticket) = &self.ticket {
            ticket.end(Ending::of(class));
        }
        if !class.is_outcome() {
            return None;
        }
        let retried = host::number("upstream\0request_attempt_count").is_some_and(|tries| tries > 1);
        let time = AnswerTime::of(class, retried, answer_ns, || nanoseconds("request\0duration"));
        if let Some(ms) = time.and_then(AnswerTime::whole_ms) {
            counters.record_latency(arm, ms);
        }
        let (is_present, counts_groups) = (counters.is_present(), claim.counts_groups());
        let outcome = Outcome { assignment, class, retried, time, is_present, counts_groups };
        outcome.counted().for_each(|what| counters.count(arm, what));
        // As of answer times: only of the weights in force.
        if let (Some(body), true, Some(active)) = (body, is_present, &self.active) {
            let reading = AnswerReading { observed: body.observed(), confidence: claim.confidence() };
            let draw = || active.draws.borrow_mut().draw();
            reading.counted(draw).for_each(|what| counters.count(arm, what));
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
        grpc_status: if code == Some(200) { grpc(trailer_status) } else { None },
    };
    end.class()
}

/// The gRPC status of a call that is gRPC's.
fn grpc(trailer: Option<i64>) -> Option<i64> {
    match StatusIn::of(&host::header(Map::Request, "content-type").ok()?)? {
        StatusIn::Envoy => host::number("response\0grpc_status"),
        StatusIn::TrailerOrHeader => trailer.or_else(|| status_in(Map::Response)),
    }
}

fn status_in(map: Map) -> Option<i64> {
    grpc_status(&host::header(map, "grpc-status").ok()?)
}

fn nanoseconds(property: &str) -> Option<u64> {
    host::number(property).and_then(|ns| u64::try_from(ns).ok())
}

/// Counts the confidence of a response and sets the headers that show it; without one they are removed.
fn show_confidence(
    rules: &Confidence,
    fallback: Option<&str>,
    active: &Active,
    counters: &Counters,
    assignment: Assignment,
) {
    // One that stands in the body is counted at the end, and no header can tell of it: they are on their way by then.
    let model = rules.from_header.as_ref().and_then(|name| host::header(Map::Response, name).ok());
    let is_evidence = assignment.cause == Cause::Weight && counters.is_present();
    let draw = || active.draws.borrow_mut().draw();
    let reading = ConfidenceReading::of(rules, model.as_deref(), fallback, is_evidence, draw);
    if let Some(what) = reading.counted {
        counters.count(assignment.arm, what);
    }
    if let Some((value, source)) = reading.shown {
        let _ = host::set_header(Map::Response, &rules.header, value);
        let _ = host::set_header(Map::Response, &rules.source_header, source.as_str().as_bytes());
    } else {
        let _ = host::remove_header(Map::Response, &rules.header);
        let _ = host::remove_header(Map::Response, &rules.source_header);
    }
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

    fn on_http_response_body(&mut self, size: usize, _: bool) -> Action {
        if let Some(body) = &mut self.body {
            body.chunk(size);
        }
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
