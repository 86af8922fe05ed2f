//! The load of the versions, now and next, for autoscalers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use split::Arm;

use crate::{HandBackProgress, OpenEnum, Pause, Phase, State};

/// The load of the versions, now and next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Demand {
    /// Requests per second of both together; `None`: not known.
    pub per_second: Option<f64>,
    /// What is behind the canary's route.
    pub canary: Load,
    /// What is behind the stable route.
    pub stable: Load,
    /// What is behind the routes of further versions on trial, by arm.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<OpenEnum<Arm>, Load>,
    /// The next change of weights that comes without a person's order; `None`: none does.
    pub next: Option<NextStep>,
    /// One English sentence: what it waits for.
    pub waits_for: String,
}

/// The load of one version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    /// The version; that of the canary behind the stable route too, once it was handed back.
    pub version: String,
    /// Its share of the requests assigned by weight, copies included, in parts per million.
    pub share_ppm: u32,
    /// Requests per second it got lately, whatever assigned them; `None`: not known.
    pub per_second: Option<f64>,
    /// Its share after the next change; as now when none comes.
    pub next_share_ppm: u32,
    /// Requests per second to expect then.
    pub next_per_second: Option<f64>,
    /// The largest share it may have before another verdict or person: now, after the next change, and as far as evidence
    /// may move it meanwhile (`spec.bandit`).
    pub largest_share_ppm: u32,
    /// The largest of what it gets, what its share will bring as soon as it is felt, what comes next, and what its
    /// largest share would bring: capacity that must be there now.
    pub peak_per_second: Option<f64>,
    /// Endpoints that are ready; `None`: not known, or not asked for.
    pub ready_endpoints: Option<u32>,
}

/// The next change of weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NextStep {
    /// The canary's weight then, in parts per million.
    pub weight_ppm: u32,
    /// The share it gets a copy of then, in parts per million.
    pub shadow_ppm: u32,
    /// The earliest it can come, in milliseconds from now; `None`: a person is awaited.
    pub in_ms: Option<u64>,
    /// Ready endpoints the canary must have before it comes; `None`: they are not counted.
    pub needs_endpoints: Option<u32>,
}

/// Requests per second lately, by the route they took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    /// To the canary.
    pub canary: f64,
    /// To stable, its baseline included.
    pub stable: f64,
    /// To further versions on trial.
    pub others: BTreeMap<Arm, f64>,
}

impl State {
    /// What the versions have to bear. `rates`: what was measured; `None`: nothing trustworthy was.
    #[must_use]
    pub fn demand(&self, rates: Option<&Rates>) -> Demand {
        let next = self.next_step();
        let (weight_ppm, shadow_ppm) = (self.weights.canary_ppm, self.weights.shadow_ppm);
        let (next_weight_ppm, next_shadow_ppm) =
            next.map_or((weight_ppm, shadow_ppm), |next| (next.weight_ppm, next.shadow_ppm));
        let total = rates.map(|rates| rates.canary + rates.stable + rates.others.values().sum::<f64>());
        let load =
            |version: &str, [now_ppm, next_ppm, moved_ppm]: [u32; 3], per_second: Option<f64>, ready| {
                let of = |ppm: u32| total.map(|total| total * f64::from(ppm) / f64::from(split::MILLION));
                let next_per_second = of(next_ppm);
                // What is measured lags behind a step of the weights.
                let largest_share_ppm = now_ppm.max(next_ppm).max(moved_ppm);
                let expected = of(largest_share_ppm);
                Load {
                    version: version.to_owned(),
                    share_ppm: now_ppm,
                    per_second,
                    next_share_ppm: next_ppm,
                    next_per_second,
                    largest_share_ppm,
                    peak_per_second: per_second.zip(expected).map(|(now, expected)| now.max(expected)),
                    ready_endpoints: ready,
                }
            };
        let others_ppm = self.weights.on_trial_ppm().saturating_sub(weight_ppm);
        // Further versions on trial keep theirs.
        let rest = |ppm: u32| split::MILLION.saturating_sub(ppm.saturating_add(others_ppm));
        // Copies are not counted here; their planned share is taken.
        let copies = total.map(|total| total * f64::from(shadow_ppm) / f64::from(split::MILLION));
        let canary = rates.zip(copies).map(|(rates, copies)| rates.canary + copies);
        let (ready, share) = (&self.endpoints, weight_ppm.saturating_add(shadow_ppm));
        let next_share = next_weight_ppm.saturating_add(next_shadow_ppm);
        let stable = rates.map(|rates| rates.stable);
        let (rests, next_rests) = (rest(weight_ppm), rest(next_weight_ppm));
        let ranges = self.ranges_ahead(next);
        let moved = ranges.iter().map(manifest::ShareRange::most_ppm).max().unwrap_or(0);
        let others = self.plan.rivals().map(|rival| {
            // They go on as they are, until a verdict, a person or evidence moves them.
            let share = self.plan.share_of(rival.arm, &self.weights);
            let per_second = rates.map(|rates| rates.others.get(&rival.arm).copied().unwrap_or(0.0));
            (rival.arm.into(), load(&rival.version, [share, share, moved], per_second, None))
        });
        let others = others.collect();
        let moved_rest = ranges.iter().map(manifest::ShareRange::stable_ppm).max().unwrap_or(0);
        Demand {
            per_second: total,
            canary: self
                .or_kept(total, load(&self.plan.canary, [share, next_share, moved], canary, ready.canary)),
            stable: load(&self.stable_version, [rests, next_rests, moved_rest], stable, ready.stable),
            others,
            next,
            waits_for: self.message(),
        }
    }

    /// What is kept to go back to must bear everything at any moment, and gets nothing until then.
    fn or_kept(&self, total: Option<f64>, load: Load) -> Load {
        let kept = self.kept().into_iter().find(|version| *version == self.plan.stable);
        let Some(version) = kept.filter(|_| self.promoted()) else { return load };
        Load { version, peak_per_second: total, ..load }
    }

    fn next_step(&self) -> Option<NextStep> {
        let baked = || {
            let (planned, stage) = self.plan.stages.get(self.stage).zip(self.stages.last())?;
            let free = !planned.approval || stage.approved_by.is_some();
            let baked = free.then(|| planned.bake_ms.saturating_sub(stage.baked_ms));
            // A window that is closed then may open sooner or later; none at all waits for a person.
            match self.window() {
                Ok(()) => baked,
                Err(closed) => {
                    let opens = closed.opens_unix_ms?.saturating_sub(self.last.unix_ms);
                    baked.map(|baked| baked.max(opens))
                }
            }
        };
        let ((weight_ppm, shadow_ppm), in_ms) = match &self.phase {
            Phase::Pending { started_by: Some(_) } => (self.next_height()?, Some(0)),
            Phase::Progressing | Phase::Promoting | Phase::Paused(_) => {
                // What goes on by itself may do so at any moment; the rest waits for a person.
                let in_ms = match &self.phase {
                    Phase::Paused(Pause::Quorum | Pause::NoData | Pause::Endpoints) => baked(),
                    Phase::Paused(_) => None,
                    _ => baked(),
                };
                (self.next_height().unwrap_or_else(|| self.lowered(0)), in_ms)
            }
            Phase::HandBack(HandBackProgress::Asked { .. }) => (self.lowered(0), None),
            Phase::HandBack(HandBackProgress::Lowering { step }) if self.weights.canary_ppm > 0 => {
                let since = self.publication.as_ref().and_then(|publication| publication.quorum_age_ms);
                let waited = since.map_or(0, |since| self.age_ms.saturating_sub(since));
                let in_ms = self.plan.hand_back.step_ms.saturating_sub(waited);
                (self.lowered(step.saturating_add(1)), Some(in_ms))
            }
            Phase::RolledBack => {
                let next = self.ramp()?.saturating_add(1);
                let since = self.publication.as_ref().map_or(0, |publication| publication.sent_age_ms);
                let waited = self.age_ms.saturating_sub(since);
                let ppm = self.plan.rollback.ramp_ppm.get(next).copied().unwrap_or(0);
                ((ppm, 0), Some(self.plan.rollback.step_ms.saturating_sub(waited)))
            }
            Phase::Pending { started_by: None } | Phase::HandBack(_) | Phase::Succeeded => return None,
        };
        let present = (self.weights.canary_ppm, self.weights.shadow_ppm);
        let ready = self.plan.ready.as_ref().filter(|_| (weight_ppm, shadow_ppm) > present);
        let seen_ppm = if weight_ppm > 0 { weight_ppm } else { shadow_ppm };
        let needs_endpoints = ready.map(|ready| ready.needed(seen_ppm, self.endpoints.stable));
        Some(NextStep { weight_ppm, shadow_ppm, in_ms, needs_endpoints })
    }

    /// Between what evidence may move shares, in the present stage and in the one that comes next.
    fn ranges_ahead(&self, next: Option<NextStep>) -> Vec<manifest::ShareRange> {
        let climbs = matches!(
            self.phase,
            Phase::Pending { started_by: Some(_) } | Phase::Progressing | Phase::Promoting | Phase::Paused(_)
        );
        let next = next.zip(self.next_stage()).filter(|_| climbs);
        let after = next.and_then(|(next, stage)| self.plan.share_range(stage, next.weight_ppm));
        self.share_range().into_iter().chain(after).collect()
    }

    fn next_height(&self) -> Option<(u32, u32)> {
        Some(self.plan.stages.get(self.next_stage()?)?.height())
    }

    /// The weight of a step on the way back from 100 %.
    fn lowered(&self, step: usize) -> (u32, u32) {
        (self.plan.hand_back.steps_ppm.get(step).copied().unwrap_or(0), 0)
    }
}
