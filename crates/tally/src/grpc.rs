//! Which gRPC status did a call end with, and where does it stand?

/// Where a gRPC call says how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusIn {
    /// `response.grpc_status` of Envoy, which reads trailers and headers.
    Envoy,
    /// A trailer or header `grpc-status`, where a proxy translated it: gRPC-Web says it in the body, which is not read.
    TrailerOrHeader,
}

impl StatusIn {
    /// By the request's content type; `None`: it is no gRPC call.
    #[must_use]
    pub fn of(content_type: &[u8]) -> Option<Self> {
        let begins = |with: &[u8]| {
            content_type.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with))
        };
        if begins(b"application/grpc-web") {
            Some(Self::TrailerOrHeader)
        } else if begins(b"application/grpc") {
            Some(Self::Envoy)
        } else {
            None
        }
    }
}

/// Reads the value of a header or trailer `grpc-status`; `None`: it is no number.
#[must_use]
pub fn grpc_status(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_say_where_the_status_stands() {
        for (content_type, expected) in [
            ("application/grpc", Some(StatusIn::Envoy)),
            ("application/grpc+proto", Some(StatusIn::Envoy)),
            ("Application/GRPC", Some(StatusIn::Envoy)),
            ("application/grpc-web", Some(StatusIn::TrailerOrHeader)),
            ("application/grpc-web-text+proto", Some(StatusIn::TrailerOrHeader)),
            ("APPLICATION/gRPC-Web", Some(StatusIn::TrailerOrHeader)),
            ("application/json", None),
            ("application/gr", None),
            ("", None),
        ] {
            assert_eq!(StatusIn::of(content_type.as_bytes()), expected, "{content_type}");
        }
    }

    #[test]
    fn a_status_is_a_number_or_nothing() {
        for (value, expected) in [
            (b"0".as_slice(), Some(0)),
            (b" 14 ", Some(14)),
            (b"-1", Some(-1)),
            (b"", None),
            (b"OK", None),
            (b"1.0", None),
            (b"\xff", None),
        ] {
            assert_eq!(grpc_status(value), expected, "{value:?}");
        }
    }
}
