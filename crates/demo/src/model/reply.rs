//! What a sample server sends: JSON, or a gRPC-framed message with its status in the trailers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Bytes, Frame, SizeHint};

/// A body that is wholly in memory, trailers included.
#[derive(Debug, Default)]
pub struct Reply {
    frames: VecDeque<Frame<Bytes>>,
    left: u64,
    has_trailers: bool,
}

impl Reply {
    fn new(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        let left = data.len() as u64;
        let has_trailers = trailers.is_some();
        let data = (!data.is_empty()).then(|| Frame::data(data));
        Self { frames: data.into_iter().chain(trailers.map(Frame::trailers)).collect(), left, has_trailers }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
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
