/// One of the runs that were stopped, of all there were; `-`: fewer were stopped.
#[must_use]
pub fn quantile(sorted: &[u64], runs: u64, q: f64) -> String {
    let at = ((runs as f64 - 1.0) * q).round() as usize;
    sorted.get(at).map_or("-".to_owned(), u64::to_string)
}

/// Wilson, "Probable inference, the law of succession, and statistical inference", 1927: the 95 % interval of a share.
#[must_use]
pub fn wilson(k: usize, n: usize) -> (f64, f64) {
    let (k, n, z) = (k as f64, n as f64, 1.959_964);
    let p = k / n;
    let mid = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    ((mid - half).max(0.0), (mid + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopped_runs_of_all() {
        assert_eq!(quantile(&[10, 20, 30], 3, 0.5), "20");
        assert_eq!(quantile(&[10, 20, 30], 5, 0.9), "-");
        assert_eq!(quantile(&[], 5, 0.0), "-");
    }

    #[track_caller]
    fn check(k: usize, n: usize, expected: (f64, f64)) {
        let (lo, hi) = wilson(k, n);
        assert!((lo - expected.0).abs() < 5e-5 && (hi - expected.1).abs() < 5e-5, "{lo} {hi}");
    }

    /// Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
    #[test]
    fn published_intervals() {
        check(81, 263, (0.2553, 0.3662));
        check(15, 148, (0.0624, 0.1605));
        check(0, 20, (0.0, 0.1611));
        check(1, 29, (0.0061, 0.1718));
    }
}
