//! From a name to the addresses that may be connected to.
//!
//! The connection is made to an address that was checked, so a name that leads elsewhere a moment later leads nowhere. One
//! question at a time for each name, however many wait for it: the system's own resolver cannot be interrupted, and each
//! question holds a thread.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use crate::Hosts;

/// Names that are resolved at once; beyond it a question fails. Threads must be left for everything else.
const AT_ONCE: usize = 128;

type Found = Result<Vec<SocketAddr>, String>;
type Lookup = Shared<BoxFuture<'static, Found>>;

/// Resolves names, and keeps to the hosts that may be asked.
#[derive(Clone)]
pub struct Resolver {
    hosts: Arc<Hosts>,
    under_way: Arc<Mutex<BTreeMap<String, Lookup>>>,
}

impl Resolver {
    pub fn new(hosts: Arc<Hosts>) -> Self {
        Self { hosts, under_way: Arc::default() }
    }

    /// Joins the question that is under way for this name, or asks it.
    fn look_up(&self, name: &str) -> Result<Lookup, String> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = under_way.get(name) {
            return Ok(known.clone());
        }
        if under_way.len() >= AT_ONCE {
            return Err(format!("{AT_ONCE} other names are being resolved; does the resolver answer?"));
        }
        let (all, asked) = (self.under_way.clone(), name.to_owned());
        // Of its own: whoever waits may give up, and the thread is held all the same.
        let task = tokio::spawn(async move {
            let found = tokio::net::lookup_host((asked.as_str(), 0)).await;
            all.lock().unwrap_or_else(PoisonError::into_inner).remove(&asked);
            found.map(Iterator::collect).map_err(|error| error.to_string())
        });
        let ended = async move { task.await.unwrap_or_else(|error| Err(error.to_string())) };
        let lookup = ended.boxed().shared();
        under_way.insert(name.to_owned(), lookup.clone());
        Ok(lookup)
    }

    async fn addresses(self, name: String) -> Result<Vec<SocketAddr>, String> {
        let found = self.look_up(&name)?.await?;
        let (mut allowed, mut refused) = (Vec::new(), None);
        for address in found {
            match self.hosts.allow_address(&name, address.ip()) {
                Ok(()) => allowed.push(address),
                Err(why) => refused = refused.or(Some(why)),
            }
        }
        match (allowed.is_empty(), refused) {
            (false, _) => Ok(allowed),
            (true, why) => Err(why.unwrap_or_else(|| format!("{name:?} has no address"))),
        }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let addresses = self.clone().addresses(name.as_str().to_owned());
        Box::pin(addresses.map(|found| found.map(Vec::into_iter).map_err(io::Error::other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_held_to_what_it_leads_to() {
        let of = |named: &[&str]| {
            let named = named.iter().map(|host| host.parse().expect("a host")).collect();
            Resolver::new(Arc::new(Hosts::new("--source-host", named)))
        };
        let found = of(&[]).addresses("localhost".to_owned()).await.expect("this machine");
        assert!(found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
        let refused = of(&["10.0.0.0/8"]).addresses("localhost".to_owned()).await.expect_err("elsewhere");
        assert!(refused.contains("--source-host names 10.0.0.0/8"), "{refused}");
        let resolver = of(&[]);
        let both = [(); 2].map(|()| resolver.look_up("localhost").expect("a question"));
        assert!(both.iter().all(|one| one.ptr_eq(&both[0])), "one question for both");
        for one in both {
            one.await.expect("an answer");
        }
    }
}
