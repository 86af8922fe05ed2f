//! Who is to be read, where that changes: proxies behind a name, pods of a selector.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

/// Whoever knows which proxies there are.
pub trait Discovery: Send + Sync {
    /// As its operator wrote it.
    fn told(&self) -> &str;

    /// How often it is asked; 0: at every look.
    fn every(&self) -> Duration;

    /// Who is there now; `Err`: nobody is known, and why.
    fn find(&self) -> BoxFuture<'_, Result<Found, String>>;
}

/// Who is there.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// By name.
    pub proxies: Arc<BTreeMap<String, Proxy>>,
    /// Is whoever is not among them gone? Else it is read for as long as it answers.
    pub complete: bool,
    /// Why it is not known who is there now, and these are those that were; `None`: it is known.
    pub trouble: Option<String>,
}

/// One proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Where its counters are.
    pub page: String,
    /// What another proxy of the same name would have otherwise.
    pub identity: String,
    /// Its end is announced: what it still counts is evidence, and nobody waits for it.
    pub leaving: bool,
}
