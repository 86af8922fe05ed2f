//! Shares that follow the evidence, as meant: when, and between what.

use serde::{Deserialize, Serialize};
use split::MILLION;

use crate::gate::Metric;
use crate::plan::Plan;

/// Shares that follow the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Bandit {
    /// What the best version is best in: a rate, or the mean confidence.
    pub by: Metric,
    /// The least share of each version on trial, in parts per million.
    pub floor_ppm: u32,
    /// The largest share of all versions on trial together, in parts per million.
    pub ceiling_ppm: u32,
    /// Shares move at most so often, in milliseconds.
    pub every_ms: u64,
    /// The first stage in which they move, from 0.
    pub from: usize,
}

/// Between what the shares of a stage may move, in parts per million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareRange {
    /// The least share of each version on trial.
    pub floor_ppm: u32,
    /// The largest share of all of them together.
    pub ceiling_ppm: u32,
    /// The largest share of one: what the next stage would give it, as far as there is room for it among the others.
    pub each_ppm: u32,
    /// How many are on trial.
    pub versions: u32,
}

impl ShareRange {
    /// The largest share of one while the others keep the least, in parts per million.
    #[must_use]
    pub fn most_ppm(&self) -> u32 {
        let others = self.floor_ppm.saturating_mul(self.versions.saturating_sub(1));
        self.each_ppm.min(self.ceiling_ppm.saturating_sub(others))
    }

    /// The largest share stable may have, in parts per million.
    #[must_use]
    pub const fn stable_ppm(&self) -> u32 {
        MILLION.saturating_sub(self.floor_ppm.saturating_mul(self.versions))
    }
}

impl Plan {
    /// Between what shares may move in a stage (from 0) that gives each version on trial this weight; `None`: they stand.
    ///
    /// They do where nobody or everybody is exposed, and where the weight is above the ceiling: a person, or a later
    /// stage, has gone past what the evidence may do by itself. Nobody gets more than the next stage would give, so
    /// entering that lowers nobody, and a stage keeps its meaning as a limit of who is exposed.
    #[must_use]
    pub fn share_range(&self, stage: usize, weight_ppm: u32) -> Option<ShareRange> {
        let bandit = self.bandit.as_ref()?;
        let versions = u32::try_from(self.arms_in().count()).unwrap_or(u32::MAX);
        let together = weight_ppm.saturating_mul(versions);
        if stage < bandit.from || weight_ppm == 0 || weight_ppm >= MILLION || together > bandit.ceiling_ppm {
            return None;
        }
        let above = self.stages.iter().map(|stage| stage.weight_ppm).find(|&next| next > weight_ppm);
        let next_ppm = above.unwrap_or(MILLION);
        let room_ppm = match (versions, self.challengers.get(1)) {
            (2.., Some(second)) => second.start_ppm,
            _ => MILLION,
        };
        Some(ShareRange {
            floor_ppm: bandit.floor_ppm.min(weight_ppm),
            ceiling_ppm: bandit.ceiling_ppm,
            each_ppm: next_ppm.min(room_ppm).min(bandit.ceiling_ppm).max(weight_ppm),
            versions,
        })
    }
}
