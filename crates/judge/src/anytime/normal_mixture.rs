//! B3: difference of two means, by intervals, with a normal mixture (mSPRT).
//!
//! Per interval i: d_i = signed difference of means minus margin, I_i = (n1 n0/(n1+n0)) / s2 with s2 the
//! pooled variance of EARLIER intervals; S = sum d_i I_i, I = sum I_i. Because arms are compared within an
//! interval, a shared drift of the level cancels. Robbins, "Statistical methods related to the law of the
//! iterated logarithm", 1970; Johari, Koomen, Pekelis, Walsh, "Always Valid Inference", Operations Research
//! 2022; Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
//! sequences", Annals of Statistics 2021.
//! Asymptotic, since s2 is estimated: right for scores, wrong for rare events (measured level up to 0.08
//! on error counts), for which B1 is made.

use super::{Claim, EProcess};
use crate::JudgeError;
use crate::error::{finite, fraction, not_negative, positive};
use crate::special::ln_normal_cdf;
use crate::verdict::Interval;

/// ln M of the normal mixture with standard deviation `tau` at score `s` and information `i`.
///
/// One-sided (evidence for a positive mean):
/// ln 2 - ln(1 + tau^2 I)/2 + tau^2 S^2 / (2 (1 + tau^2 I)) + ln Phi(tau S / sqrt(1 + tau^2 I));
/// two-sided: the same without the first and last term.
///
/// # Errors
/// `tau` not above 0, `i` negative, or anything not finite.
pub fn normal_mixture_log_e(tau: f64, s: f64, i: f64, one_sided: bool) -> Result<f64, JudgeError> {
    positive("tau", tau)?;
    finite("s", s)?;
    not_negative("i", i)?;
    Ok(log_e(tau, s, i, one_sided))
}

fn log_e(tau: f64, s: f64, i: f64, one_sided: bool) -> f64 {
    let scale = 1.0 + tau * tau * i;
    let x = tau * s / scale.sqrt();
    let two_sided = -0.5 * scale.ln() + 0.5 * x * x;
    if one_sided { std::f64::consts::LN_2 + two_sided + ln_normal_cdf(x) } else { two_sided }
}

/// Half-width of the two-sided confidence sequence for the mean at information `i`:
/// sqrt((I + rho)(ln(1 + I/rho) + 2 ln(1/alpha))) / I with rho = 1/tau^2; infinite at I = 0.
///
/// # Errors
/// `alpha` outside (0, 1), `tau` not above 0, `i` negative or not finite.
pub fn normal_mixture_radius(tau: f64, i: f64, alpha: f64) -> Result<f64, JudgeError> {
    positive("tau", tau)?;
    not_negative("i", i)?;
    fraction("alpha", alpha)?;
    let rho = 1.0 / (tau * tau);
    Ok(((i + rho) * ((i / rho).ln_1p() - 2.0 * alpha.ln())).sqrt() / i)
}

/// Sums of one interval: number, sum and sum of squares of the scores of each arm.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ScoreStratum {
    /// Canary scores.
    pub n1: u64,
    /// Sum of the canary scores.
    pub sum1: f64,
    /// Sum of their squares.
    pub squares1: f64,
    /// Stable scores.
    pub n0: u64,
    /// Sum of the stable scores.
    pub sum0: f64,
    /// Sum of their squares.
    pub squares0: f64,
}

impl ScoreStratum {
    /// Adds another sidecar's sums of the same interval and weight.
    pub fn merge(&mut self, other: &Self) {
        self.n1 = self.n1.saturating_add(other.n1);
        self.n0 = self.n0.saturating_add(other.n0);
        self.sum1 += other.sum1;
        self.sum0 += other.sum0;
        self.squares1 += other.squares1;
        self.squares0 += other.squares0;
    }

    pub(crate) fn check(&self) -> Result<(), JudgeError> {
        for (what, n, sum, squares) in [
            ("canary sums", self.n1, self.sum1, self.squares1),
            ("stable sums", self.n0, self.sum0, self.squares0),
        ] {
            finite(what, sum)?;
            not_negative(what, squares)?;
            // Cauchy-Schwarz, with room for rounding.
            let impossible = (n == 0 && (sum != 0.0 || squares != 0.0))
                || sum * sum > squares * n as f64 * (1.0 + 1e-9) + 1e-12;
            if impossible || !(sum * sum).is_finite() {
                return Err(JudgeError::OutOfRange {
                    what,
                    got: sum,
                    rule: "possible: sum squared at most n times the sum of squares",
                });
            }
        }
        Ok(())
    }

    fn spread(&self) -> (f64, f64) {
        let part = |n: u64, sum: f64, squares: f64| {
            if n < 2 { (0.0, 0.0) } else { ((squares - sum * sum / n as f64).max(0.0), n as f64 - 1.0) }
        };
        let (a, b) = (part(self.n1, self.sum1, self.squares1), part(self.n0, self.sum0, self.squares0));
        (a.0 + b.0, a.1 + b.1)
    }
}

/// Which way the score is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Better {
    /// E.g. accuracy, confidence.
    Higher,
    /// E.g. latency, cost.
    Lower,
}

/// The e-process B3 on scores.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NormalMixture {
    claim: Claim,
    better: Better,
    margin: f64,
    tau: f64,
    burn_in: u64,
    s: f64,
    information: f64,
    /// Sum of I_i times the plain difference canary - stable, for the estimate.
    weighted_difference: f64,
    spread: f64,
    freedom: f64,
    n1: u64,
    n0: u64,
    temper: f64,
    max_log_e: f64,
}

impl NormalMixture {
    /// Evidence about mean harm = how much worse the canary's mean is, in the unit of the score.
    ///
    /// `Claim::Harm` is H0: harm <= margin; `Claim::NoHarm` is H0: harm >= margin. `tau` is the size of effect
    /// one cares about (beyond the margin), same unit. Nothing is counted before `burn_in` canary scores have
    /// been seen (300 recommended), and the first interval only serves the variance.
    ///
    /// # Errors
    /// `tau` not above 0, `margin` negative, or not finite.
    pub fn new(
        claim: Claim,
        better: Better,
        margin: f64,
        tau: f64,
        burn_in: u64,
    ) -> Result<Self, JudgeError> {
        not_negative("margin", margin)?;
        positive("tau", tau)?;
        Ok(Self {
            claim,
            better,
            margin,
            tau,
            burn_in,
            s: 0.0,
            information: 0.0,
            weighted_difference: 0.0,
            spread: 0.0,
            freedom: 0.0,
            n1: 0,
            n0: 0,
            temper: 1.0,
            max_log_e: 0.0,
        })
    }

    /// Adds one interval.
    ///
    /// # Errors
    /// Sums that no scores can have, or not finite; the state is then unchanged.
    pub fn update(&mut self, stratum: &ScoreStratum) -> Result<(), JudgeError> {
        stratum.check()?;
        let variance = self.variance();
        if let Some(s2) = variance.filter(|v| *v > 0.0)
            && self.n1 >= self.burn_in
            && stratum.n1 > 0
            && stratum.n0 > 0
        {
            let (n1, n0) = (stratum.n1 as f64, stratum.n0 as f64);
            let difference = stratum.sum1 / n1 - stratum.sum0 / n0;
            let information = n1 * n0 / (n1 + n0) / s2;
            let harm = match self.better {
                Better::Higher => -difference,
                Better::Lower => difference,
            };
            let signed = match self.claim {
                Claim::Harm => harm - self.margin,
                Claim::NoHarm => self.margin - harm,
            };
            let (s, i) = (self.s + signed * information, self.information + information);
            if !(s.is_finite() && i.is_finite() && (s * s).is_finite()) {
                return Err(JudgeError::NotFinite { what: "information of the interval", index: 0 });
            }
            (self.s, self.information) = (s, i);
            self.weighted_difference += difference * information;
        }
        let (spread, freedom) = stratum.spread();
        self.spread += spread;
        self.freedom += freedom;
        self.n1 = self.n1.saturating_add(stratum.n1);
        self.n0 = self.n0.saturating_add(stratum.n0);
        self.max_log_e = self.max_log_e.max(self.log_e());
        Ok(())
    }

    /// Adds the evidence gathered on other requests (another sidecar).
    ///
    /// # Errors
    /// Different configuration.
    pub fn merge(&mut self, other: &Self) -> Result<(), JudgeError> {
        let same = (self.claim, self.better, self.burn_in) == (other.claim, other.better, other.burn_in);
        if !same || (self.margin, self.tau, self.temper) != (other.margin, other.tau, other.temper) {
            return Err(JudgeError::Mismatch { what: "two normal mixtures" });
        }
        self.s += other.s;
        self.information += other.information;
        self.weighted_difference += other.weighted_difference;
        self.spread += other.spread;
        self.freedom += other.freedom;
        self.n1 = self.n1.saturating_add(other.n1);
        self.n0 = self.n0.saturating_add(other.n0);
        self.max_log_e = self.max_log_e.max(self.log_e());
        Ok(())
    }

    /// B11: divides the information by the design effect (values below 1 count as 1).
    ///
    /// # Errors
    /// `deff` not finite.
    pub fn set_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.temper = finite("design effect", deff)?.max(1.0);
        Ok(())
    }

    /// Pooled variance within intervals and arms so far; `None` before two scores fell into one interval.
    pub fn variance(&self) -> Option<f64> {
        (self.freedom > 0.0).then(|| self.spread / self.freedom)
    }

    /// Weighted difference of means, canary - stable; `None` while nothing was counted.
    pub fn estimate(&self) -> Option<f64> {
        (self.information > 0.0).then(|| self.weighted_difference / self.information)
    }

    /// Confidence sequence of the difference of means, canary - stable; `None` while nothing was counted.
    ///
    /// # Errors
    /// `alpha` outside (0, 1).
    pub fn interval(&self, alpha: f64) -> Result<Option<Interval>, JudgeError> {
        let radius = normal_mixture_radius(self.tau, self.information / self.temper, alpha)?;
        Ok(self.estimate().map(|mid| Interval {
            lo: mid - radius,
            hi: mid + radius,
            level: 1.0 - alpha,
            anytime: true,
        }))
    }

    /// Canary and stable scores seen.
    pub fn counts(&self) -> (u64, u64) {
        (self.n1, self.n0)
    }

    /// The margin.
    pub fn margin(&self) -> f64 {
        self.margin
    }
}

impl EProcess for NormalMixture {
    type Observation = ScoreStratum;
    type Mark = (f64, f64);

    fn observe(&mut self, observation: &ScoreStratum) -> Result<(), JudgeError> {
        self.update(observation)
    }

    fn log_e(&self) -> f64 {
        log_e(self.tau, self.s / self.temper, self.information / self.temper, true)
    }

    fn max_log_e(&self) -> f64 {
        self.max_log_e
    }

    fn mark(&self) -> (f64, f64) {
        (self.s, self.information)
    }

    fn log_e_since(&self, mark: &(f64, f64)) -> f64 {
        let i = (self.information - mark.1).max(0.0);
        log_e(self.tau, (self.s - mark.0) / self.temper, i / self.temper, true)
    }
}
