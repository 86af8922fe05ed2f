//! A load in one line: who answered, how often it failed, how long it took.

use std::collections::BTreeMap;

use notation::{milliseconds, percent};

use super::latencies::Latencies;
use super::record::Record;

/// Running sums of a load without server logs to hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    total: u64,
    failed: u64,
    mis_tagged: u64,
}

impl Summary {
    /// Adds what finished since the last line, and says what it was: versions by the servers' own header.
    pub fn of(&mut self, records: &[Record]) -> String {
        let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
        let latencies: Latencies = records.iter().map(Record::latency_ns).collect();
        for record in records {
            self.total += 1;
            self.failed += u64::from(record.failed());
            let served = record.model_version.as_deref();
            self.mis_tagged +=
                u64::from(record.version_tag().zip(served).is_some_and(|(tag, served)| tag != served));
            *versions.entry(served.unwrap_or("nobody")).or_default() += 1;
        }
        let shares: Vec<String> = versions
            .iter()
            .map(|(version, count)| format!("{version} {}", percent(*count as f64 / records.len() as f64, 1)))
            .collect();
        let quantile = |share: f64| latencies.quantile_ms(share).unwrap_or_default();
        format!(
            "answered by {}; p50 {}, p99 {}; since the start {} requests, {} failed, {} mis-tagged",
            if shares.is_empty() { "nobody yet".to_owned() } else { shares.join(", ") },
            milliseconds(quantile(0.5)),
            milliseconds(quantile(0.99)),
            self.total,
            self.failed,
            self.mis_tagged,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answered() {
        let record = |version: Option<&str>, tag: &str| Record {
            request_id: "1-1".into(),
            user: 1,
            sent_ns: 0,
            finished_ns: 8_000_000,
            result: version.map_or(Err(super::super::NoResponse::Timeout), |_| Ok(200)),
            model_version: version.map(Into::into),
            serin: vec![("x-serin-version".into(), tag.into())],
        };
        let mut summary = Summary::default();
        let records = [
            record(Some("v1"), "v1"),
            record(Some("v1"), "v2"),
            record(Some("v2"), "v2"),
            record(None, "v1"),
        ];
        assert_eq!(
            summary.of(&records),
            "answered by nobody 25 %, v1 50 %, v2 25 %; p50 8.0 ms, p99 8.0 ms; since the start 4 requests, \
             1 failed, 1 mis-tagged"
        );
        assert!(summary.of(&[]).ends_with("since the start 4 requests, 1 failed, 1 mis-tagged"));
    }
}
