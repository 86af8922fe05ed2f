use std::borrow::Cow;

/// What a policy may read of a request. Every read is a host call in the filter, so only what the policy names is
/// asked for; values are bytes, because clients send what they like.
pub trait Request {
    /// The value of a header (lower-case name; `:path` and `:authority` too); `None` when there is none.
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>>;

    /// A fact about the connection; `None` when it is not known.
    fn attribute(&self, attribute: Attribute) -> Option<Cow<'_, [u8]>>;
}

/// A fact about the connection, as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// The client's address without its port.
    SourceAddress,
    /// The port the connection came in on, in decimal.
    Port,
    /// `inbound`, `outbound` or `unspecified`.
    Direction,
    /// The subject alternative name (URI) of the peer's certificate; only under mutual TLS.
    Peer,
}

/// Headers alone, for tests and tools.
impl Request for &[(&str, &[u8])] {
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| Cow::Borrowed(*value))
    }

    fn attribute(&self, _: Attribute) -> Option<Cow<'_, [u8]>> {
        None
    }
}
