use std::time::{SystemTime, UNIX_EPOCH};

/// `CLOCK_MONOTONIC` of this machine, in nanoseconds: the same for every process on it.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Wall time, for people to read; never subtracted.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A number no earlier process began with, with room to count up from.
pub(crate) fn first_mark() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Nanoseconds since 1970 fit until 2554.
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
