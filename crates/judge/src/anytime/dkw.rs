//! B5, B6: whole distributions, by bands around the empirical distribution function that hold at every look.
//!
//! Howard & Ramdas, "Sequential estimation of quantiles with applications to A/B testing and best-arm
//! identification", Bernoulli 28(3), 2022. The two-sample use follows the idea of Lindon, Sanden, Shirikian,
//! "Rapid Regression Detection in Software Deployments through Sequential Testing", KDD 2022.
//! Exact at bin edges, for all quantiles at once; weak in the tails, where B8 and B7 are the tools.

use super::tail_ratio::{Bins, TailStratum, add, count};
use super::{Claim, p_value};
use crate::JudgeError;
use crate::error::{fraction, not_negative};

/// Radius of the time-uniform band after `t` observations:
/// 0.85 sqrt((ln ln(e t) + 0.8 ln(1612/alpha)) / t).
///
/// # Errors
/// `t` below 1 or `alpha` outside (0, 1).
pub fn hr_dkw_radius(t: u64, alpha: f64) -> Result<f64, JudgeError> {
    fraction("alpha", alpha)?;
    at_least_one(t)?;
    Ok(radius(t as f64, -alpha.ln()))
}

fn at_least_one(t: u64) -> Result<(), JudgeError> {
    if t == 0 { Err(JudgeError::TooFew { what: "observations", got: 0, need: 1 }) } else { Ok(()) }
}

fn radius(t: f64, log_inverse_alpha: f64) -> f64 {
    let loglog = (std::f64::consts::E * t).ln().ln();
    0.85 * ((loglog + 0.8 * (1612f64.ln() + log_inverse_alpha)) / t).sqrt()
}

/// B6: how far the empirical distribution function at the true quantile of order `p` may be from `p`, at any
/// time: 1.5 sqrt(p(1-p) l) + 0.8 l, l = (1.4 ln ln(2.1 t) + ln(10/alpha)) / t. Very wide for p = 0.99.
///
/// # Errors
/// `t` below 1, `p` or `alpha` outside (0, 1).
pub fn quantile_radius(t: u64, p: f64, alpha: f64) -> Result<f64, JudgeError> {
    fraction("p", p)?;
    fraction("alpha", alpha)?;
    at_least_one(t)?;
    let t = t as f64;
    let l = (1.4 * (2.1 * t).ln().ln() + (10.0 / alpha).ln()) / t;
    Ok(1.5 * (p * (1.0 - p) * l).sqrt() + 0.8 * l)
}

/// What a comparison of whole distributions asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Order {
    /// Larger canary values are worse (latency).
    Slower,
    /// Any difference counts (drift).
    Either,
}

/// B5 on two merged histograms.
///
/// Harm: somewhere F_stable(e) - F_canary(e) exceeds `margin` (for [`Order::Either`] the absolute value).
/// No harm: everywhere it is below `margin`, which then must be above 0.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StochasticOrder {
    claim: Claim,
    order: Order,
    margin: f64,
    canary: Bins,
    stable: Bins,
    max_log: f64,
}

impl StochasticOrder {
    /// A comparison with `margin` in units of probability (0 ... 1).
    ///
    /// # Errors
    /// `margin` negative or above 1, or 0 for the claim of no harm.
    pub fn new(claim: Claim, order: Order, margin: f64) -> Result<Self, JudgeError> {
        not_negative("margin", margin)?;
        if margin > 1.0 || (claim == Claim::NoHarm && margin == 0.0) {
            let rule = "at most 1, and above 0 for a claim of no harm";
            return Err(JudgeError::OutOfRange { what: "margin", got: margin, rule });
        }
        let (canary, stable) = (Bins::new(), Bins::new());
        Ok(Self { claim, order, margin, canary, stable, max_log: 0.0 })
    }

    /// Adds one interval's (or one sidecar's) histograms.
    pub fn update(&mut self, more: &TailStratum) {
        add(&mut self.canary, &more.canary);
        add(&mut self.stable, &more.stable);
        self.max_log = self.max_log.max(self.log_inverse_p_now());
    }

    /// The largest difference: max over edges of F_stable - F_canary, absolute for [`Order::Either`]; 0 if
    /// an arm is empty.
    pub fn distance(&self) -> f64 {
        let (n1, n0) = (count(&self.canary), count(&self.stable));
        if n1 == 0 || n0 == 0 {
            return 0.0;
        }
        let (mut seen1, mut seen0, mut widest) = (0u64, 0u64, 0f64);
        let mut edges: Vec<i32> = self.canary.keys().chain(self.stable.keys()).copied().collect();
        edges.sort_unstable();
        edges.dedup();
        for edge in edges {
            seen1 += self.canary.get(&edge).copied().unwrap_or(0);
            seen0 += self.stable.get(&edge).copied().unwrap_or(0);
            let gap = seen0 as f64 / n0 as f64 - seen1 as f64 / n1 as f64;
            widest = widest.max(match self.order {
                Order::Slower => gap,
                Order::Either => gap.abs(),
            });
        }
        widest
    }

    /// The p-value valid at every look.
    pub fn p_value(&self) -> f64 {
        p_value(self.max_log)
    }

    /// ln(1/alpha) for the smallest alpha at which both bands (alpha/2 each) prove the claim now.
    fn log_inverse_p_now(&self) -> f64 {
        let (n1, n0) = (count(&self.canary), count(&self.stable));
        if n1 == 0 || n0 == 0 {
            return 0.0;
        }
        let room = match self.claim {
            Claim::Harm => self.distance() - self.margin,
            Claim::NoHarm => self.margin - self.distance(),
        };
        let need = |log_inverse_alpha: f64| {
            let half = log_inverse_alpha + std::f64::consts::LN_2;
            radius(n1 as f64, half) + radius(n0 as f64, half)
        };
        let (mut lo, mut hi) = (0.0, 1e6);
        if room <= need(lo) {
            return 0.0;
        }
        for _ in 0..60 {
            let mid = 0.5 * (lo + hi);
            if room > need(mid) { lo = mid } else { hi = mid }
        }
        lo
    }
}
