//! The steps of a long command: a heading before each, its time after it, all times at the end.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::process::say;

/// The steps so far.
pub struct Steps {
    total: usize,
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    /// `total`: how many there will be, for the headings.
    pub fn new(total: usize) -> Self {
        Self { total, done: Vec::new() }
    }

    /// Runs one step. `why` is what it is good for, in a few words.
    pub fn run<T>(&mut self, name: &'static str, why: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        say(format!("\n==== {}/{} {name}: {why}", self.done.len() + 1, self.total));
        let started = Instant::now();
        let result = step();
        let took = started.elapsed();
        let word = if result.is_ok() { "done" } else { "failed" };
        say(format!("---- {name}: {word} after {}", shown(took)));
        self.done.push((name, took));
        result
    }

    /// Prints what each step took.
    pub fn summary(&self) {
        let all: Duration = self.done.iter().map(|(_, took)| *took).sum();
        let each = self.done.iter().map(|(name, took)| format!("{name} {}", shown(*took)));
        say(format!(
            "\nall {} steps done in {} ({})",
            self.done.len(),
            shown(all),
            each.collect::<Vec<_>>().join(", ")
        ));
    }
}

fn shown(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(millis: u64, expected: &str) {
        assert_eq!(shown(Duration::from_millis(millis)), expected);
    }

    #[test]
    fn times_are_short_to_read() {
        check(40, "0.0 s");
        check(1_250, "1.2 s");
        check(60_000, "1 min 00 s");
        check(754_000, "12 min 34 s");
    }
}
