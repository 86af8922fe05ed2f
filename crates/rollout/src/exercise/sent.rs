use serde::{Deserialize, Serialize};
use split::policy;

use crate::{Acks, Now};

/// A publication of an exercise and how far it has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExercisePublication {
    /// Numbered within the exercise; comes back in [`Acks`].
    pub id: u64,
    /// This rollout's part of the policy document.
    pub policy: policy::Rollout,
    /// Does it carry a lease although no request goes to the canary?
    pub vouched: bool,
    /// When.
    pub at: Now,
    /// When a quorum had it.
    pub quorum: Option<Now>,
    /// When every connected proxy had it.
    pub all: Option<Now>,
    /// The last word on how far it has come.
    pub acks: Acks,
}

impl ExercisePublication {
    pub(super) const fn new(id: u64, policy: policy::Rollout, vouched: bool, at: Now) -> Self {
        let acks =
            Acks { publication: id, acknowledged: 0, connected: 0, missing: Vec::new(), refused: Vec::new() };
        Self { id, policy, vouched, at, quorum: None, all: None, acks }
    }

    /// Notes how far it has come; others' answers are passed over.
    pub(super) fn acknowledge(&mut self, acks: &Acks, quorum: f64, now: Now) {
        if acks.publication != self.id {
            return;
        }
        self.acks = acks.clone();
        if acks.connected == 0 {
            return;
        }
        if self.quorum.is_none() && f64::from(acks.acknowledged) >= quorum * f64::from(acks.connected) {
            self.quorum = Some(now);
        }
        if self.all.is_none() && acks.acknowledged >= acks.connected {
            self.all = Some(now);
        }
    }

    /// "4 of 5 proxies follow; missing: edge-3".
    pub(super) fn followers(&self) -> String {
        let Acks { acknowledged, connected, missing, .. } = &self.acks;
        let missing =
            if missing.is_empty() { String::new() } else { format!("; missing: {}", missing.join(", ")) };
        format!("{acknowledged} of {connected} proxies follow{missing}")
    }
}
