//! What happened, for machines (JSON) and for people.

use std::collections::BTreeMap;

use api::{Ack, Answer, Nack, VerdictView};
use notation::{milliseconds, percent, ppm, seconds, thousands};
use serde::Serialize;

use super::ground::Ground;
use super::rollback::Rollback;
use super::scenario::Scenario;
use super::spec::Assignment;
use super::story;
use crate::load::Totals;

/// Everything a run found. Times named `*_ms` count from the moment the rollout was applied.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What happened to the new version.
    pub scenario: Scenario,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, in one sentence.
    pub why: String,
    /// All chance of the run.
    pub seed: u64,
    /// Stage times were divided by this.
    pub speed: f64,
    /// Requests per second.
    pub rate: f64,
    /// What the machine served before the rollout.
    pub ground: Ground,
    /// For which share of the run's time the machine did not keep up: this process woke late, or a thread of Envoy or
    /// of the controller waited for a processor more than it did anything else.
    pub strained_share: f64,
    /// Envoy's version.
    pub envoy: String,
    /// SHA-256 of the filter.
    pub wasm_sha256: String,
    /// How requests were spread.
    pub assignment: Assignment,
    /// The rollout as it was applied.
    pub spec: String,
    /// How long the rollout took, in milliseconds.
    pub took_ms: f64,
    /// The stages entered.
    pub stages: Vec<StageReport>,
    /// Sums over every request of the run.
    pub requests: Requests,
    /// Who sent them.
    pub users: UsersReport,
    /// Time to answer by arm, as clients saw it, failures included.
    pub latency_ms: BTreeMap<&'static str, Latency>,
    /// The rollback, when there was one.
    pub rollback: Option<Rollback>,
    /// Which proxy took which policy, and how long after it was sent.
    pub acks: Vec<Ack>,
    /// Which proxy refused which policy.
    pub refusals: Vec<Nack>,
    /// After a promotion: stable serves the new version, and the next rollout begins on the same routes.
    pub next: Option<NextRollout>,
    /// The run's own records with one failure and one wrong tag put in: what the two sums rose by.
    pub self_test: SelfTestReport,
    /// What the controller noted, in order.
    pub history: Vec<HistoryLine>,
}

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The new version serves everybody.
    Promoted,
    /// The old version does.
    RolledBack,
    /// Neither: a person is asked.
    Undecided,
}

/// One stage.
#[derive(Debug, Clone, Serialize)]
pub struct StageReport {
    /// Its weight.
    pub weight_ppm: u32,
    /// When it was entered.
    pub entered_ms: f64,
    /// When it was left; none when the run ended in it.
    pub left_ms: Option<f64>,
    /// The canary's share while it lasted; none when too short to tell.
    pub observed_share: Option<f64>,
    /// How many users (sticky) or requests (random) that is a share of.
    pub observed_of: u64,
    /// What each gate said last.
    pub gates: Vec<VerdictView>,
}

/// Requests by the outcome of them.
#[derive(Debug, Clone, Serialize)]
pub struct Requests {
    /// The sums.
    #[serde(flatten)]
    pub totals: Totals,
    /// Due but never sent: the load itself could not keep up.
    pub unsent: u64,
}

/// Users.
#[derive(Debug, Clone, Serialize)]
pub struct UsersReport {
    /// Distinct users of the whole run.
    pub distinct: u64,
    /// Had the canary, then stable, while the weight only rose and the proxy had its lease; sticky assignment keeps this
    /// at 0.
    pub left_canary: Option<u64>,
    /// Had the canary, then stable while the proxy was without a lease: it heard nothing of the controller for too long.
    pub lost_by_lease: Option<u64>,
    /// Had the canary, then stable while the machine did not keep up.
    pub lost_by_machine: Option<u64>,
    /// Requests that went to stable for want of a lease.
    pub requests_without_lease: u64,
    /// The first few of `left_canary`, in words.
    pub examples: Vec<String>,
}

/// Time to answer, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// The rollout after a promotion.
#[derive(Debug, Clone, Serialize)]
pub struct NextRollout {
    /// Version behind the stable route.
    pub stable: String,
    /// Version being rolled out.
    pub canary: String,
    /// The weight it reached before the demo ended.
    pub weight_ppm: u32,
    /// Requests that reached the new canary.
    pub canary_requests: u64,
    /// Requests that reached the canary server between hand-back and this rollout.
    pub canary_requests_between: u64,
}

/// What one injected fault of each kind added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SelfTestReport {
    /// To `failed_by_us`; 1 when the sum sees what it should.
    pub failed_by_us: u64,
    /// To `mis_tagged`, likewise.
    pub mis_tagged: u64,
}

/// One line of the controller's history.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryLine {
    /// When.
    pub ms: f64,
    /// What.
    pub what: String,
}

/// From this share of the time on it is said that the machine did not keep up.
const TOLD_STRAIN: f64 = 0.05;

impl Outcome {
    /// 0 promoted, 1 rolled back, 2 undecided.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Promoted => 0,
            Self::RolledBack => 1,
            Self::Undecided => 2,
        }
    }
}

impl Report {
    /// The report for people: what happened, why, and the figures.
    pub fn in_words(&self) -> String {
        let mut lines = vec![match self.outcome {
            Outcome::Promoted => format!("Promoted after {}. {}", seconds(self.took_ms / 1e3), self.why),
            Outcome::RolledBack => {
                format!("Rolled back after {}. {}", seconds(self.took_ms / 1e3), self.why)
            }
            Outcome::Undecided => format!("Undecided after {}. {}", seconds(self.took_ms / 1e3), self.why),
        }];
        for (index, stage) in self.stages.iter().enumerate() {
            lines.extend(self.stage_in_words(index, stage));
        }
        if let Some(rollback) = &self.rollback {
            let last = match rollback.arrived_after {
                0 => "no request reached the canary after that".to_owned(),
                1 => format!(
                    "one request still reached the canary, {} later",
                    milliseconds(rollback.latency_ms)
                ),
                after => format!(
                    "{} requests still reached the canary, the last one {} later",
                    thousands(after),
                    milliseconds(rollback.latency_ms)
                ),
            };
            lines.push(format!(
                "Rollback   decided at {}; {last}; open there at that moment: {}",
                seconds(rollback.decided_ms / 1e3),
                thousands(rollback.open_at_decision),
            ));
        }
        if let Some(next) = &self.next {
            lines.push(format!(
                "Hand-back  stable serves {} by itself; {} requests reached the canary at weight 0. Next rollout {} → \
                 {} began on the same routes: weight {}, {} requests",
                next.stable,
                thousands(next.canary_requests_between),
                next.stable,
                next.canary,
                ppm(next.weight_ppm),
                thousands(next.canary_requests),
            ));
        }
        lines.extend(self.requests_in_words());
        lines.join("\n")
    }

    fn stage_in_words(&self, index: usize, stage: &StageReport) -> Vec<String> {
        let unit = self.assignment.unit();
        let observed = stage.observed_share.map_or("too short to observe".to_owned(), |share| {
            format!("observed {} of {} {unit}", percent(share, 2), thousands(stage.observed_of))
        });
        let stay = stage.left_ms.map_or("the run ended in it".to_owned(), |left| {
            format!("left after {}", seconds((left - stage.entered_ms) / 1e3))
        });
        let mut lines =
            vec![format!("Stage {}    weight {}, {observed}, {stay}", index + 1, ppm(stage.weight_ppm))];
        let with = |answer: Answer| -> Vec<&VerdictView> {
            stage.gates.iter().filter(|gate| gate.answer == answer).collect()
        };
        let in_short = |gates: &[&VerdictView]| {
            let gates: Vec<String> =
                gates.iter().map(|gate| format!("{} {}", gate.name, story::measured(gate))).collect();
            gates.join("; ")
        };
        let passed = with(Answer::Pass);
        if !passed.is_empty() {
            lines.push(format!("           passed: {}", in_short(&passed)));
        }
        // Why a gate had no verdict yet matters when that is why the run ended, not beside a gate that failed.
        let open = if self.outcome == Outcome::Undecided { Vec::new() } else { with(Answer::Insufficient) };
        let told = |gate: &&VerdictView| {
            let short = matches!(gate.answer.known(), Some(Answer::Pass | Answer::NotApplicable));
            !short && !open.iter().any(|open| open.name == gate.name)
        };
        let in_full = stage.gates.iter().filter(told);
        lines.extend(in_full.map(|gate| format!("           {}. {}", story::gate_line(gate), gate.why)));
        if !open.is_empty() {
            lines.push(format!("           no verdict yet: {}", in_short(&open)));
        }
        lines
    }

    fn requests_in_words(&self) -> Vec<String> {
        let totals = &self.requests.totals;
        let mut lines = vec![
            format!(
                "Requests   {} (stable {}, canary {}, baseline {}); {} failed by the models, {} by us{}; {} mis-tagged",
                thousands(totals.total),
                thousands(totals.stable),
                thousands(totals.canary),
                thousands(totals.baseline),
                thousands(totals.failed_by_servers),
                thousands(totals.failed_by_us),
                match totals.failed_by_machine {
                    0 => String::new(),
                    some => format!(", {} by the machine", thousands(some)),
                },
                thousands(totals.mis_tagged),
            ),
            format!(
                "Users      {}{}",
                thousands(self.users.distinct),
                self.users.left_canary.map_or(String::new(), |left| format!(
                    "; {} left the canary while its weight rose{}",
                    thousands(left),
                    match self.users.lost_by_machine {
                        None | Some(0) => String::new(),
                        Some(some) => format!(", {} more while the machine did not keep up", thousands(some)),
                    }
                ))
            ),
        ];
        lines.extend(self.users.examples.iter().map(|example| format!("           {example}")));
        if self.users.requests_without_lease > 0 {
            lines.push(format!(
                "Lease      lost: {} requests went to stable meanwhile, {} users left the canary by it",
                thousands(self.users.requests_without_lease),
                thousands(self.users.lost_by_lease.unwrap_or_default())
            ));
        }
        if self.strained_share >= TOLD_STRAIN {
            lines.push(format!(
                "Machine    too busy for {} of the time: programs waited for a processor, and answer times tell of that too",
                percent(self.strained_share, 0)
            ));
        }
        for (arm, latency) in &self.latency_ms {
            lines.push(format!(
                "Latency    {arm}: p50 {}, p99 {}",
                milliseconds(latency.p50),
                milliseconds(latency.p99)
            ));
        }
        let times = self.acks.iter().filter_map(|ack| ack.ms);
        if let (Some(least), Some(most)) = (times.clone().reduce(f64::min), times.reduce(f64::max)) {
            lines.push(format!(
                "Policies   {} acknowledged, {least:.0} to {most:.0} ms after the push; {} refused",
                self.acks.len(),
                self.refusals.len()
            ));
        }
        let SelfTestReport { failed_by_us, mis_tagged } = self.self_test;
        lines.push(format!(
            "Self-test  one failure and one wrong tag put in: failed-by-us +{failed_by_us}, mis-tagged +{mis_tagged}"
        ));
        lines.extend(totals.examples.iter().map(|example| format!("           {example}")));
        lines
    }
}

#[cfg(test)]
mod tests;
