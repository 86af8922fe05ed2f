//! Which connections a port holds, and which one is closed for a new one.
//!
//! People and proxies share the HTTP port, and any number of connections can ask for leases: one for each worker of each Envoy,
//! or a stranger's. Closing one costs a proxy a new connection, or a person the way to `abort`, so when a port is
//! full those go first that stand idle for a lease or never asked anything, the longest idle before all others.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::held::{Asked, Use};

/// A port with fewer places keeps none for this machine.
const MANY: usize = 32;

/// One in so many places is kept for connections from this machine.
const KEPT: usize = 32;

/// One in so many makes room at once, so that a flood is not looked through for each of its connections.
const AT_ONCE: usize = 64;

/// The places of a port.
#[derive(Debug)]
pub struct Connections {
    room: usize,
    /// Who asked for more than a lease is let go after this long without asking.
    idle: Duration,
    held: Mutex<Held>,
    /// How many connections there are, those included that were told to go.
    connections: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    by_number: BTreeMap<u64, Use>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct ConnectionSlot {
    number: u64,
    pub in_use: Use,
    places: Arc<Connections>,
}

impl Connections {
    pub fn new(room: usize, idle: Duration) -> Arc<Self> {
        Arc::new(Self { room, idle, held: Mutex::default(), connections: watch::Sender::new(0) })
    }

    /// A place for a peer; `None`: everybody who is there is at work.
    pub fn take(self: &Arc<Self>, peer: IpAddr) -> Option<ConnectionSlot> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = if self.room < MANY || peer.is_loopback() { 0 } else { self.room / KEPT };
        if held.by_number.len() >= self.room - kept {
            let leave = held.idlest(1 + self.room / AT_ONCE, self.idle);
            for number in leave {
                held.by_number.remove(&number).iter().for_each(Use::send_away);
            }
            if held.by_number.len() >= self.room - kept {
                return None;
            }
        }
        held.next += 1;
        let (number, in_use) = (held.next, Use::new());
        held.by_number.insert(number, in_use.clone());
        self.connections.send_modify(|connections| *connections += 1);
        Some(ConnectionSlot { number, in_use, places: self.clone() })
    }

    /// Resolves when no connection is left.
    pub async fn empty(&self) {
        // Its sender lives as long as `self`.
        let _ = self.connections.subscribe().wait_for(|connections| *connections == 0).await;
    }
}

impl Held {
    /// Those that can go first, at most so many.
    fn idlest(&self, most: usize, idle: Duration) -> Vec<u64> {
        let mut found: Vec<_> = self
            .by_number
            .iter()
            .filter_map(|(number, in_use)| {
                let (asked, since) = in_use.idle_since()?;
                let people = asked == Asked::Other;
                (!people || since.elapsed() >= idle).then_some((people, since, *number))
            })
            .collect();
        found.sort_unstable();
        // A connection that asked for more than a lease is closed last.
        let leases = found.iter().filter(|(people, ..)| !people).count();
        let most = if leases > 0 { most.min(leases) } else { most };
        found.into_iter().take(most).map(|(.., number)| number).collect()
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.places.held.lock().unwrap_or_else(PoisonError::into_inner).by_number.remove(&self.number);
        self.places.connections.send_modify(|connections| *connections = connections.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(loopback: bool) -> IpAddr {
        if loopback { "127.0.0.1" } else { "10.0.0.7" }.parse().expect("an address")
    }

    #[tokio::test]
    async fn who_idles_for_a_lease_makes_room_and_who_works_stays() {
        let places = Connections::new(64, Duration::from_secs(10));
        let leases: Vec<ConnectionSlot> = (0..40).filter_map(|_| places.take(peer(false))).collect();
        leases.iter().for_each(|place| drop(place.in_use.begin(true)));
        let people: Vec<ConnectionSlot> = (0..22).filter_map(|_| places.take(peer(false))).collect();
        people.iter().for_each(|place| drop(place.in_use.begin(false)));
        assert_eq!((leases.len(), people.len()), (40, 22), "two are kept for this machine");
        let there = |place: &&ConnectionSlot| {
            places.held.lock().expect("not poisoned").by_number.contains_key(&place.number)
        };
        // A lease that is being answered stays, and so do people who have only just asked.
        let at_work: Vec<_> = leases.iter().take(30).map(|place| place.in_use.begin(true)).collect();
        for round in 1..=5 {
            let new = places.take(peer(false)).expect("room");
            drop(new.in_use.begin(false));
            let left = leases.iter().filter(there).count();
            assert!((30..40).contains(&left), "{round}: {left}");
            assert_eq!(people.iter().filter(there).count(), 22);
        }
        drop(at_work);
        let working: Vec<_> = leases.iter().chain(&people).map(|place| place.in_use.begin(false)).collect();
        let mut more: Vec<ConnectionSlot> = std::iter::from_fn(|| {
            let place = places.take(peer(false))?;
            std::mem::forget(place.in_use.begin(false));
            Some(place)
        })
        .collect();
        assert!(places.take(peer(false)).is_none(), "everybody is at work");
        more.extend(std::iter::from_fn(|| {
            let place = places.take(peer(true))?;
            std::mem::forget(place.in_use.begin(false));
            Some(place)
        }));
        assert!(more.len() >= 2, "this machine has places of its own");
        assert!(places.take(peer(true)).is_none());
        drop((working, leases, people, more));
        places.empty().await;
    }
}
