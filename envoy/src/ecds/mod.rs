//! The policy's way out: an extension configuration discovery server, and the same resource as a file.

mod documents;
mod file;
mod nodes;
mod ranks;
mod service;
mod session;

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use envoy_types::pb::{
    envoy::service::extension::v3::extension_config_discovery_service_server::ExtensionConfigDiscoveryServiceServer,
    google::protobuf::Any,
};
use tokio::{
    net::TcpListener,
    sync::{broadcast, watch},
    time::Instant,
};
use tonic::{
    service::Routes,
    transport::{Server, server::TcpIncoming},
};

pub use documents::Documents;
pub(crate) use file::path_in;
pub use file::{EcdsFile, FileError};
pub use nodes::{Acknowledged, Event, Node, Nodes, Quorum, Refused, What, pod};
pub use ranks::Ranks;

use crate::{Resource, clock::first_mark, resource::Wire};
use documents::Wires;
use service::Service;

/// Events kept for a reader that falls behind; it then reads [`Ecds::nodes`] afresh.
const EVENTS: usize = 4096;

/// A peer that vanished without closing is found out this fast: a ping every 5 s, 5 s to answer.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// What a node says of itself comes with its first message, metadata and all.
const LARGEST_MESSAGE: usize = 1024 * 1024;

/// After the stop signal a peer that keeps its connection open is not waited for longer than this.
const GRACE: Duration = Duration::from_secs(2);

/// Serves one policy to every Envoy that asks; cheap to clone, all clones are one.
#[derive(Clone, Debug)]
pub struct Ecds {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    resource: Resource,
    /// Of what is published from now on; raised when proxies run what this store never issued.
    incarnation: AtomicU64,
    published: watch::Sender<Option<Arc<Published>>>,
    nodes: watch::Sender<Nodes>,
    registry: Mutex<nodes::Registry>,
    events: broadcast::Sender<Event>,
    streams: AtomicU64,
    refused: AtomicU64,
    /// Tells each sending from every other, of this process and of those before it.
    mark: AtomicU64,
}

/// What is in force: latest wins, nobody waits for an older one.
#[derive(Debug)]
struct Published {
    incarnation: u64,
    generation: u64,
    wires: Wires,
    at: Instant,
}

impl Ecds {
    /// Nothing is published yet: an Envoy that connects waits, with what it has.
    #[must_use]
    pub fn new(resource: Resource, incarnation: u64) -> Self {
        let shared = Shared {
            resource,
            incarnation: AtomicU64::new(incarnation),
            published: watch::Sender::new(None),
            nodes: watch::Sender::default(),
            registry: Mutex::default(),
            events: broadcast::Sender::new(EVENTS),
            streams: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            mark: AtomicU64::new(first_mark()),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Sends a policy to every connected Envoy, and to each that connects from now on; never waits.
    ///
    /// The text must carry the generation itself, for the filter to tell old from new. A generation that is not above the published one changes nothing and returns false, so publishing twice is
    /// harmless.
    pub fn publish(&self, generation: u64, documents: impl Into<Documents>) -> bool {
        let at = Instant::now();
        let mut wires = Some(Wires::new(&self.shared.resource, &documents.into()));
        self.shared.published.send_if_modified(|published| {
            let newer = published.as_ref().is_none_or(|published| generation > published.generation);
            if let Some(wires) = wires.take().filter(|_| newer) {
                let incarnation = self.incarnation();
                *published = Some(Arc::new(Published { incarnation, generation, wires, at }));
            }
            newer
        })
    }

    /// The published generation.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        self.shared.published.borrow().as_ref().map(|published| published.generation)
    }

    /// What every node is known to hold, and whenever that changes; nodes that went away stay, marked.
    #[must_use]
    pub fn nodes(&self) -> watch::Receiver<Nodes> {
        self.shared.nodes.subscribe()
    }

    /// Every connection, acknowledgement and refusal from now on, one by one.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// Drops what is known of a node that has gone; a connected one is kept.
    pub fn forget(&self, node: &str) {
        self.record(|registry| {
            registry.forget(node);
            None
        });
    }

    /// Serves until `shutdown` resolves; open streams are then ended, so that Envoys look for a successor at once.
    ///
    /// # Errors
    /// When the transport fails as a whole; a broken connection is only logged.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        let (stop, stopped) = watch::channel(false);
        let mut late = stopped.clone();
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .add_routes(self.routes(stopped))
            .serve_with_incoming_shutdown(incoming, async {
                shutdown.await;
                stop.send_replace(true);
            });
        tokio::select! {
            done = serving => done,
            () = async {
                // The sender lives in `serving`, so this waits for the signal.
                let _ = late.wait_for(|stopped| *stopped).await;
                tokio::time::sleep(GRACE).await;
            } => Ok(()),
        }
    }

    /// The service by itself, for a server that takes the connections; streams end when `stopped` says so.
    #[must_use]
    pub fn routes(self, stopped: watch::Receiver<bool>) -> Routes {
        let service = ExtensionConfigDiscoveryServiceServer::new(Service::new(self, stopped));
        Routes::new(service.max_decoding_message_size(LARGEST_MESSAGE))
    }

    /// How many nodes were not let in, by their names or because there were too many.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    fn knows_or_has_room(&self, node: &str) -> bool {
        self.shared.registry.lock().unwrap_or_else(PoisonError::into_inner).has_room(node)
    }

    /// What is published from now on is of another incarnation: its text must say so.
    pub fn begin_incarnation(&self, incarnation: u64) {
        self.shared.incarnation.store(incarnation, Ordering::SeqCst);
    }

    fn incarnation(&self) -> u64 {
        self.shared.incarnation.load(Ordering::SeqCst)
    }

    fn extension(&self, wire: &Wire) -> Any {
        wire.marked(self.shared.mark.fetch_add(1, Ordering::Relaxed))
    }

    fn next_stream(&self) -> u64 {
        self.shared.streams.fetch_add(1, Ordering::Relaxed)
    }

    /// The only place where what is known of nodes changes: under one lock, so that readers see changes in order.
    fn record(&self, change: impl FnOnce(&mut nodes::Registry) -> Option<Event>) {
        let mut registry = self.shared.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let event = change(&mut registry);
        // A thousand proxies acknowledge at once: only the one that did is written anew.
        self.shared.nodes.send_modify(|nodes| {
            if let Some(event) = &event {
                registry.note(&event.node, nodes);
            }
            if nodes.0.len() != registry.len() {
                *nodes = registry.nodes();
            }
        });
        if let Some(event) = event {
            // No receiver is no error: the events are for whoever listens.
            let _ = self.shared.events.send(event);
        }
    }
}
