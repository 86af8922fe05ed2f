//! A client that sends a row as it stands: any bytes, from any loopback address, HTTP/1 or HTTP/2.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use super::table::Row;

/// What the client got.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
}

/// A connection under way; it ends with this value.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends a row over a connection of its own, and reads the answer to its end. Dropped before that, the client goes
/// away.
pub async fn send(target: SocketAddr, row: &Row) -> Result<Got, String> {
    let text = |error: hyper::Error| format!("{error:?}");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(row.source_address, 0)).map_err(|error| error.to_string())?;
    let stream = TokioIo::new(socket.connect(target).await.map_err(|error| error.to_string())?);
    let request = request(row)?;
    let _connection;
    let answer = if row.http == 2 {
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (mut sender, connection) = builder.handshake(stream).await.map_err(text)?;
        _connection = Connection(tokio::spawn(async move { connection.await.unwrap_or_default() }));
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.map_err(text)?;
        _connection = Connection(tokio::spawn(async move { connection.await.unwrap_or_default() }));
        sender.send_request(request).await
    };
    let (head, body) = answer.map_err(text)?.into_parts();
    body.collect().await.map_err(text)?;
    Ok(Got { status: head.status.as_u16(), headers: head.headers })
}

fn request(row: &Row) -> Result<Request<Empty<Bytes>>, String> {
    let path = std::str::from_utf8(&row.path.0).map_err(|_| "the path is no text")?;
    // HTTP/1 carries the authority in a header, HTTP/2 in the target.
    let target = if row.http == 2 { format!("http://{}{path}", row.authority) } else { path.to_owned() };
    let mut request = Request::builder().method(row.method.as_str()).uri(target);
    if row.http == 1 {
        request = request.header("host", row.authority.as_str());
    }
    for (name, values) in &row.headers {
        for value in &values.0 {
            let value = HeaderValue::from_bytes(&value.0).map_err(|error| format!("{name}: {error}"))?;
            request = request.header(name, value);
        }
    }
    request.body(Empty::new()).map_err(|error| error.to_string())
}
