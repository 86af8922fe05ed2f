//! A way to the proxies that may hang, such as a folder on a network, is published to in the background.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::{PolicySnapshot, Target};

/// A target that takes longer is reported.
const LONG: Duration = Duration::from_secs(5);

/// What was sent last, and what has arrived; each is numbered by how many were sent.
#[derive(Default)]
struct Sent {
    number: u64,
    incarnation: Option<u64>,
    latest: Option<Arc<PolicySnapshot>>,
}

/// Sends over another target on a thread of its own, one policy after the other. A policy says all there is to say, so of
/// those that wait the latest alone is sent: what takes back never stands behind what it takes back.
pub struct BackgroundTarget {
    sent: watch::Sender<Sent>,
    arrived: watch::Receiver<u64>,
}

impl BackgroundTarget {
    /// `what`: the way, for people.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub fn new(what: &'static str, target: impl Target + 'static) -> Result<Self> {
        let (sent, mut news) = watch::channel(Sent::default());
        let (arrives, arrived) = watch::channel(0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // A thread that hangs in a write must not keep the process from ending, as one of the runtime's would.
        let send = async move {
            while news.changed().await.is_ok() {
                let (number, incarnation, latest) = {
                    let sent = news.borrow_and_update();
                    (sent.number, sent.incarnation, sent.latest.clone())
                };
                if let Some(incarnation) = incarnation {
                    target.begin_incarnation(incarnation);
                }
                if let Some(snapshot) = latest {
                    told_when_long(what, snapshot.generation, target.publish(&snapshot)).await;
                }
                arrives.send_replace(number);
            }
        };
        std::thread::Builder::new()
            .name(what.to_owned())
            .spawn(move || runtime.block_on(send))
            .context("a thread for the policy's way")?;
        Ok(Self { sent, arrived })
    }
}

/// Waits for it, and says once that it takes long.
async fn told_when_long(what: &str, generation: u64, sending: BoxFuture<'_, ()>) {
    let mut sending = std::pin::pin!(sending);
    if tokio::time::timeout(LONG, &mut sending).await.is_err() {
        tracing::error!(
            generation,
            "{what} does not take the policy: proxies keep the one before, until its lease runs out; is its disk there?"
        );
        sending.await;
        tracing::info!(generation, "{what} took the policy after all");
    }
}

impl Target for BackgroundTarget {
    fn publish<'a>(&'a self, snapshot: &'a PolicySnapshot) -> BoxFuture<'a, ()> {
        self.sent.send_modify(|sent| {
            sent.number += 1;
            sent.latest = Some(Arc::new(snapshot.clone()));
        });
        Box::pin(std::future::ready(()))
    }

    fn begin_incarnation(&self, incarnation: u64) {
        // What waits is of the one before, and a policy of the new one follows.
        self.sent.send_modify(|sent| {
            sent.number += 1;
            (sent.incarnation, sent.latest) = (Some(incarnation), None);
        });
    }

    fn arrived(&self) -> BoxFuture<'_, ()> {
        let number = self.sent.borrow().number;
        let mut arrived = self.arrived.clone();
        Box::pin(async move {
            // The thread ends with this alone.
            let _ = arrived.wait_for(|arrived| *arrived >= number).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::FutureExt as _;
    use tokio::sync::Semaphore;

    use super::super::Publisher;
    use super::*;

    /// Hangs until it is let go on, once for each policy.
    #[derive(Clone)]
    struct Hangs {
        places: Arc<Semaphore>,
        begun: watch::Sender<u64>,
        told: Arc<Mutex<Vec<(u64, u64)>>>,
        incarnation: Arc<Mutex<u64>>,
    }

    impl Target for Hangs {
        fn publish<'a>(&'a self, snapshot: &'a PolicySnapshot) -> BoxFuture<'a, ()> {
            Box::pin(async {
                self.begun.send_replace(snapshot.generation);
                self.places.acquire().await.expect("open").forget();
                let incarnation = *self.incarnation.lock().expect("not poisoned");
                self.told.lock().expect("not poisoned").push((incarnation, snapshot.generation));
            })
        }

        fn begin_incarnation(&self, incarnation: u64) {
            *self.incarnation.lock().expect("not poisoned") = incarnation;
        }
    }

    #[tokio::test]
    async fn a_way_that_hangs_holds_up_nobody_and_then_takes_the_latest_alone() {
        let hangs = Hangs {
            places: Arc::new(Semaphore::new(0)),
            begun: watch::Sender::new(0),
            told: Arc::default(),
            incarnation: Arc::new(Mutex::new(9)),
        };
        let apart = BackgroundTarget::new("a way that hangs", hangs.clone()).expect("a thread");
        let mut publisher = Publisher::new(vec![Box::new(apart)], 9, 1_000);
        let send = |publisher: &Publisher, generation| {
            let snapshot = publisher.compose(generation, &[], 5, false).expect("a policy");
            publisher.send(&snapshot).now_or_never().expect("nobody waits");
        };
        send(&publisher, 1);
        hangs.begun.subscribe().wait_for(|begun| *begun == 1).await.expect("begun");
        for generation in 2..=4 {
            send(&publisher, generation);
        }
        assert_eq!(publisher.arrived().now_or_never(), None, "it hangs");
        hangs.places.add_permits(8);
        publisher.arrived().await;
        send(&publisher, 5);
        publisher.begin_incarnation(10);
        send(&publisher, 6);
        publisher.arrived().await;
        let told = hangs.told.lock().expect("not poisoned").clone();
        assert!(told.starts_with(&[(9, 1), (9, 4)]), "{told:?}");
        assert_eq!(told.last(), Some(&(10, 6)), "{told:?}");
    }
}
