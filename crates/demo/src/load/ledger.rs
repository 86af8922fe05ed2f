//! The client's records and the servers' logs, joined by request id.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use serde::Serialize;

use super::latencies::Latencies;
use super::record::Record;
use super::spans::Spans;
use crate::model::Arrival;

/// Every request of the load with every arrival it caused.
#[derive(Debug)]
pub struct Ledger<'a> {
    entries: Vec<Entry<'a>>,
    strain: Spans,
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

impl Reached {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Baseline => "baseline",
            Self::Canary => "canary",
        }
    }
}

/// What a share is a share of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Distinct users: for sticky assignment.
    Users,
    /// Requests: for random assignment.
    Requests,
}

/// A user who had the canary and then stable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Who.
    pub user: u32,
    /// When the first answer of the canary was there.
    pub canary_ns: u64,
    /// From when to when the first request lasted that stable got after it.
    pub stable_ns: Range<u64>,
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
    /// Failures that no server logged, while the machine did not keep up: nobody can say whose they are otherwise.
    pub failed_by_machine: u64,
    /// `failed_seen` less `failed_by_servers` and `failed_by_machine`: whoever stands between.
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
        Self { entries, strain: Spans::default() }
    }

    /// The same, with what is known of the machine: what it explains is not put down to whoever stands between.
    #[must_use]
    pub fn on(self, strain: Spans) -> Self {
        Self { strain, ..self }
    }

    /// The sums.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for entry in &self.entries {
            totals.add(entry, &self.strain);
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
    /// which the weight never falls. Only what was sent and over within the span counts: the proxy may have assigned
    /// what was open at its end by the weights that came then. A request sent within `grace_ns` of the canary's answer
    /// does not count either: two workers of one proxy take a push up some milliseconds apart.
    pub fn left_canary(&self, span_ns: &Range<u64>, grace_ns: u64) -> Vec<Left> {
        let mut canary_since: HashMap<u32, u64> = HashMap::new();
        let mut left: BTreeMap<u32, Left> = BTreeMap::new();
        let within =
            |record: &Record| span_ns.contains(&record.sent_ns) && span_ns.contains(&record.finished_ns);
        for entry in self.entries.iter().filter(|entry| within(entry.record)) {
            let record = entry.record;
            match entry.reached() {
                Some(Reached::Canary) => {
                    let since = canary_since.entry(record.user).or_insert(record.finished_ns);
                    *since = record.finished_ns.min(*since);
                }
                Some(_) => {
                    let since = canary_since.get(&record.user).copied();
                    if let Some(canary_ns) =
                        since.filter(|since| record.sent_ns > since.saturating_add(grace_ns))
                    {
                        let (user, stable_ns) = (record.user, record.sent_ns..record.finished_ns);
                        left.entry(user).or_insert(Left { user, canary_ns, stable_ns });
                    }
                }
                None => {}
            }
        }
        left.into_values().collect()
    }

    /// Median and 99th percentile of the time to answer, in milliseconds, of the requests that reached an arm; none
    /// when none did.
    pub fn latency_ms(&self, arm: Reached) -> Option<(f64, f64)> {
        let reached = self.entries.iter().filter(|entry| entry.reached() == Some(arm));
        let latencies: Latencies = reached.map(|entry| entry.record.latency_ns()).collect();
        Some((latencies.quantile_ms(0.5)?, latencies.quantile_ms(0.99)?))
    }

    /// One line for each request, in order of sending, times in nanoseconds of `CLOCK_MONOTONIC`: for a look at what the
    /// sums are made of.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_csv(&self, to: &mut impl std::io::Write) -> std::io::Result<()> {
        writeln!(to, "request_id,user,sent_ns,arrived_ns,finished_ns,reached,status")?;
        for Entry { record, arrivals } in &self.entries {
            let last = arrivals.iter().max_by_key(|(_, arrival)| arrival.arrived_ns);
            let reached = last.map_or("nobody", |(reached, _)| reached.as_str());
            let arrived = last.map_or(String::new(), |(_, arrival)| arrival.arrived_ns.to_string());
            let status = record.result.as_ref().map_or("none".to_owned(), u16::to_string);
            let Record { request_id, user, sent_ns, finished_ns, .. } = record;
            writeln!(to, "{request_id},{user},{sent_ns},{arrived},{finished_ns},{reached},{status}")?;
        }
        to.flush()
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
    fn add(&mut self, entry: &Entry<'_>, strain: &Spans) {
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
            } else if strain.explains(record.sent_ns, record.finished_ns) {
                self.failed_by_machine += 1;
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
