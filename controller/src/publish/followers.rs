//! The way to proxies that are connected to another replica: what is published is kept in the cluster, and those that follow
//! serve it in their turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use envoy::Documents;
use futures::future::BoxFuture;
use istio::journal::{Journal, JournalError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use super::{PolicySnapshot, Target};

/// What cannot be written is tried again after this long; a later one at once.
const AGAIN: Duration = Duration::from_millis(500);

/// A policy as those that follow are told it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    pub ttl_ms: u32,
    /// The digests of its documents.
    pub digests: Vec<u64>,
    pub common: String,
    pub regions: BTreeMap<String, String>,
}

impl Served {
    pub fn documents(self) -> Documents {
        Documents { common: self.common, regions: self.regions }
    }
}

/// Which policy, it as it is written, and what the whole mesh knows.
type Latest = Option<Arc<((u64, u64), Vec<u8>, Value)>>;

/// The replicas that follow.
pub struct Followers {
    incarnation: AtomicU64,
    latest: watch::Sender<Latest>,
}

impl Followers {
    pub fn new(journal: Journal, incarnation: u64) -> Self {
        let (latest, seen) = watch::channel(None);
        tokio::spawn(keep(journal, seen));
        Self { incarnation: AtomicU64::new(incarnation), latest }
    }
}

impl Target for Followers {
    fn publish<'a>(&'a self, snapshot: &'a PolicySnapshot) -> BoxFuture<'a, ()> {
        let served = Served {
            ttl_ms: snapshot.ttl_ms,
            digests: snapshot.digests.clone(),
            common: snapshot.documents.common.clone(),
            regions: snapshot.documents.regions.clone(),
        };
        let of = (self.incarnation.load(Ordering::SeqCst), snapshot.generation);
        let written =
            serde_json::to_vec(&served).and_then(|text| Ok((text, serde_json::to_value(&snapshot.mesh)?)));
        match written {
            Ok((text, mesh)) => drop(self.latest.send_replace(Some(Arc::new((of, text, mesh))))),
            Err(error) => tracing::error!("the policy cannot be written for other replicas: {error}"),
        }
        Box::pin(std::future::ready(()))
    }

    fn begin_incarnation(&self, incarnation: u64) {
        self.incarnation.store(incarnation, Ordering::SeqCst);
    }
}

/// Of what waits the latest alone is written. Ends with whoever publishes, and when another leads.
async fn keep(journal: Journal, mut latest: watch::Receiver<Latest>) {
    while latest.changed().await.is_ok() {
        let mut told = false;
        loop {
            let Some(policy) = latest.borrow_and_update().clone() else { break };
            let ((incarnation, generation), text, mesh) = &*policy;
            match journal.publish(*incarnation, *generation, text, mesh.clone()).await {
                Ok(()) => break,
                Err(JournalError::Deposed(_)) => return,
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!("other replicas do not hear of the policy: {error}");
                    }
                }
            }
            // What takes its time is tried again, unless whoever publishes has gone.
            if let Ok(Err(_)) = tokio::time::timeout(AGAIN, latest.changed()).await {
                return;
            }
        }
    }
}
