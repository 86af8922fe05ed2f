//! B7: the formal claim "the canary's p99 is (not) more than g^s times stable's".
//!
//! For an exceed probability q = 1 - p, g(k, n; R) = ln mean over rho in R of rho^k ((1 - q rho)/(1 - q))^(n-k)
//! tests "P(X > x) <= q" with rho >= 1 and ">= q" with rho <= 1. The unknown stable quantile lies in some bin
//! (e_(j-1), e_j]; both arms are tested at the pessimistic edge and the smallest sum over j is kept, which
//! costs about one bin of effect. R must contain rho = 1 ("no bet"): without it one arm's loss grows without
//! bound and the evidence collapses. After Howard & Ramdas, Bernoulli 28(3), 2022, with a grid mixture.

use super::tail_ratio::{Bins, TailStratum, above, count};
use super::{Claim, EProcess, geometric};
use crate::JudgeError;
use crate::error::fraction;
use crate::special::log_sum_exp;

/// The e-process B7 on log-linear bins: bin j has upper edge g^j.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct QuantileRatio {
    p: f64,
    shift: i32,
    claim: Claim,
    bets: Vec<f64>,
    seen: TailStratum,
    temper: f64,
    max_log_e: f64,
}

impl QuantileRatio {
    /// Evidence about canary quantile against stable quantile of order `p` times g^`shift`.
    ///
    /// `Claim::Harm` is H0: Q1 <= g^shift Q0; `Claim::NoHarm` is H0: Q1 >= g^shift Q0.
    ///
    /// # Errors
    /// `p` outside (0, 1).
    pub fn new(p: f64, shift: i32, claim: Claim) -> Result<Self, JudgeError> {
        let q = 1.0 - fraction("p", p)?;
        let top = 8f64.min(0.95 / q);
        let mut bets = vec![1.0];
        if top > 1.05 {
            bets.extend(geometric(1.05, top, 15));
        }
        Self::with_bets(p, shift, claim, bets)
    }

    /// B7 with factors rho >= 1 of one's own; their inverses serve the other side.
    ///
    /// # Errors
    /// `p` outside (0, 1), no bet, or a bet outside [1, 1/(1-p)).
    pub fn with_bets(p: f64, shift: i32, claim: Claim, bets: Vec<f64>) -> Result<Self, JudgeError> {
        let q = 1.0 - fraction("p", p)?;
        if bets.is_empty() {
            return Err(JudgeError::Empty { what: "bets" });
        }
        if let Some(&got) = bets.iter().find(|rho| !(**rho >= 1.0 && **rho * q < 1.0)) {
            return Err(JudgeError::OutOfRange { what: "bets", got, rule: "in [1, 1/(1-p))" });
        }
        let seen = TailStratum::default();
        Ok(Self { p, shift, claim, bets, seen, temper: 1.0, max_log_e: 0.0 })
    }

    /// Adds one interval's (or one sidecar's) histograms.
    pub fn update(&mut self, more: &TailStratum) {
        self.seen.merge(more);
        self.max_log_e = self.max_log_e.max(self.log_e());
    }

    /// B11: divides the log evidence by the design effect (values below 1 count as 1).
    ///
    /// # Errors
    /// `deff` not finite.
    pub fn set_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.temper = crate::error::finite("design effect", deff)?.max(1.0);
        Ok(())
    }

    /// The histograms so far.
    pub fn seen(&self) -> &TailStratum {
        &self.seen
    }

    fn bet(&self, k: u64, n: u64, more: bool) -> f64 {
        let q = 1.0 - self.p;
        let terms = self.bets.iter().map(|&rho| {
            let rho = if more { rho } else { 1.0 / rho };
            let below = ((1.0 - q * rho) / (1.0 - q)).ln();
            (k as f64 * rho.ln() + (n - k) as f64 * below) / self.temper
        });
        log_sum_exp(terms) - (self.bets.len() as f64).ln()
    }

    fn evidence(&self, seen: &TailStratum) -> f64 {
        let (n1, n0) = (count(&seen.canary), count(&seen.stable));
        let used =
            |bins: &Bins| -> Vec<i32> { bins.iter().filter(|(_, c)| **c > 0).map(|(b, _)| *b).collect() };
        let bins: Vec<i32> = [used(&seen.canary), used(&seen.stable)].concat();
        let (Some(&lowest), Some(&highest)) = (bins.iter().min(), bins.iter().max()) else {
            return 0.0;
        };
        // Further out both counts no longer change, so the end points stand for everything beyond.
        let reach = self.shift.unsigned_abs().min(4096) as i32 + 1;
        let candidates = lowest.saturating_sub(reach)..=highest.saturating_add(reach);
        candidates
            .map(|j| match self.claim {
                Claim::Harm => {
                    self.bet(above(&seen.stable, j.saturating_sub(1)), n0, false)
                        + self.bet(above(&seen.canary, j.saturating_add(self.shift)), n1, true)
                }
                Claim::NoHarm => {
                    let edge = j.saturating_add(self.shift).saturating_sub(1);
                    self.bet(above(&seen.stable, j), n0, true)
                        + self.bet(above(&seen.canary, edge), n1, false)
                }
            })
            .fold(f64::INFINITY, f64::min)
    }
}

impl EProcess for QuantileRatio {
    type Observation = TailStratum;
    type Mark = TailStratum;

    fn observe(&mut self, observation: &TailStratum) -> Result<(), JudgeError> {
        self.update(observation);
        Ok(())
    }

    fn log_e(&self) -> f64 {
        self.evidence(&self.seen)
    }

    fn max_log_e(&self) -> f64 {
        self.max_log_e
    }

    fn mark(&self) -> TailStratum {
        self.seen.clone()
    }

    fn log_e_since(&self, mark: &TailStratum) -> f64 {
        let since = |now: &Bins, then: &Bins| {
            now.iter().map(|(b, c)| (*b, c.saturating_sub(then.get(b).copied().unwrap_or(0)))).collect()
        };
        self.evidence(&TailStratum {
            canary: since(&self.seen.canary, &mark.canary),
            stable: since(&self.seen.stable, &mark.stable),
        })
    }
}
