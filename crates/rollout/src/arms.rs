//! The challengers beside the lead: what is known of each, who was left out and why, and which of them is better.

use std::collections::BTreeMap;

use manifest::Plan;
use serde::{Deserialize, Serialize};
use split::Arm;

use crate::view::{ExposedView, VerdictView};
use crate::{Exposed, Now, OpenEnum, RollbackBy, State, Verdict};
use evidence::{Contest, Evidence};

/// Several versions on trial. Empty while there is one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Arms {
    /// Those that are in beside the lead, whose evidence is the run's own.
    pub rivals: BTreeMap<Arm, ChallengerState>,
    /// Who is out, in the order in which they went.
    pub out: Vec<DroppedArm>,
    /// Who has met each of them.
    pub exposed: BTreeMap<Arm, Exposed>,
    /// The comparison of any two, when a metric chooses.
    pub contest: Option<Contest>,
    /// Who goes on alone.
    pub chosen: Option<Chosen>,
}

/// A challenger beside the lead.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengerState {
    /// What was measured of it against the same stable.
    pub evidence: Evidence,
    /// Its gates as they last stood in this stage.
    pub gates: Vec<Verdict>,
    /// Was its evidence begun again in this stage because a gate was marginal?
    pub reanalyzed: bool,
}

/// A challenger that was left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DroppedArm {
    /// Its arm.
    pub arm: Arm,
    /// Its version.
    pub version: String,
    /// When.
    pub at: Now,
    /// What decided it; `None`: another one was chosen.
    pub by: Option<RollbackBy>,
    /// One English sentence.
    pub reason: String,
    /// Its gates and guardrails as they stood then.
    pub verdicts: Vec<Verdict>,
}

/// The challenger that goes on alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// Its arm.
    pub arm: Arm,
    /// When.
    pub at: Now,
    /// One English sentence.
    pub why: String,
}

impl Arms {
    pub(crate) fn new(plan: &Plan) -> Self {
        let rival =
            |arm| (arm, ChallengerState { evidence: Evidence::new(plan), ..ChallengerState::default() });
        let by = plan.choose.as_ref().and_then(|choose| choose.by.as_ref());
        Self {
            rivals: plan.rivals().map(|challenger| rival(challenger.arm)).collect(),
            contest: by.map(|gate| Contest::new(plan, gate, &plan.arms_in().collect::<Vec<_>>())),
            ..Self::default()
        }
    }

    /// What a challenger costs.
    pub(crate) fn expose(&mut self, arm: Arm, requests: u64, errors: u64) {
        let exposed = self.exposed.entry(arm).or_default();
        exposed.requests = exposed.requests.saturating_add(requests);
        exposed.errors = exposed.errors.saturating_add(errors);
    }
}

/// A challenger, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArmView {
    /// Its arm: what the routing header says for it.
    pub arm: OpenEnum<Arm>,
    /// Its version.
    pub version: String,
    /// Its weight, in parts per million.
    pub weight_ppm: u32,
    /// Is it still on trial?
    pub standing: OpenEnum<ChallengerOutcome>,
    /// Why it was chosen or is out.
    pub reason: Option<String>,
    /// Who has met it.
    pub exposed: ExposedView,
    /// Its gates, and its guardrails unless it leads; of one that is out, as they stood then.
    pub gates: Vec<VerdictView>,
}

/// The outcome of a challenger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChallengerOutcome {
    /// It is on trial.
    In,
    /// It goes on alone.
    Chosen,
    /// It was left out by a verdict or a person.
    Dropped,
    /// Another one was chosen.
    Left,
}

impl State {
    /// Every challenger, as the API shows it; none when there is only one.
    pub(crate) fn arm_views(&self) -> Vec<ArmView> {
        self.plan.challengers.iter().map(|challenger| self.arm_view(challenger.arm)).collect()
    }

    fn arm_view(&self, arm: Arm) -> ArmView {
        let out = self.arms.out.iter().find(|out| out.arm == arm);
        let chosen = self.arms.chosen.as_ref().filter(|chosen| chosen.arm == arm);
        let gates = match (out, self.arms.rivals.get(&arm)) {
            (Some(out), _) => out.verdicts.clone(),
            (None, Some(rival)) => {
                let guardrails = rival.evidence.guardrail_verdicts(&self.plan, self.scope());
                rival.gates.iter().cloned().chain(guardrails).collect()
            }
            (None, None) => self.stages.last().map(|stage| stage.gates.clone()).unwrap_or_default(),
        };
        let standing = match (out.map(|out| &out.by), chosen) {
            (Some(Some(_)), _) => ChallengerOutcome::Dropped,
            (Some(None), _) => ChallengerOutcome::Left,
            (None, Some(_)) => ChallengerOutcome::Chosen,
            (None, None) => ChallengerOutcome::In,
        };
        ArmView {
            arm: arm.into(),
            version: self.plan.version_of(arm).unwrap_or_default().to_owned(),
            weight_ppm: self.plan.share_of(arm, &self.weights),
            standing: standing.into(),
            reason: out.map(|out| out.reason.clone()).or_else(|| chosen.map(|chosen| chosen.why.clone())),
            exposed: self.arms.exposed.get(&arm).copied().unwrap_or_default().into(),
            gates: gates.iter().map(VerdictView::from).collect(),
        }
    }
}
