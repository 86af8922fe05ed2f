//! What harm does: in whatever state it is found.

use manifest::OnFail;

use super::Run;
use crate::{Interval, Pause, Phase, RollbackBy, Severity, Verdict};
use evidence::Look;

impl Run {
    /// Acts on guardrails that are broken; does the run go on?
    pub(super) fn guarded(&mut self) -> bool {
        self.drop_broken_rivals();
        if let Some(fired) = self.state.evidence.broken(&self.state.plan) {
            let name = fired.verdict.name.clone();
            let reason = format!("guardrail {name}: {}", fired.verdict.why);
            let lead = self.state.plan.arm();
            self.lose(lead, RollbackBy::Guardrail(name), reason, Some(fired.verdict));
        }
        self.state.phase != Phase::RolledBack
    }

    /// Holds the canary to what was seen while stable stood beside it.
    pub(super) fn hold_alone(&mut self, interval: &Interval, look: Look) {
        let state = &mut self.state;
        let bears_all = state.weights.canary_ppm >= split::MILLION && interval.epoch == state.epoch;
        let Some(alone) = state.alone.as_mut().filter(|_| bears_all && !look.warming) else { return };
        let clumps = state.evidence.clumps(state.plan.unit);
        let found = alone.observe(&state.plan, &interval.canary, clumps, look.span_ms, state.age_ms);
        if let Some((gate, verdict)) = found {
            self.act_on_harm(gate, verdict);
        }
    }

    pub(super) fn judge_and_act(&mut self) {
        self.judge();
        if let Some(fired) = self.state.evidence.harm(&self.state.plan, self.state.scope()) {
            self.act_on_harm(fired.index, fired.verdict);
        } else {
            self.act_on_margin();
        }
        self.judge_rivals();
    }

    fn act_on_harm(&mut self, index: usize, verdict: Verdict) {
        let reason = format!("gate {}: {}", verdict.name, verdict.why);
        let name = verdict.name.clone();
        if let Some(stage) = self.state.stages.last_mut() {
            match stage.gates.iter_mut().find(|known| known.name == name) {
                Some(known) => *known = verdict.clone(),
                None => stage.gates.push(verdict.clone()),
            }
        }
        match self.state.plan.gates.get(index).map(|gate| gate.on_fail) {
            Some(OnFail::Pause) => {
                // Where there is nothing to pause, a notice is sent all the same.
                let told = format!("{}: {reason}", self.state.plan.name);
                self.pause(Pause::Gate { gate: name.clone() }, reason);
                if !matches!(self.state.phase, Phase::Paused(_)) {
                    self.notify(Severity::Critical, &format!("harm/{name}"), told);
                }
            }
            Some(OnFail::Rollback) | None => {
                let lead = self.state.plan.arm();
                self.lose(lead, RollbackBy::Gate(name), reason, Some(verdict));
            }
        }
    }
}
