//! What a sample server sends: JSON, or a gRPC-framed message with its status in the trailers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// A body that is wholly in memory, trailers included; its parts may have to wait for their time.
#[derive(Debug, Default)]
pub struct Reply {
    frames: VecDeque<Frame<Bytes>>,
    left: u64,
    has_trailers: bool,
    /// How long to wait before each of the frames that are left; none: not at all.
    pauses: VecDeque<Duration>,
    waiting: Option<Pin<Box<Sleep>>>,
    /// When the last part was due, so that waiting late once does not add up.
    due: Option<Instant>,
}

impl Reply {
    fn new(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        let left = data.len() as u64;
        let has_trailers = trailers.is_some();
        let data = (!data.is_empty()).then(|| Frame::data(data));
        let frames = data.into_iter().chain(trailers.map(Frame::trailers)).collect();
        Self { frames, left, has_trailers, ..Self::default() }
    }

    /// A body whose parts come one after the other, each so long after the one before.
    pub fn paced(parts: Vec<(Duration, Bytes)>) -> Self {
        let left = parts.iter().map(|(_, data)| data.len() as u64).sum();
        let (pauses, frames) = parts.into_iter().map(|(pause, data)| (pause, Frame::data(data))).unzip();
        Self { frames, pauses, left, ..Self::default() }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.waiting.is_none()
            && let Some(pause) = self.pauses.pop_front().filter(|pause| !pause.is_zero())
        {
            let due = self.due.unwrap_or_else(Instant::now) + pause;
            self.due = Some(due);
            self.waiting = Some(Box::pin(tokio::time::sleep_until(due)));
        }
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(context));
            self.waiting = None;
        }
        let frame = self.frames.pop_front();
        if let Some(data) = frame.as_ref().and_then(Frame::data_ref) {
            self.left = self.left.saturating_sub(data.len() as u64);
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        // A stated length would make HTTP/1.1 leave the trailers out.
        if self.has_trailers { SizeHint::default() } else { SizeHint::with_exact(self.left) }
    }
}

/// A JSON answer.
pub fn json(status: StatusCode, value: &serde_json::Value) -> Response<Reply> {
    let mut response = Response::new(Reply::new(value.to_string().into(), None));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A gRPC answer: HTTP 200 whatever happens, one length-prefixed message when `grpc_status` is 0, trailers last.
/// The message is JSON text, not protobuf: no proxy on the way looks inside.
pub fn grpc(grpc_status: u8, message: &serde_json::Value) -> Response<Reply> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(grpc_status)));
    let data = if grpc_status == 0 {
        let text = message.to_string();
        let mut framed = vec![0];
        framed.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        framed.extend_from_slice(text.as_bytes());
        framed.into()
    } else {
        Bytes::new()
    };
    let mut response = Response::new(Reply::new(data, Some(trailers)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
