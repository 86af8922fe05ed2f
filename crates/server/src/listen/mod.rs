//! How connections are taken: as many as there is room for, each for as long as something is asked on it.
//!
//! One loop serves both ports. Without bounds, any client can take every descriptor of the process, and the store
//! cannot be opened any more. What is over a bound is closed at once and counted; those who are there stay.

mod connections;
mod held;
pub mod identity;
mod stalled;
pub mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::access::{self, RefusalReason, RefusedRequests};
use connections::Connections;
use held::{Held, Use};
use stalled::WriteTimeout;
use tls::Tls;

/// How long peers are waited for.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionTimeouts {
    /// A connection on which nothing is asked for this long is closed.
    pub idle: Duration,
    /// A request's head must have come by then; so must a handshake, and the first request.
    pub head: Duration,
    /// A peer that takes nothing for this long is gone.
    pub stalled: Duration,
}

impl Default for ConnectionTimeouts {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(60),
            head: Duration::from_secs(10),
            stalled: Duration::from_secs(30),
        }
    }
}

/// A peer that vanished without closing is found out this fast: a ping every 5 s, 5 s to answer.
const PING: Duration = Duration::from_secs(5);
/// After the stop signal, connections are waited for no longer than this.
const GRACE: Duration = Duration::from_secs(2);
/// Bytes of a request's head.
const HEAD_BYTES: u32 = 32 * 1024;
/// What one HTTP/2 connection may ask at once.
const STREAMS: u32 = 256;

/// A port and what is served there.
pub struct Port {
    pub socket: TcpListener,
    pub router: Router,
    /// `None`: in the clear.
    pub tls: Option<Tls>,
    /// How many may be connected.
    pub room: usize,
    pub patience: ConnectionTimeouts,
    pub refused_requests: RefusedRequests,
}

/// Binds an address; the error names the option.
pub async fn listen(option: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{option}: cannot listen on {address}; is another serin running there?"))
}

impl Port {
    /// Serves until it is told to stop.
    pub async fn serve(self, stopped: watch::Receiver<bool>) {
        let Self { socket, router, tls, room, patience, refused_requests } = self;
        let places = Connections::new(room, patience.head);
        let mut stop = stopped.clone();
        let failed = Failed { last: Arc::default(), refused_requests: refused_requests.clone() };
        loop {
            let accepted = tokio::select! {
                // The sender going away is a stop as well.
                _ = stop.wait_for(|stopped| *stopped) => break,
                accepted = socket.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // No descriptor is left, or the peer went away at once: neither is mended by asking again at once.
                    tracing::warn!("a connection could not be taken: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(place) = places.take(peer.ip()) else {
                refused_requests.count(RefusalReason::Connections);
                continue;
            };
            let (router, tls, stopped) = (router.clone(), tls.clone(), stopped.clone());
            let failed = failed.clone();
            tokio::spawn(async move {
                connection(stream, router, tls, patience, (failed, place.in_use.clone()), stopped).await;
                drop(place);
            });
        }
        let _ = tokio::time::timeout(GRACE, places.empty()).await;
    }
}

/// Handshakes that failed: all are counted, and one in a while is told, since any client can cause them.
#[derive(Clone)]
struct Failed {
    last: Arc<Mutex<Option<Instant>>>,
    refused_requests: RefusedRequests,
}

impl Failed {
    fn tell(&self, why: &str) {
        self.refused_requests.count(RefusalReason::Credentials);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= Duration::from_secs(10)) {
            *last = Some(Instant::now());
            tracing::warn!("a proxy and the ECDS address do not trust each other: {why} (docs/securing.md)");
        }
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    tls: Option<Tls>,
    patience: ConnectionTimeouts,
    (failed, in_use): (Failed, Use),
    stopped: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    match tls {
        None => talk(stream, router, patience, in_use, stopped).await,
        Some(tls) => {
            let shaken = tokio::select! {
                shaken = tokio::time::timeout(patience.head, tls.accept(stream)) => shaken,
                () = in_use.sent_away() => return,
            };
            match shaken {
                Ok(Ok(stream)) => talk(stream, router, patience, in_use, stopped).await,
                Ok(Err(error)) => failed.tell(&error.to_string()),
                Err(_) => failed.tell("it took too long"),
            }
        }
    }
}

async fn talk<I>(
    io: I,
    router: Router,
    patience: ConnectionTimeouts,
    in_use: Use,
    mut stopped: watch::Receiver<bool>,
) where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn({
        let in_use = in_use.clone();
        move |request: Request<Incoming>| {
            let lease = access::is_lease(request.uri().path());
            let (begun, router) = (in_use.begin(lease), router.clone());
            async move {
                let answered: Result<Response<Body>, Infallible> =
                    router.oneshot(request.map(Body::new)).await;
                answered.map(|response| response.map(|body| Held::new(body, begun)))
            }
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.idle)
        .max_buf_size(usize::try_from(HEAD_BYTES).unwrap_or(usize::MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES)
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    let io = TokioIo::new(WriteTimeout::new(io, patience.stalled));
    let mut talking = std::pin::pin!(builder.serve_connection(io, service));
    tokio::select! {
        ended = &mut talking => {
            if let Err(error) = ended {
                tracing::debug!("a connection broke: {error}");
            }
            return;
        }
        () = in_use.idle(patience.idle, patience.head) => {}
        () = in_use.sent_away() => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    talking.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(GRACE, talking).await;
}

/// Descriptors for everything else: the store, sources, looks at Envoys.
const SPARE: u64 = 256;

/// How many may be connected to the HTTP port and to that of the proxies, by the descriptors there are; takes as many of
/// these as the machine gives.
pub fn rooms() -> (usize, usize) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX).min(1 << 20);
    if limit.current.is_some_and(|current| current < most) {
        let more = rustix::process::Rlimit { current: Some(most), ..limit };
        if setrlimit(Resource::Nofile, more).is_ok() {
            limit.current = Some(most);
        }
    }
    let descriptors = limit.current.unwrap_or(most).saturating_sub(SPARE).max(64);
    // Proxies ask for their lease at either port.
    let share = usize::try_from(descriptors / 3).unwrap_or(usize::MAX);
    (share.min(8_192), share.min(8_192))
}

#[cfg(test)]
mod tests;
