//! Where a process can end between two things that belong together: a seam for tests that end it there.

use anyhow::Result;

/// A moment of a decision's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    /// Decided, nothing written.
    Begin,
    /// Written, not committed.
    Written,
    /// On the disk, and not yet published.
    Committed,
    /// An effect is about to be carried out.
    Effect,
    /// An effect was carried out.
    Done,
}

type Watch = dyn FnMut(Failpoint) -> Result<()> + Send;

/// A test that watches the failpoints; none otherwise.
#[derive(Default)]
pub struct Failpoints(Option<Box<Watch>>);

impl Failpoints {
    /// Tells the watch, if there is one.
    ///
    /// # Errors
    /// What the watch answers: that is what a disk would say that refuses.
    pub fn reached(&mut self, point: Failpoint) -> Result<()> {
        self.0.as_mut().map_or(Ok(()), |watch| watch(point))
    }

    /// Watched by a test.
    #[must_use]
    #[cfg(any(test, feature = "test-util"))]
    pub fn watched(watch: impl FnMut(Failpoint) -> Result<()> + Send + 'static) -> Self {
        Self(Some(Box::new(watch)))
    }
}

#[cfg(any(test, feature = "test-util"))]
impl crate::Store {
    /// From now on as on a disk that may only be read.
    ///
    /// # Errors
    /// When SQLite takes no such order.
    pub fn refuse_writes(&self, refuse: bool) -> Result<()> {
        Ok(self.connection.pragma_update(None, "query_only", refuse)?)
    }

    /// For tests that end a process a thousand times: a process alone takes nothing with it that it has written.
    ///
    /// # Errors
    /// When SQLite takes no such order.
    pub fn without_sync(&self) -> Result<()> {
        Ok(self.connection.pragma_update(None, "synchronous", "OFF")?)
    }
}
