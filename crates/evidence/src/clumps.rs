//! How much requests of one user go together.

use judge::JudgeError;
use judge::anytime::{DesignEffect, Group};
use manifest::{Metric, Unit};
use serde::{Deserialize, Serialize};

use crate::Counts;
use crate::bursts::Effects;

/// The design effect used while stable shows no error at all, so that clumping cannot be measured: a user with ten
/// requests, all alike.
const ASSUMED_DESIGN_EFFECT: f64 = 10.0;

/// Groups of users, as the filter makes them.
const GROUPS: usize = 100;

/// Stable's outcomes per group of users; empty while the source counts none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Groups(Vec<Group>);

/// Design effects; `None`: nobody knows.
#[derive(Clone, Copy, Debug)]
pub struct UserClustering {
    /// Whoever sent them, requests go together in bursts.
    bursts: Effects,
    /// Of errors, which are counted per group.
    errors: Option<f64>,
    /// Of anything else: as if all requests of a user agreed. Counting each metric per group would take hundreds of
    /// series more in every sidecar.
    any: Option<f64>,
}

impl Groups {
    /// Adds what stable counted by group.
    pub fn count(&mut self, stable: &Counts) {
        for group in stable.groups.iter().flatten() {
            let at = usize::from(group.group);
            if at >= self.0.len() {
                self.0.resize(at + 1, Group::default());
            }
            if let Some(sum) = self.0.get_mut(at) {
                sum.n += group.finished;
                sum.k = (sum.k + group.errors).min(sum.n);
            }
        }
    }

    /// How much requests go together, by what they are judged by.
    #[must_use]
    pub fn clumps(&self, unit: Unit, bursts: Effects) -> UserClustering {
        if unit == Unit::Request {
            return UserClustering { bursts, errors: Some(1.0), any: Some(1.0) };
        }
        let errors = match DesignEffect::from_groups(&self.0) {
            Ok(deff) => Some(deff.upper_bound()),
            Err(JudgeError::Constant { .. }) => Some(ASSUMED_DESIGN_EFFECT),
            Err(_) => None,
        };
        let mut all = self.0.clone();
        all.resize(all.len().max(GROUPS), Group::default());
        UserClustering {
            bursts,
            errors,
            any: DesignEffect::largest(&all).ok().map(|deff| deff.upper_bound()),
        }
    }
}

impl UserClustering {
    /// Each request by itself.
    pub(crate) const NONE: Self = Self { bursts: Effects::NONE, errors: Some(1.0), any: Some(1.0) };

    /// For a metric: how many requests count as one; `None`: not known yet.
    #[must_use]
    pub fn of(self, metric: Metric) -> Option<f64> {
        let users = if metric == Metric::ErrorRate { self.errors } else { self.any };
        users.map(|users| users.max(self.bursts.of(metric)))
    }
}
