//! Trouble that stable shares, as a gate with a limit sees it.

use judge::anytime::Scale;
use manifest::Gate;

use super::{Arms, GateEvidence};
use crate::incident::{Asked, Incident};
use crate::test::Test;
use crate::{Counts, Look, UserClustering};

impl GateEvidence {
    /// Looks at stable at the same moments, as a guardrail does.
    pub fn look_aside(
        &mut self,
        gate: &Gate,
        (canary, stable): (Option<&Counts>, &Counts),
        (scale, clumps): (Scale, UserClustering),
        look: Look,
        beside: bool,
    ) {
        let Some(asked) = asked(gate, scale) else { return };
        // Without a design effect nothing can be concluded.
        let Some(deff) = clumps.of(gate.metric()).filter(|_| beside) else {
            return self.shared.iter_mut().for_each(|shared| shared.alone());
        };
        let asked = Asked { deff, ..asked };
        let shared = self.shared.get_or_insert_default();
        let seen = match canary {
            Some(canary) => shared.observe(asked, canary, stable, look),
            None => shared.observe_before(asked, stable, look).map(|()| false),
        };
        match seen {
            Ok(true) => {
                self.fixed.iter_mut().for_each(Test::forget);
                self.since = Arms::default();
            }
            Ok(false) => {}
            Err(error) => self.error = Some(error.to_string()),
        }
    }

    /// Does stable seem to break the limit, before anything is proven?
    pub fn stable_leans(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.leans())
    }

    /// Trouble that stable has now.
    pub fn incident(&self, gate: &Gate, scale: Scale) -> Option<Incident> {
        let asked = asked(gate, scale).filter(|_| gate.hard)?;
        self.shared.as_ref()?.incident((false, &gate.name), asked, gate.against.is_some())
    }

    pub(super) fn is_excused(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.is_excuse())
    }
}

fn asked(gate: &Gate, scale: Scale) -> Option<Asked> {
    let limit = gate.limit.filter(|_| !gate.metric().is_external())?.fail;
    Some(Asked { metric: gate.metric(), limit, scale, deff: 1.0 })
}
