//! The wire: both stream forms of the discovery service, over one [`Session`] each.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use envoy_types::pb::{
    envoy::{
        config::core::v3::Node as WireNode,
        service::{
            discovery::v3::{
                DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
            },
            extension::v3::extension_config_discovery_service_server::ExtensionConfigDiscoveryService,
        },
    },
    google::{protobuf::Any, rpc},
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, async_trait};
use tracing::{info, warn};

use super::{
    Acknowledged, Ecds, Published, Refused,
    nodes::Place,
    session::{Heard, Said, Session},
};
use crate::{NAME, Version, clock::unix_ms, resource::EXTENSION_URL};

/// Of what a node is called, in bytes. Istio's names hold a pod's name and its namespace twice.
const LONGEST_NAME: usize = 512;

/// Of why it refused a policy, in characters.
const LONGEST_REASON: usize = 2_000;

/// A stream whose node does not say who it is by then is ended.
const INTRODUCTION: Duration = Duration::from_secs(10);

/// The discovery service over an [`Ecds`].
#[derive(Debug)]
pub(super) struct Service {
    ecds: Ecds,
    stopped: watch::Receiver<bool>,
}

impl Service {
    pub(super) const fn new(ecds: Ecds, stopped: watch::Receiver<bool>) -> Self {
        Self { ecds, stopped }
    }

    fn open<D: Dialect>(&self, inbound: Streaming<D::Request>) -> Answers<D> {
        // One response may wait in the channel; a slow reader thus gets the latest policy next, not a queue of old ones.
        let (outbound, answers) = mpsc::channel(1);
        let talk = Talk {
            ecds: self.ecds.clone(),
            session: Session::new(),
            outbound: outbound.clone(),
            joined: None,
        };
        let stopped = self.stopped.clone();
        tokio::spawn(async move {
            if let Err(status) = talk.run::<D>(inbound, stopped).await {
                // Fails only when the peer has gone, who then needs no reason.
                let _ = outbound.send(Err(status)).await;
            }
        });
        Response::new(ReceiverStream::new(answers))
    }
}

type Answers<D> = Response<ReceiverStream<Result<<D as Dialect>::Response, Status>>>;

#[async_trait]
impl ExtensionConfigDiscoveryService for Service {
    type StreamExtensionConfigsStream = ReceiverStream<Result<DiscoveryResponse, Status>>;

    async fn stream_extension_configs(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamExtensionConfigsStream>, Status> {
        Ok(self.open::<StateOfTheWorld>(request.into_inner()))
    }

    type DeltaExtensionConfigsStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn delta_extension_configs(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaExtensionConfigsStream>, Status> {
        Ok(self.open::<Delta>(request.into_inner()))
    }

    async fn fetch_extension_configs(
        &self,
        _: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented(
            "polling cannot be acknowledged and would delay a rollback; set api_type: GRPC or DELTA_GRPC",
        ))
    }
}

/// One of the protocol's two forms.
trait Dialect {
    type Request: Send + 'static;
    type Response: Send + 'static;

    fn node(request: &Self::Request) -> Option<&WireNode>;
    fn type_url(request: &Self::Request) -> &str;
    fn said(request: &Self::Request) -> Said<'_>;
    fn response(version: Version, nonce: String, extension: Any) -> Self::Response;
}

/// Every response carries everything.
struct StateOfTheWorld;

impl Dialect for StateOfTheWorld {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    fn node(request: &Self::Request) -> Option<&WireNode> {
        request.node.as_ref()
    }

    fn type_url(request: &Self::Request) -> &str {
        &request.type_url
    }

    fn said(request: &Self::Request) -> Said<'_> {
        Said {
            nonce: &request.response_nonce,
            version: &request.version_info,
            error: request.error_detail.as_ref().map(error),
            wants: Some(request.resource_names.iter().any(|name| name == NAME)),
        }
    }

    fn response(version: Version, nonce: String, extension: Any) -> Self::Response {
        DiscoveryResponse {
            version_info: version.to_string(),
            resources: vec![extension],
            type_url: EXTENSION_URL.to_owned(),
            nonce,
            ..DiscoveryResponse::default()
        }
    }
}

/// Subscriptions and versions by name.
struct Delta;

impl Dialect for Delta {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;

    fn node(request: &Self::Request) -> Option<&WireNode> {
        request.node.as_ref()
    }

    fn type_url(request: &Self::Request) -> &str {
        &request.type_url
    }

    fn said(request: &Self::Request) -> Said<'_> {
        let named = |names: &[String]| names.iter().any(|name| name == NAME);
        let wants = if named(&request.resource_names_subscribe) {
            Some(true)
        } else {
            named(&request.resource_names_unsubscribe).then_some(false)
        };
        Said {
            nonce: &request.response_nonce,
            version: request.initial_resource_versions.get(NAME).map_or("", String::as_str),
            error: request.error_detail.as_ref().map(error),
            wants,
        }
    }

    fn response(version: Version, nonce: String, extension: Any) -> Self::Response {
        let resource = Resource {
            name: NAME.to_owned(),
            version: version.to_string(),
            resource: Some(extension),
            ..Resource::default()
        };
        DeltaDiscoveryResponse {
            system_version_info: version.to_string(),
            resources: vec![resource],
            type_url: EXTENSION_URL.to_owned(),
            nonce,
            ..DeltaDiscoveryResponse::default()
        }
    }
}

fn error(status: &rpc::Status) -> &str {
    let end = status.message.char_indices().nth(LONGEST_REASON).map_or(status.message.len(), |(end, _)| end);
    match status.message.get(..end) {
        None | Some("") => "refused without a reason",
        Some(reason) => reason,
    }
}

/// One stream being served.
struct Talk<R> {
    ecds: Ecds,
    session: Session,
    outbound: mpsc::Sender<Result<R, Status>>,
    joined: Option<Joined>,
}

impl<R> Talk<R> {
    async fn run<D>(
        mut self,
        mut inbound: Streaming<D::Request>,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), Status>
    where
        D: Dialect<Response = R>,
    {
        let mut published = self.ecds.shared.published.subscribe();
        let outbound = self.outbound.clone();
        let introduced = Instant::now() + INTRODUCTION;
        loop {
            let due = published.borrow_and_update().clone().filter(|p| self.session.due(p.generation));
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => {
                    return Err(Status::unavailable("the controller is stopping"));
                }
                () = tokio::time::sleep_until(introduced), if self.joined.is_none() => {
                    return Err(Status::deadline_exceeded("the stream did not say whose it is"));
                }
                message = inbound.message() => match message {
                    Ok(Some(request)) => self.hear::<D>(&request)?,
                    Ok(None) => return Ok(()),
                    Err(status) => {
                        info!(node = self.node(), %status, "ECDS stream broke");
                        return Ok(());
                    }
                },
                changed = published.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
                permit = outbound.reserve(), if due.is_some() => {
                    let Ok(permit) = permit else { return Ok(()) };
                    if let Some(due) = due {
                        let nonce = self.session.offer(due.generation);
                        if let Some(joined) = &mut self.joined {
                            joined.record_offer(&due);
                        }
                        let version =
                            Version { incarnation: due.incarnation, generation: due.generation };
                        let region = self.joined.as_ref().map_or("", |joined| &joined.region);
                        let extension = self.ecds.extension(due.wires.of(region));
                        permit.send(Ok(D::response(version, nonce, extension)));
                    }
                }
            }
        }
    }

    fn hear<D: Dialect>(&mut self, request: &D::Request) -> Result<(), Status> {
        let url = D::type_url(request);
        if !(url.is_empty() || url == EXTENSION_URL) {
            return Err(Status::invalid_argument(format!(
                "type_url is '{url}'; only {EXTENSION_URL} is served here"
            )));
        }
        let joined = match &mut self.joined {
            Some(joined) => joined,
            None => self.joined.insert(Joined::new(&self.ecds, D::node(request))?),
        };
        let said = D::said(request);
        if said.wants == Some(false) {
            warn!(node = joined.id, "asks for no extension named '{NAME}': the filter must bear that name");
        }
        match self.session.hear(said) {
            Heard::Nothing => {}
            Heard::Acknowledged { generation } => joined.acknowledged(generation),
            Heard::Brought(version) => joined.brought(version),
            Heard::Refused { generation, reason } => joined.refused(generation, reason),
        }
        Ok(())
    }

    fn node(&self) -> &str {
        self.joined.as_ref().map_or("?", |joined| &joined.id)
    }
}

/// May a node of this name come in?
fn named(ecds: &Ecds, node: &WireNode) -> Result<(), Status> {
    let region = node.locality.as_ref().map_or("", |locality| &locality.region);
    for (field, text) in [("id", &*node.id), ("cluster", &node.cluster), ("locality.region", region)] {
        if text.len() > LONGEST_NAME || text.chars().any(char::is_control) {
            return Err(Status::invalid_argument(format!(
                "node.{field} has {} bytes or control characters; set one of {LONGEST_NAME} plain characters at most",
                text.len()
            )));
        }
    }
    if ecds.knows_or_has_room(&node.id) {
        return Ok(());
    }
    Err(Status::resource_exhausted("too many nodes are known; give each Envoy a node.id that stays the same"))
}

/// A node's presence for as long as its stream lives.
struct Joined {
    ecds: Ecds,
    id: String,
    region: String,
    stream: u64,
    since: Instant,
    /// When what was offered and not yet answered had been published.
    offered: BTreeMap<u64, Instant>,
}

impl Joined {
    fn new(ecds: &Ecds, node: Option<&WireNode>) -> Result<Self, Status> {
        let Some(node) = node.filter(|node| !node.id.is_empty()) else {
            return Err(Status::invalid_argument(
                "node.id is empty; set node.id in the bootstrap or --service-node",
            ));
        };
        if let Err(status) = named(ecds, node) {
            ecds.shared.refused.fetch_add(1, Ordering::Relaxed);
            return Err(status);
        }
        let joined = Self {
            ecds: ecds.clone(),
            id: node.id.clone(),
            region: node.locality.as_ref().map(|locality| locality.region.clone()).unwrap_or_default(),
            stream: ecds.next_stream(),
            since: Instant::now(),
            offered: BTreeMap::new(),
        };
        info!(node = joined.id, region = joined.region, "ECDS stream opened");
        let place = Place { cluster: &node.cluster, region: &joined.region };
        ecds.record(|registry| registry.connected(&joined.id, place, joined.stream, unix_ms()));
        Ok(joined)
    }

    fn record_offer(&mut self, published: &Published) {
        self.offered.insert(published.generation, published.at);
    }

    fn acknowledged(&mut self, generation: u64) {
        let latency_ms = self.latency_ms(generation);
        let what = Acknowledged { generation, unix_ms: unix_ms(), latency_ms };
        self.ecds.record(|registry| registry.acknowledged(&self.id, self.stream, what));
    }

    fn brought(&self, version: Version) {
        self.ecds.record(|registry| registry.brought(&self.id, version, unix_ms()));
    }

    fn refused(&mut self, generation: u64, reason: String) {
        warn!(node = self.id, generation, reason, "policy refused; the node goes on with what it has");
        self.settle(generation);
        let refused = Refused { generation, unix_ms: unix_ms(), reason };
        self.ecds.record(|registry| registry.refused(&self.id, refused));
    }

    /// Only where this stream saw the publication: to a node that came later the policy was not slow.
    fn latency_ms(&mut self, generation: u64) -> Option<f64> {
        let published = self.settle(generation)?;
        (published >= self.since).then(|| published.elapsed().as_secs_f64() * 1e3)
    }

    /// An answer settles every offer up to its own.
    fn settle(&mut self, generation: u64) -> Option<Instant> {
        let published = self.offered.remove(&generation);
        self.offered.retain(|offered, _| *offered > generation);
        published
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        info!(node = self.id, "ECDS stream closed");
        self.ecds.record(|registry| registry.disconnected(&self.id, self.stream, unix_ms()));
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
