//! Finding a value in a request: a header, a cookie, a query parameter, the client's address.

use std::borrow::Cow;

use crate::{Attribute, Request};

/// Where a value is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Header(String),
    Cookie(String),
    Query(String),
    /// The path without its query.
    Path,
    SourceAddress,
}

impl Place {
    /// The value, or `None` when it is missing or empty: an empty user id would send everybody who lacks one to the
    /// same place.
    pub(crate) fn read<'r>(&self, request: &'r impl Request) -> Option<Cow<'r, [u8]>> {
        let value = match self {
            Self::Header(name) => request.header(name),
            Self::Cookie(name) => {
                request.header("cookie").and_then(|all| within(all, |bytes| cookie(bytes, name.as_bytes())))
            }
            Self::Query(name) => {
                request.header(":path").and_then(|all| within(all, |bytes| query(bytes, name.as_bytes())))
            }
            Self::Path => request.header(":path").and_then(|all| within(all, path)),
            Self::SourceAddress => request.attribute(Attribute::SourceAddress),
        };
        value.filter(|bytes| !bytes.is_empty())
    }
}

/// A part of a value, without copying what is borrowed.
fn within<'r>(all: Cow<'r, [u8]>, find: impl Fn(&[u8]) -> Option<&[u8]>) -> Option<Cow<'r, [u8]>> {
    match all {
        Cow::Borrowed(bytes) => find(bytes).map(Cow::Borrowed),
        Cow::Owned(bytes) => find(&bytes).map(|part| Cow::Owned(part.to_vec())),
    }
}

/// The first cookie of that name that is not empty (RFC 6265, 5.4: pairs separated by `;`, the name case-sensitive). Several
/// `cookie` lines of one HTTP/1 request arrive as one value, joined by commas; commas are looked at last, since many a
/// cookie's value holds some.
fn cookie<'b>(header: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
    let find =
        |pair: &'b [u8]| value_of(pair.trim_ascii(), name).map(unquoted).filter(|value| !value.is_empty());
    let mut pairs = header.split(|b| *b == b';');
    pairs
        .clone()
        .find_map(find)
        .or_else(|| pairs.find_map(|pair| pair.split(|b| *b == b',').skip(1).find_map(find)))
}

/// The first query parameter of that name that is not empty, as sent: percent-encoding is kept, since stickiness needs the
/// same bytes, not their meaning. A fragment never reaches a proxy.
fn query<'b>(path: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
    let start = path.iter().position(|b| *b == b'?')?;
    let pairs = path.get(start + 1..)?.split(|b| *b == b'&');
    pairs.filter_map(|pair| value_of(pair, name)).find(|value| !value.is_empty())
}

/// The path alone, as sent.
fn path(all: &[u8]) -> Option<&[u8]> {
    all.split(|b| *b == b'?').next()
}

fn value_of<'b>(pair: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
    pair.strip_prefix(name)?.strip_prefix(b"=")
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}
