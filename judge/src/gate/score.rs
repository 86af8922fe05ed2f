//! A gate on the mean of a score: confidence, similarity, accuracy measured as a number.

use super::{GateSettings, Look, UNKNOWN_DESIGN_EFFECT, Unit, design_effect, significant};
use crate::anytime::{Better, Claim, EProcess, Group, NormalMixture, Restart, ScoreStratum};
use crate::verdict::{Correction, Effect, Evidence, Finding, Verdict};
use crate::{JUDGE, JudgeError};

/// Canary scores before the normal approximation is trusted.
const BURN_IN: u64 = 300;

/// Compares mean scores.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ScoreGate {
    settings: GateSettings,
    margin: f64,
    harm: Restart<NormalMixture>,
    no_harm: NormalMixture,
    design_effect: f64,
}

impl ScoreGate {
    /// Fails when the canary's mean is proven worse at all, passes when proven worse by less than `margin`
    /// (absolute, in the unit of the score). Nothing is concluded before 300 canary scores.
    ///
    /// # Errors
    /// `margin` not above 0 or bad settings.
    pub fn new(settings: GateSettings, better: Better, margin: f64) -> Result<Self, JudgeError> {
        settings.check()?;
        crate::error::positive("margin", margin)?;
        let process = NormalMixture::new(Claim::Harm, better, 0.0, margin, BURN_IN)?;
        let harm = Restart::new(process, settings.first_weight, settings.restarts, settings.restart_every)?;
        let no_harm = NormalMixture::new(Claim::NoHarm, better, margin, margin, BURN_IN)?;
        let design = settings.initial_design_effect();
        let mut gate = Self { settings, margin, harm, no_harm, design_effect: design };
        gate.apply_design_effect(design)?;
        Ok(gate)
    }

    fn apply_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.harm.process_mut().set_design_effect(deff)?;
        self.no_harm.set_design_effect(deff)?;
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
    /// Sums no scores can have; the gate then stays as it was.
    pub fn observe(&mut self, stratum: &ScoreStratum) -> Result<(), JudgeError> {
        self.harm.observe(stratum)?;
        self.no_harm.update(stratum)
    }

    /// Begins a stage: starts a fresh copy of the harm test beside the running ones.
    pub fn begin_stage(&mut self) {
        self.harm.begin();
    }

    /// The ln e-values: the largest so far for harm, the current one for no harm.
    pub fn log_e(&self) -> (f64, f64) {
        (self.harm.max_log_e(), self.no_harm.log_e())
    }

    /// The answer now; `at_end` when the stage is over. The estimate is mean(canary) - mean(stable).
    pub fn finding(&self, at_end: bool) -> Finding {
        let (harm, no_harm) = self.log_e();
        let look = Look {
            harm,
            no_harm,
            above_floor: true,
            at_end,
            unit_unknown: self.design_effect >= UNKNOWN_DESIGN_EFFECT,
        };
        let verdict = self.settings.decide(look);
        let (n1, n0) = self.no_harm.counts();
        let estimate = self.no_harm.estimate();
        let interval = self.no_harm.interval(self.settings.alpha_harm).ok().flatten();
        let measured = match (estimate, interval) {
            (Some(mid), Some(range)) => format!(
                "mean difference {} [{}, {}] from {n1} canary and {n0} stable scores",
                significant(mid),
                significant(range.lo),
                significant(range.hi)
            ),
            _ => format!("{n1} canary scores, {BURN_IN} needed before judging"),
        };
        let worse_by = format!("worse by less than {}", significant(self.margin));
        let effect = estimate.zip(self.no_harm.variance()).filter(|(_, v)| *v > 0.0);
        Finding {
            judge: JUDGE.to_owned(),
            gate: self.settings.name.clone(),
            verdict,
            estimate,
            bound: Some(if verdict == Verdict::Fail { 0.0 } else { self.margin }),
            interval,
            n_canary: n1,
            n_control: n0,
            effect: effect.map(|(mid, v)| Effect { name: "Cohen's d".to_owned(), value: mid / v.sqrt() }),
            evidence: Some(Evidence::LogE(harm)),
            evidence_no_harm: Some(Evidence::LogE(no_harm)),
            correction: Correction::AlphaShare { alpha: self.settings.alpha_harm },
            why: self.settings.sentence(verdict, look, &measured, ("worse", &worse_by)),
        }
    }
}
