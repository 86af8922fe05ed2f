//! What a sample server did, by request id.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock;

/// One request as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// `x-request-id`; empty when the request had none.
    pub request_id: Box<str>,
    /// `x-user-id`.
    pub user: Option<Box<str>>,
    /// `x-serin-arm`, as the proxy set it.
    pub arm: Option<Box<str>>,
    /// The version this server had when the request arrived.
    pub version: Arc<str>,
    /// When it arrived, `CLOCK_MONOTONIC`.
    pub arrived_ns: u64,
    /// When the server was done with it; none while it is open.
    pub finished_ns: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a request ended for the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The model is still at it.
    Open,
    /// Answered; `grpc` is the status of a gRPC reply.
    Answered {
        /// HTTP status.
        status: u16,
        /// gRPC status, when the request was gRPC.
        grpc: Option<u8>,
    },
    /// Meant never to be answered, by the server's own behaviour.
    Hung,
    /// The other side went away from a request that would have been answered.
    Abandoned,
}

impl Outcome {
    /// Whether a failure of this request is the server's own doing. An abandoned request is not: whoever stood
    /// between client and server cut it off.
    pub fn is_server_failure(self) -> bool {
        match self {
            Self::Answered { status, grpc } => status >= 400 || grpc.is_some_and(|status| status != 0),
            Self::Hung => true,
            Self::Open | Self::Abandoned => false,
        }
    }
}

/// The log of one server; clones share it.
#[derive(Debug, Clone)]
pub struct Log {
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    limit: usize,
}

/// A request being served. Dropped without an answer, it is logged as abandoned.
#[derive(Debug)]
pub struct OpenRequest {
    log: Log,
    index: usize,
}

// === impl Log ===

impl Default for Log {
    fn default() -> Self {
        Self::keeping(usize::MAX)
    }
}

impl Log {
    /// A log of the first `limit` arrivals: 0 for a server that runs for days and that nobody asks.
    pub fn keeping(limit: usize) -> Self {
        Self { arrivals: Arc::default(), limit }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arrival>> {
        // Every change is one push or one field: what a panicking thread leaves behind is still whole.
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an arrival now; the texts are those of the request's headers.
    pub fn open(
        &self,
        request_id: &str,
        user: Option<&str>,
        arm: Option<&str>,
        version: Arc<str>,
    ) -> OpenRequest {
        let mut arrivals = self.lock();
        let index = arrivals.len();
        if index >= self.limit {
            return OpenRequest { log: self.clone(), index: usize::MAX };
        }
        arrivals.push(Arrival {
            request_id: request_id.into(),
            user: user.map(Into::into),
            arm: arm.map(Into::into),
            version,
            arrived_ns: clock::monotonic_ns(),
            finished_ns: None,
            outcome: Outcome::Open,
        });
        OpenRequest { log: self.clone(), index }
    }

    /// Everything logged so far, in order of arrival.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.lock().clone()
    }

    /// Lets `read` look at the log without a copy.
    pub fn with<T>(&self, read: impl FnOnce(&[Arrival]) -> T) -> T {
        read(&self.lock())
    }

    /// Number of requests that arrived.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing arrived yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Who sent the requests that arrived at or after a moment of `CLOCK_MONOTONIC`: one number for each, the same for
    /// the same user.
    pub fn users_since(&self, since_ns: u64) -> Vec<u64> {
        let arrivals = self.lock();
        let recent = arrivals.iter().rev().take_while(|arrival| arrival.arrived_ns >= since_ns);
        recent.map(|arrival| crate::chance::hash(0, arrival.user.as_deref().unwrap_or_default())).collect()
    }

    /// When the last request arrived.
    pub fn last_arrival_ns(&self) -> Option<u64> {
        self.lock().last().map(|arrival| arrival.arrived_ns)
    }
}

// === impl OpenRequest ===

impl OpenRequest {
    /// The request will never be answered.
    pub fn hangs(&self) {
        self.set(Outcome::Hung, None);
    }

    /// The request was answered, or is about to be: nothing can fail between here and the socket.
    pub fn answered(self, status: u16, grpc: Option<u8>) {
        self.set(Outcome::Answered { status, grpc }, Some(clock::monotonic_ns()));
    }

    fn set(&self, outcome: Outcome, finished_ns: Option<u64>) {
        if let Some(arrival) = self.log.lock().get_mut(self.index) {
            arrival.outcome = outcome;
            arrival.finished_ns = finished_ns;
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        if let Some(arrival) = self.log.lock().get_mut(self.index)
            && arrival.finished_ns.is_none()
        {
            arrival.finished_ns = Some(clock::monotonic_ns());
            if arrival.outcome == Outcome::Open {
                arrival.outcome = Outcome::Abandoned;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(outcome: Outcome, is_server_failure: bool) {
        assert_eq!(outcome.is_server_failure(), is_server_failure, "{outcome:?}");
    }

    #[test]
    fn whose_failure_it_is() {
        check(Outcome::Answered { status: 200, grpc: None }, false);
        check(Outcome::Answered { status: 413, grpc: None }, true);
        check(Outcome::Answered { status: 500, grpc: None }, true);
        check(Outcome::Answered { status: 200, grpc: Some(0) }, false);
        check(Outcome::Answered { status: 200, grpc: Some(13) }, true);
        check(Outcome::Hung, true);
        check(Outcome::Abandoned, false);
        check(Outcome::Open, false);
    }

    #[test]
    fn a_request_dropped_without_an_answer_is_abandoned() {
        let log = Log::default();
        let version: Arc<str> = "v1".into();
        log.open("a", Some("user-1"), Some("canary"), version.clone()).answered(200, None);
        let hanging = log.open("b", None, None, version.clone());
        hanging.hangs();
        drop(log.open("c", None, None, version));
        assert_eq!(log.len(), 3);
        assert!(log.arrivals()[1].finished_ns.is_none(), "still open");
        drop(hanging);
        let arrivals = log.arrivals();
        let outcomes: Vec<Outcome> = arrivals.iter().map(|arrival| arrival.outcome).collect();
        assert_eq!(
            outcomes,
            [Outcome::Answered { status: 200, grpc: None }, Outcome::Hung, Outcome::Abandoned]
        );
        assert!(arrivals.iter().all(|arrival| arrival.finished_ns >= Some(arrival.arrived_ns)));
        assert_eq!(arrivals[0].arm.as_deref(), Some("canary"));
        assert_eq!(log.last_arrival_ns(), Some(arrivals[2].arrived_ns));
        assert_eq!(log.users_since(0).len(), 3);
        assert_eq!(log.users_since(u64::MAX).len(), 0);
    }
}
