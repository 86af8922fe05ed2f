//! What each version showed beside the others, and how likely each is the best of them: what shares follow.

use std::collections::BTreeMap;

use judge::JudgeError;
use judge::anytime::Better;
use judge::bandit::{Known, Posterior, Record, Sample, chances};
use manifest::{Metric, Plan, ShareRange};
use serde::{Deserialize, Serialize};
use split::Arm;

use crate::{Counts, Interval, OpenEnum, Pause, Phase, State};
use evidence::{Look, digits, trials};

/// Shares stay where they are before every version has answered so often.
pub(crate) const FIRST_ANSWERS: f64 = 100.0;

/// The knowledge that shares follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bandit {
    /// Stable and every version on trial that is in.
    record: Record<Arm>,
    /// Of the last interval.
    epoch: u64,
    /// When shares were last considered, on the run's own clock.
    pub(crate) considered_age_ms: u64,
    /// Each one's chance of being the best when shares were last considered; empty: never yet.
    best: BTreeMap<Arm, f64>,
}

impl Bandit {
    pub(crate) fn new(plan: &Plan) -> Option<Self> {
        plan.bandit.as_ref()?;
        Some(Self {
            record: Record::new(plan.arms_in().chain([Arm::Stable])),
            epoch: 0,
            considered_age_ms: 0,
            best: BTreeMap::new(),
        })
    }

    /// Adds an interval that is wholly of the present weights.
    pub(crate) fn observe(&mut self, plan: &Plan, interval: &Interval, look: Look) {
        let Some(by) = plan.bandit.as_ref().map(|bandit| bandit.by) else { return };
        if !look.of_stage || look.warming || !look.concurrent {
            return;
        }
        if std::mem::replace(&mut self.epoch, interval.epoch) != interval.epoch {
            self.record.new_shares();
        }
        for counts in [&interval.stable, &interval.baseline] {
            self.record.add(Arm::Stable, sample(by, counts));
        }
        self.record.add(plan.arm(), sample(by, &interval.canary));
        for (arm, counts) in &interval.rivals {
            self.record.add(*arm, sample(by, counts));
        }
    }

    /// A version is out.
    pub(crate) fn leave(&mut self, arm: Arm) {
        self.record.leave(arm);
        self.best.remove(&arm);
    }

    /// Takes in what was counted since shares were last considered, and considers them: each version's chance of being the
    /// best; `None`: too little is known of one of them.
    pub(crate) fn consider(&mut self, plan: &Plan, age_ms: u64) -> Option<&BTreeMap<Arm, f64>> {
        self.considered_age_ms = age_ms;
        self.record.close();
        let arms: Vec<Arm> = plan.arms_in().chain([Arm::Stable]).collect();
        let known: Vec<Known> = arms.iter().filter_map(|arm| self.record.known(*arm)).collect();
        if known.len() < arms.len() || known.iter().any(|known| known.n < FIRST_ANSWERS) {
            return None;
        }
        let by = plan.bandit.as_ref()?.by;
        // What cannot be reckoned moves nothing.
        let best = best_by(by, &known).ok()?;
        self.best = arms.into_iter().zip(best).collect();
        Some(&self.best)
    }

    /// A version's chance of being the best when shares were last considered.
    pub(crate) fn best_of(&self, arm: Arm) -> Option<f64> {
        self.best.get(&arm).copied()
    }

    /// Of whom too little is known, and how many answers there are.
    fn little_known(&self, plan: &Plan) -> Option<(Arm, f64)> {
        let answers = |arm: Arm| (arm, self.record.known(arm).map_or(0.0, |known| known.n));
        plan.arms_in().chain([Arm::Stable]).map(answers).find(|(_, n)| *n < FIRST_ANSWERS)
    }
}

fn best_by(by: Metric, known: &[Known]) -> Result<Vec<f64>, JudgeError> {
    let better = if by.larger_is_worse() { Better::Lower } else { Better::Higher };
    let posteriors = if by.is_rate() { Posterior::of_rates(known)? } else { Posterior::of_means(known)? };
    chances(&posteriors, better)
}

#[allow(clippy::cast_precision_loss)] // counts below 2^53
fn sample(by: Metric, counts: &Counts) -> Sample {
    if by.is_rate() {
        let trials = trials(by, counts);
        return Sample::rate(trials.n, trials.k);
    }
    let scores = counts.confidence;
    Sample { n: scores.n as f64, sum: scores.sum, squares: scores.sum_squares }
}

/// Shares that follow the evidence, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BanditView {
    /// What the best version is best in.
    pub by: OpenEnum<Metric>,
    /// The least share of each version on trial in the present stage, in parts per million.
    pub floor_ppm: u32,
    /// The largest share of all of them together, in parts per million.
    pub ceiling_ppm: u32,
    /// The largest share of one, in parts per million.
    pub most_ppm: u32,
    /// When shares are considered next, in milliseconds from now; `None`: not before something else has changed.
    pub next_in_ms: Option<u64>,
    /// Why no share rises now; `None`: they may.
    pub holds: Option<String>,
    /// Everybody who is in, stable last.
    pub versions: Vec<ShareView>,
}

/// A version's share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShareView {
    /// Its arm.
    pub arm: OpenEnum<Arm>,
    /// Its version.
    pub version: String,
    /// Its share, in parts per million.
    pub share_ppm: u32,
    /// The probability that it is the best of all, when shares were last considered; `None`: too little was known.
    pub best: Option<f64>,
}

impl State {
    /// Between what the present shares may move; `None`: they stand.
    pub(crate) fn share_range(&self) -> Option<ShareRange> {
        let stage = self.stages.last().filter(|_| self.weights.canary_ppm > 0)?;
        let climbs = matches!(self.phase, Phase::Progressing | Phase::Paused(_));
        self.plan.share_range(self.stage, stage.weight_ppm).filter(|_| climbs)
    }

    /// How long until shares are considered again, as far as that is a matter of time.
    pub(crate) fn considered_in_ms(&self) -> Option<u64> {
        let (plan, bandit) = (self.plan.bandit.as_ref()?, self.bandit.as_ref()?);
        let acknowledged = self.publication.as_ref()?.quorum_age_ms?;
        let since = bandit.considered_age_ms.max(acknowledged);
        (self.fresh() && !matches!(self.phase, Phase::Paused(Pause::Human { .. })))
            .then(|| since.saturating_add(plan.every_ms).saturating_sub(self.age_ms))
    }

    /// Why no share may rise by evidence, as far as that is the same for all.
    pub(crate) fn holds_shares(&self) -> Option<String> {
        match &self.phase {
            Phase::Paused(Pause::Human { who }) => return Some(format!("stopped by {who}")),
            Phase::Paused(_) => return Some("the run is paused".to_owned()),
            _ => {}
        }
        if self.publication.as_ref().is_none_or(|sent| sent.quorum_age_ms.is_none()) {
            return Some("too few proxies have the last weights yet".to_owned());
        }
        if !self.fresh() {
            return Some("no trustworthy counts arrive".to_owned());
        }
        if let Some(incident) = &self.incident {
            return Some(incident.text.clone());
        }
        self.window().err().map(|closed| closed.why)
    }

    pub(crate) fn bandit_view(&self) -> Option<BanditView> {
        let (range, bandit) = (self.share_range()?, self.bandit.as_ref()?);
        let little = || {
            let (arm, n) = bandit.little_known(&self.plan)?;
            let version = self.plan.version_of(arm).unwrap_or(&self.stable_version);
            Some(format!("{version} has {} of the {FIRST_ANSWERS} answers it takes", digits(n.floor())))
        };
        let share = |arm: Arm| {
            let share_ppm = match arm {
                Arm::Stable => split::MILLION.saturating_sub(self.weights.on_trial_ppm()),
                _ => self.plan.share_of(arm, &self.weights),
            };
            let version = self.plan.version_of(arm).unwrap_or(&self.stable_version).to_owned();
            ShareView { arm: arm.into(), version, share_ppm, best: bandit.best_of(arm) }
        };
        let wanted = self.weights.canary_ppm.saturating_mul(2).min(range.most_ppm());
        Some(BanditView {
            by: self.plan.bandit.as_ref()?.by.into(),
            floor_ppm: range.floor_ppm,
            ceiling_ppm: range.ceiling_ppm,
            most_ppm: range.most_ppm(),
            next_in_ms: self.considered_in_ms(),
            holds: self.holds_shares().or_else(little).or_else(|| self.endpoints_for(wanted).err()),
            versions: self.plan.arms_in().chain([Arm::Stable]).map(share).collect(),
        })
    }
}
