//! A gate on an event rate: errors, timeouts, wrong answers, lost conversions.

use super::{GateSettings, Look, UNKNOWN_DESIGN_EFFECT, Unit, design_effect, percent, significant};
use crate::anytime::{EProcess, Group, RateRatio, RatioSequence, Restart, Stratum};
use crate::verdict::{Correction, Effect, Evidence, Finding, Verdict};
use crate::{JUDGE, JudgeError};

/// Compares the canary's event rate with stable's.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RateGate {
    settings: GateSettings,
    margin: f64,
    floor: f64,
    harm: Restart<RateRatio>,
    no_harm: RateRatio,
    sequence: RatioSequence,
    design_effect: f64,
}

impl RateGate {
    /// Fails when the canary's rate is proven above `harm_ratio` (1: any increase) times stable's, passes when
    /// proven below `margin` times it (1.5 to 2 is usual). Below the absolute rate `floor` it never fails.
    ///
    /// # Errors
    /// Ratios not above 0, `margin` not above `harm_ratio`, `floor` negative, or bad settings.
    pub fn new(settings: GateSettings, harm_ratio: f64, margin: f64, floor: f64) -> Result<Self, JudgeError> {
        settings.check()?;
        crate::error::not_negative("floor", floor)?;
        let process = RateRatio::harm(harm_ratio)?;
        if crate::error::finite("margin", margin)? <= harm_ratio {
            let rule = "above the harm ratio";
            return Err(JudgeError::OutOfRange { what: "margin", got: margin, rule });
        }
        let harm = Restart::new(process, settings.first_weight, settings.restarts, settings.restart_every)?;
        let no_harm = RateRatio::no_harm(margin)?;
        let design = settings.initial_design_effect();
        let sequence = RatioSequence::default();
        let mut gate = Self { settings, margin, floor, harm, no_harm, sequence, design_effect: design };
        gate.apply_design_effect(design)?;
        Ok(gate)
    }

    fn apply_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.harm.process_mut().set_design_effect(deff)?;
        self.no_harm.set_design_effect(deff)?;
        self.sequence.set_design_effect(deff)?;
        self.design_effect = deff;
        Ok(())
    }

    /// Sets the cumulative counts per group of stable users; only for [`Unit::Grouped`].
    ///
    /// # Errors
    /// Too few groups or no events yet; the gate then stays as it was.
    pub fn set_groups(&mut self, groups: &[Group]) -> Result<(), JudgeError> {
        if self.settings.unit == Unit::Grouped {
            let deff = design_effect(groups)?;
            self.apply_design_effect(deff)?;
        }
        Ok(())
    }

    /// Adds one interval of constant weights, all sidecars summed.
    ///
    /// # Errors
    /// More events than requests; the gate then stays as it was.
    pub fn observe(&mut self, stratum: Stratum) -> Result<(), JudgeError> {
        self.harm.observe(&stratum)?;
        self.no_harm.update(stratum)?;
        self.sequence.update(stratum)
    }

    /// Begins a stage: starts a fresh copy of the harm test beside the running ones.
    pub fn begin_stage(&mut self) {
        self.harm.begin();
    }

    /// The ln e-values: the largest so far for harm, the current one for no harm.
    pub fn log_e(&self) -> (f64, f64) {
        (self.harm.max_log_e(), self.no_harm.log_e())
    }

    /// The answer now; `at_end` when the stage is over.
    pub fn finding(&self, at_end: bool) -> Finding {
        let total = self.no_harm.total();
        let rate = |k: u64, n: u64| if n == 0 { f64::NAN } else { k as f64 / n as f64 };
        let (canary, stable) = (rate(total.k1, total.n1), rate(total.k0, total.n0));
        let (harm, no_harm) = self.log_e();
        let look = Look {
            harm,
            no_harm,
            above_floor: canary.is_nan() || canary >= self.floor,
            at_end,
            unit_unknown: self.design_effect >= UNKNOWN_DESIGN_EFFECT,
        };
        let verdict = self.settings.decide(look);
        let interval = self.sequence.interval(self.settings.alpha_harm).ok();
        let estimate = self.sequence.estimate();
        let measured = match (estimate, interval) {
            (Some(ratio), Some(range)) => format!(
                "canary {} of {} against stable {} of {}, ratio {} [{}, {}]",
                percent(canary),
                total.n1,
                percent(stable),
                total.n0,
                significant(ratio),
                significant(range.lo),
                significant(range.hi)
            ),
            _ => format!("no events among {} canary and {} stable requests", total.n1, total.n0),
        };
        let above = format!("> {}", significant(self.harm.process().ratio()));
        let below = format!("< {}", significant(self.margin));
        Finding {
            judge: JUDGE.to_owned(),
            gate: self.settings.name.clone(),
            verdict,
            estimate,
            bound: Some(if verdict == Verdict::Fail { self.harm.process().ratio() } else { self.margin }),
            interval,
            n_canary: total.n1,
            n_control: total.n0,
            effect: estimate.map(|value| Effect { name: "rate ratio".to_owned(), value }),
            evidence: Some(Evidence::LogE(harm)),
            evidence_no_harm: Some(Evidence::LogE(no_harm)),
            correction: Correction::AlphaShare { alpha: self.settings.alpha_harm },
            why: self.settings.sentence(verdict, look, &measured, (&above, &below)),
        }
    }
}
