//! What goes wrong.

/// What happens at a point of a write or an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The process ends.
    Crash,
    /// The disk refuses this once.
    Refuse,
}

/// What happens to the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// Somebody sets the wall clock, by so many milliseconds.
    Set(i64),
    /// The machine sleeps for so many milliseconds: the wall clock goes on, `CLOCK_MONOTONIC` does not.
    Sleep(u64),
    /// The machine is started again: `CLOCK_MONOTONIC` begins anew.
    PowerCycle,
}
