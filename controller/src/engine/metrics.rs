//! How the engine keeps up with its proxies: a guardrail that is looked at late acts late.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use tally::metric::{self, CONTRADICTIONS_TOTAL, COUNTS_DELAY_SECONDS};

/// Looks that quantiles are taken of.
const KEPT: usize = 1_000;

/// Written by the engine, read by the metrics page.
#[derive(Clone, Debug, Default)]
pub struct EngineMetrics(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    looks: u64,
    /// How old the counts of the last look were that told any, in milliseconds.
    delay_ms: Option<u64>,
    /// Proxies that ran what this store never issued, and policies that proxies took for older than what they run.
    contradictions: u64,
    /// Sums over all looks, in seconds.
    late_s: f64,
    took_s: f64,
    /// Of the last looks, in nanoseconds: how late, and how long it took to judge all runs.
    last: VecDeque<(u64, u64)>,
}

impl EngineMetrics {
    /// All runs were judged, at `done_ns`, by a look that was due at `due_ns`.
    #[allow(clippy::cast_precision_loss)] // nanoseconds of a look
    pub fn record_look(&self, due_ns: u64, begun_ns: u64, done_ns: u64) {
        // A look without a due time is not late.
        let due_ns = if due_ns == 0 { begun_ns } else { due_ns };
        let (late, took) = (done_ns.saturating_sub(due_ns), done_ns.saturating_sub(begun_ns));
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.looks += 1;
        recorded.late_s += late as f64 / 1e9;
        recorded.took_s += took as f64 / 1e9;
        if recorded.last.len() >= KEPT {
            recorded.last.pop_front();
        }
        recorded.last.push_back((late, took));
    }

    /// Counts came that were so old; `None`: none came.
    pub fn record_delay(&self, delay_ms: Option<u64>) {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.delay_ms = delay_ms.or(recorded.delay_ms);
    }

    /// A proxy contradicted what this store says of it.
    pub fn add_contradictions(&self, times: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contradictions += times;
    }

    /// A counter and two summaries, in the text exposition format.
    pub fn render(&self) -> String {
        let recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (late, took): (Vec<u64>, Vec<u64>) = recorded.last.iter().copied().unzip();
        let looks = recorded.looks;
        let mut out = format!(
            "# HELP {CONTRADICTIONS_TOTAL} proxies that ran what this store never issued, and pushes they took for \
             older than that\n# TYPE {CONTRADICTIONS_TOTAL} counter\n{CONTRADICTIONS_TOTAL} {}\n",
            recorded.contradictions
        );
        if let Some(delay_ms) = recorded.delay_ms {
            #[allow(clippy::cast_precision_loss)] // milliseconds of a delay
            let delay_s = delay_ms as f64 / 1e3;
            // Writing to a String does not fail.
            let _ = write!(
                out,
                "# HELP {COUNTS_DELAY_SECONDS} how old the newest counts of the middle proxy were when they were last \
                 looked at\n# TYPE {COUNTS_DELAY_SECONDS} gauge\n{COUNTS_DELAY_SECONDS} {delay_s}\n"
            );
        }
        for (name, help, last, sum) in [
            (
                metric::LOOK_LATENESS_SECONDS,
                "from when a look at the counters was due until all rollouts were judged by it",
                late,
                recorded.late_s,
            ),
            (metric::LOOK_SECONDS, "the part of it in which all rollouts were judged", took, recorded.took_s),
        ] {
            // Writing to a String does not fail.
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} summary\n");
            for (quantile, value) in quantiles(last) {
                let _ = writeln!(out, "{name}{{quantile=\"{quantile}\"}} {value}");
            }
            let _ = write!(out, "{name}_sum {sum}\n{name}_count {looks}\n");
        }
        out
    }
}

/// Of the last looks, in seconds.
#[allow(clippy::cast_precision_loss)] // nanoseconds of a look
fn quantiles(mut last: Vec<u64>) -> Vec<(&'static str, f64)> {
    last.sort_unstable();
    let at = |per_mille: usize| {
        let rank = (last.len() * per_mille).div_ceil(1_000).max(1) - 1;
        last.get(rank).map(|ns| *ns as f64 / 1e9)
    };
    [("0.5", 500), ("0.99", 990), ("1", 1_000)]
        .into_iter()
        .filter_map(|(quantile, per_mille)| Some((quantile, at(per_mille)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_summed_up_and_the_last_ones_ranked() {
        let metrics = EngineMetrics::default();
        assert!(metrics.render().contains("serin_look_seconds_count 0\n"));
        for look in 1..=100 {
            let due_ns = look * 1_000_000_000;
            metrics.record_look(due_ns, due_ns + 1_000_000, due_ns + 1_000_000 * look);
        }
        metrics.record_delay(Some(1_500));
        metrics.record_delay(None);
        let text = metrics.render();
        for line in [
            "serin_counts_delay_seconds 1.5",
            "serin_look_lateness_seconds{quantile=\"0.5\"} 0.05",
            "serin_look_lateness_seconds{quantile=\"0.99\"} 0.099",
            "serin_look_lateness_seconds{quantile=\"1\"} 0.1",
            "serin_look_seconds{quantile=\"1\"} 0.099",
            "serin_look_seconds_count 100",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
        }
    }
}
