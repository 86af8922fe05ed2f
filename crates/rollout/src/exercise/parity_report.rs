//! What an A/A check found, for people and tools.

use manifest::{Metric, Span};
use serde::{Deserialize, Serialize};

use super::differ::{Difference, difference};
use super::{Outcome, Parity, ParityPhase};
use crate::open_enum::number;
use crate::{Answer, OpenEnum, Verdict};
use evidence::{digits, e_value, value};

/// What an A/A check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParityFinding {
    /// Every gate is proven within its margin, in both directions.
    Parity,
    /// Two parts of the same traffic, served by the same version, differ.
    Difference,
    /// Traffic does not arrive in the shares it was split in.
    SampleRatio,
    /// Neither; there was too little to go by.
    NotEnough,
    /// It was ended before it could tell.
    Cancelled,
}

impl ParityFinding {
    /// As in a sentence.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Parity => "parity is proven",
            Self::Difference => "a difference is found where there is none",
            Self::SampleRatio => "sample-ratio mismatch",
            Self::NotEnough => "not enough to go by",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An A/A check, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ParityView {
    /// The rollout.
    pub name: String,
    /// Counted for each rollout, from 1.
    pub number: u64,
    /// The run whose configuration it borrowed.
    pub run: u64,
    /// Who ordered it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Was it scheduled?
    pub scheduled: bool,
    /// The version compared with itself.
    pub version: String,
    /// Was it deployed twice? Otherwise stable served both parts.
    pub deployed: bool,
    /// The phase.
    pub phase: OpenEnum<ParityPhase>,
    /// How it ended.
    pub outcome: Option<OpenEnum<Outcome>>,
    /// What was found.
    pub finding: Option<OpenEnum<ParityFinding>>,
    /// One English sentence.
    pub message: String,
    /// When it was asked for.
    pub started_unix_ms: u64,
    /// When it ended.
    pub ended_unix_ms: Option<u64>,
    /// Time of evidence, in milliseconds.
    pub watched_ms: u64,
    /// How much more time it wants at this traffic, in milliseconds; `None`: none, or it is unknown.
    pub wants_ms: Option<u64>,
    /// The split.
    pub split: ParitySplitView,
    /// The gates.
    pub gates: Vec<ParityGateView>,
    /// Gates that cannot be asked here.
    pub left_out: Vec<String>,
}

/// The split, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ParitySplitView {
    /// The configured share of the second part, 0 to 1.
    #[serde(deserialize_with = "number")]
    pub expected: f64,
    /// Its share as it arrived.
    pub observed: Option<f64>,
    /// Requests of the first and the second part.
    pub assigned: [u64; 2],
    /// The largest e-value so far that the split is off; 1,000 proves it.
    #[serde(deserialize_with = "number")]
    pub e_value: f64,
    /// How much more the counts vary than those of independent requests; `None`: not known.
    pub spread: Option<f64>,
    /// Likely causes, when it is off.
    pub causes: Vec<String>,
}

/// A gate, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ParityGateView {
    /// Its name.
    pub name: String,
    /// What is measured.
    pub metric: OpenEnum<Metric>,
    /// Are the parts alike?
    pub verdict: OpenEnum<ParityVerdict>,
    /// The first part's value.
    pub first: Option<f64>,
    /// The second part's.
    pub second: Option<f64>,
    /// Requests of the first part.
    pub n_first: u64,
    /// Of the second.
    pub n_second: u64,
    /// The e-value of a difference, both directions.
    #[serde(deserialize_with = "number")]
    pub e_value: f64,
    /// The weaker of the two e-values that they are alike.
    #[serde(deserialize_with = "number")]
    pub proof: f64,
    /// One English sentence.
    pub why: String,
    /// How much more time it wants at this traffic, in milliseconds; `None`: none, or it is unknown.
    pub wants_ms: Option<u64>,
    /// By how much the parts differ; `None`: too little was seen.
    pub difference: Option<Difference>,
}

/// Are two parts of the traffic alike, by one gate?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParityVerdict {
    /// They are proven alike.
    Alike,
    /// They are proven different.
    Different,
    /// Neither.
    Open,
}

impl Parity {
    /// The check, as the API shows it.
    #[must_use]
    pub fn view(&self) -> ParityView {
        let gates: Vec<ParityGateView> =
            (0..self.plan.gates.len()).filter_map(|gate| self.row(gate)).collect();
        ParityView {
            name: self.plan.name.clone(),
            number: self.number,
            run: self.run,
            by: self.order.by.who.clone(),
            reason: self.order.by.reason.clone(),
            scheduled: self.order.scheduled,
            version: self.stable_version.clone(),
            deployed: self.order.deployed,
            phase: self.phase.into(),
            outcome: self.ended.as_ref().map(|ended| ended.outcome.into()),
            finding: self.finding.as_ref().map(|(finding, _)| OpenEnum::from(*finding)),
            message: self.message(&gates),
            started_unix_ms: self.started.unix_ms,
            ended_unix_ms: self.ended.as_ref().map(|ended| ended.at.unix_ms),
            watched_ms: self.watched_ms,
            wants_ms: wants(&gates),
            split: ParitySplitView {
                expected: self.split.expected(),
                observed: self.split.observed(),
                assigned: self.split.assigned,
                e_value: e_value(self.split.log_e),
                spread: self.split.spread(),
                causes: if self.split.is_off() {
                    self.split.causes().into_iter().map(str::to_owned).collect()
                } else {
                    Vec::new()
                },
            },
            gates,
            left_out: self.left_out.clone(),
        }
    }

    pub(super) fn row(&self, index: usize) -> Option<ParityGateView> {
        let gate = self.plan.gates.get(index)?;
        let forward = self.forward.verdict(&self.plan, index, self.scope(), false)?;
        let backward = self.backward.verdict(&self.plan, index, self.scope(), false)?;
        let log_e = self.difference().0.get(index).copied().unwrap_or(0.0);
        let proven = log_e >= -self.plan.alpha.gates.ln();
        let alike = forward.answer == Answer::Pass && backward.answer == Answer::Pass;
        let verdict = match (proven, alike) {
            (true, _) => ParityVerdict::Different,
            (false, true) => ParityVerdict::Alike,
            (false, false) => ParityVerdict::Open,
        };
        let proof = forward.proof.min(backward.proof);
        Some(ParityGateView {
            name: gate.name.clone(),
            metric: gate.metric().into(),
            verdict: verdict.into(),
            first: backward.estimate,
            second: forward.estimate,
            n_first: backward.n_canary,
            n_second: forward.n_canary,
            e_value: e_value(log_e),
            proof,
            why: why(gate.metric(), verdict, log_e, &forward, &backward),
            wants_ms: (verdict == ParityVerdict::Open)
                .then(|| self.wants(index, &forward, &backward))
                .flatten(),
            difference: self.differs(index),
        })
    }

    /// By how much the parts differ in what a gate measures, and what `harm` leaves room for that.
    fn differs(&self, index: usize) -> Option<Difference> {
        let gate = self.plan.gates.get(index)?;
        let deff = self.forward.clumps(self.plan.unit).of(gate.metric())?;
        let (second, first) = self.forward.gates.get(index)?.counted();
        difference(gate, first, second, deff)
    }

    /// How much longer a gate wants at this traffic: evidence grows with requests, about evenly.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // below a year
    fn wants(&self, index: usize, forward: &Verdict, backward: &Verdict) -> Option<u64> {
        let gate = self.plan.gates.get(index)?;
        let n = forward.n_canary.min(backward.n_canary) as f64;
        let unknown = [forward, backward].iter().any(|verdict| verdict.why.starts_with("unit unknown"));
        if n == 0.0 || self.watched_ms == 0 || unknown {
            return None;
        }
        let (height, proof) = (-self.plan.alpha.pass.ln(), forward.proof.min(backward.proof).ln());
        let wanted = if proof > 0.3 { n * height / proof } else { manifest::wanted(gate).max(2.0 * n) };
        let ms = (wanted - n).max(0.05 * n) / n * self.watched_ms as f64;
        (ms < 366.0 * 86_400e3).then_some(ms as u64)
    }

    pub(super) fn parity_sentence(&self) -> String {
        let [first, second] = self.split.assigned;
        format!(
            "all {} gates find {} equal to itself within their margins, both ways, on {first} and {second} requests",
            self.plan.gates.len(),
            self.stable_version
        )
    }

    pub(super) fn not_enough_sentence(&self) -> String {
        let gates: Vec<ParityGateView> =
            (0..self.plan.gates.len()).filter_map(|gate| self.row(gate)).collect();
        if gates.is_empty() {
            return "no gate compares anything that is counted here".to_owned();
        }
        if self.split.assigned == [0, 0] {
            return "no requests were counted; is there traffic, and are the proxies' counters read?"
                .to_owned();
        }
        let open: Vec<&str> = gates
            .iter()
            .filter(|row| row.verdict == ParityVerdict::Open)
            .map(|row| row.name.as_str())
            .collect();
        let more = wants(&gates).map_or_else(
            || "how much longer it would take is not known".to_owned(),
            |ms| format!("it would take about {} more at this traffic", minutes(ms)),
        );
        format!("{} not proven after {}; {more}", open.join(", "), minutes(self.watched_ms))
    }

    fn message(&self, gates: &[ParityGateView]) -> String {
        if let Some(ended) = &self.ended {
            return ended.why.clone();
        }
        let followers = self.sent.as_ref().map(super::ExercisePublication::followers).unwrap_or_default();
        match (self.phase, self.began) {
            (ParityPhase::TakingBack | ParityPhase::Ended, _) => {
                format!("the split is taken back ({followers})")
            }
            (_, None) => format!("waits for a quorum of proxies ({followers})"),
            (_, Some(_)) => {
                let alike = gates.iter().filter(|row| row.verdict == ParityVerdict::Alike).count();
                let [first, second] = self.split.assigned;
                format!(
                    "{alike} of {} gates are proven alike on {first} and {second} requests, after {}",
                    gates.len(),
                    minutes(self.watched_ms)
                )
            }
        }
    }
}

/// The longest any gate wants; `None` when one cannot say.
fn wants(gates: &[ParityGateView]) -> Option<u64> {
    let open = gates.iter().filter(|row| row.verdict == ParityVerdict::Open);
    open.map(|row| row.wants_ms).try_fold(0, |most, wants| wants.map(|ms| ms.max(most))).filter(|ms| *ms > 0)
}

/// To the second below ten minutes, to the minute above.
fn minutes(ms: u64) -> Span {
    let unit = if ms < 600_000 { 1_000 } else { 60_000 };
    Span::from_ms(ms.div_ceil(unit) * unit)
}

fn why(metric: Metric, verdict: ParityVerdict, log_e: f64, forward: &Verdict, backward: &Verdict) -> String {
    let shown = |verdict: &Verdict| {
        verdict.estimate.map_or_else(|| "nothing".to_owned(), |estimate| value(metric, estimate))
    };
    let facts = format!(
        "{} is {} over {} requests of the first part, {} over {} of the second",
        metric.name(),
        shown(backward),
        backward.n_canary,
        shown(forward),
        forward.n_canary
    );
    match verdict {
        ParityVerdict::Different => format!("{facts} (e-value {})", digits(e_value(log_e))),
        ParityVerdict::Alike => format!("proven within the margin both ways: {facts}"),
        ParityVerdict::Open => {
            let open = if forward.answer == Answer::Pass { backward } else { forward };
            if open.why.starts_with("unit unknown") {
                open.why.clone()
            } else {
                format!("not yet proven alike: {facts}")
            }
        }
    }
}
