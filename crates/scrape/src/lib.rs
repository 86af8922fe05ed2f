//! What did all proxies count between two looks, and what of it is a run's?
//!
//! [`Scraper`] reads each proxy's counters at its own address; [`prometheus`] asks a server that has scraped them. Either
//! makes [`Increments`] of what it reads, and those make the interval of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use envoy::ecds::Nodes;
use envoy::stats::{Admin, Metrics, ReadError, Snapshot};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

mod behind;
mod increments;
mod look;
pub mod prometheus;

use behind::Names;
pub use behind::{Behind, System};
pub use increments::{Increments, Source, Unread, region};
pub use look::Look;

/// A source is stale after this many periods without an answer.
const STALE_PERIODS: u32 = 5;

/// A look is closed after this long, whoever has not answered: others may show harm meanwhile.
const LONGEST_PATIENCE: Duration = Duration::from_millis(200);

/// How counters come to be read, for people.
pub const HOW: &str = "give serin run --envoy-admin, --proxy-metrics or --prometheus";

/// How often names are looked up: pods come and go in seconds.
pub const LOOK_UP: Duration = Duration::from_secs(5);

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

    /// What is known of the epochs by which a proxy assigned, beside its own gauges; `None`: those are believed. While two
    /// processes live gauges are sums, and where nothing else names the policy nobody knows.
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
    /// Names whose addresses are read as well.
    behind: Vec<Behind>,
    names: Arc<dyn Names>,
    /// How often these names are looked up.
    look_up: Duration,
    /// Pages that a name leads to no more; they are read for as long as they answer.
    leaving: BTreeSet<String>,
    /// What each name has led to.
    found: BTreeMap<String, BTreeSet<String>>,
    period: Duration,
    look: Look,
}

impl Scraper {
    /// It, the filters' refusals by reason, and the policies that proxies run.
    pub fn new(
        readers: Vec<Placed>,
        period: Duration,
    ) -> (Self, watch::Receiver<BTreeMap<String, u64>>, watch::Receiver<Nodes>) {
        let (look, refused, known) = Look::new(period * STALE_PERIODS);
        let readers = readers.into_iter().map(|placed| (placed.1.source().to_owned(), placed)).collect();
        let scraper = Self {
            readers,
            behind: Vec::new(),
            names: Arc::new(System),
            look_up: LOOK_UP,
            leaving: BTreeSet::new(),
            found: BTreeMap::new(),
            period,
            look,
        };
        (scraper, refused, known)
    }

    /// Reads whoever is behind these names, too.
    pub fn behind(self, behind: Vec<Behind>, names: Arc<dyn Names>, look_up: Duration) -> Self {
        Self { behind, names, look_up, ..self }
    }

    /// Runs until nobody listens any more.
    pub async fn run(mut self, out: mpsc::Sender<Increments>, wanted: watch::Receiver<Wanted>) {
        for (source, (region, _)) in &self.readers {
            self.look.expect(source, region.as_deref());
        }
        for behind in &self.behind {
            self.look.expect(&behind.told, behind.region.as_deref());
        }
        let mut ticks = tokio::time::interval(self.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // One that hangs keeps nobody waiting: what it says is part of the look that is open when it has said it.
        let (mut readings, mut lookups) = (FuturesUnordered::new(), FuturesUnordered::new());
        let mut idle: BTreeSet<String> = self.readers.keys().cloned().collect();
        let mut looked_up: Option<Instant> = None;
        loop {
            let due = ticks.tick().await;
            let due_ns = clock::monotonic_ns()
                .saturating_sub(u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX));
            if lookups.is_empty() && looked_up.is_none_or(|at| at.elapsed() >= self.look_up) {
                looked_up = Some(Instant::now());
                for behind in self.behind.clone() {
                    let names = self.names.clone();
                    lookups.push(async move { (behind.pages(names.as_ref()).await, behind) });
                }
            }
            for source in std::mem::take(&mut idle) {
                let Some((_, reader)) = self.readers.get(&source).cloned() else { continue };
                let wanted = wanted.borrow().clone();
                readings.push(async move {
                    let reading = reader.read(&wanted).await;
                    (source, wanted, reading)
                });
            }
            let patience = tokio::time::sleep_until(due + self.patience());
            tokio::pin!(patience);
            while !readings.is_empty() || !lookups.is_empty() {
                tokio::select! {
                    Some((source, wanted, reading)) = readings.next(), if !readings.is_empty() => {
                        if self.take(&source, reading, &wanted) {
                            idle.insert(source);
                        }
                    }
                    Some((found, behind)) = lookups.next(), if !lookups.is_empty() => {
                        idle.extend(self.found(&behind, found));
                    }
                    () = &mut patience => break,
                }
            }
            let increments = Increments { due_ns, ..self.look.close() };
            if out.send(increments).await.is_err() {
                return;
            }
        }
    }

    /// A proxy was read, or was not; is it to be read again?
    fn take(&mut self, source: &str, reading: Result<Snapshot, ReadError>, wanted: &Wanted) -> bool {
        match reading {
            Ok(snapshot) => self.look.take(snapshot, wanted),
            Err(_) if self.leaving.remove(source) => {
                self.readers.remove(source);
                self.look.retire(source);
                return false;
            }
            Err(error) => self.look.fail(source, error.to_string()),
        }
        true
    }

    /// A name was looked up; who is new?
    fn found(&mut self, behind: &Behind, found: Result<BTreeSet<String>, String>) -> Vec<String> {
        let pages = match found {
            Ok(pages) if !pages.is_empty() => pages,
            // A resolver that knows nothing takes nobody away: whoever is gone answers no more.
            Ok(_) => return self.unnamed(behind, format!("{}: the name has no address", behind.told)),
            Err(why) => return self.unnamed(behind, why),
        };
        self.look.forget(&behind.told);
        let (mut new, mine) = (Vec::new(), self.pages_of(behind));
        for page in &pages {
            self.leaving.remove(page);
            if self.readers.contains_key(page) {
                continue;
            }
            match Behind::reader(page) {
                Ok(reader) => {
                    self.look.expect(page, behind.region.as_deref());
                    self.readers.insert(page.clone(), (behind.region.clone(), Arc::new(reader)));
                    new.push(page.clone());
                }
                Err(error) => tracing::warn!("{error}"),
            }
        }
        self.leaving.extend(mine.into_iter().filter(|page| !pages.contains(page)));
        self.found.entry(behind.told.clone()).or_default().extend(pages);
        new
    }

    fn unnamed(&mut self, behind: &Behind, why: String) -> Vec<String> {
        if self.pages_of(behind).is_empty() {
            self.look.expect(&behind.told, behind.region.as_deref());
            self.look.fail(&behind.told, why);
        } else {
            tracing::warn!("{why}");
        }
        Vec::new()
    }

    /// The pages that a name has led to and that are still read.
    fn pages_of(&self, behind: &Behind) -> Vec<String> {
        let all = self.found.get(&behind.told).into_iter().flatten();
        all.filter(|page| self.readers.contains_key(*page)).cloned().collect()
    }

    /// For how long a look waits for proxies that have not answered.
    fn patience(&self) -> Duration {
        (self.period / 2).min(LONGEST_PATIENCE)
    }
}
