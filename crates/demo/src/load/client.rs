//! Sends requests at a constant rate, whatever becomes of them (open loop), over keep-alive connections.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::record::{NoResponse, Record};
use super::users::{Popularity, Users};
use crate::clock;
use crate::model::ModelKind;

/// What to send, and how often.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// Where every connection goes.
    pub target: SocketAddr,
    /// Host or `:authority`.
    pub authority: String,
    /// Path and query of each request.
    pub path: String,
    /// What each request asks.
    pub kind: ModelKind,
    /// Requests per second.
    pub rate: f64,
    /// Who sends them.
    pub users: Users,
    /// Request ids are `SEED-NUMBER`, users follow from both.
    pub seed: u64,
    /// HTTP version.
    pub protocol: Protocol,
    /// How long the client waits for a complete answer.
    pub timeout: Duration,
    /// Stop after this many; none: go on until told.
    pub requests: Option<u64>,
    /// Further headers of each request.
    pub headers: HeaderMap,
}

/// HTTP version of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, as many keep-alive connections as there are requests at once.
    Http1,
    /// HTTP/2 with prior knowledge, one connection.
    Http2,
}

/// A running load. Dropping it stops sending.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    sending: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    plan: LoadPlan,
    client: Client<HttpConnector<Pinned>, Full<Bytes>>,
    records: Mutex<Vec<Record>>,
    sent: AtomicU64,
    unsent: AtomicU64,
    stopping: AtomicBool,
    in_flight: Arc<Semaphore>,
}

/// Requests in flight at most. At 800 requests/s with all of them waiting for a 2 s timeout it is not reached; a
/// proxy that stands still is not buried under more than this.
const MAX_IN_FLIGHT: u32 = 4_096;

/// How far the schedule may lag before it is moved instead of caught up: a machine that stood still for a second
/// should not see that second's requests at once.
const MAX_LAG: Duration = Duration::from_millis(200);

/// A resolver with one answer, so that the authority may be any name.
#[derive(Debug, Clone)]
struct Pinned(SocketAddr);

// === impl LoadPlan ===

impl LoadPlan {
    /// 200 requests per second from 10,000 equally active users, HTTP/1.1, seed 1.
    pub fn to(target: SocketAddr) -> Self {
        Self {
            target,
            authority: "models.local".to_owned(),
            path: ModelKind::default().path().to_owned(),
            kind: ModelKind::default(),
            rate: 200.0,
            users: Users { count: 10_000, popularity: Popularity::Uniform },
            seed: 1,
            protocol: Protocol::Http1,
            timeout: Duration::from_secs(10),
            requests: None,
            headers: HeaderMap::new(),
        }
    }

    /// The same, of models of this kind.
    pub fn asking(kind: ModelKind, target: SocketAddr) -> Self {
        Self { kind, path: kind.path().to_owned(), ..Self::to(target) }
    }

    /// `x-request-id` of the `n`-th request.
    pub fn request_id(&self, n: u64) -> String {
        format!("{}-{n}", self.seed)
    }

    fn request(&self, n: u64, user: u32) -> Result<Request<Full<Bytes>>, http::Error> {
        let body = self.kind.question(user);
        let mut request = Request::post(format!("http://{}{}", self.authority, self.path))
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("x-request-id", self.request_id(n))
            .header("x-user-id", Users::id(user))
            .body(Full::new(Bytes::from(body)))?;
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        Ok(request)
    }
}

// === impl Load ===

impl Load {
    /// Starts sending.
    ///
    /// # Errors
    /// When the plan cannot be sent: a rate that is no positive number, an authority or path that is none.
    pub fn start(plan: LoadPlan) -> Result<Self, String> {
        if !(plan.rate > 0.0 && plan.rate <= 100_000.0) {
            return Err(format!("rate is {}; it must be above 0 and at most 100000 requests/s", plan.rate));
        }
        if let Err(e) = plan.request(0, 0) {
            return Err(format!("authority {:?} with path {:?}: {e}", plan.authority, plan.path));
        }
        let mut connector = HttpConnector::new_with_resolver(Pinned(plan.target));
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(plan.timeout));
        let client = Client::builder(TokioExecutor::new())
            .http2_only(plan.protocol == Protocol::Http2)
            .pool_idle_timeout(None)
            .build(connector);
        let shared = Arc::new(Shared {
            plan,
            client,
            records: Mutex::default(),
            sent: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            in_flight: Arc::new(Semaphore::new(MAX_IN_FLIGHT as usize)),
        });
        let sending = tokio::spawn(send_all(shared.clone()));
        Ok(Self { shared, sending })
    }

    /// Requests sent so far.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Requests due but not sent, because too many were in flight already.
    pub fn unsent(&self) -> u64 {
        self.shared.unsent.load(Ordering::Relaxed)
    }

    /// Everything finished so far, in order of finishing.
    pub fn records(&self) -> Vec<Record> {
        self.shared.lock().clone()
    }

    /// Lets `read` look at what finished so far without a copy.
    pub fn with<T>(&self, read: impl FnOnce(&[Record]) -> T) -> T {
        read(&self.shared.lock())
    }

    /// What finished since the last call; what was taken is not handed over again. For a load without an end.
    pub fn take_records(&self) -> Vec<Record> {
        std::mem::take(&mut *self.shared.lock())
    }

    /// Whether the plan's number of requests is sent and answered.
    pub fn is_done(&self) -> bool {
        self.sending.is_finished() && self.shared.in_flight.available_permits() == MAX_IN_FLIGHT as usize
    }

    /// Stops sending, waits for what is in flight (each has its own time limit), and hands everything over.
    pub async fn stop(self) -> Vec<Record> {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.wait().await
    }

    /// Waits until the plan's number of requests is sent and answered. Without a number this never returns.
    pub async fn wait(mut self) -> Vec<Record> {
        // A panic of the sender has been printed; what was recorded stays true.
        let _ended = (&mut self.sending).await;
        // All permits are back when the last request is recorded.
        let _all = self.shared.in_flight.acquire_many(MAX_IN_FLIGHT).await;
        std::mem::take(&mut *self.shared.lock())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send_all(shared: Arc<Shared>) {
    let plan = &shared.plan;
    let mut origin = Instant::now();
    let mut due = 0u64;
    for n in 0..plan.requests.unwrap_or(u64::MAX) {
        let at = origin + Duration::from_secs_f64(due as f64 / plan.rate);
        due += 1;
        if at.elapsed() > MAX_LAG {
            origin = Instant::now();
            due = 1;
        }
        tokio::time::sleep_until(at).await;
        if shared.stopping.load(Ordering::Relaxed) {
            return;
        }
        let Ok(permit) = shared.in_flight.clone().try_acquire_owned() else {
            shared.unsent.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        shared.sent.fetch_add(1, Ordering::Relaxed);
        let shared = shared.clone();
        tokio::spawn(async move {
            let record = send(&shared, n).await;
            shared.lock().push(record);
            drop(permit);
        });
    }
}

async fn send(shared: &Shared, n: u64) -> Record {
    let plan = &shared.plan;
    let user = plan.users.of(plan.seed, n);
    let request_id = plan.request_id(n).into_boxed_str();
    let sent_ns = clock::monotonic_ns();
    let exchange = async {
        let request = plan.request(n, user).map_err(|e| e.to_string())?;
        let response = shared.client.request(request).await.map_err(|e| innermost(&e))?;
        let (head, body) = response.into_parts();
        body.collect().await.map_err(|e| innermost(&e))?;
        Ok::<_, String>(head)
    };
    let head = match tokio::time::timeout(plan.timeout, exchange).await {
        Ok(Ok(head)) => Ok(head),
        Ok(Err(e)) => Err(NoResponse::Connection(e.into())),
        Err(_) => Err(NoResponse::Timeout),
    };
    let finished_ns = clock::monotonic_ns();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned().into_boxed_str();
    let (result, model_version, serin) = match head {
        Ok(head) => {
            let ours = |name: &HeaderName| name.as_str().starts_with("x-serin-");
            let serin = head.headers.iter().filter(|(name, _)| ours(name));
            let serin = serin.map(|(name, value)| (name.as_str().into(), text(value))).collect();
            (Ok(head.status.as_u16()), head.headers.get("x-model-version").map(text), serin)
        }
        Err(e) => (Err(e), None, Vec::new()),
    };
    Record { request_id, user, sent_ns, finished_ns, result, model_version, serin }
}

/// The cause at the bottom: "connection refused" says more than "client error (Connect)".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

impl tower_service::Service<Name> for Pinned {
    type Response = std::iter::Once<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(std::iter::once(self.0)))
    }
}
