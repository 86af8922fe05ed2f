//! Whether anything is asked on a connection: from a request's head to the last byte of its answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

/// A connection's use.
#[derive(Clone, Debug)]
pub struct Use(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    open: usize,
    /// Has anything been asked at all?
    used: bool,
    /// When the last answer ended, or the connection began.
    since: Instant,
}

/// A request that is being answered.
#[derive(Debug)]
pub struct Begun(Use);

impl Use {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State { open: 0, used: false, since: Instant::now() })))
    }

    /// A request has come.
    pub fn begin(&self) -> Begun {
        self.change(|state| {
            state.open += 1;
            state.used = true;
        });
        Begun(self.clone())
    }

    /// Resolves when nothing was asked for so long; `first`: when nothing ever was.
    pub async fn idle(&self, longest: Duration, first: Duration) {
        loop {
            let (open, used, since) = self.change(|state| (state.open, state.used, state.since));
            let until = since + if used { longest } else { first };
            if open > 0 {
                tokio::time::sleep(longest / 4).await;
            } else if until <= Instant::now() {
                return;
            } else {
                tokio::time::sleep_until(until).await;
            }
        }
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
