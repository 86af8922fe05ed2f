//! The steps of a long command: a heading before each, its time after it, all times at the end.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::process::say;

/// The steps so far.
pub struct Steps {
    total: usize,
    done: Vec<(&'static str, Duration)>,
    skipped: Vec<(&'static str, String)>,
}

impl Steps {
    /// `total`: how many there will be, for the headings.
    pub fn new(total: usize) -> Self {
        Self { total, done: Vec::new(), skipped: Vec::new() }
    }

    /// Runs one step. `why` is what it is good for, in a few words.
    pub fn run<T>(&mut self, name: &'static str, why: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        say(format!("\n==== {}/{} {name}: {why}", self.done.len() + self.skipped.len() + 1, self.total));
        let started = Instant::now();
        let result = step();
        let took = started.elapsed();
        let word = if result.is_ok() { "done" } else { "failed" };
        say(format!("---- {name}: {word} after {}", shown(took)));
        self.done.push((name, took));
        result
    }

    /// Takes the last step for skipped: it did nothing, for this reason.
    pub fn skip_last(&mut self, why: String) {
        self.skipped.extend(self.done.pop().map(|(name, _)| (name, why)));
    }

    /// Prints what each step took, and last which were skipped.
    pub fn summary(&self) {
        say(self.in_words());
    }

    fn in_words(&self) -> String {
        let all: Duration = self.done.iter().map(|(_, took)| *took).sum();
        let each = self.done.iter().map(|(name, took)| format!("{name} {}", shown(*took)));
        let all_of_them = if self.skipped.is_empty() { "all " } else { "" };
        let done = self.done.len();
        let times = each.collect::<Vec<_>>().join(", ");
        let mut words = format!("\n{all_of_them}{done} steps done in {} ({times})", shown(all));
        for (name, why) in &self.skipped {
            words.push_str(&format!("\nSKIPPED, so not tested: {name} ({why})"));
        }
        words
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

    #[test]
    fn a_skipped_step_is_not_among_those_done() {
        let mut steps = Steps::new(2);
        steps.run("test", "", || Ok(())).unwrap();
        assert!(steps.in_words().starts_with("\nall 1 steps done in "), "{}", steps.in_words());
        steps.run("compose", "", || Ok(())).unwrap();
        steps.skip_last("no engine".into());
        let words = steps.in_words();
        assert!(words.starts_with("\n1 steps done in "), "{words}");
        assert!(words.ends_with("\nSKIPPED, so not tested: compose (no engine)"), "{words}");
    }
}
