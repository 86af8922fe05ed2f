//! Who may ask whom, and how many at once.
//!
//! A server that hangs holds the questions of those who ask it, and of nobody else: each rollout has places of its own at
//! each server, and what protects has places apart from what proves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Questions of one rollout to one server, of one purpose, under way at once.
const OF_ROLLOUT: usize = 8;
/// Questions to one server for gates, of all rollouts: enough for a hundred rollouts, and no flood for the one Prometheus
/// they share. What protects is not held back by it.
const OF_SERVER: usize = 32;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requester<'a> {
    /// The rollout, or the trigger.
    pub name: &'a str,
    /// What for.
    pub purpose: Purpose,
}

/// What a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// A guardrail, or whether endpoints are there: what takes back.
    Protect,
    /// A gate: what the way up waits for.
    Prove,
    /// A registry: whether there is something to begin.
    Begin,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Rollout { name: String, purpose: Purpose, server: String },
    Server(String),
}

/// Places by whose they are; those that nobody has or waits for are forgotten.
#[derive(Default)]
pub struct Places(Mutex<BTreeMap<Whose, Weak<Semaphore>>>);

/// Somebody's place, until it is dropped.
pub struct Place {
    _of_rollout: OwnedSemaphorePermit,
    _of_server: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// Waits for a place.
    pub async fn take(&self, asker: Requester<'_>, server: &str) -> Result<Place, String> {
        let whose =
            Whose::Rollout { name: asker.name.to_owned(), purpose: asker.purpose, server: server.to_owned() };
        let of_rollout = self.of(whose, OF_ROLLOUT).acquire_owned().await;
        // The semaphores are never closed.
        let of_rollout = of_rollout.map_err(|error| error.to_string())?;
        let of_server = match asker.purpose {
            Purpose::Protect => None,
            Purpose::Prove | Purpose::Begin => {
                let place = self.of(Whose::Server(server.to_owned()), OF_SERVER).acquire_owned().await;
                Some(place.map_err(|error| error.to_string())?)
            }
        };
        Ok(Place { _of_rollout: of_rollout, _of_server: of_server })
    }

    fn of(&self, whose: Whose, places: usize) -> Arc<Semaphore> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&whose).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, known| known.strong_count() > 0);
        let made = Arc::new(Semaphore::new(places));
        all.insert(whose, Arc::downgrade(&made));
        made
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// Takes places until one must be waited for.
    fn fill(places: &Places, asker: Requester<'_>, server: &str) -> Vec<Place> {
        std::iter::from_fn(|| places.take(asker, server).now_or_never().map(|place| place.expect("open")))
            .collect()
    }

    #[test]
    fn whoever_hangs_holds_its_own_places_alone() {
        let places = Places::default();
        let asker = |name, purpose| Requester { name, purpose };
        let noisy = fill(&places, asker("noisy", Purpose::Prove), "slow");
        assert_eq!(noisy.len(), OF_ROLLOUT);
        for (name, purpose, server) in [
            ("noisy", Purpose::Protect, "slow"),
            ("noisy", Purpose::Prove, "other"),
            ("quiet", Purpose::Prove, "slow"),
            ("quiet", Purpose::Protect, "slow"),
        ] {
            assert_eq!(
                fill(&places, asker(name, purpose), server).len(),
                OF_ROLLOUT,
                "{name} {purpose:?} {server}"
            );
        }
        drop(noisy);
        assert_eq!(fill(&places, asker("noisy", Purpose::Prove), "slow").len(), OF_ROLLOUT);
    }

    #[test]
    fn a_server_is_not_flooded_by_gates_and_guardrails_are_not_held_back() {
        let places = Places::default();
        let names: Vec<String> = (0..10).map(|at| format!("r{at}")).collect();
        let all = |purpose| -> usize {
            let taken: Vec<_> =
                names.iter().map(|name| fill(&places, Requester { name, purpose }, "p")).collect();
            taken.iter().map(Vec::len).sum()
        };
        assert_eq!(all(Purpose::Prove), OF_SERVER);
        assert_eq!(all(Purpose::Protect), names.len() * OF_ROLLOUT);
        let taken = fill(&places, Requester { name: "r0", purpose: Purpose::Prove }, "p");
        assert!(places.0.lock().expect("not poisoned").len() < 20, "places that nobody has are forgotten");
        drop(taken);
    }
}
