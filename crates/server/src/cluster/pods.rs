//! Proxies that are the pods of a selector.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow};
use futures::future::BoxFuture;
use istio::{Known, Plugin, Pods, Selection};
use scrape::{Discovery, Found, Proxy};

/// So long a start waits for the API server.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pods of a selector, as the proxies that are read.
pub struct PodsOf {
    told: String,
    pods: Pods,
    /// What was made of what the API server said last.
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    of: Option<Arc<BTreeMap<String, istio::Pod>>>,
    proxies: Arc<BTreeMap<String, Proxy>>,
}

impl PodsOf {
    /// Watches them from now on.
    ///
    /// # Errors
    /// When it is no selection, or there is no way to the API server it names.
    pub async fn watch(told: &str, kubeconfig: Option<&Path>) -> Result<Self> {
        let selection: Selection = told.parse().map_err(|why: String| anyhow!(why))?;
        let client = Plugin::client_of(kubeconfig, selection.context.as_deref()).await?;
        let pods = Pods::watch(client, selection);
        // Who is there is known in milliseconds, as a rule; an API server that is away keeps nobody waiting.
        let _ = tokio::time::timeout(PATIENCE, pods.heard()).await;
        Ok(Self { told: told.to_owned(), pods, made: Mutex::default() })
    }

    /// The same pods as before are the same thing as before.
    fn proxies(&self, pods: &Arc<BTreeMap<String, istio::Pod>>) -> Arc<BTreeMap<String, Proxy>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, pods)) {
            return made.proxies.clone();
        }
        let selection = self.pods.selection();
        let mut proxies: BTreeMap<String, Proxy> = BTreeMap::new();
        for pod in pods.values() {
            let page = selection.page(pod.ip);
            let proxy = Proxy { page, identity: pod.uid.clone(), leaving: pod.leaving };
            // Of two with one name the one that stays.
            let name = selection.name(pod);
            if !proxy.leaving || !proxies.contains_key(&name) {
                proxies.insert(name, proxy);
            }
        }
        *made = Made { of: Some(pods.clone()), proxies: Arc::new(proxies) };
        made.proxies.clone()
    }
}

impl Discovery for PodsOf {
    fn told(&self) -> &str {
        &self.told
    }

    fn every(&self) -> Duration {
        // What is known is at hand.
        Duration::ZERO
    }

    fn find(&self) -> BoxFuture<'_, Result<Found, String>> {
        let Known { pods, others, trouble } = self.pods.known();
        let words = self.pods.selection().words();
        let found = match (pods, trouble) {
            (None, trouble) => {
                let why = trouble.unwrap_or_else(|| "the API server has not answered yet".to_owned());
                Err(format!("{words}: {why}"))
            }
            (Some(pods), trouble) => {
                let trouble = match trouble {
                    Some(why) => {
                        Some(format!("{words}: {why}; the {} that were there last are read", pods.len()))
                    }
                    None if pods.is_empty() => Some(nobody(&words, others)),
                    None => None,
                };
                Ok(Found { proxies: self.proxies(&pods), complete: true, trouble })
            }
        };
        Box::pin(std::future::ready(found))
    }
}

/// Nobody is read, which is more often a wrong selector than a workload without pods.
fn nobody(words: &str, others: usize) -> String {
    let how = "kubectl get pods -A --show-labels shows the labels";
    match others {
        0 => format!("{words}: there is no such pod; {how}"),
        _ => format!("{words}: none of the {others} runs and has an address"),
    }
}
