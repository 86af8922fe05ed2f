//! What a request may bring along. A page of another origin can send a form without a preflight request.

use api::path;
use axum::http::header::{CONTENT_TYPE, ORIGIN, REFERER, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, StatusCode};

use super::{RefusalReason, RefusedRequest};

/// Rollouts of a whole company's models are shorter; what is longer would be read for seconds.
const MOST_OF_A_DOCUMENT: usize = 256 * 1024;
/// Figures come in lists, registries tell more than is wanted.
const MOST_OF_THE_REST: usize = 1024 * 1024;

/// What stands in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A rollout or a trigger.
    Document,
    /// Anything else.
    Json,
}

impl Form {
    /// What is posted there.
    pub fn of(at: &str) -> Self {
        if matches!(at, path::ROLLOUTS | path::TRIGGERS) { Self::Document } else { Self::Json }
    }

    /// How much of it is read, in bytes.
    pub const fn limit(self) -> usize {
        match self {
            Self::Document => MOST_OF_A_DOCUMENT,
            Self::Json => MOST_OF_THE_REST,
        }
    }

    const fn written(self) -> &'static str {
        match self {
            Self::Document => "application/yaml",
            Self::Json => "application/json",
        }
    }

    pub fn too_long(self) -> RefusedRequest {
        let remedy = match self {
            Self::Document => "divide it into several rollouts, each a document of its own",
            Self::Json => "send it in parts",
        };
        let limit = self.limit() / 1024;
        let text = format!("the body is longer than {limit} KiB, or broke off; {remedy}");
        RefusedRequest::new(StatusCode::PAYLOAD_TOO_LARGE, RefusalReason::Body, text)
    }
}

/// Does it say its kind, and is that read there? One that says nothing may be: what browsers send without a type, they say to be of
/// a page. `curl -d` and many libraries call everything a form unless they are told otherwise, so that is read of whoever
/// is no browser.
pub fn fits(headers: &HeaderMap, form: Form) -> Result<bool, RefusedRequest> {
    let may_be_browser = may_be_browser(headers);
    let says_nothing =
        |kind: &str| !may_be_browser && matches!(kind, "application/x-www-form-urlencoded" | "text/plain");
    let is_read = |kind: &str| {
        let json = kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json");
        let yaml = matches!(
            kind,
            "application/yaml" | "application/x-yaml" | "application/vnd.yaml" | "text/yaml" | "text/x-yaml"
        );
        json || form == Form::Document && yaml
    };
    let mut says = false;
    for kind in headers.get_all(CONTENT_TYPE) {
        let said = kind.to_str().unwrap_or_default();
        let kind = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if says_nothing(&kind) {
            continue;
        }
        if !is_read(&kind) {
            let wanted = form.written();
            return Err(RefusedRequest::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                RefusalReason::ContentType,
                format!("{kind:?} is not read here; say what it is, as in curl -H 'content-type: {wanted}'"),
            ));
        }
        says = true;
    }
    Ok(says)
}

/// Does it bear a mark that every browser leaves on what a page sends?
fn may_be_browser(headers: &HeaderMap) -> bool {
    let mozilla = |value: &HeaderValue| value.as_bytes().starts_with(b"Mozilla/");
    headers.contains_key(ORIGIN)
        || headers.contains_key(REFERER)
        || headers.keys().any(|name| name.as_str().starts_with("sec-fetch-"))
        || headers.get_all(USER_AGENT).iter().any(mozilla)
}
