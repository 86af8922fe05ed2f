//! Where a run stands at its present weight: what follows from the state alone.

use crate::{Phase, Verdict};
use evidence::Scope;

impl crate::State {
    /// The phase in which the present stage is worked at.
    pub(super) fn climbing(&self) -> Phase {
        let all = self.plan.stages.get(self.stage).is_some_and(|stage| stage.weight_ppm >= split::MILLION);
        if all { Phase::Promoting } else { Phase::Progressing }
    }

    /// What the canary has cost, when that is more than it may. What bore all traffic once is past its trial.
    pub(super) fn overspent(&self) -> Option<String> {
        if self.stages.iter().any(|stage| stage.weight_ppm >= split::MILLION && stage.acknowledged.is_some())
        {
            return None;
        }
        let (spent, may) = (self.exposed, self.plan.budget);
        [(spent.requests, may.requests, "requests"), (spent.errors, may.errors, "errors")]
            .into_iter()
            .find_map(|(spent, may, what)| may.filter(|&may| spent > may).map(|may| (spent, may, what)))
            .map(|(spent, may, what)| {
                format!("the budget is spent: {spent} canary {what}, {may} are allowed")
            })
    }

    /// The stage that comes after the present weight, which a person may have set between two stages; `None`: the
    /// hand-back.
    pub(crate) fn next_stage(&self) -> Option<usize> {
        let present = self.stages.last().map(|stage| (stage.weight_ppm, stage.shadow_ppm));
        self.plan.stages.iter().position(|stage| present.is_none_or(|present| stage.height() > present))
    }

    /// Is stable at work beside the canary, as another version?
    #[must_use]
    pub fn concurrent(&self) -> bool {
        self.weights.canary_ppm < split::MILLION && self.stable_version != self.plan.canary
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope {
            exposed: self.measures(),
            concurrent: self.concurrent(),
            copies: self.shadows(),
            baked_ms: self.stages.last().map_or(0, |stage| stage.baked_ms),
        }
    }

    /// What the gates of the present stage say now.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let gates = self.plan.stages.get(self.stage).map(|stage| stage.gates.as_slice()).unwrap_or_default();
        self.evidence.verdicts(&self.plan, gates, self.scope())
    }

    /// May the weight rise at the last moment it heard of?
    pub(crate) fn window(&self) -> Result<(), manifest::Closed> {
        self.plan.windows.as_ref().map_or(Ok(()), |windows| windows.open_at(self.last.unix_ms))
    }

    /// Does the canary get requests, or copies of them?
    #[must_use]
    pub const fn measures(&self) -> bool {
        self.weights.canary_ppm > 0 || self.shadows()
    }

    /// Does it get copies, whose outcome only Envoy's router knows?
    #[must_use]
    pub const fn shadows(&self) -> bool {
        self.weights.shadow_ppm > 0
    }

    /// The canary's weight for people.
    pub(crate) fn weight(&self) -> String {
        let percent = manifest::Percent::from_ppm;
        match self.weights.shadow_ppm {
            0 => percent(self.weights.canary_ppm).to_string(),
            shadow => format!("a shadow of {}", percent(shadow)),
        }
    }
}
