//! The arms of a rollout and their places in the key space.
//!
//! The canary grows from the bottom, the virtual baseline from the top downwards, every further arm upwards from a
//! place of its own and, if it comes so far, round the end. Places do not move while a rollout lasts, and arms that
//! would meet are refused; so a weight that rises takes points from stable alone, and any arm can grow to the whole
//! once the others have left.

use crate::{Arm, ArmName, Point, Weight};

/// The arms of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arms {
    pub(crate) stable: Served,
    pub(crate) canary: Served,
    pub(crate) canary_weight: Weight,
    pub(crate) baseline_weight: Weight,
    pub(crate) others: Vec<Other>,
}

/// What serves an arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) version: String,
    /// Shown for an answer that carries no confidence of its own.
    pub(crate) confidence: Option<String>,
}

/// A further arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) name: ArmName,
    pub(crate) served: Served,
    pub(crate) start: Weight,
    pub(crate) weight: Weight,
}

impl Arms {
    pub(crate) fn at(&self, point: Point) -> Arm {
        if self.canary_weight.holds_from_bottom(point) {
            return Arm::Canary;
        }
        if self.baseline_weight.holds_from_top(point) {
            return Arm::Baseline;
        }
        let other = self.others.iter().find(|other| other.weight.holds_from(other.start, point));
        other.map_or(Arm::Stable, |other| Arm::Other(other.name))
    }

    /// What serves an arm; an arm that is not there is stable's.
    pub(crate) fn served(&self, arm: Arm) -> &Served {
        match arm {
            Arm::Stable | Arm::Baseline => &self.stable,
            Arm::Canary => &self.canary,
            Arm::Other(name) => self
                .others
                .iter()
                .find(|other| other.name == name)
                .map_or(&self.stable, |other| &other.served),
        }
    }

    pub(crate) fn has(&self, arm: Arm) -> bool {
        match arm {
            Arm::Stable | Arm::Canary | Arm::Baseline => true,
            Arm::Other(name) => self.others.iter().any(|other| other.name == name),
        }
    }
}
