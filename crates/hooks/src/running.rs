//! Which calls are under way, so that a stop can wait for them.

use std::sync::Arc;

use tokio::sync::watch;

#[derive(Clone, Copy, Default)]
struct Known {
    calls: usize,
    closed: bool,
    ended: bool,
}

/// Counts calls. Cheap to clone.
#[derive(Clone)]
pub struct Running(Arc<watch::Sender<Known>>);

impl Default for Running {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Known::default())))
    }
}

/// A call that is under way, until it is dropped.
pub struct UnderWay(Running);

impl Running {
    /// One more; `None`: none begins any more.
    pub fn begin(&self) -> Option<UnderWay> {
        let mut begun = false;
        self.0.send_modify(|known| {
            begun = !known.closed;
            known.calls += usize::from(begun);
        });
        begun.then(|| UnderWay(self.clone()))
    }

    /// No call begins from now on.
    pub fn close(&self) {
        self.0.send_modify(|known| known.closed = true);
    }

    /// No call begins, and those that are under way are to be left.
    pub fn end(&self) {
        self.0.send_modify(|known| (known.closed, known.ended) = (true, true));
    }

    /// Resolves when calls are to be left.
    pub async fn ended(&self) {
        let _ = self.0.subscribe().wait_for(|known| known.ended).await;
    }

    /// Waits until none is under way.
    pub async fn idle(&self) {
        // Its sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|known| known.calls == 0).await;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.send_modify(|known| known.calls = known.calls.saturating_sub(1));
    }
}
