//! Traffic as it was counted, kept for `serin simulate --record`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rollout::Interval;

/// A directory with a file for each rollout: an interval of counts a line, as JSON.
pub struct TrafficLog {
    directory: PathBuf,
    /// Did the last write fail? It is told once.
    failing: bool,
}

impl TrafficLog {
    /// # Errors
    /// When the directory cannot be made.
    pub fn new(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("{} cannot be made; name a directory that can", directory.display()))?;
        Ok(Self { directory: directory.to_owned(), failing: false })
    }

    /// Keeps an interval in which stable answered and nothing was missing. A disk that refuses stops no rollout.
    pub fn keep(&mut self, rollout: &str, interval: &Interval) {
        if interval.gap.is_some() || interval.stable.outcomes == 0 {
            return;
        }
        let path = self.directory.join(format!("{rollout}.jsonl"));
        let written = serde_json::to_string(interval).map_err(anyhow::Error::from).and_then(|line| {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            // One write a line: a crash leaves whole lines behind.
            Ok(file.write_all(format!("{line}\n").as_bytes())?)
        });
        match written {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::warn!("{}: {error:#}; traffic is not recorded meanwhile", path.display());
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollout::Counts;

    #[test]
    fn what_is_kept_can_be_simulated() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = TrafficLog::new(&dir.path().join("traffic")).expect("made");
        let stable = Counts { assigned: 9, finished: 9, outcomes: 9, errors: 1, ..Counts::default() };
        let whole = Interval { epoch: 1, from_ms: 1_000, to_ms: 2_000, stable, ..Interval::default() };
        log.keep("ranker", &whole);
        log.keep("ranker", &Interval { gap: Some("a proxy was silent".to_owned()), ..whole.clone() });
        log.keep("ranker", &Interval { stable: Counts::default(), ..whole.clone() });
        log.keep("ranker", &Interval { from_ms: 2_000, to_ms: 3_000, ..whole.clone() });
        let text = std::fs::read_to_string(dir.path().join("traffic/ranker.jsonl")).expect("kept");
        let read: Vec<Interval> =
            text.lines().map(|line| serde_json::from_str(line).expect("an interval a line")).collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read.first(), Some(&whole));
    }

    #[test]
    fn a_disk_that_refuses_stops_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("file"), "").expect("a file");
        assert!(TrafficLog::new(&dir.path().join("file")).is_err());
        let mut log = TrafficLog::new(dir.path()).expect("made");
        std::fs::create_dir(dir.path().join("ranker.jsonl")).expect("in its place");
        let stable = Counts { outcomes: 1, ..Counts::default() };
        let interval = Interval { stable, to_ms: 1, ..Interval::default() };
        log.keep("ranker", &interval);
        assert!(log.failing);
        log.keep("other", &interval);
        assert!(!log.failing);
    }
}
