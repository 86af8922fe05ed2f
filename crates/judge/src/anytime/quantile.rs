//! B7: the formal claim "the canary's p99 is (not) more than g^s times stable's".
//!
//! For an exceed probability q = 1 - p, g(k, n; R) = ln mean over rho in R of rho^k ((1 - q rho)/(1 - q))^(n-k)
//! tests "P(X > x) <= q" with rho >= 1 and ">= q" with rho <= 1. The unknown stable quantile lies in some bin
//! (e_(j-1), e_j]; both arms are tested at the pessimistic edge and the smallest sum over j is kept, which
//! costs about one bin of effect. R must contain rho = 1 ("no bet"): without it one arm's loss grows without
//! bound and the evidence collapses. After Howard & Ramdas, Bernoulli 28(3), 2022, with a grid mixture.

use super::tail_ratio::{Bins, TailStratum};
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

    /// Per bet: ln rho and ln((1 - q rho)/(1 - q)), for rho >= 1 (`more`) or its inverse.
    fn logs(&self, more: bool) -> Vec<(f64, f64)> {
        let q = 1.0 - self.p;
        let pair = |rho: f64| (rho.ln() / self.temper, ((1.0 - q * rho) / (1.0 - q)).ln() / self.temper);
        self.bets.iter().map(|&rho| pair(if more { rho } else { 1.0 / rho })).collect()
    }

    fn evidence(&self, seen: &TailStratum) -> f64 {
        let (canary, stable) = (Tail::new(&seen.canary), Tail::new(&seen.stable));
        let Some((lowest, highest)) = Tail::range(&canary, &stable) else { return 0.0 };
        let (more, less) = (self.logs(true), self.logs(false));
        // Further out both counts no longer change, so the end points stand for everything beyond.
        let reach = self.shift.unsigned_abs().min(4096) as i32 + 1;
        let candidates = lowest.saturating_sub(reach)..=highest.saturating_add(reach);
        candidates
            .map(|j| match self.claim {
                Claim::Harm => {
                    stable.bet(j.saturating_sub(1), &less) + canary.bet(j.saturating_add(self.shift), &more)
                }
                Claim::NoHarm => {
                    let edge = j.saturating_add(self.shift).saturating_sub(1);
                    stable.bet(j, &more) + canary.bet(edge, &less)
                }
            })
            .fold(f64::INFINITY, f64::min)
    }
}

/// Counts above each used bin of one arm.
struct Tail {
    all: f64,
    /// Used bins, ascending, with the count in them and above.
    from: Vec<(i32, f64)>,
}

impl Tail {
    fn new(bins: &Bins) -> Self {
        let mut all = 0.0;
        let mut from: Vec<(i32, f64)> = bins
            .iter()
            .rev()
            .filter(|(_, c)| **c > 0)
            .map(|(bin, c)| {
                all += *c as f64;
                (*bin, all)
            })
            .collect();
        from.reverse();
        Self { all, from }
    }

    fn range(a: &Self, b: &Self) -> Option<(i32, i32)> {
        let bins = || a.from.iter().chain(&b.from).map(|(bin, _)| *bin);
        Some((bins().min()?, bins().max()?))
    }

    /// ln mean over the bets of rho^k ((1 - q rho)/(1 - q))^(n - k), k the count above `edge`.
    fn bet(&self, edge: i32, logs: &[(f64, f64)]) -> f64 {
        let next = self.from.partition_point(|(bin, _)| *bin <= edge);
        let k = self.from.get(next).map_or(0.0, |(_, count)| *count);
        let terms = logs.iter().map(|(rho, below)| k * rho + (self.all - k) * below);
        log_sum_exp(terms) - (logs.len() as f64).ln()
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
