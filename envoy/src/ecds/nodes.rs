use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Version;

/// Nodes that have gone are kept until there are this many of them; then the one longest gone is dropped.
/// In a cluster every new pod is a new node, so without a bound the list only grows.
const GONE_KEPT: usize = 1000;

/// Nodes that may be known at once; those that are there stay, others are not let in.
const MOST: usize = 10_000 + GONE_KEPT;

/// A policy that a node has put in force.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Its generation.
    pub generation: u64,
    /// When the acknowledgement arrived, milliseconds since 1970.
    pub unix_ms: u64,
    /// From `publish` to the acknowledgement, by a monotonic clock; absent when the node connected later than the
    /// publication or came back already holding it.
    pub latency_ms: Option<f64>,
}

/// A policy that a node would not take; it goes on with the one it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its generation.
    pub generation: u64,
    /// When the refusal arrived, milliseconds since 1970.
    pub unix_ms: u64,
    /// Envoy's words. Where the filter refused, they only name the plugin: the filter's own reason is in the counter
    /// `serin_policy_refused_total` ([`crate::stats::Snapshot::refusals`]).
    pub reason: String,
}

/// What is known of one Envoy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// `node.cluster` of its bootstrap.
    pub cluster: String,
    /// `node.locality.region` of its bootstrap; empty when that names none.
    #[serde(default)]
    pub region: String,
    /// Streams open now; several mean that several Envoys share the id. 0: it has gone.
    pub streams: usize,
    /// When it last connected, milliseconds since 1970.
    pub connected_unix_ms: u64,
    /// When its last stream ended; absent while one is open.
    pub disconnected_unix_ms: Option<u64>,
    /// What it holds; of several streams the one furthest behind. Absent until it has acknowledged something, kept
    /// when it goes.
    pub acknowledged: Option<Acknowledged>,
    /// The policy it named when it connected last, as (incarnation, generation); absent: none.
    #[serde(default)]
    pub brought: Option<(u64, u64)>,
    /// What it refused last, even if it acknowledged something newer since.
    pub refused: Option<Refused>,
}

impl Node {
    /// Is a stream open?
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.streams > 0
    }

    /// Is it there? `None`: everywhere.
    #[must_use]
    pub fn is_in(&self, region: Option<&str>) -> bool {
        region.is_none_or(|region| self.region == region)
    }

    /// Has it put this generation, or a later one, in force?
    #[must_use]
    pub fn holds(&self, generation: u64) -> bool {
        self.acknowledged.is_some_and(|acknowledged| acknowledged.generation >= generation)
    }
}

/// Every node ever seen, by `node.id`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Nodes(pub BTreeMap<String, Node>);

/// How far a generation has got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// Nodes connected now.
    pub connected: usize,
    /// Those of them that hold the generation.
    pub holding: usize,
    /// The others, by `node.id`.
    pub behind: Vec<String>,
}

impl Nodes {
    /// The regions that connected nodes name.
    #[must_use]
    pub fn regions(&self) -> BTreeSet<String> {
        let connected = self.0.values().filter(|node| node.is_connected() && !node.region.is_empty());
        connected.map(|node| node.region.clone()).collect()
    }

    /// How many of the connected nodes hold a generation, and which do not.
    #[must_use]
    pub fn quorum(&self, generation: u64) -> Quorum {
        self.ranks(None).quorum(generation)
    }
}

/// Something a node did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// `node.id`.
    pub node: String,
    /// When, milliseconds since 1970.
    pub unix_ms: u64,
    /// What it did.
    pub what: What,
}

/// What a node did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Opened a stream.
    Connected,
    /// Put a generation in force.
    Acknowledged {
        /// Which.
        generation: u64,
        /// As [`Acknowledged::latency_ms`].
        latency_ms: Option<f64>,
    },
    /// Named what it holds when it connected.
    Brought {
        /// Of which store.
        incarnation: u64,
        /// Which.
        generation: u64,
    },
    /// Would not take a generation.
    Refused {
        /// Which.
        generation: u64,
        /// As [`Refused::reason`].
        reason: String,
    },
    /// A stream ended.
    Disconnected,
}

/// Where a node says it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place<'n> {
    pub cluster: &'n str,
    pub region: &'n str,
}

/// The nodes with their streams: a node holds what all its streams hold.
#[derive(Debug, Default)]
pub(super) struct Registry {
    nodes: BTreeMap<String, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    node: Node,
    streams: BTreeMap<u64, Option<Acknowledged>>,
}

impl Registry {
    pub(super) fn nodes(&self) -> Nodes {
        Nodes(self.nodes.iter().map(|(id, entry)| (id.clone(), entry.node.clone())).collect())
    }

    /// Brings one node up to date in a list that was made before.
    pub(super) fn note(&self, id: &str, nodes: &mut Nodes) {
        match self.nodes.get(id) {
            Some(entry) => drop(nodes.0.insert(id.to_owned(), entry.node.clone())),
            None => drop(nodes.0.remove(id)),
        }
    }

    /// May a node of this name come in?
    pub(super) fn has_room(&self, id: &str) -> bool {
        self.nodes.len() < MOST || self.nodes.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn connected(
        &mut self,
        id: &str,
        place: Place<'_>,
        stream: u64,
        unix_ms: u64,
    ) -> Option<Event> {
        let entry = self.nodes.entry(id.to_owned()).or_default();
        entry.node.cluster = place.cluster.to_owned();
        entry.node.region = place.region.to_owned();
        entry.node.connected_unix_ms = unix_ms;
        entry.node.disconnected_unix_ms = None;
        entry.streams.insert(stream, None);
        entry.settle();
        Some(Event { node: id.to_owned(), unix_ms, what: What::Connected })
    }

    pub(super) fn acknowledged(&mut self, id: &str, stream: u64, what: Acknowledged) -> Option<Event> {
        let entry = self.nodes.get_mut(id)?;
        entry.streams.insert(stream, Some(what));
        entry.settle();
        let Acknowledged { generation, unix_ms, latency_ms } = what;
        Some(Event { node: id.to_owned(), unix_ms, what: What::Acknowledged { generation, latency_ms } })
    }

    pub(super) fn brought(&mut self, id: &str, version: Version, unix_ms: u64) -> Option<Event> {
        let Version { incarnation, generation } = version;
        self.nodes.get_mut(id)?.node.brought = Some((incarnation, generation));
        Some(Event { node: id.to_owned(), unix_ms, what: What::Brought { incarnation, generation } })
    }

    pub(super) fn refused(&mut self, id: &str, refused: Refused) -> Option<Event> {
        let entry = self.nodes.get_mut(id)?;
        entry.node.refused = Some(refused.clone());
        let Refused { generation, unix_ms, reason } = refused;
        Some(Event { node: id.to_owned(), unix_ms, what: What::Refused { generation, reason } })
    }

    pub(super) fn disconnected(&mut self, id: &str, stream: u64, unix_ms: u64) -> Option<Event> {
        let entry = self.nodes.get_mut(id)?;
        entry.streams.remove(&stream)?;
        entry.settle();
        if entry.streams.is_empty() {
            entry.node.disconnected_unix_ms = Some(unix_ms);
            self.drop_longest_gone();
        }
        Some(Event { node: id.to_owned(), unix_ms, what: What::Disconnected })
    }

    pub(super) fn forget(&mut self, id: &str) {
        if self.nodes.get(id).is_some_and(|entry| entry.streams.is_empty()) {
            self.nodes.remove(id);
        }
    }

    fn drop_longest_gone(&mut self) {
        let gone =
            || self.nodes.iter().filter_map(|(id, entry)| Some((entry.node.disconnected_unix_ms?, id)));
        if gone().count() > GONE_KEPT
            && let Some(id) = gone().min().map(|(_, id)| id.clone())
        {
            self.nodes.remove(&id);
        }
    }
}

impl Entry {
    /// Brings the node's own view up to date with its streams; with none left the last view stays.
    fn settle(&mut self) {
        self.node.streams = self.streams.len();
        // Of those furthest behind the latest: that is when the whole node had it. `None` sorts before every answer.
        let key = |held: &&Option<Acknowledged>| {
            held.map(|held| (held.generation, std::cmp::Reverse(held.unix_ms)))
        };
        if let Some(last) = self.streams.values().min_by_key(key) {
            self.node.acknowledged = *last;
        }
    }
}

/// The pod that a node id of Istio's names, as `NAMESPACE/POD`: `sidecar~10.0.0.7~storefront-1.models~models.svc.cluster.local` is
/// `models/storefront-1`. `None`: it is none of Istio's.
#[must_use]
pub fn pod(node: &str) -> Option<String> {
    let mut parts = node.split('~');
    let (_kind, _ip, pod, _domain) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (pod, namespace) =
        pod.rsplit_once('.').filter(|(pod, namespace)| !pod.is_empty() && !namespace.is_empty())?;
    Some(format!("{namespace}/{pod}"))
}

#[cfg(test)]
#[path = "nodes_tests.rs"]
mod tests;
