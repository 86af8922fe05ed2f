//! Conditions on a request: those of a rollout's scope, of overrides and of cohorts.

use crate::{Attribute, Pattern, Request, key::Place};

/// Which requests a rollout owns. Everything that is named must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Lower-case host names, without port; empty: any.
    pub(crate) authority: Vec<String>,
    pub(crate) path_prefix: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) direction: Option<&'static str>,
}

impl Scope {
    pub(crate) fn covers(&self, request: &impl Request) -> bool {
        self.covers_authority(request)
            && self.path_prefix.as_ref().is_none_or(|prefix| {
                request.header(":path").is_some_and(|path| is_under(&path, prefix.as_bytes()))
            })
            && self.port.is_none_or(|port| {
                request.attribute(Attribute::Port).is_some_and(|p| *p == *port.to_string().as_bytes())
            })
            && self.direction.is_none_or(|wanted| {
                request.attribute(Attribute::Direction).is_some_and(|d| *d == *wanted.as_bytes())
            })
    }

    fn covers_authority(&self, request: &impl Request) -> bool {
        self.authority.is_empty()
            || request.header(":authority").is_some_and(|authority| {
                let host = without_port(&authority);
                self.authority.iter().any(|name| host.eq_ignore_ascii_case(name.as_bytes()))
            })
    }
}

/// `/api` covers `/api`, `/api/x` and `/api?x`, but not `/apix`; a prefix that ends in `/` covers what it starts.
pub(crate) fn is_under(path: &[u8], prefix: &[u8]) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| prefix.ends_with(b"/") || matches!(rest.first(), None | Some(b'/' | b'?' | b'#')))
}

fn without_port(authority: &[u8]) -> &[u8] {
    match authority.iter().rposition(|b| *b == b':') {
        // The colons inside an IPv6 literal's brackets are not a port's.
        Some(colon) if !authority.get(colon..).is_some_and(|rest| rest.contains(&b']')) => {
            authority.get(..colon).unwrap_or(authority)
        }
        _ => authority,
    }
}

/// All conditions must hold; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule(pub(crate) Vec<Condition>);

impl Rule {
    pub(crate) fn holds(&self, request: &impl Request) -> bool {
        self.0.iter().all(|condition| condition.holds(request))
    }
}

/// One value of the request, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) place: Place,
    pub(crate) test: Test,
}

/// What a value must be. A missing value fits nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Exact(String),
    Prefix(String),
    Present,
    Regex(Pattern),
}

impl Condition {
    fn holds(&self, request: &impl Request) -> bool {
        self.place.read(request).is_some_and(|value| match &self.test {
            Test::Exact(text) => *value == *text.as_bytes(),
            Test::Prefix(text) => value.starts_with(text.as_bytes()),
            Test::Present => true,
            Test::Regex(pattern) => pattern.fits(&value),
        })
    }
}
