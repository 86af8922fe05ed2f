//! Makes the report from the records of both sides and the controller's last view.

use std::collections::BTreeMap;
use std::ops::Range;

use api::{PhaseName, StageView};
use notation::seconds;

use super::Options;
use super::follow::Followed;
use super::ground::Ground;
use super::report::{
    HistoryLine, Latency, Outcome, Report, Requests, SelfTestReport, StageReport, UsersReport,
};
use super::rollback;
use super::spec::Assignment;
use crate::load::{Ledger, Left, Reached, Record, Spans, Unit, Users};
use crate::model::Arrival;

/// Everything a report is made of.
#[derive(Debug)]
pub struct Account<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// Envoy's version.
    pub envoy: String,
    /// SHA-256 of the filter.
    pub wasm_sha256: String,
    /// The client's records.
    pub records: &'a [Record],
    /// The stable server's log.
    pub stable: &'a [Arrival],
    /// The canary server's log.
    pub canary: &'a [Arrival],
    /// Requests the load could not send.
    pub unsent: u64,
    /// What the machine served before the rollout.
    pub ground: Ground,
    /// When the machine did not keep up.
    pub strain: Spans,
    /// Since when, and until when, that was watched.
    pub watched_ns: Range<u64>,
    /// What following the rollout showed.
    pub followed: &'a Followed,
}

/// Proxies take a push up within some tens of milliseconds; a share is observed from this long after it on, and
/// nobody is said to have left the canary by a request within this time of its last answer from there.
const SETTLE_NS: u64 = 500_000_000;

/// Users named in the report.
const MAX_EXAMPLES: usize = 5;

impl Account<'_> {
    /// The report.
    pub fn report(self) -> Report {
        let Followed { view, outcome, spec, next, .. } = self.followed;
        let ledger = Ledger::new(self.records, self.stable, self.canary).on(self.strain.clone());
        let rollback = view.run.rollback.as_ref().filter(|_| *outcome == Outcome::RolledBack);
        let why = match (rollback, view.run.phase.known()) {
            (Some(rollback), _) => rollback.reason.clone(),
            (None, Some(PhaseName::Progressing | PhaseName::Pending)) => {
                format!("No decision in the time of all stages together. {}", view.run.message)
            }
            _ => view.run.message.clone(),
        };
        let latency_ms = [Reached::Stable, Reached::Baseline, Reached::Canary]
            .into_iter()
            .filter_map(|arm| ledger.latency_ms(arm).map(|(p50, p99)| (arm.as_str(), Latency { p50, p99 })))
            .collect::<BTreeMap<_, _>>();
        Report {
            scenario: self.options.scenario,
            outcome: *outcome,
            why,
            seed: self.options.seed,
            speed: self.options.speed,
            rate: self.ground.rate,
            ground: self.ground.clone(),
            strained_share: self.strain.share(&self.watched_ns),
            envoy: self.envoy.clone(),
            wasm_sha256: self.wasm_sha256.clone(),
            assignment: self.options.assignment,
            spec: spec.clone(),
            took_ms: (self.followed.ended_ns - self.followed.applied_ns) as f64 / 1e6,
            stages: view.run.stages.iter().map(|stage| self.stage(&ledger, stage)).collect(),
            users: self.users(&ledger),
            latency_ms,
            rollback: rollback.map(|rollback| {
                rollback::measure(
                    self.canary,
                    rollback.decided_monotonic_ns,
                    self.followed.applied_ns,
                    &rollback.reason,
                )
            }),
            acks: view.acks.clone(),
            refusals: view.refusals.clone(),
            next: next.clone(),
            self_test: self.self_test(),
            history: view
                .run
                .history
                .iter()
                .map(|line| HistoryLine { ms: self.since_applied_ms(line.unix_ms), what: line.what.clone() })
                .collect(),
            requests: Requests { totals: ledger.totals(), unsent: self.unsent },
        }
    }

    fn since_applied_ms(&self, unix_ms: u64) -> f64 {
        unix_ms as f64 - self.followed.applied_unix_ms as f64
    }

    fn monotonic_ns(&self, unix_ms: u64) -> u64 {
        let since = unix_ms.saturating_sub(self.followed.applied_unix_ms);
        self.followed.applied_ns.saturating_add(since * 1_000_000)
    }

    /// Until when the weight of the current stage stood.
    fn last_ns(&self) -> u64 {
        let view = &self.followed.view;
        view.run.rollback.as_ref().map_or(self.followed.ended_ns, |rollback| rollback.decided_monotonic_ns)
    }

    fn stage(&self, ledger: &Ledger<'_>, stage: &StageView) -> StageReport {
        let left_ns = stage.left_unix_ms.map_or(u64::MAX, |left| self.monotonic_ns(left)).min(self.last_ns());
        let settled: Range<u64> = self.monotonic_ns(stage.entered_unix_ms) + SETTLE_NS..left_ns;
        let unit = match self.options.assignment {
            Assignment::Sticky => Unit::Users,
            Assignment::Random => Unit::Requests,
        };
        let observed = ledger.share(&settled, unit);
        StageReport {
            weight_ppm: stage.weight_ppm,
            entered_ms: self.since_applied_ms(stage.entered_unix_ms),
            left_ms: stage.left_unix_ms.map(|left| self.since_applied_ms(left)),
            observed_share: observed.map(|(share, _)| share),
            observed_of: observed.map_or(0, |(_, of)| of),
            gates: stage.gates.clone(),
        }
    }

    /// While the weight rose: from the first stage to the last one's end, or to the rollback, without the moments at
    /// which it was taken back.
    fn left_canary(&self, ledger: &Ledger<'_>) -> Option<Vec<Left>> {
        if self.options.assignment == Assignment::Random {
            return None;
        }
        let stages = &self.followed.view.run.stages;
        let from = self.monotonic_ns(stages.first()?.entered_unix_ms);
        let to =
            stages.last()?.left_unix_ms.map_or(u64::MAX, |left| self.monotonic_ns(left)).min(self.last_ns());
        let lived = self.followed.traffic.rising(&(from..to));
        Some(lived.iter().flat_map(|span| ledger.left_canary(span, SETTLE_NS)).collect())
    }

    fn users(&self, ledger: &Ledger<'_>) -> UsersReport {
        let traffic = &self.followed.traffic;
        let (leased, unleased): (Vec<Left>, Vec<Left>) = self
            .left_canary(ledger)
            .unwrap_or_default()
            .into_iter()
            .partition(|left| !traffic.without_lease.touch(&left.stable_ns));
        // Two workers of a proxy that wait for a processor take a push up further apart than they do otherwise.
        let (starved, leased): (Vec<Left>, Vec<Left>) =
            leased.into_iter().partition(|left| self.strain.explains(left.canary_ns, left.stable_ns.end));
        let sticky = self.options.assignment == Assignment::Sticky;
        let seconds = |ns: u64| seconds(ns.saturating_sub(self.followed.applied_ns) as f64 / 1e9);
        let examples = leased.iter().take(MAX_EXAMPLES).map(|left| {
            format!(
                "{}: the canary answered at {}, stable got a request sent at {} and answered at {}",
                Users::id(left.user),
                seconds(left.canary_ns),
                seconds(left.stable_ns.start),
                seconds(left.stable_ns.end)
            )
        });
        UsersReport {
            distinct: ledger.users(),
            left_canary: sticky.then_some(leased.len() as u64),
            lost_by_lease: sticky.then_some(unleased.len() as u64),
            lost_by_machine: sticky.then_some(starved.len() as u64),
            requests_without_lease: traffic.requests_without_lease,
            examples: examples.collect(),
        }
    }

    /// Puts one failure and one wrong tag into a copy of the records. The machine excuses none here: what is tried is
    /// whether the sums see.
    fn self_test(&self) -> SelfTestReport {
        let mut records = self.records.to_vec();
        let is_tagged = |record: &Record| record.version_tag().is_some();
        let mut fine = records.iter_mut().filter(|record| !record.failed() && is_tagged(record));
        if let Some(record) = fine.next() {
            record.result = Ok(503);
        }
        if let Some((_, tag)) = fine
            .next()
            .and_then(|record| record.serin.iter_mut().find(|(name, _)| &**name == "x-serin-version"))
        {
            *tag = "no-such-version".into();
        }
        let totals = |records| Ledger::new(records, self.stable, self.canary).totals();
        let (before, after) = (totals(self.records), totals(&records));
        SelfTestReport {
            failed_by_us: after.failed_by_us - before.failed_by_us,
            mis_tagged: after.mis_tagged - before.mis_tagged,
        }
    }
}

#[cfg(test)]
mod tests;
