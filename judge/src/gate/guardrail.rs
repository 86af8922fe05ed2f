//! A guardrail: the canary alone against an absolute limit.

use super::{GateSettings, Look, Unit, percent};
use crate::anytime::{EProcess, Guardrail, Restart, Trials};
use crate::verdict::{Correction, Effect, Evidence, Finding};
use crate::{JUDGE, JudgeError};

/// Fails when the canary's event rate is proven above a limit, passes when proven below.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GuardrailGate {
    settings: GateSettings,
    harm: Restart<Guardrail>,
    no_harm: Guardrail,
    seen: Trials,
}

impl GuardrailGate {
    /// A guardrail at `limit`, a rate in (0, 1). [`Unit::Grouped`] is treated as unknown: stable's groups say
    /// nothing about the canary alone.
    ///
    /// # Errors
    /// `limit` outside (0, 1) or bad settings.
    pub fn new(settings: GateSettings, limit: f64) -> Result<Self, JudgeError> {
        settings.check()?;
        let process = Guardrail::harm(limit)?;
        let harm = Restart::new(process, settings.first_weight, settings.restarts, settings.restart_every)?;
        Ok(Self { settings, harm, no_harm: Guardrail::no_harm(limit)?, seen: Trials::default() })
    }

    /// Adds one interval of the canary.
    ///
    /// # Errors
    /// More events than requests; the gate then stays as it was.
    pub fn observe(&mut self, trials: Trials) -> Result<(), JudgeError> {
        self.harm.observe(&trials)?;
        self.no_harm.update(trials)?;
        self.seen = self.no_harm.mark();
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

    /// The answer now; `at_end` when the stage is over.
    pub fn finding(&self, at_end: bool) -> Finding {
        let (harm, no_harm) = self.log_e();
        let unit_unknown = self.settings.unit != Unit::Request;
        let look = Look { harm, no_harm, above_floor: true, at_end, unit_unknown };
        let verdict = self.settings.decide(look);
        let estimate = self.no_harm.estimate();
        let limit = self.no_harm.limit();
        let measured = match estimate {
            Some(rate) => format!("canary {} of {}", percent(rate), self.seen.n),
            None => "no canary requests".to_owned(),
        };
        let (above, below) = (format!("> {}", percent(limit)), format!("< {}", percent(limit)));
        Finding {
            judge: JUDGE.to_owned(),
            gate: self.settings.name.clone(),
            verdict,
            estimate,
            bound: Some(limit),
            interval: self.no_harm.interval(self.settings.alpha_harm).ok(),
            n_canary: self.seen.n,
            n_control: 0,
            effect: estimate.map(|rate| Effect { name: "rate over limit".to_owned(), value: rate / limit }),
            evidence: Some(Evidence::LogE(harm)),
            evidence_no_harm: Some(Evidence::LogE(no_harm)),
            correction: Correction::AlphaShare { alpha: self.settings.alpha_harm },
            why: self.settings.sentence(verdict, look, &measured, (&above, &below)),
        }
    }
}
