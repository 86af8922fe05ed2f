//! How a request ended: from Envoy's response code, flags and gRPC status to a class.

use tally::Class;

/// Bits of Envoy's `response.flags`, in the order of its response-flag list.
const NO_HEALTHY_UPSTREAM: i64 = 0x2;
const UPSTREAM_REQUEST_TIMEOUT: i64 = 0x4;
const LOCAL_RESET: i64 = 0x8;
const UPSTREAM_REMOTE_RESET: i64 = 0x10;
const UPSTREAM_CONNECTION_FAILURE: i64 = 0x20;
const UPSTREAM_CONNECTION_TERMINATION: i64 = 0x40;
const DOWNSTREAM_CONNECTION_TERMINATION: i64 = 0x4000;

const BROKEN: i64 = NO_HEALTHY_UPSTREAM
    | LOCAL_RESET
    | UPSTREAM_REMOTE_RESET
    | UPSTREAM_CONNECTION_FAILURE
    | UPSTREAM_CONNECTION_TERMINATION;

/// What Envoy said of the end of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct End {
    /// None or 0: there was no response.
    pub code: Option<i64>,
    pub flags: i64,
    /// Only for requests whose content type is gRPC's.
    pub grpc_status: Option<i64>,
}

impl End {
    pub fn class(self) -> Class {
        let code = self.code.unwrap_or(0);
        if code == 0 || self.flags & DOWNSTREAM_CONNECTION_TERMINATION != 0 {
            return Class::Gone;
        }
        if self.flags & UPSTREAM_REQUEST_TIMEOUT != 0 || code == 504 {
            return Class::Timeout;
        }
        if self.flags & BROKEN != 0 {
            return Class::Reset;
        }
        match (code, self.grpc_status) {
            (200, Some(status)) => grpc(status),
            (101, _) => Class::Upgrade,
            (429, _) => Class::TooMany,
            (400..=499, _) => Class::ClientError,
            (500.., _) => Class::ServerError,
            _ => Class::Ok,
        }
    }
}

/// gRPC status codes by whose fault they are (grpc/doc/statuscodes.md).
const fn grpc(status: i64) -> Class {
    match status {
        0 => Class::Ok,
        // DEADLINE_EXCEEDED
        4 => Class::Timeout,
        // RESOURCE_EXHAUSTED
        8 => Class::TooMany,
        // CANCELLED: by the client
        1 => Class::Gone,
        // INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE,
        // UNAUTHENTICATED
        3 | 5 | 6 | 7 | 9 | 10 | 11 | 16 => Class::ClientError,
        // UNKNOWN, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS, and what is not in the list
        _ => Class::GrpcError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: Option<i64>, flags: i64, grpc_status: Option<i64>, class: Class) {
        assert_eq!(End { code, flags, grpc_status }.class(), class);
    }

    #[test]
    fn ends_are_told_apart() {
        check(Some(200), 0, None, Class::Ok);
        check(Some(302), 0, None, Class::Ok);
        check(Some(404), 0, None, Class::ClientError);
        check(Some(429), 0, None, Class::TooMany);
        check(Some(500), 0, None, Class::ServerError);
        check(Some(504), UPSTREAM_REQUEST_TIMEOUT, None, Class::Timeout);
        check(Some(504), 0, None, Class::Timeout);
        check(Some(503), UPSTREAM_CONNECTION_FAILURE, None, Class::Reset);
        check(Some(503), NO_HEALTHY_UPSTREAM, None, Class::Reset);
        check(Some(503), 0, None, Class::ServerError);
        check(Some(101), 0, None, Class::Upgrade);
        check(None, DOWNSTREAM_CONNECTION_TERMINATION, None, Class::Gone);
        check(Some(0), 0, None, Class::Gone);
        check(Some(200), DOWNSTREAM_CONNECTION_TERMINATION, None, Class::Gone);
    }

    #[test]
    fn grpc_is_judged_by_its_own_status() {
        for (status, class) in [
            (0, Class::Ok),
            (1, Class::Gone),
            (2, Class::GrpcError),
            (4, Class::Timeout),
            (5, Class::ClientError),
            (8, Class::TooMany),
            (13, Class::GrpcError),
            (14, Class::GrpcError),
            (99, Class::GrpcError),
        ] {
            check(Some(200), 0, Some(status), class);
        }
        check(Some(503), 0, Some(14), Class::ServerError);
    }
}
