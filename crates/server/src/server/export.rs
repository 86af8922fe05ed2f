//! The store's contents, streamed: an export and the engine do not wait for each other. Few exports run at once, and a
//! client that stops reading is cut off: a waiting export holds a thread and the store's file.

use std::io::{self, BufWriter, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use api::{ExportQuery, Format, Refusal};
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::{Api, done};
use crate::access::{RefusalReason, RefusedRequest, RefusedRequests};
use crate::export;
use store::Filter;

const CHUNK: usize = 64 * 1024;

/// How many are written at once, and how long each may take.
#[derive(Clone, Debug)]
pub struct Exports {
    places: Arc<Semaphore>,
    terms: Terms,
}

#[derive(Clone, Copy, Debug)]
struct Terms {
    /// A reader that takes nothing for this long is left.
    stalled: Duration,
    /// All of it must be read by then.
    whole: Duration,
}

impl Default for Exports {
    fn default() -> Self {
        Self::of(4, Duration::from_secs(10), Duration::from_secs(600))
    }
}

impl Exports {
    /// `places`: how many at once.
    pub fn of(places: usize, stalled: Duration, whole: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), terms: Terms { stalled, whole } }
    }
}

pub async fn export(State(api): State<Api>, Query(wanted): Query<ExportQuery>) -> Response {
    let ExportQuery { name, run, since_ms, until_ms, format, what } = wanted;
    let filter = Filter { name, run, since_ms, until_ms };
    let Ok(place) = api.exports.places.clone().try_acquire_owned() else {
        api.guard.refused_requests.count(RefusalReason::Exports);
        let why = "several exports are being read already; try again in a minute, or ask for less (name, run, since)";
        return RefusedRequest::new(StatusCode::TOO_MANY_REQUESTS, RefusalReason::Exports, why.to_owned())
            .into_response();
    };
    let (chunks, mut written) = mpsc::channel(4);
    let broken = Arc::new(OnceLock::new());
    let (breaks, terms, refused_requests) =
        (broken.clone(), api.exports.terms, api.guard.refused_requests.clone());
    let (runtime, until) = (Handle::current(), Instant::now() + terms.whole);
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let chunks = Chunks { chunks, runtime, stalled: terms.stalled, until, refused_requests };
        let mut out = BufWriter::with_capacity(CHUNK, chunks);
        let done = export::write(&api.archive, &filter, format, what, &mut out);
        if let Err(error) = done.and_then(|()| Ok(out.flush()?)) {
            let _ = breaks.set(format!("{error:#}"));
            // What is still in the buffer is not to be tried again.
            drop(out.into_parts());
        }
    });
    let content_type = match format {
        Format::Json => "application/json",
        Format::Csv => "text/csv; charset=utf-8",
    };
    // What fails at once can still be said in the usual way; later only by breaking off.
    let first = written.recv().await;
    if let (None, Some(error)) = (&first, broken.get()) {
        return done(Err(Refusal::Failed(error.clone()))).into_response();
    }
    let rest = futures::stream::unfold((first, written, broken), |(next, mut written, broken)| async move {
        let next = match next {
            Some(next) => Some(next),
            None => written.recv().await,
        };
        match next {
            Some(next) => Some((Ok(next), (None, written, broken))),
            // An end that is none must not look like one.
            None => {
                let error = broken.get().cloned()?;
                Some((Err(io::Error::other(error)), (None, written, Arc::default())))
            }
        }
    });
    ([("content-type", content_type)], Body::from_stream(rest)).into_response()
}

struct Chunks {
    chunks: mpsc::Sender<Bytes>,
    runtime: Handle,
    stalled: Duration,
    until: Instant,
    refused_requests: RefusedRequests,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = Instant::now();
        let by = self.until.min(now + self.stalled);
        let sending = self.chunks.send(Bytes::copy_from_slice(bytes));
        let sent = if now < self.until {
            self.runtime.block_on(async { tokio::time::timeout_at(by, sending).await.ok() })
        } else {
            None
        };
        match sent {
            Some(Ok(())) => Ok(bytes.len()),
            Some(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            None => {
                self.refused_requests.count(RefusalReason::SlowReader);
                Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client stopped reading, or did not reach the end in time; ask for less",
                ))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
