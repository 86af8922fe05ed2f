//! Whether the machine keeps up, measured apart from everything that is rolled out: how late this process wakes, which
//! is client and sample servers in one, and how long Envoy's and the controller's threads wait for a processor.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clock;
use crate::load::Spans;

/// A watch over the machine. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    strain: Arc<Mutex<Spans>>,
    watching: JoinHandle<()>,
}

/// Time between two looks.
const EVERY: Duration = Duration::from_millis(100);

/// Whoever wakes later than this after it was due was kept waiting: an answer takes some 8 ms.
const LATE_NS: u64 = 50_000_000;

/// A process did not keep up while one of its threads waited for a processor for more of a look than this share.
const WAITED: f64 = 0.5;

impl Watch {
    /// Begins to watch; `processes` by their ids.
    pub fn start(processes: Vec<u32>) -> Self {
        let strain = Arc::new(Mutex::new(Spans::default()));
        let watching = tokio::spawn(watch(processes, strain.clone()));
        Self { strain, watching }
    }

    /// When it did not keep up, so far.
    pub fn strain(&self) -> Spans {
        self.strain.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

async fn watch(processes: Vec<u32>, strain: Arc<Mutex<Spans>>) {
    let mut waited = waits(&processes);
    let (mut last_ns, mut due) = (clock::monotonic_ns(), Instant::now());
    loop {
        due = (due + EVERY).max(Instant::now());
        tokio::time::sleep_until(due).await;
        let (late_ns, now_ns) = (due.elapsed().as_nanos() as u64, clock::monotonic_ns());
        let now = waits(&processes);
        if is_strained(late_ns, longest(&waited, &now), now_ns.saturating_sub(last_ns)) {
            strain.lock().unwrap_or_else(PoisonError::into_inner).add(last_ns..now_ns);
        }
        (waited, last_ns) = (now, now_ns);
    }
}

fn is_strained(late_ns: u64, waited_ns: u64, look_ns: u64) -> bool {
    late_ns >= LATE_NS || waited_ns as f64 > WAITED * look_ns as f64
}

/// The longest that any thread waited between two looks.
fn longest(before: &HashMap<Box<str>, u64>, after: &HashMap<Box<str>, u64>) -> u64 {
    let rose = after.iter().filter_map(|(thread, ns)| Some(ns.saturating_sub(*before.get(thread)?)));
    rose.max().unwrap_or(0)
}

/// How long each thread of these processes was ready to run and did not, in nanoseconds since it began. Systems other
/// than Linux do not tell; there this process's own lateness must do.
fn waits(processes: &[u32]) -> HashMap<Box<str>, u64> {
    let mut found = HashMap::new();
    for process in processes {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { continue };
        for thread in threads.flatten() {
            let path = thread.path();
            if let Some(ns) = waited(&path.join("schedstat")) {
                found.insert(path.to_string_lossy().into(), ns);
            }
        }
    }
    found
}

/// `schedstat` says: nanoseconds on a processor, nanoseconds of waiting for one, times it was given one.
fn waited(schedstat: &Path) -> Option<u64> {
    std::fs::read_to_string(schedstat).ok()?.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(late_ms: u64, waited_ms: u64, look_ms: u64, strained: bool) {
        let ms = |ms: u64| ms * 1_000_000;
        assert_eq!(is_strained(ms(late_ms), ms(waited_ms), ms(look_ms)), strained);
    }

    #[test]
    fn a_machine_keeps_up_until_somebody_waits_for_half_of_the_time() {
        check(0, 0, 100, false);
        check(5, 20, 105, false);
        check(50, 0, 150, true);
        check(0, 51, 100, true);
        check(0, 51, 110, false);
    }

    #[test]
    fn a_thread_that_came_later_has_not_waited_yet() {
        let known = |all: &[(&str, u64)]| -> HashMap<Box<str>, u64> {
            all.iter().map(|(name, ns)| ((*name).into(), *ns)).collect()
        };
        assert_eq!(longest(&known(&[("a", 5), ("b", 7)]), &known(&[("a", 6), ("b", 17), ("c", 900)])), 10);
        assert_eq!(longest(&known(&[]), &known(&[("c", 900)])), 0);
        // Processes that are gone, or that the system tells nothing of, have not waited.
        assert!(waits(&[u32::MAX]).is_empty());
    }
}
