//! Does a request mean this controller? A browser that was led here by a foreign name sends that name.

use std::net::IpAddr;

use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{Method, Request, StatusCode};

use super::{RefusalReason, RefusedRequest, is_lease};

/// What the filters call the controller when they ask for a lease, wherever it is.
const OF_THE_LEASE: &str = "serin";

/// What the controller is called.
#[derive(Debug)]
pub struct Names {
    bound: IpAddr,
    allowed: Vec<sources::Host>,
}

impl Names {
    /// `bound`: the address it listens at. `allowed`: what the operator calls it besides.
    pub const fn new(bound: IpAddr, allowed: Vec<sources::Host>) -> Self {
        Self { bound, allowed }
    }

    /// Is this controller meant?
    pub fn meant<B>(&self, request: &Request<B>) -> Result<(), RefusedRequest> {
        let said = request.headers().get_all(HOST).iter().map(|value| value.to_str().unwrap_or_default());
        let mut said: Vec<&str> = said.collect();
        said.extend(request.uri().authority().map(Authority::as_str));
        if said.is_empty() && matches!(*request.method(), Method::GET | Method::HEAD) {
            // HTTP/1.0, as probes speak it: a browser always says whom it means.
            return Ok(());
        }
        let lease = is_lease(request.uri().path());
        let known = |host: &&str| is_host(host, |name| self.knows(name) || lease && name == OF_THE_LEASE);
        if !said.is_empty() && said.iter().all(known) {
            return Ok(());
        }
        let stranger = said.iter().find(|host| !known(host)).copied().unwrap_or_default();
        let name =
            stranger.parse::<Authority>().map_or_else(|_| "NAME".to_owned(), |it| it.host().to_owned());
        Err(RefusedRequest::new(
            StatusCode::MISDIRECTED_REQUEST,
            RefusalReason::Host,
            format!(
                "this controller is not known as {stranger:?}; if it is yours by that name, start it with \
                 `serin run --allowed-host {name}` (SERIN_ALLOWED_HOST), else ask at localhost"
            ),
        ))
    }

    /// A host in small letters, without port.
    fn knows(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            let address = address.to_canonical();
            // A request that names an address was led here by no name. A server that listens everywhere has many.
            if address.is_loopback() || self.bound.is_unspecified() || address == self.bound.to_canonical() {
                return true;
            }
        }
        // What ends in it is this machine for every browser (RFC 6761).
        host == "localhost"
            || host.ends_with(".localhost")
            || self.allowed.iter().any(|allowed| allowed.covers(host))
    }
}

/// Is it a host and perhaps a port, and one that is known?
fn is_host(said: &str, known: impl Fn(&str) -> bool) -> bool {
    let Ok(authority) = said.parse::<Authority>() else { return false };
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    !said.contains('@') && known(&host)
}
