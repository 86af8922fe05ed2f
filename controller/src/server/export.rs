//! The store's contents, streamed: nobody waits for the engine, and the engine for nobody.

use std::io::{self, BufWriter, Write};

use api::{ExportQuery, Format, Refusal};
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;

use super::{Api, done};
use crate::export;
use store::Filter;

const CHUNK: usize = 64 * 1024;

pub async fn export(State(api): State<Api>, Query(wanted): Query<ExportQuery>) -> Response {
    let ExportQuery { name, run, since_ms, until_ms, format, what } = wanted;
    let filter = Filter { name, run, since_ms, until_ms };
    let (chunks, mut written) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let mut out = BufWriter::with_capacity(CHUNK, Chunks(chunks.clone()));
        let done = export::write(&api.archive, &filter, format, what, &mut out);
        if let Err(error) = done.and_then(|()| Ok(out.flush()?)) {
            // Whoever reads no longer wants it.
            let _ = chunks.blocking_send(Err(io::Error::other(format!("{error:#}"))));
        }
    });
    let content_type = match format {
        Format::Json => "application/json",
        Format::Csv => "text/csv; charset=utf-8",
    };
    // What fails at once can still be said in the usual way; later only by breaking off.
    match written.recv().await {
        Some(Err(error)) => done(Err(Refusal::Failed(error.to_string()))).into_response(),
        first => {
            let rest = futures::stream::unfold((first, written), |(next, mut written)| async move {
                let next = match next {
                    Some(next) => next,
                    None => written.recv().await?,
                };
                Some((next, (None, written)))
            });
            ([("content-type", content_type)], Body::from_stream(rest)).into_response()
        }
    }
}

struct Chunks(mpsc::Sender<io::Result<Bytes>>);

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
