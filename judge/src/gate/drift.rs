//! A gate on the distribution of something binned: predictions, classes, input features, similarities.

use super::{GateSettings, Look, Unit, significant};
use crate::anytime::{
    BucketDrift, BucketStratum, Claim, EProcess, Order, Restart, StochasticOrder, TailStratum,
};
use crate::classical::psi;
use crate::verdict::{Correction, Effect, Evidence, Finding, Verdict};
use crate::{JUDGE, JudgeError};

/// Shares are floored here for the displayed stability index.
const PSI_FLOOR: f64 = 1e-4;

/// Compares two binned distributions. Buckets should be in a meaningful order; 10 to 20 are enough.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DriftGate {
    settings: GateSettings,
    margin: f64,
    harm: Restart<BucketDrift>,
    no_harm: StochasticOrder,
}

impl DriftGate {
    /// Fails when some bucket's share is proven to have changed by more than the factor `harm_ratio` (1: at
    /// all; 1.25 forgives small shifts), passes when the largest difference of the distribution functions is
    /// proven below `margin` (0.1 is usual). [`Unit::Grouped`] is treated as unknown.
    ///
    /// # Errors
    /// Fewer than 2 buckets, `harm_ratio` below 1, `margin` outside (0, 1], or bad settings.
    pub fn new(
        settings: GateSettings,
        buckets: usize,
        harm_ratio: f64,
        margin: f64,
    ) -> Result<Self, JudgeError> {
        settings.check()?;
        let process = BucketDrift::new(buckets, harm_ratio)?;
        let harm = Restart::new(process, settings.first_weight, settings.restarts, settings.restart_every)?;
        let no_harm = StochasticOrder::new(Claim::NoHarm, Order::Either, margin)?;
        Ok(Self { settings, margin, harm, no_harm })
    }

    /// Adds one interval of constant weights, all sidecars summed.
    ///
    /// # Errors
    /// A different number of buckets; the gate then stays as it was.
    pub fn observe(&mut self, interval: &BucketStratum) -> Result<(), JudgeError> {
        self.harm.observe(interval)?;
        let bins = |counts: &[u64]| (0..).zip(counts).map(|(bin, count)| (bin, *count)).collect();
        let (canary, stable) = (bins(&interval.canary), bins(&interval.stable));
        self.no_harm.update(&TailStratum { canary, stable });
        Ok(())
    }

    /// Begins a stage: starts a fresh copy of the harm test beside the running ones.
    pub fn begin_stage(&mut self) {
        self.harm.begin();
    }

    /// The answer now; `at_end` when the stage is over. The estimate is the largest difference of the
    /// distribution functions, the effect the population stability index.
    pub fn finding(&self, at_end: bool) -> Finding {
        let no_harm_p = self.no_harm.p_value();
        let look = Look {
            harm: self.harm.max_log_e(),
            no_harm: -no_harm_p.max(f64::MIN_POSITIVE).ln(),
            above_floor: true,
            at_end,
            unit_unknown: self.settings.unit != Unit::Request,
        };
        let verdict = self.settings.decide(look);
        let total = self.harm.process().total();
        let sum = |counts: &[u64]| counts.iter().fold(0u64, |s, c| s.saturating_add(*c));
        let (n_canary, n_control) = (sum(&total.canary), sum(&total.stable));
        let floats = |counts: &[u64]| counts.iter().map(|c| *c as f64).collect::<Vec<_>>();
        let index = psi(&floats(&total.stable), &floats(&total.canary), PSI_FLOOR).ok();
        let distance = (n_canary > 0 && n_control > 0).then(|| self.no_harm.distance());
        let measured = format!(
            "distance {} and PSI {} over {n_canary} canary and {n_control} stable values",
            distance.map_or("unknown".to_owned(), significant),
            index.map_or("unknown".to_owned(), significant)
        );
        let below = format!("< {}", significant(self.margin));
        Finding {
            judge: JUDGE.to_owned(),
            gate: self.settings.name.clone(),
            verdict,
            estimate: distance,
            bound: Some(if verdict == Verdict::Fail { 0.0 } else { self.margin }),
            interval: None,
            n_canary,
            n_control,
            effect: index.map(|value| Effect { name: "PSI".to_owned(), value }),
            evidence: Some(Evidence::LogE(look.harm)),
            evidence_no_harm: Some(Evidence::P(no_harm_p)),
            correction: Correction::AlphaShare { alpha: self.settings.alpha_harm },
            why: self.settings.sentence(verdict, look, &measured, ("changed", &below)),
        }
    }
}
