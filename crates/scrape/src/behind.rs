//! Proxies behind a name: the addresses that it has now are those that are read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use envoy::stats::ReadError;
use futures::future::BoxFuture;

use super::discovery::{Discovery, Found, Proxy};

/// How often names are looked up: pods come and go in seconds.
const LOOK_UP: Duration = Duration::from_secs(5);

/// A name whose every address is a proxy's, such as that of a headless service.
#[derive(Clone)]
pub struct Behind {
    /// As its operator wrote it.
    told: String,
    names: Arc<dyn Names>,
    every: Duration,
    host: String,
    port: u16,
    path: String,
}

/// A resolver of names.
pub trait Names: Send + Sync {
    /// All of them, or why they are not known.
    fn look_up<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, String>>;
}

/// The system's own resolver.
pub struct System;

impl Names for System {
    fn look_up<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, String>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await;
            Ok(found.map_err(|error| error.to_string())?.map(|address| address.ip()).collect())
        })
    }
}

impl Behind {
    /// Reads `dns://HOST:PORT/PATH`.
    ///
    /// # Errors
    /// When it has another form.
    pub fn new(told: &str) -> Result<Self, ReadError> {
        let invalid = || ReadError::Page(told.to_owned());
        let (host, path) =
            told.strip_prefix("dns://").and_then(|rest| rest.split_once('/')).ok_or_else(invalid)?;
        let (host, port) = host.rsplit_once(':').ok_or_else(invalid)?;
        let named = !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        let port = port.parse().ok().filter(|_| named).ok_or_else(invalid)?;
        let (told, host, path) = (told.to_owned(), host.to_owned(), path.to_owned());
        Ok(Self { told, names: Arc::new(System), every: LOOK_UP, host, port, path })
    }

    /// Asks somebody else than the system's resolver.
    #[cfg(test)]
    fn asks(self, names: Arc<dyn Names>, every: Duration) -> Self {
        Self { names, every, ..self }
    }

    /// The pages of all that are there now.
    async fn pages(&self) -> Result<BTreeSet<String>, String> {
        let found = self.names.look_up(&self.host).await;
        let found = found.map_err(|why| format!("{}: the name has no address: {why}", self.told))?;
        let page = |ip: IpAddr| format!("http://{}/{}", SocketAddr::new(ip, self.port), self.path);
        // A pod of two families is one proxy, and is read once.
        let v4 = found.iter().any(IpAddr::is_ipv4);
        Ok(found.into_iter().filter(|ip| ip.is_ipv4() == v4).map(page).collect())
    }
}

impl Discovery for Behind {
    fn told(&self) -> &str {
        &self.told
    }

    fn every(&self) -> Duration {
        self.every
    }

    fn find(&self) -> BoxFuture<'_, Result<Found, String>> {
        Box::pin(async {
            let pages = self.pages().await?;
            if pages.is_empty() {
                // A resolver that knows nothing takes nobody away: whoever is gone answers no more.
                return Err(format!("{}: the name has no address", self.told));
            }
            let of =
                |page: String| (page.clone(), Proxy { page: page.clone(), identity: page, leaving: false });
            let proxies: BTreeMap<String, Proxy> = pages.into_iter().map(of).collect();
            Ok(Found { proxies: Arc::new(proxies), complete: false, trouble: None })
        })
    }
}

#[cfg(test)]
#[path = "behind_tests.rs"]
mod tests;
