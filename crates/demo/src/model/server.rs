//! The sample server itself: HTTP/1.1 and HTTP/2 with prior knowledge on one port.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde::Deserialize;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::behaviour::{Behaviour, Fate, InvalidBehaviour};
use super::chat;
use super::kind::CHAT;
use super::log::Log;
use super::reply::{self, Reply};

/// gRPC status 13, INTERNAL.
const GRPC_INTERNAL: u8 = 13;

/// A request body is read up to here; a larger one is answered with 413.
const MAX_BODY_BYTES: usize = 1 << 20;

/// A running sample server. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct ModelServer {
    addr: SocketAddr,
    model: Arc<Model>,
    accepting: JoinHandle<()>,
    /// Becomes true when no further request is to be taken.
    stop: watch::Sender<bool>,
}

/// What all connections share.
#[derive(Debug)]
struct Model {
    current: RwLock<Arc<Current>>,
    log: Log,
}

/// A behaviour, with its texts made ready for headers.
#[derive(Debug)]
struct Current {
    behaviour: Behaviour,
    version: Arc<str>,
    version_header: HeaderValue,
}

/// Body of `POST /admin/version`, this server's deploy tool. Read leniently: a rollout's hand-back sends more than
/// the version it wants here, and names it `to`.
#[derive(Debug, Deserialize)]
struct Deploy {
    #[serde(alias = "to")]
    version: String,
}

// === impl ModelServer ===

impl ModelServer {
    /// Listens on `addr` (port 0: any free one) and serves in the background.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the behaviour is refused.
    pub async fn start(addr: SocketAddr, behaviour: Behaviour) -> io::Result<Self> {
        Self::start_with(addr, behaviour, Log::default()).await
    }

    /// As [`Self::start`], with a log of the caller's.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(addr: SocketAddr, behaviour: Behaviour, log: Log) -> io::Result<Self> {
        let current = Current::new(behaviour).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let listener = TcpListener::bind(addr)
            .await
            .map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {addr}: {e}")))?;
        let addr = listener.local_addr()?;
        let model = Arc::new(Model { current: RwLock::new(Arc::new(current)), log });
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, model.clone(), stopped));
        Ok(Self { addr, model, accepting, stop })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it logged; the log outlives the server.
    pub fn log(&self) -> &Log {
        &self.model.log
    }

    /// How it behaves now.
    pub fn behaviour(&self) -> Behaviour {
        self.model.current().behaviour.clone()
    }

    /// Changes the behaviour for every request that arrives from now on.
    ///
    /// # Errors
    /// When a field is out of its range; the old behaviour stays.
    pub fn set(&self, behaviour: Behaviour) -> Result<(), InvalidBehaviour> {
        self.model.set(behaviour)
    }

    /// Serves until `told` is done. Then the port closes, and requests under way have `grace` to be answered.
    pub async fn serve_until(mut self, told: impl Future<Output = ()>, grace: Duration) {
        told.await;
        self.stop.send_replace(true);
        // Whatever is not answered by then ends with `self`; a panic in the task has been printed already.
        let _ended = tokio::time::timeout(grace, &mut self.accepting).await;
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

// === impl Model ===

impl Model {
    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, behaviour: Behaviour) -> Result<(), InvalidBehaviour> {
        let current = Arc::new(Current::new(behaviour)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(())
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Reply> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/version") => {
                let current = self.current();
                with_version(
                    reply::json(StatusCode::OK, &json!({"version": current.behaviour.version})),
                    &current,
                )
            }
            (&Method::GET, "/healthz") => reply::json(StatusCode::OK, &json!({"status": "ok"})),
            (&Method::GET, "/admin/behaviour") => {
                reply::json(StatusCode::OK, &json!(self.current().behaviour))
            }
            (&Method::POST, "/admin/behaviour") => {
                self.change(request, |bytes, _| serde_json::from_slice(bytes)).await
            }
            (&Method::POST, "/admin/version") => {
                self.change(request, |bytes, behaviour| {
                    let deploy: Deploy = serde_json::from_slice(bytes)?;
                    Ok(Behaviour { version: deploy.version, ..behaviour })
                })
                .await
            }
            (_, path) if path.starts_with("/admin/") => reply::json(
                StatusCode::NOT_FOUND,
                &json!({"error": "use GET or POST /admin/behaviour, or POST /admin/version"}),
            ),
            _ => self.predict(request).await,
        }
    }

    /// `POST /admin/...`: reads a JSON body and becomes what it says.
    async fn change(
        &self,
        request: Request<Incoming>,
        read: impl FnOnce(&[u8], Behaviour) -> serde_json::Result<Behaviour>,
    ) -> Response<Reply> {
        let refuse = |why: String| reply::json(StatusCode::BAD_REQUEST, &json!({ "error": why }));
        let body = match Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(e) => return refuse(format!("the body could not be read: {e}")),
        };
        let behaviour = match read(&body, self.current().behaviour.clone()) {
            Ok(behaviour) => behaviour,
            Err(e) => return refuse(format!("the body is not what this endpoint takes: {e}")),
        };
        match self.set(behaviour) {
            Ok(()) => reply::json(StatusCode::OK, &json!(self.current().behaviour)),
            Err(e) => refuse(e.to_string()),
        }
    }

    async fn predict(&self, request: Request<Incoming>) -> Response<Reply> {
        let current = self.current();
        let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let request_id = text("x-request-id").unwrap_or_default();
        let open = self.log.open(request_id, text("x-user-id"), text("x-serin-arm"), current.version.clone());
        let is_grpc = is_grpc(request.headers());
        let draw = current.behaviour.draw(request_id);
        let is_chat = request.uri().path() == CHAT;
        let question = match Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await {
            Ok(question) => question.to_bytes(),
            Err(e) => {
                let why = json!({"error": format!("the body could not be read: {e}")});
                if !e.is::<LengthLimitError>() {
                    // Whoever sent it broke off: the model has nothing to do with it, and the log says abandoned.
                    return reply::json(StatusCode::BAD_REQUEST, &why);
                }
                open.answered(413, None);
                return reply::json(StatusCode::PAYLOAD_TOO_LARGE, &why);
            }
        };
        if draw.fate == Fate::Hang {
            open.hangs();
            // The connection drops this future, and with it `open`, when the other side gives up.
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(draw.latency).await;
        let version = &current.behaviour.version;
        let prediction = json!({"prediction": draw.score, "label": draw.label(), "version": version});
        let response = match (draw.fate, is_grpc) {
            (Fate::Answer, false) if is_chat => {
                open.answered(200, None);
                // As lenient as the rest: what is no JSON asks for no stream.
                let question: serde_json::Value = serde_json::from_slice(&question).unwrap_or_default();
                let is_streamed = question.get("stream").and_then(serde_json::Value::as_bool) == Some(true);
                with_confidence(chat::answer(&draw, is_streamed), draw.confidence)
            }
            (Fate::Answer, false) => {
                open.answered(200, None);
                with_confidence(reply::json(StatusCode::OK, &prediction), draw.confidence)
            }
            (Fate::Answer, true) => {
                open.answered(200, Some(0));
                with_confidence(reply::grpc(0, &prediction), draw.confidence)
            }
            (_, false) => {
                open.answered(500, None);
                reply::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": "the model failed"}))
            }
            (_, true) => {
                open.answered(200, Some(GRPC_INTERNAL));
                reply::grpc(GRPC_INTERNAL, &json!(null))
            }
        };
        with_version(response, &current)
    }
}

// === impl Current ===

impl Current {
    fn new(behaviour: Behaviour) -> Result<Self, InvalidBehaviour> {
        behaviour.validate()?;
        let version_header = HeaderValue::from_str(&behaviour.version)
            .map_err(|_| InvalidBehaviour::Version(behaviour.version.clone()))?;
        Ok(Self { version: behaviour.version.as_str().into(), version_header, behaviour })
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn with_version(mut response: Response<Reply>, current: &Current) -> Response<Reply> {
    response.headers_mut().insert("x-model-version", current.version_header.clone());
    response
}

fn with_confidence(mut response: Response<Reply>, confidence: f64) -> Response<Reply> {
    if let Ok(value) = HeaderValue::from_str(&format!("{confidence:.4}")) {
        response.headers_mut().insert("x-model-confidence", value);
    }
    response
}

async fn accept(listener: TcpListener, model: Arc<Model>, mut stopped: watch::Receiver<bool>) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors, or the client is gone already: wait for a connection to end, or a moment.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
            Some(_ended) = connections.join_next() => continue,
            () = told_to_stop(&mut stopped) => break,
        };
        // Without it a small answer can wait for the client's delayed acknowledgement.
        let _best_effort = stream.set_nodelay(true);
        connections.spawn(serve(stream, model.clone(), stopped.clone()));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Serves one connection until the other side closes it or, once told to stop, no request is under way.
async fn serve(stream: TcpStream, model: Arc<Model>, mut stopped: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let model = model.clone();
        async move { Ok::<_, Infallible>(model.respond(request).await) }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // A connection that breaks is the client's business; what it was doing is in the log.
        _ended = connection.as_mut() => {}
        () = told_to_stop(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            let _ended = connection.await;
        }
    }
}

async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error says that the server was dropped, which is a way to be told.
    let _told = stopped.wait_for(|stopped| *stopped).await;
}

#[cfg(test)]
mod tests;
