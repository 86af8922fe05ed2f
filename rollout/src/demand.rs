use serde::Serialize;

use crate::{Phase, State};

/// What the versions have to bear, now and next: for whoever scales them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Demand {
    /// The canary's weight, in parts per million.
    pub weight_ppm: u32,
    /// Requests per second the canary gets, copies included; of several challengers, the lead.
    pub canary_per_second: f64,
    /// Requests per second stable gets.
    pub stable_per_second: f64,
    /// The canary's next weight, in parts per million; `None`: it does not rise any more.
    pub next_weight_ppm: Option<u32>,
    /// Requests per second the canary will get then.
    pub next_canary_per_second: Option<f64>,
    /// The least time until then, in milliseconds; `None`: a person is awaited.
    pub next_in_ms: Option<u64>,
}

impl State {
    /// What the versions have to bear when `per_second` requests arrive each second.
    #[must_use]
    pub fn demand(&self, per_second: f64) -> Demand {
        let part = |ppm: u32| per_second * f64::from(ppm) / f64::from(split::MILLION);
        let weight_ppm = self.weights.canary_ppm;
        let climbs = matches!(self.phase, Phase::Pending { .. } | Phase::Progressing | Phase::Paused(_));
        let next = self.next_stage().and_then(|next| self.plan.stages.get(next));
        let next_weight_ppm = next.filter(|_| climbs).map(|stage| stage.weight_ppm);
        let next_in_ms = match (&self.phase, self.plan.stages.get(self.stage), self.stages.last()) {
            (Phase::Progressing, Some(planned), Some(stage)) if !planned.approval => {
                Some(planned.bake_ms.saturating_sub(stage.baked_ms))
            }
            (Phase::Pending { started_by: Some(_) }, ..) => Some(0),
            _ => None,
        };
        Demand {
            weight_ppm,
            canary_per_second: part(weight_ppm.saturating_add(self.weights.shadow_ppm)),
            stable_per_second: part(split::MILLION.saturating_sub(self.weights.on_trial_ppm())),
            next_weight_ppm,
            next_canary_per_second: next_weight_ppm.map(part),
            next_in_ms: next_weight_ppm.and(next_in_ms),
        }
    }
}
