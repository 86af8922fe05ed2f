//! The client's records and the servers' logs, joined by request id.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde::Serialize;

use super::latencies::Latencies;
use super::record::Record;
use crate::model::Arrival;

/// Every request of the load with every arrival it caused.
#[derive(Debug)]
pub struct Ledger<'a> {
    entries: Vec<Entry<'a>>,
}

#[derive(Debug)]
struct Entry<'a> {
    record: &'a Record,
    /// In order of servers, then of arrival. More than one when a proxy retried.
    arrivals: Vec<(Reached, &'a Arrival)>,
}

/// Which arm a request reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reached {
    /// The stable server.
    Stable,
    /// The stable server, as the canary's equal-sized baseline.
    Baseline,
    /// The canary server.
    Canary,
}

/// What a share is a share of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Distinct users: for sticky assignment.
    Users,
    /// Requests: for random assignment.
    Requests,
}

/// Sums over a load.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Requests the client finished, whatever their outcome.
    pub total: u64,
    /// Of these, reached stable.
    pub stable: u64,
    /// Reached the canary.
    pub canary: u64,
    /// Reached stable as baseline.
    pub baseline: u64,
    /// Reached no sample server.
    pub unserved: u64,
    /// Failures the client saw: no response, or a status of 400 or more.
    pub failed_seen: u64,
    /// Failures the client saw and a sample server logged as its own for the same request id.
    pub failed_by_servers: u64,
    /// `failed_seen` less `failed_by_servers`: whoever stands between.
    pub failed_by_us: u64,
    /// The version header differs from the version of the server the request reached.
    pub mis_tagged: u64,
    /// Answered by a sample server without a version header.
    pub untagged: u64,
    /// The first few requests counted in `failed_by_us` or `mis_tagged`, in words.
    pub examples: Vec<String>,
}

/// Examples kept in [`Totals`].
const MAX_EXAMPLES: usize = 5;

impl<'a> Ledger<'a> {
    /// Joins. `records` may come in any order; the ledger is in order of sending.
    pub fn new(records: &'a [Record], stable: &'a [Arrival], canary: &'a [Arrival]) -> Self {
        let mut arrivals: HashMap<&str, Vec<(Reached, &Arrival)>> = HashMap::with_capacity(records.len());
        for arrival in stable {
            let reached =
                if arrival.arm.as_deref() == Some("baseline") { Reached::Baseline } else { Reached::Stable };
            arrivals.entry(&arrival.request_id).or_default().push((reached, arrival));
        }
        for arrival in canary {
            arrivals.entry(&arrival.request_id).or_default().push((Reached::Canary, arrival));
        }
        let mut entries: Vec<Entry<'a>> = records
            .iter()
            .map(|record| Entry {
                record,
                arrivals: arrivals.remove(&*record.request_id).unwrap_or_default(),
            })
            .collect();
        entries.sort_by_key(|entry| entry.record.sent_ns);
        Self { entries }
    }

    /// The sums.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for entry in &self.entries {
            totals.add(entry);
        }
        totals
    }

    /// The canary's share among requests sent in a span of `CLOCK_MONOTONIC`, and how many users or requests it is
    /// a share of; none when there were none.
    pub fn share(&self, sent_ns: &Range<u64>, unit: Unit) -> Option<(f64, u64)> {
        let within = || self.entries.iter().filter(|entry| sent_ns.contains(&entry.record.sent_ns));
        let (canary, all) = match unit {
            Unit::Requests => {
                let reached = within().filter_map(Entry::reached);
                reached.fold((0, 0), |(canary, all), reached| {
                    (canary + u64::from(reached == Reached::Canary), all + 1)
                })
            }
            Unit::Users => {
                let reached: HashSet<(u32, bool)> = within()
                    .filter_map(|entry| Some((entry.record.user, entry.reached()? == Reached::Canary)))
                    .collect();
                let canary = reached.iter().filter(|(_, canary)| *canary).count();
                let all: HashSet<u32> = reached.iter().map(|(user, _)| *user).collect();
                (canary as u64, all.len() as u64)
            }
        };
        (all > 0).then(|| (canary as f64 / all as f64, all))
    }

    /// Users who had reached the canary and later, within the same span, were sent to stable; meant for a span in
    /// which the weight never falls. A request sent within `grace_ns` of the canary's answer does not count: two
    /// workers of one proxy take a push up some milliseconds apart.
    pub fn left_canary(&self, sent_ns: &Range<u64>, grace_ns: u64) -> Vec<u32> {
        let mut canary_since: HashMap<u32, u64> = HashMap::new();
        let mut left = HashSet::new();
        for entry in self.entries.iter().filter(|entry| sent_ns.contains(&entry.record.sent_ns)) {
            let record = entry.record;
            match entry.reached() {
                Some(Reached::Canary) => {
                    let since = canary_since.entry(record.user).or_insert(record.finished_ns);
                    *since = record.finished_ns.min(*since);
                }
                Some(_) => {
                    let since = canary_since.get(&record.user);
                    left.extend(
                        since
                            .filter(|since| record.sent_ns > since.saturating_add(grace_ns))
                            .map(|_| record.user),
                    );
                }
                None => {}
            }
        }
        let mut left: Vec<u32> = left.into_iter().collect();
        left.sort_unstable();
        left
    }

    /// Median and 99th percentile of the time to answer, in milliseconds, of the requests that reached an arm; none
    /// when none did.
    pub fn latency_ms(&self, arm: Reached) -> Option<(f64, f64)> {
        let reached = self.entries.iter().filter(|entry| entry.reached() == Some(arm));
        let latencies: Latencies = reached.map(|entry| entry.record.latency_ns()).collect();
        Some((latencies.quantile_ms(0.5)?, latencies.quantile_ms(0.99)?))
    }

    /// Distinct users of the whole load.
    pub fn users(&self) -> u64 {
        self.entries.iter().map(|entry| entry.record.user).collect::<HashSet<_>>().len() as u64
    }
}

impl Entry<'_> {
    /// Where the request ended: its last arrival.
    fn reached(&self) -> Option<Reached> {
        self.arrivals.iter().max_by_key(|(_, arrival)| arrival.arrived_ns).map(|(reached, _)| *reached)
    }

    /// The version the client should have been told of.
    fn served_version(&self) -> Option<&str> {
        let last = self.arrivals.iter().max_by_key(|(_, arrival)| arrival.arrived_ns);
        last.map(|(_, arrival)| &*arrival.version).or(self.record.model_version.as_deref())
    }
}

impl Totals {
    fn add(&mut self, entry: &Entry<'_>) {
        let record = entry.record;
        self.total += 1;
        *match entry.reached() {
            Some(Reached::Stable) => &mut self.stable,
            Some(Reached::Baseline) => &mut self.baseline,
            Some(Reached::Canary) => &mut self.canary,
            None => &mut self.unserved,
        } += 1;
        if record.failed() {
            self.failed_seen += 1;
            if entry.arrivals.iter().any(|(_, arrival)| arrival.outcome.is_server_failure()) {
                self.failed_by_servers += 1;
            } else {
                self.failed_by_us += 1;
                let what = match &record.result {
                    Ok(status) => format!("status {status}"),
                    Err(e) => e.to_string(),
                };
                self.example(format!(
                    "{}: the client saw a failure ({what}); the servers logged {}",
                    record.request_id,
                    entry.arrivals.first().map_or("nothing".to_owned(), |(reached, arrival)| format!(
                        "{:?} at {reached:?}",
                        arrival.outcome
                    )),
                ));
            }
        }
        match (record.version_tag(), entry.served_version()) {
            (Some(tag), Some(served)) if tag != served => {
                self.mis_tagged += 1;
                self.example(format!("{}: tagged {tag}, served by {served}", record.request_id));
            }
            (None, Some(_)) if record.result.is_ok() && record.model_version.is_some() => self.untagged += 1,
            _ => {}
        }
    }

    fn example(&mut self, words: String) {
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(words);
        }
    }
}

#[cfg(test)]
mod tests;
