//! What a person overrode: a window that is closed, a gate that has proven nothing.

use split::Arm;

use super::{Run, named};
use crate::{Human, Override, State, Verdict};

impl State {
    /// Whatever would have to be overridden to go on now, each in one clause; nothing: it may go on.
    pub(crate) fn held_back(&self) -> Vec<String> {
        let mut past = self.held_back_from(self.plan.arm());
        past.extend(self.rivals_open().into_iter().map(|open| format!("{open} is not proven")));
        past
    }

    /// The same for one of several challengers.
    pub(crate) fn held_back_from(&self, arm: Arm) -> Vec<String> {
        let mut past: Vec<String> = self.window().err().into_iter().map(|closed| closed.why).collect();
        past.extend(self.endpoints_for(self.next_seen()).err());
        past.extend(self.unseen());
        past.extend(self.incident.as_deref().map(|incident| incident.text.clone()));
        past.extend(self.unproven_gates(arm));
        past
    }

    /// The gates that are not proven of one challenger, each in one clause.
    pub(crate) fn unproven_gates(&self, arm: Arm) -> Vec<String> {
        let verdicts = if arm == self.plan.arm() { self.verdicts() } else { self.verdicts_of(arm) };
        let open = verdicts.into_iter().filter(Verdict::holds);
        open.map(|verdict| format!("gate {} is not proven: {}", verdict.name, verdict.why)).collect()
    }
}

impl Run {
    /// Counts and writes down what a person goes past, if it is anything.
    pub(super) fn override_by(&mut self, human: &Human, past: Vec<String>) {
        if past.is_empty() {
            return;
        }
        let number = self.state.overrides.len() + 1;
        self.record(format!("Override {number} by {}: {}", named(human), past.join("; ")));
        self.state.overrides.push(Override {
            at: self.now,
            who: human.who.clone(),
            reason: human.reason.clone(),
            stage: self.state.stage,
            past,
        });
    }
}
