//! What time is it, by which clock, and how does a test set it? The controller's process reads both clocks here and nowhere else.

use std::time::{SystemTime, UNIX_EPOCH};

use rollout::Now;
use rustix::time::{ClockId, clock_gettime};

/// Both clocks.
#[must_use]
pub fn now() -> Now {
    #[cfg(any(test, feature = "test-util"))]
    if let Some(now) = fake::now() {
        return now;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Now {
        unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        monotonic_ns: seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0),
    }
}

/// The wall clock, in milliseconds since 1970.
#[must_use]
pub fn unix_ms() -> u64 {
    now().unix_ms
}

/// `CLOCK_MONOTONIC`: the same for every process of this machine, so that others can subtract from it.
#[must_use]
pub fn monotonic_ns() -> u64 {
    now().monotonic_ns
}

/// Clocks that a test sets; each thread has its own.
#[cfg(any(test, feature = "test-util"))]
pub mod fake {
    use std::cell::Cell;

    use rollout::Now;

    thread_local! {
        static NOW: Cell<Option<Now>> = const { Cell::new(None) };
    }

    /// What this thread's test has set; `None`: nothing, the clocks of the machine count.
    #[must_use]
    pub fn now() -> Option<Now> {
        NOW.get()
    }

    /// Sets both clocks of this thread.
    pub fn set(now: Now) {
        NOW.set(Some(now));
    }
}
