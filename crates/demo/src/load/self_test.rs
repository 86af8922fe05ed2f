//! Shows that the sums see what they are there to see: one request failed and one mis-tagged on purpose.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::{Ledger, Load, LoadPlan, Totals};
use crate::chance;
use crate::model::{Behaviour, ModelServer};

/// What the relay does wrong.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Answers this request id with 503 itself.
    pub fail: Option<String>,
    /// Names the other version for this request id.
    pub mis_tag: Option<String>,
}

/// A relay in place of the proxy: a tenth of the users goes to the canary, each answer is tagged.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Between {
    stable: SocketAddr,
    canary: SocketAddr,
    faults: Faults,
    client: Client<HttpConnector, Incoming>,
}

/// The sums without and with faults.
#[derive(Debug)]
pub struct SelfTest {
    /// A relay that does no wrong.
    pub clean: Totals,
    /// One request failed, one mis-tagged.
    pub faulty: Totals,
}

/// Requests of each of the two loads.
const REQUESTS: u64 = 400;

impl SelfTest {
    /// Runs both loads; takes about two seconds.
    ///
    /// # Errors
    /// When a socket cannot be had.
    pub async fn run(seed: u64) -> anyhow::Result<Self> {
        let clean = relayed(seed, Faults::default()).await?;
        let plan = LoadPlan { seed, ..LoadPlan::to((Ipv4Addr::LOCALHOST, 0).into()) };
        // A request no model fails, or the fault would be put down to the model.
        let innocent = |from| {
            let healthy = Behaviour::healthy("v1", seed);
            let answered = |id: &String| healthy.draw(id).fate == crate::model::Fate::Answer;
            (from..REQUESTS).map(|n| plan.request_id(n)).find(answered)
        };
        let faulty = relayed(seed, Faults { fail: innocent(100), mis_tag: innocent(200) }).await?;
        Ok(Self { clean, faulty })
    }

    /// Whether the sums moved by the faults and by nothing else.
    ///
    /// # Errors
    /// Says which did not.
    pub fn verdict(&self) -> Result<(), String> {
        let Self { clean, faulty } = self;
        for (name, without, with) in [
            ("failed_by_us", clean.failed_by_us, faulty.failed_by_us),
            ("mis_tagged", clean.mis_tagged, faulty.mis_tagged),
        ] {
            if (without, with) != (0, 1) {
                return Err(format!(
                    "{name} is {without} without a fault and {with} with one; expected 0 and 1"
                ));
            }
        }
        if clean.total != REQUESTS || clean.canary == 0 || clean.failed_by_servers == 0 {
            return Err(format!("the load itself is not what it should be: {clean:?}"));
        }
        Ok(())
    }
}

async fn relayed(seed: u64, faults: Faults) -> anyhow::Result<Totals> {
    let any_port: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let stable = ModelServer::start(any_port, Behaviour::healthy("v1", seed)).await?;
    let canary = ModelServer::start(any_port, Behaviour::healthy("v2", seed)).await?;
    let relay = Relay::start(stable.addr(), canary.addr(), faults).await?;
    let plan = LoadPlan { seed, rate: 500.0, requests: Some(REQUESTS), ..LoadPlan::to(relay.addr()) };
    let records = Load::start(plan).map_err(anyhow::Error::msg)?.wait().await;
    Ok(Ledger::new(&records, &stable.log().arrivals(), &canary.log().arrivals()).totals())
}

// === impl Relay ===

impl Relay {
    /// Listens on any free port of the loopback.
    ///
    /// # Errors
    /// When none can be had.
    pub async fn start(stable: SocketAddr, canary: SocketAddr, faults: Faults) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(None).build(connector);
        let between = Arc::new(Between { stable, canary, faults, client });
        Ok(Self { addr, accepting: tokio::spawn(accept(listener, between)) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Between {
    async fn pass(&self, mut request: Request<Incoming>) -> Response<BoxBody<Bytes, hyper::Error>> {
        let text =
            |name| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let request_id = text("x-request-id");
        let to_canary = chance::unit(chance::hash(0, &text("x-user-id").unwrap_or_default())) < 0.1;
        let refuse = || {
            let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        };
        if request_id.is_some() && request_id == self.faults.fail {
            return refuse();
        }
        let target = if to_canary { self.canary } else { self.stable };
        let Ok(uri) = format!("http://{target}{}", request.uri().path()).parse() else { return refuse() };
        *request.uri_mut() = uri;
        let Ok(mut response) = self.client.request(request).await else { return refuse() };
        let lies = request_id.is_some() && request_id == self.faults.mis_tag;
        let version = if to_canary != lies { "v2" } else { "v1" };
        response.headers_mut().insert("x-serin-version", HeaderValue::from_static(version));
        response.map(BodyExt::boxed)
    }
}

async fn accept(listener: TcpListener, between: Arc<Between>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _best_effort = stream.set_nodelay(true);
        let between = between.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let between = between.clone();
                async move { Ok::<_, Infallible>(between.pass(request).await) }
            });
            // A connection that ends is a client that left.
            let _ended = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_fault_of_each_kind_moves_each_sum_by_one() {
        let test = SelfTest::run(5).await.unwrap();
        test.verdict().unwrap();
        assert_eq!(
            test.faulty.failed_by_servers, test.clean.failed_by_servers,
            "the models' failures stay theirs"
        );
        assert_eq!(test.faulty.unserved, 1);
    }

    #[test]
    fn sums_that_do_not_move_are_an_error() {
        let clean = Totals { total: REQUESTS, canary: 1, failed_by_servers: 1, ..Totals::default() };
        let blind = SelfTest { faulty: Totals { failed_by_us: 1, ..clean.clone() }, clean };
        assert_eq!(
            blind.verdict().unwrap_err(),
            "mis_tagged is 0 without a fault and 0 with one; expected 0 and 1"
        );
    }
}
