//! Drift of a categorical or binned distribution: B1 per bucket, both directions, averaged.
//!
//! H0: in every interval each bucket's canary share is at most `ratio` times and at least 1/`ratio` times
//! stable's. Per bucket the interval is a B1 stratum; the average over buckets, directions and grid is an
//! e-process. Faster than a band around the whole distribution function (B5) for shifts that move mass
//! between buckets. Population-stability indices beside it are for display.

use super::rate_ratio::{Stratum, rate_ratio_increment};
use super::{EProcess, geometric};
use crate::JudgeError;
use crate::special::log_sum_exp;

/// Counts per bucket of both arms in one interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BucketStratum {
    /// Canary counts.
    pub canary: Vec<u64>,
    /// Stable counts.
    pub stable: Vec<u64>,
}

/// The bucketwise drift test.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BucketDrift {
    ratio: f64,
    factors: Vec<f64>,
    /// Per bucket: first the growth of evidence that the share rose, then that it fell.
    log_l: Vec<Vec<f64>>,
    total: BucketStratum,
    temper: f64,
    max_log_e: f64,
}

impl BucketDrift {
    /// Evidence that some bucket's share changed by more than the factor `ratio` (1: changed at all).
    ///
    /// # Errors
    /// `ratio` below 1 or not finite, fewer than 2 buckets.
    pub fn new(buckets: usize, ratio: f64) -> Result<Self, JudgeError> {
        if crate::error::finite("ratio", ratio)? < 1.0 {
            return Err(JudgeError::OutOfRange { what: "ratio", got: ratio, rule: "1 or more" });
        }
        if buckets < 2 {
            return Err(JudgeError::TooFew { what: "buckets", got: buckets as u64, need: 2 });
        }
        let factors = geometric(1.03, 4.0, 12);
        Ok(Self {
            ratio,
            log_l: vec![vec![0.0; 2 * factors.len()]; buckets],
            total: BucketStratum { canary: vec![0; buckets], stable: vec![0; buckets] },
            factors,
            temper: 1.0,
            max_log_e: 0.0,
        })
    }

    /// Adds one interval.
    ///
    /// # Errors
    /// A different number of buckets; the state is then unchanged.
    pub fn update(&mut self, more: &BucketStratum) -> Result<(), JudgeError> {
        if more.canary.len() != self.log_l.len() || more.stable.len() != self.log_l.len() {
            return Err(JudgeError::Mismatch { what: "bucket counts and buckets" });
        }
        let sum = |counts: &[u64]| counts.iter().fold(0u64, |s, c| s.saturating_add(*c));
        let (n1, n0) = (sum(&more.canary), sum(&more.stable));
        for (l, (&k1, &k0)) in self.log_l.iter_mut().zip(more.canary.iter().zip(&more.stable)) {
            let stratum = Stratum::new(n1, k1, n0, k0);
            let (rose, fell) = l.split_at_mut(self.factors.len());
            for ((rose, fell), factor) in rose.iter_mut().zip(fell).zip(&self.factors) {
                *rose += rate_ratio_increment(self.ratio * factor, self.ratio, &stratum);
                let inverse = 1.0 / self.ratio;
                *fell += rate_ratio_increment(inverse / factor, inverse, &stratum);
            }
        }
        for (mine, more) in [(&mut self.total.canary, &more.canary), (&mut self.total.stable, &more.stable)] {
            for (mine, more) in mine.iter_mut().zip(more) {
                *mine = mine.saturating_add(*more);
            }
        }
        self.max_log_e = self.max_log_e.max(self.log_e());
        Ok(())
    }

    /// B11: divides the log evidence by the design effect (values below 1 count as 1).
    ///
    /// # Errors
    /// `deff` not finite.
    pub fn set_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.temper = crate::error::finite("design effect", deff)?.max(1.0);
        Ok(())
    }

    /// Counts over all intervals, for display.
    pub fn total(&self) -> &BucketStratum {
        &self.total
    }

    fn average(&self, gains: impl Iterator<Item = f64> + Clone) -> f64 {
        let terms = (2 * self.factors.len() * self.log_l.len()) as f64;
        log_sum_exp(gains.map(|g| g / self.temper)) - terms.ln()
    }
}

impl EProcess for BucketDrift {
    type Observation = BucketStratum;
    type Mark = Vec<Vec<f64>>;

    fn observe(&mut self, observation: &BucketStratum) -> Result<(), JudgeError> {
        self.update(observation)
    }

    fn log_e(&self) -> f64 {
        self.average(self.log_l.iter().flatten().copied())
    }

    fn max_log_e(&self) -> f64 {
        self.max_log_e
    }

    fn mark(&self) -> Vec<Vec<f64>> {
        self.log_l.clone()
    }

    fn log_e_since(&self, mark: &Vec<Vec<f64>>) -> f64 {
        let pairs = self.log_l.iter().flatten().zip(mark.iter().flatten());
        self.average(pairs.map(|(now, then)| now - then))
    }
}
