//! Which pods run the filter, as the API server knows them.
//!
//! [`Pods::watch`] lists the pods that a [`Selection`] chooses and follows them by a watch. What it knows is what the API server
//! said last: while that cannot be reached, the pods known last go on being read, and [`Known::trouble`] says why.

mod pod;
mod selection;
#[cfg(test)]
mod tests;
mod watching;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;

pub use pod::Pod;
pub(crate) use pod::Told;
pub use selection::Selection;
use watching::Watching;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct WatchPatience {
    /// A watch without any event is asked for again after this long, so that a connection that is dead is noticed.
    pub silence: Duration,
    /// One list may take so long.
    pub answer: Duration,
    /// After a failure it is tried again, at first so soon, at last a hundred times as late.
    pub again: Duration,
}

impl Default for WatchPatience {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(60),
            answer: Duration::from_secs(30),
            again: Duration::from_millis(200),
        }
    }
}

/// The pods of a selection, followed.
#[derive(Clone, Debug)]
pub struct Pods {
    selection: Arc<Selection>,
    known: watch::Receiver<Known>,
}

/// What is known of the pods of a selection.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Those that run and have an address, by uid. `None`: the API server has not answered yet.
    pub pods: Option<Arc<BTreeMap<String, Pod>>>,
    /// Pods that the selection fits and that do not run, or have no address.
    pub others: usize,
    /// Why the API server cannot be asked now; `None`: it can.
    pub trouble: Option<String>,
}

impl Pods {
    /// Follows the pods in a task of its own, which ends when nobody wants to know any more.
    #[must_use]
    pub fn watch(client: Client, selection: Selection) -> Self {
        Self::watched(client, selection, WatchPatience::default())
    }

    pub(crate) fn watched(client: Client, selection: Selection, patience: WatchPatience) -> Self {
        let selection = Arc::new(selection);
        let (tell, known) = watch::channel(Known::default());
        tokio::spawn(Watching::new(client, selection.clone(), patience, tell).run());
        Self { selection, known }
    }

    /// What is followed.
    #[must_use]
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// What is known now.
    #[must_use]
    pub fn known(&self) -> Known {
        self.known.borrow().clone()
    }

    /// Waits until the API server has answered once, or has refused to.
    pub async fn heard(&self) {
        let mut known = self.known.clone();
        // The task that watches lives as long as we do.
        let _ = known.wait_for(|known| known.pods.is_some() || known.trouble.is_some()).await;
    }
}
