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

/// A client's address as a proxy gives it, without its port, which changes with every connection.
#[must_use]
pub fn without_port(mut address: Vec<u8>) -> Vec<u8> {
    if let Some(colon) = address.iter().rposition(|byte| *byte == b':') {
        address.truncate(colon);
    }
    address
}

/// The direction of a listener's traffic, by Envoy's number for it (`envoy.config.core.v3.TrafficDirection`).
#[must_use]
pub const fn direction(number: i64) -> &'static str {
    match number {
        1 => "inbound",
        2 => "outbound",
        _ => "unspecified",
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_loses_its_port_alone() {
        for (address, expected) in [
            ("10.0.0.1:43210", "10.0.0.1"),
            ("[2001:db8::1]:43210", "[2001:db8::1]"),
            ("/run/model.sock", "/run/model.sock"),
            ("", ""),
        ] {
            assert_eq!(without_port(address.into()), expected.as_bytes(), "{address}");
        }
    }

    #[test]
    fn directions_are_envoys() {
        for (number, expected) in [(0, "unspecified"), (1, "inbound"), (2, "outbound"), (9, "unspecified")] {
            assert_eq!(direction(number), expected, "{number}");
        }
    }
}
