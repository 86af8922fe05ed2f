//! The confidence sequence that belongs to B1: every rate ratio not yet refuted.
//!
//! For the point null p1 = x p0 the log likelihood ratio of lambda against x is G(lambda) - G(x) with
//! `G(x) = sum over intervals of k1 ln x - (k1 + k0) ln(x n1 + n0)` (see the B1 module for the proof), so one
//! table of G over a grid serves all nulls at once: x is refuted at level alpha when
//! ln mean over lambda of exp(G(lambda)) - G(x) >= ln(1/alpha). In ln x the function -G is convex, so the
//! ratios that remain form one interval; its ends are rounded outwards to grid points.

use super::geometric;
use super::rate_ratio::Stratum;
use crate::JudgeError;
use crate::error::fraction;
use crate::special::log_sum_exp;
use crate::verdict::Interval;
use std::sync::LazyLock;

/// Grid from 1/32 to 32 in steps of 2.2 %.
const POINTS: usize = 321;
const WIDEST: f64 = 32.0;

/// A confidence sequence for the ratio of two event rates, mergeable, valid at every look.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RatioSequence {
    log_likelihood: Vec<f64>,
    temper: f64,
}

impl Default for RatioSequence {
    fn default() -> Self {
        Self { log_likelihood: vec![0.0; POINTS], temper: 1.0 }
    }
}

impl RatioSequence {
    /// Adds one interval.
    ///
    /// # Errors
    /// As [`super::RateRatio::update`].
    pub fn update(&mut self, stratum: Stratum) -> Result<(), JudgeError> {
        stratum.check()?;
        let (n1, n0) = (stratum.n1 as f64, stratum.n0 as f64);
        let (k1, all) = (stratum.k1 as f64, stratum.k1 as f64 + stratum.k0 as f64);
        if n1 == 0.0 || n0 == 0.0 || all == 0.0 {
            return Ok(());
        }
        for (g, x) in self.log_likelihood.iter_mut().zip(grid()) {
            *g += k1 * x.ln() - all * ((x * n1 + n0) / (n1 + n0)).ln();
        }
        Ok(())
    }

    /// Adds the counts another state has seen on other requests.
    ///
    /// # Errors
    /// Different grid or design effect (a state of another version).
    pub fn merge(&mut self, other: &Self) -> Result<(), JudgeError> {
        if self.log_likelihood.len() != other.log_likelihood.len() || self.temper != other.temper {
            return Err(JudgeError::Mismatch { what: "two ratio sequences" });
        }
        for (mine, theirs) in self.log_likelihood.iter_mut().zip(&other.log_likelihood) {
            *mine += theirs;
        }
        Ok(())
    }

    /// B11: divides the log likelihood by the design effect (values below 1 count as 1).
    ///
    /// # Errors
    /// `deff` not finite.
    pub fn set_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.temper = crate::error::finite("design effect", deff)?.max(1.0);
        Ok(())
    }

    /// The most likely ratio (drift-proof: stratified by interval), `None` before any event.
    ///
    /// Limited to 1/32 ... 32; a canary without events gives 1/32, stable without events gives 32.
    pub fn estimate(&self) -> Option<f64> {
        let (best, top) = self
            .log_likelihood
            .iter()
            .enumerate()
            .fold((0, f64::NEG_INFINITY), |best, (i, &g)| if g > best.1 { (i, g) } else { best });
        if self.log_likelihood.iter().all(|&g| g == 0.0) {
            return None;
        }
        let at = |i: usize| self.log_likelihood.get(i).copied();
        let x = grid().nth(best)?;
        let refined = best.checked_sub(1).and_then(at).zip(at(best + 1)).map(|(left, right)| {
            let curve = left - 2.0 * top + right;
            if curve < 0.0 { 0.5 * (left - right) / curve } else { 0.0 }
        });
        Some(x * (refined.unwrap_or(0.0) * step()).exp())
    }

    /// All ratios not refuted at level `alpha`; 0 and infinity stand for ends outside the grid.
    ///
    /// # Errors
    /// `alpha` outside (0, 1).
    pub fn interval(&self, alpha: f64) -> Result<Interval, JudgeError> {
        let height = -fraction("alpha", alpha)?.ln();
        let scaled = self.log_likelihood.iter().map(|g| g / self.temper);
        let mixture = log_sum_exp(scaled.clone()) - (POINTS as f64).ln();
        let kept = |g: f64| mixture - g < height;
        let inside: Vec<bool> = scaled.map(kept).collect();
        let xs: Vec<f64> = grid().collect();
        let first = inside.iter().position(|&k| k).unwrap_or(0);
        let last = inside.iter().rposition(|&k| k).unwrap_or(POINTS - 1);
        let lo = first.checked_sub(1).and_then(|i| xs.get(i)).copied().unwrap_or(0.0);
        let hi = xs.get(last + 1).copied().unwrap_or(f64::INFINITY);
        Ok(Interval { lo, hi, level: 1.0 - alpha, anytime: true })
    }
}

fn grid() -> impl Iterator<Item = f64> {
    static GRID: LazyLock<Vec<f64>> = LazyLock::new(|| geometric(1.0 / WIDEST, WIDEST, POINTS));
    GRID.iter().copied()
}

fn step() -> f64 {
    2.0 * WIDEST.ln() / (POINTS - 1) as f64
}
