//! The canary against stable at the same moments.

use judge::JudgeError;
use judge::anytime::{Better, Claim, Guardrail, NormalMixture, RateRatio, TailRatio};
use serde::{Deserialize, Serialize};
use spec::{Against, Metric};

use super::measure::{TAIL, bins_of, scores, stratum, tails, trials};
use super::process::{Proof, Shifts, Watch, either};
use crate::{Counts, Moments};

/// Tests of two arms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relative {
    /// Shares: the ratio of two rates (B1).
    Rate {
        /// Which share.
        metric: Metric,
        /// Proven worse than stable by more than the harm factor.
        harm: Watch<RateRatio>,
        /// And proven above the rate below which worse is no harm.
        worth: Option<Watch<Guardrail>>,
        /// Proven beyond the margin, where harm begins later.
        beyond: Option<Watch<RateRatio>>,
        /// Proven within the margin.
        proof: Proof<RateRatio>,
        /// Or proven below the rate that is good in any case.
        good: Option<Proof<Guardrail>>,
    },
    /// Answer times: the ratio of tails beyond stable's own quantiles (B8), the canary's times divided by the factor.
    Tail {
        /// Proven slower by more than the harm factor.
        harm: Watch<TailRatio>,
        /// The harm factor, in bins.
        harm_bins: u16,
        /// Proven beyond the margin, where harm begins later.
        beyond: Option<Watch<TailRatio>>,
        /// Proven within the margin at the 99th percentile.
        proof: Proof<TailRatio>,
        /// Or proven not to put many more requests beyond stable's 99th percentile.
        few: Proof<TailRatio>,
        /// The margin, in bins.
        margin_bins: u16,
    },
    /// Means of scores: the difference of two means (B3). Its margins are parts of stable's mean, so it begins when
    /// that is known.
    Mean {
        /// What was asked.
        against: Against,
        /// Canary scores before anything counts.
        burn_in: u64,
        /// Stable's scores of before the beginning.
        stable: Moments,
        /// The tests, once begun.
        tests: Option<Means>,
    },
}

/// The tests of two means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Means {
    harm: Watch<Shifts<NormalMixture>>,
    beyond: Option<Watch<Shifts<NormalMixture>>>,
    proof: Proof<NormalMixture>,
}

impl Relative {
    pub(super) fn new(metric: Metric, against: Against, burn_in: u64) -> Result<Self, JudgeError> {
        let late_harm = against.harm > against.margin;
        Ok(match metric {
            // External figures have no counts and never come here.
            Metric::ErrorRate
            | Metric::Overdue
            | Metric::GoneRate
            | Metric::ExternalLow
            | Metric::ExternalHigh => Self::Rate {
                metric,
                harm: Watch::new(RateRatio::harm(against.harm)?),
                worth: (against.ignore_below > 0.0)
                    .then(|| Guardrail::harm(against.ignore_below).map(Watch::new))
                    .transpose()?,
                beyond: late_harm.then(|| RateRatio::harm(against.margin).map(Watch::new)).transpose()?,
                proof: Proof::new(RateRatio::no_harm(against.margin)?),
                good: (against.pass_below > 0.0)
                    .then(|| Guardrail::no_harm(against.pass_below).map(Proof::new))
                    .transpose()?,
            },
            Metric::LatencyP99 => Self::Tail {
                harm: Watch::new(TailRatio::harm(1.0)?),
                harm_bins: bins_of(against.harm, true),
                beyond: late_harm.then(|| TailRatio::harm(1.0).map(Watch::new)).transpose()?,
                proof: Proof::new(TailRatio::new(1.0, Claim::NoHarm, &[1.0 - TAIL])?),
                few: Proof::new(TailRatio::new(more_beyond(against.margin), Claim::NoHarm, &[1.0 - TAIL])?),
                margin_bins: bins_of(against.margin, false),
            },
            Metric::ConfidenceMean => {
                Self::Mean { against, burn_in, stable: Moments::default(), tests: None }
            }
        })
    }

    /// Adds an interval; to the stage's proof only when it belongs to the stage.
    pub(super) fn observe(
        &mut self,
        canary: &Counts,
        control: &Counts,
        of_stage: bool,
    ) -> Result<(), JudgeError> {
        match self {
            Self::Rate { metric, harm, worth, beyond, proof, good } => {
                let (both, one) = (stratum(*metric, canary, control), trials(*metric, canary));
                harm.observe(&both)?;
                if let Some(worth) = worth {
                    worth.observe(&one)?;
                }
                if let Some(beyond) = beyond {
                    beyond.observe(&both)?;
                }
                if of_stage {
                    proof.observe(&both)?;
                    if let Some(good) = good {
                        good.observe(&one)?;
                    }
                }
                Ok(())
            }
            Self::Tail { harm, harm_bins, beyond, proof, few, margin_bins } => {
                harm.observe(&tails(&canary.latency, &control.latency, *harm_bins))?;
                if let Some(beyond) = beyond {
                    let up = margin_bins.saturating_add(1);
                    beyond.observe(&tails(&canary.latency, &control.latency, up))?;
                }
                if of_stage {
                    proof.observe(&tails(&canary.latency, &control.latency, *margin_bins))?;
                    few.observe(&tails(&canary.latency, &control.latency, 0))?;
                }
                Ok(())
            }
            Self::Mean { against, burn_in, stable, tests } => {
                let Some(tests) = tests else {
                    *stable = sum(*stable, control.confidence);
                    *tests = Means::new(*against, *burn_in, *stable)?;
                    return Ok(());
                };
                let both = scores(canary.confidence, control.confidence);
                tests.harm.observe(&both)?;
                if let Some(beyond) = &mut tests.beyond {
                    beyond.observe(&both)?;
                }
                if of_stage { tests.proof.observe(&both) } else { Ok(()) }
            }
        }
    }

    pub(super) fn forget(&mut self) {
        match self {
            Self::Rate { harm, worth, beyond, .. } => {
                harm.forget();
                worth.iter_mut().for_each(Watch::forget);
                beyond.iter_mut().for_each(Watch::forget);
            }
            Self::Tail { harm, beyond, .. } => {
                harm.forget();
                beyond.iter_mut().for_each(Watch::forget);
            }
            Self::Mean { tests, .. } => {
                if let Some(Means { harm, beyond, .. }) = tests {
                    harm.forget();
                    beyond.iter_mut().for_each(Watch::forget);
                }
            }
        }
    }

    pub(super) fn begin_stage(&mut self) {
        match self {
            Self::Rate { proof, good, .. } => {
                proof.begin_stage();
                good.iter_mut().for_each(Proof::begin_stage);
            }
            Self::Tail { proof, few, .. } => {
                proof.begin_stage();
                few.begin_stage();
            }
            Self::Mean { tests, .. } => {
                if let Some(tests) = tests {
                    tests.proof.begin_stage();
                }
            }
        }
    }

    /// Weakens the evidence on rates by the design effect.
    pub(super) fn temper(&mut self, deff: f64) -> Result<(), JudgeError> {
        if let Self::Rate { harm, worth, beyond, proof, good, .. } = self {
            harm.set_design_effect(deff);
            proof.process_mut().set_design_effect(deff)?;
            if let Some(worth) = worth {
                worth.set_design_effect(deff);
            }
            if let Some(beyond) = beyond {
                beyond.set_design_effect(deff);
            }
            if let Some(good) = good {
                good.process_mut().set_design_effect(deff)?;
            }
        }
        Ok(())
    }

    /// ln of the evidence (harm, beyond the margin, proof).
    pub(super) fn log_e(&self) -> (f64, Option<f64>, f64) {
        match self {
            Self::Rate { harm, worth, beyond, proof, good, .. } => (
                // Both must be proven, so the weaker counts.
                worth.as_ref().map_or_else(|| harm.log_e(), |worth| harm.log_e().min(worth.log_e())),
                beyond.as_ref().map(Watch::log_e),
                good.as_ref().map_or_else(|| proof.log_e(), |good| either(proof.log_e(), good.log_e())),
            ),
            Self::Tail { harm, beyond, proof, few, .. } => {
                (harm.log_e(), beyond.as_ref().map(Watch::log_e), either(proof.log_e(), few.log_e()))
            }
            Self::Mean { tests, .. } => tests.as_ref().map_or((0.0, None, 0.0), |tests| {
                (tests.harm.log_e(), tests.beyond.as_ref().map(Watch::log_e), tests.proof.log_e())
            }),
        }
    }
}

/// How many times as many requests beyond stable's 99th percentile are still within a margin on that percentile.
///
/// Where times lie in clusters (cache hits and misses), no canary's times divided by the margin need fall below
/// stable's edge, although the two are alike; then the number beyond the edge must do. A lognormal's tail beyond p99
/// grows by more than this when it is stretched by the margin, up to a sigma of 0.9, so the claim is no weaker.
pub(super) fn more_beyond(margin: f64) -> f64 {
    (1.0 + 2.0 * (margin - 1.0)).min(3.0)
}

impl Means {
    /// Begins when stable's mean rests on enough scores; later intervals are compared, so knowing it costs nothing.
    fn new(against: Against, burn_in: u64, stable: Moments) -> Result<Option<Self>, JudgeError> {
        #[allow(clippy::cast_precision_loss)] // counts below 2^53
        let mean = stable.sum / stable.n as f64;
        if stable.n < 100 || !mean.is_finite() || mean == 0.0 {
            return Ok(None);
        }
        let scale = mean.abs();
        let (margin, harm) = (against.margin * scale, against.harm * scale);
        // The margin is the size that matters, for harm as for proof.
        let test = |claim, from: f64| NormalMixture::new(claim, Better::Higher, from, margin, burn_in);
        let watch = |from: f64| test(Claim::Harm, from).map(|test| Watch::new(Shifts::new(test, margin)));
        Ok(Some(Self {
            harm: watch(harm)?,
            beyond: (harm > margin).then(|| watch(margin)).transpose()?,
            proof: Proof::new(test(Claim::NoHarm, margin)?),
        }))
    }
}

fn sum(a: Moments, b: Moments) -> Moments {
    Moments { n: a.n + b.n, sum: a.sum + b.sum, sum_squares: a.sum_squares + b.sum_squares }
}
