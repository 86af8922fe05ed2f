//! B10: harm that begins late (a leak, a cache filling up, the daily peak).
//!
//! A test that has watched a healthy hour has learnt to expect health. So the same test is begun afresh every
//! few intervals and at each stage, and the evidence is the weighted average of all of them, with 1 for those
//! not yet begun; averages of e-processes are e-processes. Cf. Shin, Ramdas, Rinaldo, "E-detectors", 2023.

use super::EProcess;
use crate::JudgeError;
use crate::error::fraction;
use crate::special::log_sum_exp;

/// Any e-process with restarts.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(
        serialize = "P: serde::Serialize, P::Mark: serde::Serialize",
        deserialize = "P: serde::Deserialize<'de>, P::Mark: serde::Deserialize<'de>"
    ))
)]
pub struct Restart<P: EProcess> {
    process: P,
    marks: Vec<P::Mark>,
    first_weight: f64,
    planned: u32,
    every: u32,
    seen: u32,
    max_log_e: f64,
}

impl<P: EProcess> Restart<P> {
    /// Wraps `process`, beginning afresh every `every` intervals (0: only on [`Restart::begin`]).
    ///
    /// The first start has weight `first_weight`. Of the rest, the first `planned` restarts share 85 % equally,
    /// the next as many share 85 % of what remains, and so on, up to 64 restarts. Harm from the beginning then
    /// pays ln(1/first_weight), harm that begins late about ln(planned/(1 - first_weight)), 1.9 more per round.
    ///
    /// # Errors
    /// `first_weight` outside (0, 1), or `planned` 0.
    pub fn new(process: P, first_weight: f64, planned: u32, every: u32) -> Result<Self, JudgeError> {
        fraction("first_weight", first_weight)?;
        if planned == 0 {
            return Err(JudgeError::OutOfRange { what: "planned", got: 0.0, rule: "1 or more" });
        }
        Ok(Self { process, marks: vec![], first_weight, planned, every, seen: 0, max_log_e: 0.0 })
    }

    /// Begins a fresh copy now; ignored after 64 restarts.
    pub fn begin(&mut self) {
        if self.marks.len() < MOST {
            self.marks.push(self.process.mark());
        }
    }

    /// The wrapped test.
    pub fn process(&self) -> &P {
        &self.process
    }

    /// The wrapped test, for setting a design effect; do not feed it directly.
    pub fn process_mut(&mut self) -> &mut P {
        &mut self.process
    }

    /// Weight of restart number `index`.
    fn share(&self, index: usize) -> f64 {
        let round = index / self.planned as usize;
        let rest = (1.0 - self.first_weight) * LEFT_OVER.powi(round as i32);
        rest * (1.0 - LEFT_OVER) / f64::from(self.planned)
    }
}

/// Share of the weight each round leaves to the later ones.
const LEFT_OVER: f64 = 0.15;
/// Most restarts: bounds the memory of a rollout that runs for days.
const MOST: usize = 64;

impl<P: EProcess> EProcess for Restart<P> {
    type Observation = P::Observation;
    type Mark = P::Mark;

    fn observe(&mut self, observation: &P::Observation) -> Result<(), JudgeError> {
        self.process.observe(observation)?;
        self.seen = self.seen.saturating_add(1);
        self.max_log_e = self.max_log_e.max(self.log_e());
        if self.every > 0 && self.seen.is_multiple_of(self.every) {
            self.begin();
        }
        Ok(())
    }

    fn log_e(&self) -> f64 {
        let mut terms = vec![self.first_weight.ln() + self.process.log_e()];
        let mut idle = 1.0 - self.first_weight;
        for (index, mark) in self.marks.iter().enumerate() {
            let share = self.share(index);
            idle -= share;
            terms.push(share.ln() + self.process.log_e_since(mark));
        }
        // What has not begun yet holds its value 1.
        terms.push(idle.max(f64::MIN_POSITIVE).ln());
        log_sum_exp(terms.iter().copied())
    }

    fn max_log_e(&self) -> f64 {
        self.max_log_e
    }

    fn mark(&self) -> P::Mark {
        self.process.mark()
    }

    fn log_e_since(&self, mark: &P::Mark) -> f64 {
        self.process.log_e_since(mark)
    }
}
