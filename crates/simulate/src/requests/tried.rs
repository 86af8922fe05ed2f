//! What many rollouts in one world of requests came to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::named::{CanaryHealth, Named};
use super::play::RunResult;
use crate::{End, Share, Spread};

/// The most false rollbacks, and the most false passes, a world may have: the plans' alpha.
const MOST_FALSE: f64 = 0.05;
/// The least share of harm that is to be found, and of healthy canaries that are promoted where that is asked.
const LEAST_FOUND: f64 = 0.9;

/// Many runs of one world.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorldResult {
    /// The world's name.
    pub world: &'static str,
    /// Runs.
    pub runs: u64,
    /// Rolled back, or stopped by a gate that failed.
    pub rolled_back: Share,
    /// Promoted.
    pub promoted: Share,
    /// Neither, by the end of the time.
    pub undecided: Share,
    /// The gate that would prove what is not so passed.
    pub false_passes: Option<Share>,
    /// Seconds from the canary's first request until it was rolled back.
    pub seconds_to_roll_back: Option<Spread>,
    /// Seconds until it was promoted.
    pub seconds_to_promote: Option<Spread>,
    /// What took it back, with how many.
    pub by: BTreeMap<String, u64>,
    /// Why, in the words of the first run that what is seen most took back; else why the first one is not over.
    pub example: Option<String>,
    /// Requests in all.
    pub requests: u64,
    /// What the filter would have refused of the plan.
    pub refused: Option<String>,
    /// What of this is not as it should be; empty: nothing.
    pub bad: Vec<String>,
}

impl WorldResult {
    /// Sums up runs.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // milliseconds below a year
    pub fn new(named: &Named, played: &[RunResult]) -> Self {
        let runs = played.len() as u64;
        let share = |keep: &dyn Fn(&RunResult) -> bool| {
            Share::new(played.iter().filter(|played| keep(played)).count() as u64, runs)
        };
        let mut by = BTreeMap::new();
        for one in played {
            if let Some(by_what) = taken_back(&one.end) {
                *by.entry(by_what.to_owned()).or_insert(0) += 1;
            }
        }
        let most = by.iter().max_by_key(|(_, n)| **n).map(|(by, _)| by.as_str());
        let example = match most {
            Some(most) => played.iter().find(|one| taken_back(&one.end) == Some(most)),
            None => played.iter().find(|one| one.end != End::Promoted),
        };
        let seconds = |keep: &dyn Fn(&RunResult) -> bool, of: &dyn Fn(&RunResult) -> u64| {
            Spread::new(played.iter().filter(|one| keep(one)).map(|one| of(one) as f64 / 1e3).collect())
        };
        let back = |one: &RunResult| taken_back(&one.end).is_some();
        let promoted = |one: &RunResult| one.end == End::Promoted;
        let mut tried = Self {
            world: named.name,
            runs,
            rolled_back: share(&back),
            promoted: share(&promoted),
            undecided: share(&|one| !back(one) && !promoted(one)),
            false_passes: named.gate.map(|_| share(&|one| one.passed)),
            seconds_to_roll_back: seconds(&back, &|one| one.exposed_ms),
            seconds_to_promote: seconds(&promoted, &|one| one.end_ms),
            example: example.map(|one| one.why.clone()),
            by,
            requests: played.iter().map(|one| one.requests).sum(),
            refused: played.iter().find_map(|one| one.refused.clone()),
            bad: Vec::new(),
        };
        tried.judge(named);
        tried
    }

    /// Holds the shares against what is true in the world. A share is bad when its whole interval is.
    fn judge(&mut self, named: &Named) {
        self.bad.extend(self.refused.clone());
        match named.truth {
            CanaryHealth::Healthy { promoted } => {
                if self.rolled_back.lo > MOST_FALSE {
                    self.bad.push("false rollbacks".to_owned());
                }
                if promoted && self.promoted.hi < LEAST_FOUND {
                    self.bad.push("not promoted".to_owned());
                }
            }
            CanaryHealth::Harmful { found } => {
                if found && self.rolled_back.hi < LEAST_FOUND {
                    self.bad.push("not found".to_owned());
                }
                if self.promoted.lo > MOST_FALSE {
                    self.bad.push("promoted".to_owned());
                }
                if self.false_passes.is_some_and(|passes| passes.lo > MOST_FALSE) {
                    self.bad.push("false passes".to_owned());
                }
            }
            CanaryHealth::Open => {}
        }
    }

    /// Is it as it should be? A world that is counted wrong on purpose should not look well.
    #[must_use]
    pub const fn as_expected(&self, named: &Named) -> bool {
        self.bad.is_empty() != named.wrong
    }
}

/// What took a rollout back.
fn taken_back(end: &End) -> Option<&str> {
    match end {
        End::RolledBack { by } => Some(by),
        End::Held { why } => Some(why.as_str()).filter(|why| why.starts_with("gate")),
        End::Promoted => None,
    }
}
