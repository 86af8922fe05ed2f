//! Several versions on trial: who they are, where they lie in the key space, and how one of them is chosen.

use serde::{Deserialize, Serialize};
use split::{Arm, MILLION, policy};

use crate::gate::Gate;
use crate::plan::{Plan, Weights};

/// How many versions can be on trial at once: the canary, and as many more as a policy takes.
pub const MOST_CHALLENGERS: usize = policy::MOST_OTHERS + 1;

/// A version on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Challenger {
    /// Its arm: what the routing header says for it.
    pub arm: Arm,
    /// The version behind its route.
    pub version: String,
    /// Where its share of the key space begins, in parts per million.
    pub start_ppm: u32,
    /// Dropped, or not chosen: its weight is 0 for the rest of the run.
    pub out: bool,
}

/// How one challenger of several is chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Choose {
    /// The last stage that all of them enter, from 0: whoever is chosen goes on alone from there.
    pub after: usize,
    /// The comparison of any two of them; `None`: a person chooses.
    pub by: Option<Gate>,
    /// The chance that one is chosen although another is better.
    pub alpha: f64,
}

impl Plan {
    /// The arm of the version on trial; of several, the lead's.
    #[must_use]
    pub fn arm(&self) -> Arm {
        self.challengers.get(self.lead).map_or(Arm::Canary, |lead| lead.arm)
    }

    /// The challengers that are still in beside the lead.
    pub fn rivals(&self) -> impl Iterator<Item = &Challenger> {
        self.challengers
            .iter()
            .enumerate()
            .filter(|(index, challenger)| *index != self.lead && !challenger.out)
            .map(|(_, challenger)| challenger)
    }

    /// The arms that are still in, the lead first.
    pub fn arms_in(&self) -> impl Iterator<Item = Arm> {
        std::iter::once(self.arm()).chain(self.rivals().map(|rival| rival.arm))
    }

    /// The version an arm on trial is served by; `None`: it is not on trial here.
    #[must_use]
    pub fn version_of(&self, arm: Arm) -> Option<&str> {
        let found = self.challengers.iter().find(|challenger| challenger.arm == arm);
        let version = found.map(|challenger| challenger.version.as_str());
        version.or_else(|| (arm == self.arm()).then_some(self.canary.as_str()))
    }

    /// Leaves a challenger out for the rest of the run. When it was the lead, the first that is still in takes its
    /// place; the last one stays in, since a run has at least one.
    pub fn leave_out(&mut self, arm: Arm) {
        let Some(next) = self.rivals().next().map(|rival| rival.arm) else { return };
        if arm == self.arm() {
            self.set_lead(next);
        }
        for challenger in self.challengers.iter_mut().filter(|challenger| challenger.arm == arm) {
            challenger.out = true;
        }
    }

    /// Makes a challenger that is in the lead.
    pub fn set_lead(&mut self, arm: Arm) {
        let found = self.challengers.iter().position(|challenger| challenger.arm == arm && !challenger.out);
        if let Some(index) = found
            && let Some(lead) = self.challengers.get(index)
        {
            self.canary.clone_from(&lead.version);
            self.lead = index;
        }
    }

    /// The plan as it was applied, before anybody was left out.
    #[must_use]
    pub fn as_applied(&self) -> Self {
        let mut plan = self.clone();
        plan.lead = 0;
        plan.challengers.iter_mut().for_each(|challenger| challenger.out = false);
        if let Some(first) = plan.challengers.first() {
            plan.canary.clone_from(&first.version);
        }
        plan
    }

    /// The plans a stage may find itself under, as far as weights go: all challengers until the choice, each of them
    /// alone after it.
    #[must_use]
    pub fn ways(&self, stage: usize) -> Vec<Self> {
        if self.choose.as_ref().is_none_or(|choose| stage <= choose.after) {
            return vec![self.clone()];
        }
        self.arms_in()
            .map(|winner| {
                let mut alone = self.clone();
                alone.set_lead(winner);
                let losers: Vec<Arm> = alone.rivals().map(|rival| rival.arm).collect();
                losers.into_iter().for_each(|loser| alone.leave_out(loser));
                alone
            })
            .collect()
    }

    /// The weights that give each challenger that is in the same share.
    #[must_use]
    pub fn weights(&self, each_ppm: u32, targeted: bool) -> Weights {
        self.weights_by(targeted, |_| each_ppm)
    }

    /// The weights that give each challenger that is in a share of its own. The baseline gets as much as the lead, as
    /// far as there is room for it at the top of the key space.
    #[must_use]
    pub fn weights_by(&self, targeted: bool, share_ppm: impl Fn(Arm) -> u32) -> Weights {
        let mut weights = Weights { canary_ppm: share_ppm(self.arm()), targeted, ..Weights::default() };
        let start = self.challengers.get(self.lead).map_or(0, |lead| lead.start_ppm);
        let mut end = start.saturating_add(weights.canary_ppm);
        for (index, (challenger, ppm)) in self.challengers.iter().zip(&mut weights.rivals_ppm).enumerate() {
            if index != self.lead && !challenger.out {
                *ppm = share_ppm(challenger.arm);
                if *ppm > 0 {
                    end = end.max(challenger.start_ppm.saturating_add(*ppm));
                }
            }
        }
        // A share that has grown round the end leaves none.
        let room = MILLION.saturating_sub(end);
        weights.baseline_ppm = if self.baseline { weights.canary_ppm.min(room) } else { 0 };
        weights
    }

    /// An arm's share under some weights.
    #[must_use]
    pub fn share_of(&self, arm: Arm, weights: &Weights) -> u32 {
        if arm == self.arm() {
            return weights.canary_ppm;
        }
        let found = self.challengers.iter().position(|challenger| challenger.arm == arm);
        found.and_then(|index| weights.rivals_ppm.get(index)).copied().unwrap_or(0)
    }

    /// The policy's arms at these weights.
    pub(crate) fn policy_arms(&self, weights: Weights, stable: &str) -> policy::Arms {
        let first = self.challengers.first();
        let others = self.challengers.iter().filter_map(|challenger| {
            let Arm::Other(name) = challenger.arm else { return None };
            Some(policy::Other {
                name,
                version: challenger.version.clone(),
                start_ppm: challenger.start_ppm,
                weight_ppm: self.share_of(challenger.arm, &weights),
                confidence: None,
            })
        });
        policy::Arms {
            stable: policy::Stable { version: stable.to_owned(), confidence: None },
            canary: policy::Canary {
                version: first.map_or_else(|| self.canary.clone(), |first| first.version.clone()),
                weight_ppm: self.share_of(Arm::Canary, &weights),
                confidence: None,
            },
            baseline: self.baseline.then_some(policy::Baseline { weight_ppm: weights.baseline_ppm }),
            others: others.collect(),
        }
    }

    /// Is an arm that requests are sent to by name still in?
    pub(crate) fn takes_targeted(&self, arm: Arm) -> bool {
        !arm.is_challenger() || self.arms_in().any(|known| known == arm)
    }
}

impl Weights {
    /// What all versions on trial get together, in parts per million.
    #[must_use]
    pub fn on_trial_ppm(&self) -> u32 {
        self.rivals_ppm.iter().fold(self.canary_ppm, |sum, ppm| sum.saturating_add(*ppm))
    }
}
