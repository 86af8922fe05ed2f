//! How somebody outside is asked over HTTP: sources of figures, model registries, hooks, endpoints that name their version.
//!
//! One set of rules for all of them. Redirects are not followed: credentials go to the host that was named and no further,
//! and a login page is no success. Proxies of the environment are not used. Only hosts that the operator allows are asked,
//! and what their names lead to is checked before it is connected to. Every question has a deadline, and every answer a
//! bound.

mod client;
mod hosts;
mod resolve;
mod secret;
mod tls;

#[cfg(test)]
mod tests;

pub use client::{Answer, Client, Question, Reply, shown, within};
pub use hosts::{Host, Hosts};
pub use secret::{Scrub, Text};
pub use tls::{Terms, system};

#[doc(no_inline)]
pub use {
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    rustls::RootCertStore,
    url::Url,
};
