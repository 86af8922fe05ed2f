//! A gate on latency: the canary's slow tail against stable's.

use super::{GateSettings, Look, UNKNOWN_DESIGN_EFFECT, Unit, design_effect, percent, significant};
use crate::anytime::{Bins, EProcess, Group, Restart, TailRatio, TailStratum, quantile_bin};
use crate::verdict::{Correction, Effect, Evidence, Finding, Verdict};
use crate::{JUDGE, JudgeError};

/// The quantile the sentence speaks of.
const REPORTED: f64 = 0.99;

/// Compares latency histograms.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LatencyGate {
    settings: GateSettings,
    margin: f64,
    harm: Restart<TailRatio>,
    no_harm: TailRatio,
    canary: Bins,
    design_effect: f64,
}

impl LatencyGate {
    /// Fails when more canary requests lie in stable's tail than `harm_ratio` (1) times stable's share, passes
    /// when proven below `margin` times that share at p50, p90 and p99. For orientation: with a lognormal
    /// latency (sigma 0.6) a p99 longer by 20 % nearly doubles the share above stable's p99.
    ///
    /// # Errors
    /// Ratios not above 0, `margin` not above `harm_ratio`, or bad settings.
    pub fn new(settings: GateSettings, harm_ratio: f64, margin: f64) -> Result<Self, JudgeError> {
        settings.check()?;
        let process = TailRatio::harm(harm_ratio)?;
        if crate::error::finite("margin", margin)? <= harm_ratio {
            let rule = "above the harm ratio";
            return Err(JudgeError::OutOfRange { what: "margin", got: margin, rule });
        }
        let harm = Restart::new(process, settings.first_weight, settings.restarts, settings.restart_every)?;
        let no_harm = TailRatio::no_harm(margin)?;
        let design = settings.initial_design_effect();
        let canary = Bins::new();
        let mut gate = Self { settings, margin, harm, no_harm, canary, design_effect: design };
        gate.apply_design_effect(design)?;
        Ok(gate)
    }

    fn apply_design_effect(&mut self, deff: f64) -> Result<(), JudgeError> {
        self.harm.process_mut().set_design_effect(deff)?;
        self.no_harm.set_design_effect(deff)?;
        self.design_effect = deff;
        Ok(())
    }

    /// Sets the cumulative counts per group of stable users (events: requests in the tail that matters); only
    /// for [`Unit::Grouped`].
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
    /// As [`TailRatio::update`].
    pub fn observe(&mut self, interval: &TailStratum) -> Result<(), JudgeError> {
        self.harm.observe(interval)?;
        self.no_harm.update(interval)?;
        for (bin, count) in &interval.canary {
            let slot = self.canary.entry(*bin).or_default();
            *slot = slot.saturating_add(*count);
        }
        Ok(())
    }

    /// Begins a stage: starts a fresh copy of the harm test beside the running ones.
    pub fn begin_stage(&mut self) {
        self.harm.begin();
    }

    /// The ln e-values: the largest so far for harm, the current one for no harm.
    pub fn log_e(&self) -> (f64, f64) {
        (self.harm.max_log_e(), self.no_harm.log_e())
    }

    /// p99 bins of canary and stable so far.
    pub fn p99_bins(&self) -> (Option<i32>, Option<i32>) {
        (quantile_bin(&self.canary, REPORTED), quantile_bin(self.no_harm.stable(), REPORTED))
    }

    /// The answer now; `at_end` when the stage is over. The estimate is the ratio of tail shares at stable's p99.
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
        let tail = self.no_harm.tails().find(|(q, _)| *q == REPORTED).map(|(_, t)| t);
        let tail = tail.unwrap_or_default();
        let share = |k: u64, n: u64| if n == 0 { f64::NAN } else { k as f64 / n as f64 };
        let (canary, stable) = (share(tail.k1, tail.n1), share(tail.k0, tail.n0));
        let estimate = Some(canary / stable).filter(|r| r.is_finite());
        let measured = if tail.n1 == 0 || tail.n0 == 0 {
            format!("{} canary and {} stable requests compared", tail.n1, tail.n0)
        } else {
            format!(
                "{} of {} canary requests slower than stable's p99 against {} of {} stable{}",
                percent(canary),
                tail.n1,
                percent(stable),
                tail.n0,
                estimate.map_or(String::new(), |ratio| format!(", ratio {}", significant(ratio)))
            )
        };
        let harm_ratio = self.harm.process().ratio();
        let above = format!("> {}", significant(harm_ratio));
        let below = format!("< {}", significant(self.margin));
        Finding {
            judge: JUDGE.to_owned(),
            gate: self.settings.name.clone(),
            verdict,
            estimate,
            bound: Some(if verdict == Verdict::Fail { harm_ratio } else { self.margin }),
            interval: None,
            n_canary: tail.n1,
            n_control: tail.n0,
            effect: estimate.map(|value| Effect { name: "tail ratio at p99".to_owned(), value }),
            evidence: Some(Evidence::LogE(harm)),
            evidence_no_harm: Some(Evidence::LogE(no_harm)),
            correction: Correction::AlphaShare { alpha: self.settings.alpha_harm },
            why: self.settings.sentence(verdict, look, &measured, (&above, &below)),
        }
    }
}
