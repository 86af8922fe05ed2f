//! One arm against a fixed limit: is the canary's event rate above (or proven below) `limit`?
//!
//! ln L = k ln lambda - n p0 (lambda - 1) on a grid of lambda, where k events were seen among n requests and
//! p0 is the limit. E[lambda^k] = (1 + p (lambda-1))^n <= exp(n p (lambda-1)), so L is an e-process for
//! p <= p0 when lambda > 1 and for p >= p0 when lambda < 1, also when p moves from interval to interval.
//! Wald, "Sequential Tests of Statistical Hypotheses", 1945, with a mixture in place of one alternative.

use super::{Claim, EProcess, geometric};
use crate::JudgeError;
use crate::error::fraction;
use crate::special::log_sum_exp;
use crate::verdict::Interval;

/// Requests and events of one arm in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Trials {
    /// Requests.
    pub n: u64,
    /// Events among them.
    pub k: u64,
}

/// Sizes of effect in the mixture.
pub(crate) const SIZES: usize = 20;

/// The one-arm guardrail. Needs only the two totals, so any number of sidecars can be added up.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Guardrail {
    limit: f64,
    claim: Claim,
    n: u64,
    k: u64,
    temper: f64,
    max_log_e: f64,
}

impl Guardrail {
    /// Evidence that the rate is above `limit` (H0: p <= limit).
    ///
    /// # Errors
    /// `limit` outside (0, 1).
    pub fn harm(limit: f64) -> Result<Self, JudgeError> {
        Self::new(limit, Claim::Harm)
    }

    /// Evidence that the rate is below `limit` (H0: p >= limit).
    ///
    /// # Errors
    /// `limit` outside (0, 1).
    pub fn no_harm(limit: f64) -> Result<Self, JudgeError> {
        Self::new(limit, Claim::NoHarm)
    }

    fn new(limit: f64, claim: Claim) -> Result<Self, JudgeError> {
        let limit = fraction("limit", limit)?;
        Ok(Self { limit, claim, n: 0, k: 0, temper: 1.0, max_log_e: 0.0 })
    }

    /// Adds one interval of the arm.
    ///
    /// # Errors
    /// More events than requests; the state is then unchanged.
    pub fn update(&mut self, trials: Trials) -> Result<(), JudgeError> {
        if trials.k > trials.n {
            return Err(JudgeError::EventsExceedTrials { arm: "canary", events: trials.k, trials: trials.n });
        }
        self.n = self.n.saturating_add(trials.n);
        self.k = self.k.saturating_add(trials.k);
        self.max_log_e = self.max_log_e.max(self.log_e());
        Ok(())
    }

    /// Adds what another sidecar saw. The maximum continues on this state's path.
    ///
    /// # Errors
    /// Different limit, claim or design effect.
    pub fn merge(&mut self, other: &Self) -> Result<(), JudgeError> {
        if self.limit != other.limit || self.claim != other.claim || self.temper != other.temper {
            return Err(JudgeError::Mismatch { what: "two guardrails" });
        }
        self.update(other.mark())
    }

    /// B11: divides the log evidence by the design effect (values below 1 count as 1).
    ///
    /// # Errors
    /// `deff` not finite.
    pub fn set_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.temper = crate::error::finite("design effect", deff)?.max(1.0);
        Ok(())
    }

    /// The limit p0.
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// The rate seen so far; `None` before any request.
    pub fn estimate(&self) -> Option<f64> {
        (self.n > 0).then(|| self.k as f64 / self.n as f64)
    }

    /// All rates not refuted at level `alpha`, from a mixture over rates 1e-7 ... 1.
    ///
    /// # Errors
    /// `alpha` outside (0, 1).
    pub fn interval(&self, alpha: f64) -> Result<Interval, JudgeError> {
        let height = -fraction("alpha", alpha)?.ln();
        let (n, k) = (self.n as f64, self.k as f64);
        let rates = geometric(1e-7, 1.0, 401);
        let g = |p: f64| (k * p.ln() - n * p) / self.temper;
        let mixture = log_sum_exp(rates.iter().map(|&p| g(p))) - (rates.len() as f64).ln();
        let kept = |p: &f64| mixture - g(*p) < height;
        let first = rates.iter().position(kept).unwrap_or(0);
        let last = rates.iter().rposition(kept).unwrap_or(rates.len() - 1);
        let lo = first.checked_sub(1).and_then(|i| rates.get(i)).copied().unwrap_or(0.0);
        let hi = rates.get(last + 1).copied().unwrap_or(1.0);
        Ok(Interval { lo, hi, level: 1.0 - alpha, anytime: true })
    }

    /// ln L per factor on the limit, of so many trials.
    pub(crate) fn increments(&self, trials: &Trials) -> Vec<f64> {
        let (n, k) = (trials.n as f64, trials.k as f64);
        let factors = match self.claim {
            Claim::Harm => geometric(1.1, 16.0, SIZES),
            Claim::NoHarm => geometric(1.0 / 1.05, 1.0 / 8.0, SIZES),
        };
        factors.iter().map(|x| k * x.ln() - n * self.limit * (x - 1.0)).collect()
    }

    fn log_e_of(&self, n: u64, k: u64) -> f64 {
        let log_l = self.increments(&Trials { n, k });
        log_sum_exp(log_l.iter().map(|l| l / self.temper)) - (SIZES as f64).ln()
    }
}

impl EProcess for Guardrail {
    type Observation = Trials;
    type Mark = Trials;

    fn observe(&mut self, observation: &Trials) -> Result<(), JudgeError> {
        self.update(*observation)
    }

    fn log_e(&self) -> f64 {
        self.log_e_of(self.n, self.k)
    }

    fn max_log_e(&self) -> f64 {
        self.max_log_e
    }

    fn mark(&self) -> Trials {
        Trials { n: self.n, k: self.k }
    }

    fn log_e_since(&self, mark: &Trials) -> f64 {
        self.log_e_of(self.n.saturating_sub(mark.n), self.k.saturating_sub(mark.k))
    }
}
