//! Proxies behind a name: the addresses that it has now are those that are read.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use envoy::stats::{Metrics, ReadError};
use futures::future::BoxFuture;

/// A name whose every address is a proxy's, such as that of a headless service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// As its operator wrote it.
    pub told: String,
    /// Where all of them are, as its operator says.
    pub region: Option<String>,
    host: String,
    port: u16,
    path: String,
}

/// Whoever knows the addresses of names.
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
    /// When it is none.
    pub fn new(told: &str, region: Option<String>) -> Result<Self, ReadError> {
        let invalid = || ReadError::Page(told.to_owned());
        let (host, path) =
            told.strip_prefix("dns://").and_then(|rest| rest.split_once('/')).ok_or_else(invalid)?;
        let (host, port) = host.rsplit_once(':').ok_or_else(invalid)?;
        let named = !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        let port = port.parse().ok().filter(|_| named).ok_or_else(invalid)?;
        Ok(Self { told: told.to_owned(), region, host: host.to_owned(), port, path: path.to_owned() })
    }

    /// The pages of all that are there now.
    pub async fn pages(&self, names: &dyn Names) -> Result<BTreeSet<String>, String> {
        let found = names.look_up(&self.host).await;
        let found = found.map_err(|why| format!("{}: the name has no address: {why}", self.told))?;
        let page = |ip: IpAddr| format!("http://{}/{}", SocketAddr::new(ip, self.port), self.path);
        // A pod of two families is one proxy, and is read once.
        let v4 = found.iter().any(IpAddr::is_ipv4);
        Ok(found.into_iter().filter(|ip| ip.is_ipv4() == v4).map(page).collect())
    }

    /// The reader of one of them.
    pub fn reader(page: &str) -> Result<Metrics, ReadError> {
        Metrics::new(page)
    }
}

#[cfg(test)]
#[path = "behind_tests.rs"]
mod tests;
