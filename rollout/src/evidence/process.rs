//! The two ways a test is used: watched through the whole run for harm, and asked anew in each stage for proof.

use judge::JudgeError;
use judge::anytime::{EProcess, Guardrail, RateRatio, TailRatio, Trials};
use judge::special::log_sum_exp;
use serde::{Deserialize, Serialize};

/// A test that is a plain average of likelihood ratios, one per size of effect.
pub trait Ratios {
    /// What one interval brings.
    type Observation;

    /// Adds an interval and returns by how much each ln L grew.
    ///
    /// # Errors
    /// Input that cannot be right; nothing is added.
    fn grow(&mut self, observation: &Self::Observation) -> Result<Vec<f64>, JudgeError>;
}

impl Ratios for RateRatio {
    type Observation = judge::anytime::Stratum;

    fn grow(&mut self, stratum: &Self::Observation) -> Result<Vec<f64>, JudgeError> {
        let before = self.mark();
        self.observe(stratum)?;
        Ok(self.mark().iter().zip(&before).map(|(after, before)| after - before).collect())
    }
}

impl Ratios for TailRatio {
    type Observation = judge::anytime::TailStratum;

    fn grow(&mut self, interval: &Self::Observation) -> Result<Vec<f64>, JudgeError> {
        let before = self.mark();
        self.observe(interval)?;
        let after = self.mark();
        Ok(after
            .iter()
            .flatten()
            .zip(before.iter().flatten())
            .map(|(after, before)| after - before)
            .collect())
    }
}

impl Ratios for Guardrail {
    type Observation = Trials;

    fn grow(&mut self, trials: &Trials) -> Result<Vec<f64>, JudgeError> {
        self.observe(trials)?;
        #[allow(clippy::cast_precision_loss)] // counts below 2^53
        let (n, k) = (trials.n as f64, trials.k as f64);
        // 1.1 to 16 times the limit, as the test itself has it.
        let factors = (0..20).map(|i| (1.1_f64.ln() + f64::from(i) / 19.0 * (16.0_f64 / 1.1).ln()).exp());
        Ok(factors.map(|factor| k * factor.ln() - n * self.limit() * (factor - 1.0)).collect())
    }
}

/// A test of means, as an average over shifts of a quarter to four times the size that matters: a shift d has
/// ln L = d S - d^2 I / 2, at most an e-value while the mean is on the good side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shifts<P> {
    process: P,
    tau: f64,
}

impl<P> Shifts<P> {
    pub(super) const fn new(process: P, tau: f64) -> Self {
        Self { process, tau }
    }
}

impl<P: EProcess<Mark = (f64, f64)>> Ratios for Shifts<P> {
    type Observation = P::Observation;

    fn grow(&mut self, observation: &P::Observation) -> Result<Vec<f64>, JudgeError> {
        let before = self.process.mark();
        self.process.observe(observation)?;
        let after = self.process.mark();
        let (s, information) = (after.0 - before.0, after.1 - before.1);
        let shifts = [0.25, 0.5, 1.0, 2.0, 4.0].map(|times| times * self.tau);
        Ok(shifts.iter().map(|shift| shift * s - shift * shift * information / 2.0).collect())
    }
}

/// Watches for harm through all stages, whenever it begins (statistics B10).
///
/// A test that saw a healthy hour has learnt to expect health, and forgets it slowly. So the test is begun afresh at
/// every interval, the j-th beginning with prior weight w_j: a half for the first, 1/(2 j (j-1)) for later ones, one
/// in all. M = sum over j of w_j E_j, with E_j = 1 before its beginning, is an e-process; and with one number per
/// size of effect, S <- (S + w_j) L, it costs no more than a single test. Harm that is there from the start pays ln 2
/// for this, harm that begins at the j-th interval ln(2 j (j-1)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch<P> {
    process: P,
    /// ln S per size of effect; empty before the first interval.
    log_s: Vec<f64>,
    /// Intervals seen.
    seen: u32,
    /// The design effect the evidence is divided by (statistics B11).
    deff: f64,
}

impl<P: Ratios> Watch<P> {
    pub(super) const fn new(process: P) -> Self {
        Self { process, log_s: Vec::new(), seen: 0, deff: 1.0 }
    }

    pub(super) fn observe(&mut self, observation: &P::Observation) -> Result<(), JudgeError> {
        let growth = self.process.grow(observation)?;
        if growth.iter().all(|growth| *growth == 0.0) {
            return Ok(()); // nothing was seen: no beginning is spent on it
        }
        self.seen = self.seen.saturating_add(1);
        let j = f64::from(self.seen);
        let weight = if self.seen == 1 { 0.5_f64.ln() } else { -(2.0 * j * (j - 1.0)).ln() };
        if self.log_s.len() == growth.len() {
            for (log_s, growth) in self.log_s.iter_mut().zip(growth) {
                *log_s = log_sum_exp([*log_s, weight].into_iter()) + growth / self.deff;
            }
        } else {
            self.log_s = growth.into_iter().map(|growth| weight + growth / self.deff).collect();
        }
        Ok(())
    }

    /// A named person set the evidence so far aside.
    pub(super) fn forget(&mut self) {
        self.log_s.clear();
        self.seen = 0;
    }

    pub(super) fn set_design_effect(&mut self, deff: f64) {
        self.deff = deff.max(1.0);
    }

    /// ln M.
    pub(super) fn log_e(&self) -> f64 {
        if self.log_s.is_empty() {
            return 0.0;
        }
        #[allow(clippy::cast_precision_loss)] // at most a few hundred
        let begun = log_sum_exp(self.log_s.iter().copied()) - (self.log_s.len() as f64).ln();
        let to_come = -(2.0 * f64::from(self.seen)).ln();
        log_sum_exp([begun, to_come].into_iter())
    }
}

/// Gathers proof, stage by stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(
    serialize = "P: Serialize, P::Mark: Serialize",
    deserialize = "P: Deserialize<'de>, P::Mark: Deserialize<'de>"
))]
pub struct Proof<P: EProcess> {
    process: P,
    stage: P::Mark,
}

impl<P: EProcess> Proof<P> {
    pub(super) fn new(process: P) -> Self {
        let stage = process.mark();
        Self { process, stage }
    }

    pub(super) fn observe(&mut self, observation: &P::Observation) -> Result<(), JudgeError> {
        self.process.observe(observation)
    }

    /// What was gathered counts no more; what was learnt (the spread, the edges) stays.
    pub(super) fn begin_stage(&mut self) {
        self.stage = self.process.mark();
    }

    pub(super) fn log_e(&self) -> f64 {
        self.process.log_e_since(&self.stage)
    }

    pub(super) fn process_mut(&mut self) -> &mut P {
        &mut self.process
    }
}

/// ln of the plain average of two e-values: an e-value for what both claim.
pub(super) fn either(a: f64, b: f64) -> f64 {
    judge::anytime::average(&[(1.0, a), (1.0, b)]).unwrap_or(0.0)
}
