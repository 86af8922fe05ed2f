//! Whether anything is asked on a connection: from a request's head to the last byte of its answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

/// A connection's use.
#[derive(Clone, Debug)]
pub struct Use(Arc<Mutex<State>>, Arc<Notify>);

/// What was asked last on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Nothing,
    Lease,
    Other,
}

#[derive(Debug)]
struct State {
    open: usize,
    asked: Asked,
    /// When the last answer ended, or the connection began.
    since: Instant,
}

/// A request that is being answered.
#[derive(Debug)]
pub struct Begun(Use);

impl Use {
    pub fn new() -> Self {
        let state = State { open: 0, asked: Asked::Nothing, since: Instant::now() };
        Self(Arc::new(Mutex::new(state)), Arc::default())
    }

    /// A request has come; `lease`: of a proxy, for its lease.
    pub fn begin(&self, lease: bool) -> Begun {
        self.change(|state| {
            state.open += 1;
            state.asked = if lease { Asked::Lease } else { Asked::Other };
        });
        Begun(self.clone())
    }

    /// Resolves when nothing was asked for so long; `first`: when nothing ever was.
    pub async fn idle(&self, longest: Duration, first: Duration) {
        loop {
            let (open, asked, since) = self.change(|state| (state.open, state.asked, state.since));
            let until = since + if asked == Asked::Nothing { first } else { longest };
            if open > 0 {
                tokio::time::sleep(longest / 4).await;
            } else if until <= Instant::now() {
                return;
            } else {
                tokio::time::sleep_until(until).await;
            }
        }
    }

    /// What was asked last and since when nothing is; `None`: something is being answered.
    pub fn idle_since(&self) -> Option<(Asked, Instant)> {
        self.change(|state| (state.open == 0).then_some((state.asked, state.since)))
    }

    /// It is to end: what has come by then is answered.
    pub fn send_away(&self) {
        self.1.notify_one();
    }

    /// Resolves when it is to end.
    pub async fn sent_away(&self) {
        self.1.notified().await;
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.open = state.open.saturating_sub(1);
            state.since = Instant::now();
        });
    }
}

/// An answer, and that it is not yet at its end.
pub struct Held {
    body: Body,
    _begun: Begun,
}

impl Held {
    pub const fn new(body: Body, begun: Begun) -> Self {
        Self { body, _begun: begun }
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
