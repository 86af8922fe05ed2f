//! Is this process fit to do its work? It takes decisions, can write them down, and sees what they lead to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::{Check, Readiness};
use store::Archive;

use lease::Leases;
use scrape::Increments;

/// An engine that has not come round for so long is stuck, in milliseconds.
pub const ENGINE_SILENT_MS: u64 = 10_000;
/// The store is tried this often at most, however often readiness is asked for.
const TRY_STORE_NS: u64 = 5_000_000_000;
/// A store that takes longer than this is not one that can be relied on.
const STORE_TIMEOUT: Duration = Duration::from_secs(3);

/// What the engine says of itself; written by it, read by the API.
#[derive(Clone, Debug)]
pub struct Health(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    /// Did the store refuse the engine's last write?
    store_refuses: bool,
    /// How many proxies' counters are to be read.
    proxies: usize,
    /// When one of them was last read.
    seen_ns: Option<u64>,
    /// The outcome of the last try of the store, and when that was.
    tried: Option<(u64, Option<String>)>,
    /// Counters older than this count as missing, in nanoseconds.
    blind_ns: u64,
}

impl Health {
    /// `proxies`: how many proxies' counters are to be read. `period`: how often.
    pub fn new(proxies: usize, period: Duration) -> Self {
        let blind = (period * 5).max(Duration::from_secs(10));
        let blind_ns = u64::try_from(blind.as_nanos()).unwrap_or(u64::MAX);
        Self(Arc::new(Mutex::new(Known {
            store_refuses: false,
            proxies,
            seen_ns: None,
            tried: None,
            blind_ns,
        })))
    }

    /// The engine came round.
    pub fn note_turn(&self, store_refuses: bool) {
        self.change(|known| known.store_refuses = store_refuses);
    }

    /// Counters were looked at.
    pub fn note_look(&self, increments: &Increments) {
        if increments.sources.iter().any(|source| source.told) {
            self.change(|known| known.seen_ns = Some(clock::monotonic_ns()));
        }
    }

    /// Everything that was looked at, as it is now.
    pub async fn readiness(&self, leases: &Leases, archive: &Archive) -> Readiness {
        let silent_ms = leases.silent_ms();
        let stuck = (silent_ms > ENGINE_SILENT_MS).then(|| {
            format!(
                "the engine has not come round for {} s: nothing is decided and no lease renewed",
                silent_ms / 1_000
            )
        });
        let store = self.store(archive).await;
        Readiness::of(vec![Check::of("engine", stuck), Check::of("store", store), self.counters()])
    }

    fn counters(&self) -> Check {
        let (proxies, seen_ns, blind_ns) =
            self.change(|known| (known.proxies, known.seen_ns, known.blind_ns));
        if proxies == 0 {
            let why = format!("no proxy's counters are read: {}", scrape::HOW);
            return Check { why: Some(why), ..Check::of("counters", None) };
        }
        let age_ns = seen_ns.map(|seen_ns| clock::monotonic_ns().saturating_sub(seen_ns));
        let blind = match age_ns {
            Some(age_ns) if age_ns <= blind_ns => None,
            Some(age_ns) => Some(format!("no Envoy's counters were read for {} s", age_ns / 1_000_000_000)),
            None => Some("no Envoy's counters were read yet; is --envoy-admin or --proxy-metrics their address, or does --prometheus read them?".to_owned()),
        };
        Check::of("counters", blind)
    }

    /// Why the store cannot be written.
    async fn store(&self, archive: &Archive) -> Option<String> {
        let now_ns = clock::monotonic_ns();
        let (refuses, tried) = self.change(|known| (known.store_refuses, known.tried.clone()));
        if refuses {
            return Some("the store refused the last write: nothing rises; the log says why".to_owned());
        }
        if let Some((at_ns, wrong)) = tried
            && now_ns.saturating_sub(at_ns) < TRY_STORE_NS
        {
            return wrong;
        }
        let archive = archive.clone();
        let trying = tokio::task::spawn_blocking(move || archive.writable());
        let wrong = match tokio::time::timeout(STORE_TIMEOUT, trying).await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(error))) => Some(format!("{error:#}")),
            Ok(Err(_)) | Err(_) => {
                Some(format!("the store took more than {} s to try", STORE_TIMEOUT.as_secs()))
            }
        };
        self.change(|known| known.tried = Some((now_ns, wrong.clone())));
        wrong
    }

    fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
