use serde::{Deserialize, Serialize};

/// A moment, read by the caller from both clocks.
///
/// The wall clock names the moment for people; the monotonic clock measures how long things took, so that setting
/// the wall clock moves no deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Milliseconds since 1970.
    pub unix_ms: u64,
    /// Nanoseconds of `CLOCK_MONOTONIC`: the same in every process of this machine until it is started again.
    pub monotonic_ns: u64,
}

impl Now {
    /// Both clocks as one, `ms` after zero; for replays.
    #[must_use]
    pub const fn at_ms(ms: u64) -> Self {
        Self { unix_ms: ms, monotonic_ns: ms.saturating_mul(1_000_000) }
    }

    /// Milliseconds from `earlier` to now, never negative. When the monotonic clock went backwards the machine was
    /// started again, and the wall clock must do.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> u64 {
        if self.monotonic_ns >= earlier.monotonic_ns {
            (self.monotonic_ns - earlier.monotonic_ns) / 1_000_000
        } else {
            self.unix_ms.saturating_sub(earlier.unix_ms)
        }
    }
}
