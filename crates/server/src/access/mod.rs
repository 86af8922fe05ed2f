//! Which requests are accepted: what is checked before a handler sees one.
//!
//! Loopback is no password. Any page that a browser on this machine shows can send requests here, and a name that its owner
//! points at 127.0.0.1 (DNS rebinding) makes them look like ours. So a request must mean this controller ([`names`]), and
//! nothing is changed for a page of another origin ([`browser`]) nor by a form ([`content`]). No `Access-Control-Allow-*`
//! is ever sent: what is read here, no other page sees.

mod browser;
mod content;
mod names;
mod proxies;
mod refused;
mod revocable;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::path::LEASE;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub use names::Names;
pub use proxies::{Proxies, Tokens, prove};
pub use refused::{RefusalReason, RefusedRequest, RefusedRequests};

/// A body must have come by then.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What each request is checked against.
#[derive(Clone)]
pub struct RequestGuard {
    names: Arc<Names>,
    pub refused_requests: RefusedRequests,
}

impl RequestGuard {
    /// `bound`: where it listens. `allowed`: what else it is called.
    pub fn new(bound: SocketAddr, allowed: Vec<sources::Host>, refused_requests: RefusedRequests) -> Self {
        Self { names: Arc::new(Names::new(bound.ip(), allowed)), refused_requests }
    }

    /// May this request come in? What it may bring along is looked at after that.
    fn admit<B>(&self, request: &axum::http::Request<B>) -> Result<(), RefusedRequest> {
        self.names.meant(request)?;
        if changes(request) {
            browser::own(request)?;
        }
        Ok(())
    }
}

/// Is it a proxy's question for its lease? The path may name the document it runs.
pub fn is_lease(path: &str) -> bool {
    path.strip_prefix(LEASE).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Would it change anything? A question for a lease is remembered.
fn changes<B>(request: &axum::http::Request<B>) -> bool {
    !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
        || is_lease(request.uri().path())
}

/// The middleware: around everything that is served.
pub async fn guard(State(guard): State<RequestGuard>, request: Request, next: Next) -> Response {
    let admitted = match guard.admit(&request) {
        Ok(()) => with_body(request).await,
        Err(turned) => Err(turned),
    };
    let mut response = match admitted {
        Ok(request) => next.run(request).await,
        Err(turned) => {
            guard.refused_requests.count(turned.why);
            turned.into_response()
        }
    };
    let headers = response.headers_mut();
    // Whatever it is, no page of another origin is to embed it or guess what it is.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}

/// A request with all of its body, in a form that can be read.
async fn with_body(request: Request) -> Result<Request, RefusedRequest> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(request);
    }
    let (mut parts, body) = request.into_parts();
    let form = content::Form::of(parts.uri.path());
    let body = read(body, form).await?;
    // Whose page asks is known already; nothing has no kind, whatever it is called.
    let says = body.is_empty() || content::fits(&parts.headers, form)?;
    if !says {
        // Commands and scripts say nothing, or anything, of a body that can only be this.
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(Request::from_parts(parts, Body::from(body)))
}

async fn read(body: Body, form: content::Form) -> Result<Bytes, RefusedRequest> {
    match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, form.limit())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(form.too_long()),
        Err(_) => Err(RefusedRequest::new(
            StatusCode::REQUEST_TIMEOUT,
            RefusalReason::Body,
            format!("the body did not come within {} s; send it again", BODY_TIMEOUT.as_secs()),
        )),
    }
}
