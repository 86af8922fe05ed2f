//! The canary alone against a fixed limit.

use judge::JudgeError;
use judge::anytime::{Claim, Guardrail, Trials};
use serde::{Deserialize, Serialize};
use spec::{Limit, Metric};

use super::mean::LimitedMean;
use super::measure::{TAIL, trials};
use super::process::{Proof, Shifts, Watch};
use crate::Counts;

/// Tests of one arm against a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limited {
    /// Shares, and percentiles as the share of requests beyond a time.
    Rate {
        /// Which share.
        metric: Metric,
        /// Percentiles: the time that passes, in milliseconds.
        pass_ms: Option<u64>,
        /// Percentiles: the time beyond which it fails, in milliseconds.
        fail_ms: Option<u64>,
        /// Proven beyond what fails.
        fail: Watch<Guardrail>,
        /// Proven beyond what passes, where that is another limit.
        beyond: Option<Watch<Guardrail>>,
        /// Proven within what passes.
        pass: Proof<Guardrail>,
    },
    /// Means of scores.
    Mean {
        /// Proven beyond what fails.
        fail: Watch<Shifts<LimitedMean>>,
        /// Proven beyond what passes, where that is another limit.
        beyond: Option<Watch<Shifts<LimitedMean>>>,
        /// Proven within what passes.
        pass: Proof<LimitedMean>,
    },
}

impl Limited {
    pub(super) fn new(metric: Metric, limit: Limit, burn_in: u64) -> Result<Self, JudgeError> {
        #[allow(clippy::float_cmp)] // the same number, not the same result
        let two = limit.fail != limit.pass;
        if metric == Metric::ConfidenceMean {
            // A twentieth of the limit is worth finding.
            let tau = (limit.pass.abs() * 0.05).max(1e-3);
            let mean = |claim, limit| LimitedMean::new(claim, limit, tau, burn_in);
            return Ok(Self::Mean {
                fail: Watch::new(Shifts::new(mean(Claim::Harm, limit.fail), tau)),
                beyond: two.then(|| Watch::new(Shifts::new(mean(Claim::Harm, limit.pass), tau))),
                pass: Proof::new(mean(Claim::NoHarm, limit.pass)),
            });
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // below a year, not negative
        let ms = |limit: f64| (metric == Metric::LatencyP99).then_some(limit.round() as u64);
        let share = |limit: f64| if metric == Metric::LatencyP99 { TAIL } else { limit };
        Ok(Self::Rate {
            metric,
            pass_ms: ms(limit.pass),
            fail_ms: ms(limit.fail),
            fail: Watch::new(Guardrail::harm(share(limit.fail))?),
            beyond: two.then(|| Guardrail::harm(share(limit.pass)).map(Watch::new)).transpose()?,
            pass: Proof::new(Guardrail::no_harm(share(limit.pass))?),
        })
    }

    /// Adds an interval; to the stage's proof only when it belongs to the stage.
    pub(super) fn observe(&mut self, canary: &Counts, of_stage: bool) -> Result<(), JudgeError> {
        match self {
            Self::Rate { metric, pass_ms, fail_ms, fail, beyond, pass } => {
                let all = canary.latency.total();
                // Of the bin a limit falls into nobody knows which side: it counts against whoever has to prove.
                let surely = |ms: &Option<u64>| {
                    ms.map_or_else(
                        || trials(*metric, canary),
                        |ms| Trials { n: all, k: canary.latency.longer_than(ms) },
                    )
                };
                let perhaps = |ms: &Option<u64>| {
                    ms.map_or_else(
                        || trials(*metric, canary),
                        |ms| Trials { n: all, k: canary.latency.perhaps_longer_than(ms) },
                    )
                };
                fail.observe(&surely(fail_ms))?;
                if let Some(beyond) = beyond {
                    beyond.observe(&surely(pass_ms))?;
                }
                if of_stage { pass.observe(&perhaps(pass_ms)) } else { Ok(()) }
            }
            Self::Mean { fail, beyond, pass } => {
                fail.observe(&canary.confidence)?;
                if let Some(beyond) = beyond {
                    beyond.observe(&canary.confidence)?;
                }
                if of_stage { pass.observe(&canary.confidence) } else { Ok(()) }
            }
        }
    }

    pub(super) fn forget(&mut self) {
        match self {
            Self::Rate { fail, beyond, .. } => {
                fail.forget();
                beyond.iter_mut().for_each(Watch::forget);
            }
            Self::Mean { fail, beyond, .. } => {
                fail.forget();
                beyond.iter_mut().for_each(Watch::forget);
            }
        }
    }

    pub(super) fn begin_stage(&mut self) {
        match self {
            Self::Rate { pass, .. } => pass.begin_stage(),
            Self::Mean { pass, .. } => pass.begin_stage(),
        }
    }

    /// Weakens all evidence by the design effect; means know none.
    pub(super) fn temper(&mut self, deff: f64) -> Result<(), JudgeError> {
        if let Self::Rate { fail, beyond, pass, .. } = self {
            fail.set_design_effect(deff);
            if let Some(beyond) = beyond {
                beyond.set_design_effect(deff);
            }
            pass.process_mut().set_design_effect(deff)?;
        }
        Ok(())
    }

    /// ln of the evidence (harm, beyond what passes, proof).
    pub(super) fn log_e(&self) -> (f64, Option<f64>, f64) {
        match self {
            Self::Rate { fail, beyond, pass, .. } => {
                (fail.log_e(), beyond.as_ref().map(Watch::log_e), pass.log_e())
            }
            Self::Mean { fail, beyond, pass } => {
                (fail.log_e(), beyond.as_ref().map(Watch::log_e), pass.log_e())
            }
        }
    }
}
