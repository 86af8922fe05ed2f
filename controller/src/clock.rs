//! The two clocks, read here and nowhere else in this crate.

use std::time::{SystemTime, UNIX_EPOCH};

use rollout::Now;
use rustix::time::{ClockId, clock_gettime};

pub fn now() -> Now {
    Now { unix_ms: unix_ms(), monotonic_ns: monotonic_ns() }
}

pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// `CLOCK_MONOTONIC`: the same for every process of this machine, so that others can subtract from it.
pub fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
