//! Times to answer, as a histogram.

use hdrhistogram::Histogram;

/// Times of any size with three significant digits (`HdrHistogram`): as large as its range, not as what it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Latencies(Histogram<u64>);

/// Longer times are this long. In microseconds: an hour.
const LONGEST_US: u64 = 3_600_000_000;

impl Default for Latencies {
    #[allow(clippy::expect_used, reason = "the bounds are constants")]
    fn default() -> Self {
        Self(
            Histogram::new_with_bounds(1, LONGEST_US, 3).expect("1 is below an hour, and 3 digits at most 5"),
        )
    }
}

impl Latencies {
    /// Adds one, in nanoseconds; kept in microseconds.
    pub fn record_ns(&mut self, ns: u64) {
        self.0.saturating_record(ns.saturating_add(500) / 1_000);
    }

    /// The time that a share of all does not exceed, in milliseconds; none when there are none. The largest: of 1.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(share) as f64 / 1e3)
    }
}

impl FromIterator<u64> for Latencies {
    /// Of nanoseconds.
    fn from_iter<I: IntoIterator<Item = u64>>(ns: I) -> Self {
        let mut latencies = Self::default();
        ns.into_iter().for_each(|ns| latencies.record_ns(ns));
        latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of times in microseconds, to three digits.
    #[track_caller]
    fn check(us: &[u64], share: f64, expected_ms: Option<f64>) {
        let latencies: Latencies = us.iter().map(|us| us * 1_000).collect();
        let found = latencies.quantile_ms(share);
        let near =
            found.zip(expected_ms).map(|(found, expected)| (found - expected).abs() <= expected / 1_000.0);
        assert!(near.unwrap_or(found == expected_ms), "{found:?}, expected {expected_ms:?}");
    }

    #[test]
    fn shares_of_all() {
        check(&[], 0.5, None);
        check(&[8_000], 0.5, Some(8.0));
        check(&[30_000, 10_000, 20_000], 0.5, Some(20.0));
        check(&[30_000, 10_000, 20_000], 0.99, Some(30.0));
        check(&(1..=1_000).collect::<Vec<_>>(), 0.5, Some(0.5));
        check(&(1..=1_000).collect::<Vec<_>>(), 0.99, Some(0.99));
        check(&[0, 12_345_678], 1.0, Some(12_345.678));
        check(&[9_000_000_000], 1.0, Some(3_600_000.0));
    }
}
