//! Which process answers, where only its age is told.

use std::time::Duration;

/// Envoy writes its age when it flushes its statistics, so at the latest so long after the truth (`stats_flush_interval` is
/// at most 5 minutes), and in whole seconds.
const OLDEST_AGE: Duration = Duration::from_secs(302);

/// A successor begins after the last reading, give or take this much.
const CLOCK_STEP_NS: u64 = 10_000_000_000;

/// What a process says of its age.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Age {
    /// For how long it has run, in seconds; by up to a flush of its statistics behind.
    pub uptime_s: u64,
    /// How long its start took, in its own words: each process writes it once. `None`: not told, or not yet.
    pub initialised: Option<String>,
}

impl Age {
    /// Is it, told at `at_ns`, that of another process than `last` was, told at `last_ns`? What it takes for two processes are
    /// two.
    #[must_use]
    pub fn is_of_another(&self, at_ns: u64, last: &Self, last_ns: u64) -> bool {
        let differ =
            last.initialised.is_some() && self.initialised.is_some() && last.initialised != self.initialised;
        let uptime_ns = self.uptime_s.saturating_mul(1_000_000_000);
        let oldest_ns = u64::try_from(OLDEST_AGE.as_nanos()).unwrap_or(u64::MAX);
        let begun_after = at_ns.saturating_sub(uptime_ns).saturating_sub(oldest_ns) > last_ns;
        // Envoy reckons its age by the wall clock of its node: one that is set back makes it younger, but not as young as a successor.
        let young_ns = at_ns.saturating_sub(last_ns).saturating_add(CLOCK_STEP_NS);
        (self.uptime_s < last.uptime_s && uptime_ns <= young_ns) || differ || begun_after
    }
}

/// Tells processes apart by their ages, and by counters that stand lower than they did. What it takes for two processes are
/// two; a process that was read when it was younger than a flush, and ended before the next reading, may pass for its
/// successor once that has counted as much.
#[derive(Clone, Debug, Default)]
pub struct ProcessTracker {
    number: u64,
    last: Option<(Age, u64)>,
}

impl ProcessTracker {
    /// Names the process that said this at `at_ns`, by `CLOCK_MONOTONIC`. `less`: a counter of it stands lower than it did.
    pub fn name(&mut self, age: &Age, at_ns: u64, less: bool) -> String {
        let mut known = age.clone();
        if let Some((last, last_ns)) = &self.last {
            if less || age.is_of_another(at_ns, last, *last_ns) {
                self.number += 1;
            } else {
                known.initialised = known.initialised.or_else(|| last.initialised.clone());
            }
        }
        self.last = Some((known, at_ns));
        format!("process {}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readings: second, uptime, how long the start took. Which of them is of a process that was not seen before?
    #[track_caller]
    fn check(readings: &[(u64, u64, Option<&str>)], anew: &[usize]) {
        let mut tracker = ProcessTracker::default();
        let names: Vec<String> = readings
            .iter()
            .map(|(at_s, uptime_s, initialised)| {
                let age = Age { uptime_s: *uptime_s, initialised: initialised.map(str::to_owned) };
                tracker.name(&age, at_s * 1_000_000_000, false)
            })
            .collect();
        let changes: Vec<usize> = (1..names.len()).filter(|at| names[*at] != names[at - 1]).collect();
        assert_eq!(changes, anew, "{readings:?}");
    }

    #[test]
    fn a_process_is_told_from_its_successor() {
        check(&[(1_000, 50, None), (1_001, 50, None), (1_004, 55, None), (1_005, 55, None)], &[]);
        check(&[(1_000, 50, None), (1_001, 0, None), (1_002, 0, None)], &[1]);
        // However old it is: an hour in which nobody read it.
        check(&[(1_000, 50, None), (4_600, 3_650, None)], &[]);
        check(&[(1_000, 50, None), (4_600, 3_640, None)], &[]);
        check(&[(1_000, 50, None), (4_600, 3_000, None)], &[1]);
        // A young one, by how long its start took.
        check(&[(1_000, 0, Some("3449.27")), (1_007, 5, Some("3449.27"))], &[]);
        check(&[(1_000, 0, Some("3449.27")), (1_007, 5, Some("812.5"))], &[1]);
        check(&[(1_000, 0, Some("3449.27")), (1_002, 0, None), (1_007, 5, Some("812.5"))], &[2]);
        check(&[(1_000, 0, None), (1_002, 0, Some("3449.27"))], &[]);
        // The node's clock is set back by a minute, then the process is replaced.
        check(&[(1_000, 500, None), (1_005, 445, None), (1_010, 450, None), (1_015, 2, None)], &[3]);
        // Envoy flushes as rarely as it may.
        check(&[(1_000, 300, None), (1_299, 300, None), (1_301, 600, None)], &[]);
    }
}
