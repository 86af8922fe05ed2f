//! The clusters behind a replay's Envoy: they answer as the row at hand says, and tell what reached them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::table::{Answer, Missing};

/// A request that reached a cluster.
#[derive(Debug)]
pub struct Arrival {
    pub cluster: &'static str,
    pub headers: HeaderMap,
}

/// Every cluster.
pub struct Stage {
    pub stable: SocketAddr,
    pub canary: SocketAddr,
    /// The further arm that scenarios may use.
    pub b: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
}

/// One cluster's end of it.
#[derive(Clone)]
struct Server {
    cluster: &'static str,
    answer: Arc<Mutex<Answer>>,
    arrivals: mpsc::UnboundedSender<Arrival>,
}

/// Ends the connection, which is all it is for.
#[derive(Debug)]
struct Reset;

impl Stage {
    pub async fn start() -> Self {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let answer = Arc::new(Mutex::new(Answer::default()));
        let server = |cluster| Server { cluster, answer: answer.clone(), arrivals: sender.clone() };
        let (stable, canary) = (server("stable").listen().await, server("canary").listen().await);
        let b = server("b").listen().await;
        Self { stable, canary, b, answer, arrivals }
    }

    /// What the next request is answered, and nothing left of the one before.
    pub fn set(&mut self, answer: &Answer) {
        *self.answer.lock().expect("not poisoned") = answer.clone();
        while self.arrivals.try_recv().is_ok() {}
    }

    pub async fn arrival(&mut self) -> Arrival {
        self.arrivals.recv().await.expect("the servers live as long as this")
    }

    /// What has arrived by now.
    pub fn arrived(&mut self) -> Vec<Arrival> {
        std::iter::from_fn(|| self.arrivals.try_recv().ok()).collect()
    }
}

impl Server {
    async fn listen(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("its address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = self.clone();
                tokio::spawn(async move {
                    let mut builder = auto::Builder::new(TokioExecutor::new());
                    builder.http2().max_header_list_size(1 << 20);
                    let service = service_fn(move |request| server.clone().serve(request));
                    // A connection that breaks is what `reset` is about.
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        addr
    }

    async fn serve(self, request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, Reset> {
        let (head, body) = request.into_parts();
        let answer = self.answer.lock().expect("not poisoned").clone();
        body.collect().await.map_err(|_| Reset)?;
        let _ = self.arrivals.send(Arrival { cluster: self.cluster, headers: head.headers });
        let answer = match answer {
            Answer::None(Missing::Timeout | Missing::Disconnect) => std::future::pending().await,
            Answer::None(Missing::Reset) => return Err(Reset),
            Answer::Response(answer) => answer,
        };
        let mut response = Response::builder().status(answer.status);
        for (name, value) in &answer.headers {
            response = response.header(name, HeaderValue::from_bytes(&value.0).expect("a value"));
        }
        let body = if answer.trailers.is_empty() {
            Full::new(Bytes::new()).boxed()
        } else {
            let mut trailers = HeaderMap::new();
            for (name, value) in &answer.trailers {
                let name: HeaderName = name.parse().expect("a name");
                trailers.insert(name, HeaderValue::from_bytes(&value.0).expect("a value"));
            }
            // gRPC's frame of an empty message.
            Full::new(Bytes::from_static(&[0; 5])).with_trailers(async move { Some(Ok(trailers)) }).boxed()
        };
        Ok(response.body(body).expect("a response"))
    }
}

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the scenario says so")
    }
}

impl std::error::Error for Reset {}
