//! One arm's mean against a fixed limit: the normal mixture (statistics B3) with stable's mean replaced by a number
//! that is known.

use judge::JudgeError;
use judge::anytime::{Claim, EProcess, normal_mixture_log_e};
use serde::{Deserialize, Serialize};

use crate::Moments;

/// Evidence that a mean of scores lies below (harm) or above (no harm) a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitedMean {
    claim: Claim,
    limit: f64,
    /// The effect one cares about, in the unit of the score.
    tau: f64,
    burn_in: u64,
    s: f64,
    information: f64,
    spread: f64,
    freedom: f64,
    n: u64,
    max_log_e: f64,
}

impl LimitedMean {
    pub(super) const fn new(claim: Claim, limit: f64, tau: f64, burn_in: u64) -> Self {
        Self {
            claim,
            limit,
            tau,
            burn_in,
            s: 0.0,
            information: 0.0,
            spread: 0.0,
            freedom: 0.0,
            n: 0,
            max_log_e: 0.0,
        }
    }

    fn log_e_of(&self, s: f64, information: f64) -> f64 {
        normal_mixture_log_e(self.tau, s, information.max(0.0), true).unwrap_or(0.0)
    }
}

impl EProcess for LimitedMean {
    type Observation = Moments;
    type Mark = (f64, f64);

    #[allow(clippy::cast_precision_loss)] // counts below 2^53
    fn observe(&mut self, scores: &Moments) -> Result<(), JudgeError> {
        if scores.n == 0 {
            return Ok(());
        }
        let n = scores.n as f64;
        let mean = scores.sum / n;
        if !mean.is_finite() || !scores.sum_squares.is_finite() {
            return Err(JudgeError::NotFinite { what: "scores", index: 0 });
        }
        // The variance of EARLIER intervals: one that saw this interval's scores would void the guarantee.
        if self.n >= self.burn_in && self.freedom > 0.0 && self.spread > 0.0 {
            let information = n / (self.spread / self.freedom);
            let distance = match self.claim {
                Claim::Harm => self.limit - mean,
                Claim::NoHarm => mean - self.limit,
            };
            self.s += distance * information;
            self.information += information;
        }
        if scores.n > 1 {
            self.spread += (scores.sum_squares - scores.sum * mean).max(0.0);
            self.freedom += n - 1.0;
        }
        self.n = self.n.saturating_add(scores.n);
        self.max_log_e = self.max_log_e.max(self.log_e());
        Ok(())
    }

    fn log_e(&self) -> f64 {
        self.log_e_of(self.s, self.information)
    }

    fn max_log_e(&self) -> f64 {
        self.max_log_e
    }

    fn mark(&self) -> (f64, f64) {
        (self.s, self.information)
    }

    fn log_e_since(&self, mark: &(f64, f64)) -> f64 {
        self.log_e_of(self.s - mark.0, self.information - mark.1)
    }
}
