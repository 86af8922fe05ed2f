//! Does a browser send the request for a page of another origin? Browsers say so in headers that a page cannot set.

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Request, StatusCode};

use super::{RefusalReason, RefusedRequest};

/// Not one of a browser's, or of a page that came from here. Another port of this machine is another page's.
pub fn own<B>(request: &Request<B>) -> Result<(), RefusedRequest> {
    let headers = request.headers();
    let site = headers.get_all("sec-fetch-site").iter();
    let foreign = |value: &&HeaderValue| !matches!(value.as_bytes(), b"same-origin" | b"none");
    if let Some(site) = site.into_iter().find(foreign) {
        return Err(refused(&format!("a page of another site ({})", site.to_str().unwrap_or("?"))));
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(Authority::as_str)).unwrap_or_default();
    for origin in headers.get_all(ORIGIN) {
        let origin = origin.to_str().unwrap_or("null");
        let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if host.is_empty() || !from.is_some_and(|from| from.eq_ignore_ascii_case(host)) {
            return Err(refused(&format!("a page of {origin}")));
        }
    }
    Ok(())
}

fn refused(whose: &str) -> RefusedRequest {
    RefusedRequest::new(
        StatusCode::FORBIDDEN,
        RefusalReason::Origin,
        format!(
            "a browser asks for {whose}, and no page but the controller's own may change anything; use the serin command, \
             or a client that sends neither Origin nor Sec-Fetch-Site"
        ),
    )
}
