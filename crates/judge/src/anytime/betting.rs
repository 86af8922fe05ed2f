//! B9: means of scores in [0, 1], exact at every sample size, by betting.
//!
//! A bettor who doubts "mean >= m" multiplies his wealth by 1 - l (x - m) per score; under that hypothesis the
//! wealth is an e-process for every stake 0 <= l < 1/(1-m). Wealth is averaged over fixed stakes.
//! Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", JRSS-B 2024.
//! Two arms: for every m, either "stable's mean <= m" or "stable's mean >= m" binds, so the evidence is the
//! smallest over m of the product of both arms' wealths. It is found by splitting [0, 1] into cells and taking
//! in each cell the pessimistic end for either arm, a lower bound; the weakest cell is split further.
//! Assumes constant means over the run; under a shared drift of the level use B3.

use super::normal_mixture::Better;
use super::{Claim, EProcess};
use crate::JudgeError;
use crate::error::not_negative;
use crate::special::log_sum_exp;

const CANARY_STAKES: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];
const STABLE_STAKES: [f64; 5] = [0.06, 0.12, 0.25, 0.5, 1.0];
/// Share of the largest permitted stake that is ever used, so that one score cannot lose everything.
const CAUTION: f64 = 0.9;
/// Cells of m at the start and splits at each look.
const CELLS: u32 = 32;
const SPLITS: u32 = 40;

/// Scores in equal buckets of [0, 1]: count and sum of each bucket.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Scores {
    counts: Vec<u64>,
    sums: Vec<f64>,
}

impl Scores {
    fn new(buckets: usize) -> Self {
        Self { counts: vec![0; buckets], sums: vec![0.0; buckets] }
    }

    /// Sum over scores of a lower bound of the concave `f`: the chord over each bucket at the bucket's sum.
    fn sum_of(&self, f: impl Fn(f64) -> f64) -> f64 {
        let width = 1.0 / self.counts.len() as f64;
        let used = self.counts.iter().zip(&self.sums).enumerate().filter(|(_, (c, _))| **c > 0);
        let mut last = (usize::MAX, 0.0); // the right end of a bucket is the left end of the next
        used.map(|(i, (&count, &sum))| {
            let left = i as f64 * width;
            let part = (sum - left * count as f64) / width; // in units of bucket widths, 0..=count
            let at_left = if last.0 == i { last.1 } else { f(left) };
            last = (i + 1, f(left + width));
            at_left * (count as f64 - part) + last.1 * part
        })
        .sum()
    }

    /// ln wealth of betting that the mean is below `m` (or above).
    fn wealth(&self, m: f64, below: bool, stakes: &[f64]) -> f64 {
        let limit = if below { 1.0 - m } else { m };
        let most = if limit > 0.0 { CAUTION / limit } else { f64::INFINITY };
        let sign = if below { -1.0 } else { 1.0 };
        let log_of = |stake: &f64| {
            let l = sign * stake.min(most);
            self.sum_of(|x| (l * (x - m)).ln_1p())
        };
        log_sum_exp(stakes.iter().map(log_of).collect::<Vec<_>>().into_iter()) - (stakes.len() as f64).ln()
    }

    fn since(&self, then: &Self) -> Self {
        Self {
            counts: self.counts.iter().zip(&then.counts).map(|(a, b)| a.saturating_sub(*b)).collect(),
            sums: self.sums.iter().zip(&then.sums).map(|(a, b)| a - b).collect(),
        }
    }
}

/// The e-process B9.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BoundedMeans {
    claim: Claim,
    better: Better,
    margin: f64,
    canary: Scores,
    stable: Scores,
    max_log_e: f64,
}

/// What [`BoundedMeans::log_e_since`](EProcess::log_e_since) compares with.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BettingSnapshot {
    canary: Scores,
    stable: Scores,
}

impl BoundedMeans {
    /// Evidence about how much worse the canary's mean is: H0 "at most `margin`" (harm) or "at least" (no harm).
    ///
    /// `buckets` cut [0, 1] (256 is ample: with raw scores the loss is of second order in the width).
    ///
    /// # Errors
    /// `margin` outside [0, 1), or fewer than 2 or more than 65536 buckets.
    pub fn new(claim: Claim, better: Better, margin: f64, buckets: usize) -> Result<Self, JudgeError> {
        if not_negative("margin", margin)? >= 1.0 {
            return Err(JudgeError::OutOfRange { what: "margin", got: margin, rule: "below 1" });
        }
        if !(2..=65536).contains(&buckets) {
            let got = buckets as f64;
            return Err(JudgeError::OutOfRange { what: "buckets", got, rule: "from 2 to 65536" });
        }
        let (canary, stable) = (Scores::new(buckets), Scores::new(buckets));
        Ok(Self { claim, better, margin, canary, stable, max_log_e: 0.0 })
    }

    /// Adds raw scores of both arms.
    ///
    /// # Errors
    /// A score outside [0, 1] or NaN; the state is then unchanged.
    pub fn update(&mut self, canary: &[f64], stable: &[f64]) -> Result<(), JudgeError> {
        for (what, scores) in [("canary score", canary), ("stable score", stable)] {
            if let Some(index) = scores.iter().position(|x| x.is_nan()) {
                return Err(JudgeError::NotFinite { what, index });
            }
            if let Some(&got) = scores.iter().find(|x| !(0.0..=1.0).contains(*x)) {
                return Err(JudgeError::OutOfRange { what, got, rule: "from 0 to 1" });
            }
        }
        for (arm, scores) in [(&mut self.canary, canary), (&mut self.stable, stable)] {
            for &x in scores {
                let x = if self.better == Better::Higher { x } else { 1.0 - x };
                let last = arm.counts.len() - 1;
                let bucket = ((x * arm.counts.len() as f64) as usize).min(last);
                if let (Some(c), Some(s)) = (arm.counts.get_mut(bucket), arm.sums.get_mut(bucket)) {
                    *c = c.saturating_add(1);
                    *s += x;
                }
            }
        }
        self.max_log_e = self.max_log_e.max(self.log_e());
        Ok(())
    }

    /// Adds counts per bucket (bucket i holds [i, i+1)/buckets). Each score is taken at the bucket's end that
    /// is unfavourable to the claim, which keeps the test exact and costs up to one bucket of effect per arm.
    ///
    /// # Errors
    /// Lengths other than the number of buckets; the state is then unchanged.
    pub fn update_buckets(&mut self, canary: &[u64], stable: &[u64]) -> Result<(), JudgeError> {
        let buckets = self.canary.counts.len();
        if canary.len() != buckets || stable.len() != buckets {
            return Err(JudgeError::Mismatch { what: "bucket counts and buckets" });
        }
        // In the good-is-high scale the claim of harm hopes for low canary and high stable scores.
        let canary_high = self.claim == Claim::Harm;
        let parts = [(&mut self.canary, canary, canary_high), (&mut self.stable, stable, !canary_high)];
        for (arm, more, upper_end) in parts {
            let width = 1.0 / buckets as f64;
            let slots = arm.counts.iter_mut().zip(&mut arm.sums).enumerate();
            let flip = self.better == Better::Lower;
            let mut given: Vec<u64> = more.to_vec();
            if flip {
                given.reverse();
            }
            for ((i, (count, sum)), more) in slots.zip(given) {
                *count = count.saturating_add(more);
                *sum += more as f64 * (i + usize::from(upper_end)) as f64 * width;
            }
        }
        self.max_log_e = self.max_log_e.max(self.log_e());
        Ok(())
    }

    fn evidence(&self, canary: &Scores, stable: &Scores) -> f64 {
        let cell = |a: f64, b: f64| match self.claim {
            Claim::Harm => {
                canary.wealth(a - self.margin, true, &CANARY_STAKES) + stable.wealth(b, false, &STABLE_STAKES)
            }
            Claim::NoHarm => {
                canary.wealth(b - self.margin, false, &CANARY_STAKES) + stable.wealth(a, true, &STABLE_STAKES)
            }
        };
        let width = 1.0 / f64::from(CELLS);
        let mut cells: Vec<(f64, f64, f64)> = (0..CELLS)
            .map(|i| (f64::from(i) * width, f64::from(i + 1) * width))
            .map(|(a, b)| (cell(a, b), a, b))
            .collect();
        for _ in 0..SPLITS {
            let Some(weakest) = (0..cells.len()).min_by(|&i, &j| {
                let of = |k: usize| cells.get(k).map_or(f64::INFINITY, |c| c.0);
                of(i).total_cmp(&of(j))
            }) else {
                break;
            };
            let (_, a, b) = cells.swap_remove(weakest);
            let mid = 0.5 * (a + b);
            cells.push((cell(a, mid), a, mid));
            cells.push((cell(mid, b), mid, b));
        }
        cells.iter().map(|c| c.0).fold(f64::INFINITY, f64::min)
    }
}

impl EProcess for BoundedMeans {
    type Observation = (Vec<f64>, Vec<f64>);
    type Mark = BettingSnapshot;

    fn observe(&mut self, observation: &(Vec<f64>, Vec<f64>)) -> Result<(), JudgeError> {
        self.update(&observation.0, &observation.1)
    }

    fn log_e(&self) -> f64 {
        self.evidence(&self.canary, &self.stable)
    }

    fn max_log_e(&self) -> f64 {
        self.max_log_e
    }

    fn mark(&self) -> BettingSnapshot {
        BettingSnapshot { canary: self.canary.clone(), stable: self.stable.clone() }
    }

    fn log_e_since(&self, mark: &BettingSnapshot) -> f64 {
        self.evidence(&self.canary.since(&mark.canary), &self.stable.since(&mark.stable))
    }
}
