//! A member of a fleet goes up only with the others: it asks, and the fleet permits.

use super::Run;
use crate::state::StageRecord;
use crate::{Phase, RollbackBy, State, Verdict};

impl Run {
    /// The fleet, or a named person in its place, lets it enter a stage.
    pub(super) fn permit(&mut self, stage: usize) {
        if let Some(permitted) = &mut self.state.permitted {
            *permitted = (*permitted).max(stage.saturating_add(1));
        }
    }

    /// Must it wait for the others before it enters a stage?
    pub(super) fn waits_for_fleet(&self, stage: usize) -> bool {
        self.state.permitted.is_some_and(|permitted| stage >= permitted)
    }

    pub(super) fn take_back(&mut self, member: &str, reason: &str, gentle: bool) {
        self.go_back(RollbackBy::Fleet(member.to_owned()), reason.to_owned(), gentle);
    }
}

impl State {
    /// The stage it is in: as planned, and as it goes.
    pub(crate) fn in_stage(&self) -> Option<(&manifest::Stage, &StageRecord)> {
        self.plan.stages.get(self.stage).zip(self.stages.last())
    }

    /// Has the present stage lasted and proven what it must?
    pub(crate) fn is_complete(&self) -> bool {
        self.in_stage().is_some_and(|(planned, stage)| {
            self.is_proven()
                && (self.coverage.is_current() || self.plan.returning.is_some())
                && stage.baked_ms >= planned.bake_ms
        })
    }

    /// Do all gates of the present stage let go, by counts that are young enough, with every guardrail at work?
    pub(crate) fn is_proven(&self) -> bool {
        self.in_stage().is_some_and(|(planned, stage)| self.all_let_go(planned, &stage.gates))
            && self.rivals_proven()
            && self.fresh()
            && self.unguarded().is_none()
            && self.incident.is_none()
    }

    /// Has each gate of a stage said something, and does none hold? A gate without an answer has proven nothing.
    pub(crate) fn all_let_go(&self, planned: &manifest::Stage, said: &[Verdict]) -> bool {
        planned.gates.iter().filter_map(|&gate| self.plan.gates.get(gate)).all(|gate| {
            let mut of_it = said.iter().filter(|verdict| verdict.name == gate.name).peekable();
            (!gate.hard || of_it.peek().is_some()) && of_it.all(|verdict| !verdict.holds())
        })
    }

    /// The stage after the present one, the hand-back counting as one more than there are.
    pub(crate) fn wants(&self) -> usize {
        self.next_stage().unwrap_or(self.plan.stages.len())
    }

    /// The stage it would enter if it were permitted (from 0, the hand-back counting as one more); `None`: it is not
    /// ready for any, or needs no permission.
    #[must_use]
    pub fn asks(&self) -> Option<usize> {
        let follows = self.publication.as_ref().is_some_and(|sent| sent.quorum_age_ms.is_some());
        let next = match self.phase {
            Phase::Pending { started_by: Some(_) } if follows && self.unseen_since().is_none() => 0,
            Phase::Progressing | Phase::Promoting if follows && self.is_complete() => self.wants(),
            _ => return None,
        };
        self.permitted.is_some_and(|permitted| next >= permitted).then_some(next)
    }
}
