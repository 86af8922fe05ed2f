//! One request: which arm, which headers, how it ended.

use std::borrow::Cow;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use split::{Arm, Assignment, Attribute, Cause, Claim, Confidence};
use tally::{Class, ConfidenceScale, GroupEvent, LATENCY_TOP, What};

use crate::configure::Active;
use crate::count::Counters;
use crate::host::{self, Map};
use crate::outcome::End;

/// A request under the policy it began with.
pub struct Stream {
    active: Option<Rc<Active>>,
    decided: Option<Decided>,
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
        Self { active, decided: None }
    }

    fn route(&mut self) -> Option<()> {
        let active = self.active.clone()?;
        let claim = active.splitter.claim(&Live)?;
        if claim.follows() {
            let route = claim.followed(&Live);
            let _ = host::set_header(Map::Request, claim.header(), route.as_str().as_bytes());
            return None;
        }
        let mut assignment = claim.assign(&Live, active.standing.get(), &mut active.draws.borrow_mut());
        if host::set_header(Map::Request, claim.header(), assignment.route().as_str().as_bytes()).is_err() {
            // Without the header the route is stable's, and so it is counted.
            assignment = Assignment::stable(Cause::Fallback);
        }
        let counters = active.counters.get(claim.index())?;
        counters.count(assignment.arm, What::Assigned(assignment.cause));
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
        let (claim, counters, assignment) = self.decided()?;
        let version = claim.version(assignment.arm);
        let _ = host::set_header(Map::Response, claim.version_header(), version.as_bytes());
        if let Some(confidence) = claim.confidence() {
            show_confidence(confidence, claim.confidence_in(assignment.arm), counters, assignment);
        }
        Some(())
    }

    fn finish(&self) -> Option<()> {
        let (claim, counters, assignment) = self.decided()?;
        let is_grpc = host::header(Map::Request, "content-type")
            .is_ok_and(|value| value.to_ascii_lowercase().starts_with(b"application/grpc"));
        let end = End {
            code: host::number("response\0code"),
            flags: host::number("response\0flags").unwrap_or(0),
            grpc_status: if is_grpc { host::number("response\0grpc_status") } else { None },
        };
        let class = end.class();
        let Assignment { arm, cause, group, .. } = assignment;
        counters.count(arm, What::Finished(cause, class));
        if !class.is_outcome() {
            return None;
        }
        // A request the model never answered has no latency of its own; it was longer than any.
        let latency = match class {
            Class::Timeout | Class::Reset => None,
            _ => host::number("response\0backend_latency").and_then(|ns| u64::try_from(ns).ok()),
        };
        if let Some(ns) = latency {
            counters.latency(arm, ns / 1_000_000);
        }
        if cause == Cause::Weight {
            counters.count(arm, What::Latency(latency.map_or(LATENCY_TOP, tally::latency_bin)));
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

/// The model's own confidence when it gives one; else the rollout's in that version. A value that is no number in
/// range is counted and passed on to nobody.
fn show_confidence(
    confidence: &Confidence,
    fallback: Option<&str>,
    counters: &Counters,
    assignment: Assignment,
) {
    let own = host::header(Map::Response, &confidence.from_header).ok();
    let steps = own.as_ref().and_then(|bytes| {
        let value: f64 = std::str::from_utf8(bytes).ok()?.trim().parse().ok()?;
        ConfidenceScale::new(confidence.min, confidence.max)?.steps(value)
    });
    if let Some(steps) = steps
        && assignment.cause == Cause::Weight
    {
        counters.count(assignment.arm, What::Confidence(ConfidenceScale::bin(steps)));
        counters.add(assignment.arm, What::ConfidenceSum, steps);
        counters.add(assignment.arm, What::ConfidenceSquares, steps * steps);
    }
    if own.is_some() && steps.is_none() {
        counters.count(assignment.arm, What::ConfidenceInvalid);
    }
    let shown = match (own.as_deref().filter(|_| steps.is_some()), fallback) {
        (Some(value), _) => Some((value.trim_ascii(), "model")),
        (None, Some(value)) => Some((value.as_bytes(), "rollout")),
        (None, None) => None,
    };
    if let Some((value, source)) = shown {
        let _ = host::set_header(Map::Response, &confidence.header, value);
        let _ = host::set_header(Map::Response, &confidence.source_header, source.as_bytes());
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

    /// Not in a response callback: a client that goes away never causes one.
    fn on_log(&mut self) {
        let _ = self.finish();
    }
}
