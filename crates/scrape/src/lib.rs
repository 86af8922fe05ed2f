//! What did all proxies count between two looks, and what of it is a run's?
//!
//! [`Scraper`] reads each proxy's counters at its own address; [`prometheus`] asks a server that has scraped them. Either
//! makes [`Increments`] of what it reads, and those make the interval of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use envoy::stats::{Admin, Metrics, ReadError, Snapshot};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

mod behind;
mod discovered;
mod discovery;
mod increments;
mod look;
pub mod prometheus;
mod trouble;

pub use behind::Behind;
use discovered::Discovered;
pub use discovery::{Discovery, Found, Proxy};
pub use increments::{Increments, Source, Unread, region};
pub use look::{Look, Signals};
pub use trouble::{Trouble, TroubleKind};

/// A source is stale after this many periods without an answer.
const STALE_PERIODS: u32 = 5;

/// A look is closed after this long, even if some have not answered: the others may show harm meanwhile.
const LONGEST_PATIENCE: Duration = Duration::from_millis(200);

/// How counters come to be read, for people.
pub const HOW: &str = "give serin run --envoy-admin, --proxy-metrics or --prometheus";

/// What is wanted of every Envoy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of the policies published last.
    pub incarnation: u64,
    /// The clusters whose own counters are evidence: those of shadows.
    pub clusters: BTreeSet<String>,
    /// The rollouts and versions whose counters are: a look costs what is live, not what ever was.
    pub scope: Arc<BTreeSet<(String, String)>>,
    /// The epoch of each rollout under the generations published last: gauges are sums while two processes of an Envoy
    /// live, the version it names is not.
    pub epochs: Arc<BTreeMap<u64, Arc<BTreeMap<String, u64>>>>,
}

/// Generations whose epochs are remembered: a proxy that lags further behind says its epochs by itself.
const GENERATIONS_KEPT: usize = 64;

impl Wanted {
    /// A policy goes out.
    pub fn note_published(&mut self, generation: u64, epochs: BTreeMap<String, u64>) {
        let known = Arc::make_mut(&mut self.epochs);
        known.insert(generation, Arc::new(epochs));
        while known.len() > GENERATIONS_KEPT {
            known.pop_first();
        }
    }

    /// The generation published last, as far as this process knows.
    pub fn newest(&self) -> Option<u64> {
        self.epochs.last_key_value().map(|(generation, _)| *generation)
    }

    /// What is known of the epochs by which a proxy assigned, beside its own gauges; `None`: those are believed. While two
    /// processes live gauges are sums, and where nothing else names the policy the epochs are unknown.
    pub fn epochs_of(&self, snapshot: &Snapshot) -> Option<Arc<BTreeMap<String, u64>>> {
        let generation = snapshot.accepted_generation(self.incarnation);
        let known = generation.and_then(|generation| self.epochs.get(&generation).cloned());
        let sums = snapshot.inherits && snapshot.age.is_some() && generation.is_none();
        known.or_else(|| sums.then(Arc::default))
    }
}

/// A way to one proxy's counters. Another way is another reader.
pub trait Reader: Send + Sync {
    /// Where it is read, for people; what [`Snapshot::source`] will say.
    fn source(&self) -> &str;

    /// Reads what is wanted.
    fn read<'a>(&'a self, wanted: &'a Wanted) -> BoxFuture<'a, Result<Snapshot, ReadError>>;
}

impl Reader for Admin {
    fn source(&self) -> &str {
        self.source()
    }

    fn read<'a>(&'a self, wanted: &'a Wanted) -> BoxFuture<'a, Result<Snapshot, ReadError>> {
        Box::pin(self.read_with(&wanted.clusters, Some(&wanted.scope)))
    }
}

impl Reader for Metrics {
    fn source(&self) -> &str {
        self.source()
    }

    fn read<'a>(&'a self, wanted: &'a Wanted) -> BoxFuture<'a, Result<Snapshot, ReadError>> {
        Box::pin(self.read_with(&wanted.clusters, Some(&wanted.scope)))
    }
}

/// A reader, with the region that its operator names.
pub type Placed = (Option<String>, Arc<dyn Reader>);

/// Reads all proxies once a period.
pub struct Scraper {
    readers: BTreeMap<String, Placed>,
    /// Whoever knows of further ones.
    discovered: Vec<Discovered>,
    /// Those that nobody waits for: they are read for as long as they answer.
    leaving: BTreeSet<String>,
    period: Duration,
    look: Look,
}

/// A reading that has come to its end.
struct Read {
    source: String,
    reader: Arc<dyn Reader>,
    wanted: Wanted,
    outcome: Result<Snapshot, ReadError>,
}

impl Scraper {
    /// It, and what looks tell beside counts.
    pub fn new(readers: Vec<Placed>, period: Duration) -> (Self, Signals) {
        let (look, signals) = Look::new(period * STALE_PERIODS);
        let readers = readers.into_iter().map(|placed| (placed.1.source().to_owned(), placed)).collect();
        let (discovered, leaving) = (Vec::new(), BTreeSet::new());
        (Self { readers, discovered, leaving, period, look }, signals)
    }

    /// Reads whoever these know of, too; each with the region that its operator names.
    pub fn discover(self, all: Vec<(Option<String>, Arc<dyn Discovery>)>) -> Self {
        let discovered = all.into_iter().map(|(region, by)| Discovered::new(region, by)).collect();
        Self { discovered, ..self }
    }

    /// Runs until the receiver is closed.
    pub async fn run(mut self, out: mpsc::Sender<Increments>, wanted: watch::Receiver<Wanted>) {
        for (source, (region, _)) in &self.readers {
            self.look.expect(source, region.as_deref());
        }
        for discovered in &self.discovered {
            self.look.expect(discovered.by.told(), discovered.region.as_deref());
        }
        let mut ticks = tokio::time::interval(self.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A proxy that hangs delays no look: its answer is part of the look that is open when it comes.
        let (mut readings, mut lookups) = (FuturesUnordered::new(), FuturesUnordered::new());
        let mut idle: BTreeSet<String> = self.readers.keys().cloned().collect();
        loop {
            let due = ticks.tick().await;
            let due_ns = clock::monotonic_ns()
                .saturating_sub(u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX));
            for (at, discovered) in self.discovered.iter_mut().enumerate() {
                let Some(by) = discovered.due() else { continue };
                lookups.push(async move { (at, by.find().await) });
            }
            for source in std::mem::take(&mut idle) {
                let Some((_, reader)) = self.readers.get(&source).cloned() else { continue };
                let wanted = wanted.borrow().clone();
                readings.push(async move {
                    let outcome = reader.read(&wanted).await;
                    Read { source, reader, wanted, outcome }
                });
            }
            let patience = tokio::time::sleep_until(due + self.patience());
            tokio::pin!(patience);
            while !readings.is_empty() || !lookups.is_empty() {
                tokio::select! {
                    Some(read) = readings.next(), if !readings.is_empty() => idle.extend(self.take(read)),
                    Some((at, found)) = lookups.next(), if !lookups.is_empty() => {
                        idle.extend(self.found(at, found));
                    }
                    () = &mut patience => break,
                }
            }
            let unknown = self.discovered.iter().filter_map(Discovered::trouble).collect();
            let increments = Increments { due_ns, unknown, ..self.look.close() };
            if out.send(increments).await.is_err() {
                return;
            }
        }
    }

    /// A proxy was read, or was not; who is to be read again?
    fn take(&mut self, read: Read) -> Option<String> {
        let Read { source, reader, wanted, outcome } = read;
        // Another may have taken its name meanwhile, or its address.
        let known = self.readers.get(&source).is_some_and(|(_, known)| Arc::ptr_eq(known, &reader));
        if !known {
            return None;
        }
        match outcome {
            Ok(snapshot) => self.look.take(snapshot, &wanted),
            Err(_) if self.leaving.remove(&source) => {
                self.readers.remove(&source);
                match self.discovered.iter_mut().any(|discovered| discovered.announced(&source)) {
                    true => self.look.left(&source),
                    false => self.look.retire(&source),
                }
                return None;
            }
            Err(error) => self.look.fail(&source, error.to_string()),
        }
        Some(source)
    }

    /// It is known who is there; who is new?
    fn found(&mut self, at: usize, found: Result<Found, String>) -> Vec<String> {
        let Some(discovered) = self.discovered.get_mut(at) else { return Vec::new() };
        let (told, region) = (discovered.by.told().to_owned(), discovered.region.clone());
        let (news, why) = discovered.settle(found);
        let mut new = Vec::new();
        for (name, proxy) in news.come {
            // Two selectors may fit one pod: it is read once.
            if self.readers.contains_key(&name) && !news.renewed.contains(&name) {
                if self.leaving.remove(&name) {
                    self.look.stays(&name);
                }
                continue;
            }
            match Metrics::named(&name, &proxy.page) {
                Ok(reader) => {
                    self.look.renew(&name, region.as_deref());
                    self.readers.insert(name.clone(), (region.clone(), Arc::new(reader)));
                    new.push(name);
                }
                Err(error) => tracing::warn!("{error}"),
            }
        }
        for name in news.leave {
            if self.readers.contains_key(&name) && self.leaving.insert(name.clone()) {
                self.look.leaves(&name);
            }
        }
        let others =
            |name: &String| self.discovered.iter().enumerate().any(|(n, one)| n != at && one.knows(name));
        for name in news.gone.into_iter().filter(|name| !others(name)).collect::<Vec<_>>() {
            self.leaving.remove(&name);
            if self.readers.remove(&name).is_some() {
                self.look.left(&name);
            }
        }
        for name in news.unnamed {
            if self.readers.contains_key(&name) {
                self.leaving.insert(name);
            }
        }
        let nobody = |one: &Discovered| one.nobody(|name| self.readers.contains_key(name));
        if self.discovered.get(at).is_some_and(nobody) {
            self.look.expect(&told, region.as_deref());
            self.look.fail(&told, why.unwrap_or_else(|| format!("{told}: nobody is there")));
        } else {
            self.look.forget(&told);
        }
        new
    }

    /// For how long a look waits for proxies that have not answered.
    fn patience(&self) -> Duration {
        (self.period / 2).min(LONGEST_PATIENCE)
    }
}
