//! A person's yes: it is for what was shown, and for a while.

use super::{Run, named};
use crate::{Acted, Answer, Approval, Cause, HandBackProgress, Human, Pause, Phase, State, Verdict};

/// An approval that could not be used for so long expires.
const YES_LASTS_MS: u64 = 3_600_000;

/// A run that moved a shorter time ago may not be the one that a person meant who does not say which revision was seen.
const JUST_MS: u64 = 5_000;

/// Acts that are known by their key.
const KEYS: usize = 32;

/// A yes is not given blindly: it is missed when there were no counts for so long, whatever the plan bears elsewhere.
const UNSEEN_MS: u64 = 60_000;

impl State {
    /// Has it only just moved, so that whoever wants it to move on, and does not say what was seen, may mean the stage
    /// before? One clause says what moved.
    #[must_use]
    pub fn just_moved(&self) -> Option<String> {
        let stage = self.stage + 1;
        match &self.phase {
            // What never arrives is gone past all the same.
            Phase::Paused(Pause::Quorum) => None,
            Phase::Progressing | Phase::Promoting | Phase::Paused(_) => {
                let Some(since) = self.publication.as_ref()?.quorum_age_ms else {
                    return Some(format!("the weights of stage {stage} are on their way to the proxies"));
                };
                let counted = self.counts_age_ms.is_some_and(|counted| counted > since);
                let old = self.age_ms.saturating_sub(since) >= JUST_MS;
                (!counted && !old).then(|| format!("nothing was counted in stage {stage} yet"))
            }
            Phase::HandBack(HandBackProgress::Asked { since_age_ms, .. }) => {
                let old = self.age_ms.saturating_sub(*since_age_ms) >= JUST_MS;
                (!old).then(|| "the hand-back has only just begun".to_owned())
            }
            Phase::HandBack(HandBackProgress::Lowering { .. })
            | Phase::Pending { .. }
            | Phase::Succeeded
            | Phase::RolledBack => None,
        }
    }

    /// What a yes would have to stand in for, each in one clause; nothing: it is a yes to what was proven.
    pub(crate) fn lacks_for_yes(&self) -> Vec<String> {
        let mut lacks = self.unseen();
        lacks.extend(self.unproven_gates(self.plan.arm()));
        lacks.extend(self.rivals_open().into_iter().map(|open| format!("{open} is not proven")));
        lacks
    }

    /// What cannot be seen now, each in one clause.
    pub(crate) fn unseen(&self) -> Vec<String> {
        let mut unseen = Vec::new();
        let missing_ms = self.counts_missing_ms();
        if matches!(self.phase, Phase::Paused(Pause::NoData)) {
            unseen.push("no trustworthy counts arrive".to_owned());
        } else if self.measures() && missing_ms >= self.plan.no_data.after_ms.min(UNSEEN_MS) {
            unseen.push(format!("no trustworthy counts for {} s", missing_ms / 1_000));
        }
        if matches!(self.phase, Phase::Paused(Pause::Quorum)) {
            unseen.push("too few proxies took the weights".to_owned());
        } else if self.publication.as_ref().is_some_and(|sent| sent.quorum_age_ms.is_none()) {
            unseen.push("the weights are on their way: no quorum of proxies has them yet".to_owned());
        }
        unseen
    }
}

impl Run {
    pub(super) fn approve(&mut self, human: &Human) {
        if self.state.phase != Phase::Paused(Pause::Approval) {
            return;
        }
        let lacks = self.state.lacks_for_yes();
        if !lacks.is_empty() {
            // In place of evidence it is an override, as a promotion would be.
            if human.reason.trim().is_empty() {
                return;
            }
            return self.promote(human);
        }
        let (at, epoch) = (self.now, self.state.epoch);
        if let Some(stage) = self.state.stages.last_mut() {
            stage.approved_by = Some(human.who.clone());
            stage.approval = Some(Approval { at, epoch });
        }
        if self.state.window().is_err() || self.state.endpoints_for(self.state.next_seen()).is_err() {
            self.record(format!(
                "Approved by {}; a yes that cannot be used lasts for {}",
                named(human),
                manifest::Span::from_ms(YES_LASTS_MS)
            ));
            return self.go_on();
        }
        self.advance(Cause::Human { who: human.who.clone() }, format!("approved by {}", named(human)));
    }

    /// Has a person said yes to what is there now, not too long ago?
    pub(super) fn is_approved(&mut self) -> bool {
        let (now, epoch) = (self.now, self.state.epoch);
        let Some(stage) = self.state.stages.last().filter(|stage| stage.approved_by.is_some()) else {
            return false;
        };
        match &stage.approval {
            Some(yes) if yes.epoch == epoch && now.since_ms(yes.at) < YES_LASTS_MS => true,
            Some(yes) if yes.epoch == epoch => {
                self.void_approval("it could not be used in time");
                false
            }
            _ => {
                self.void_approval("what it was for is not there any more");
                false
            }
        }
    }

    /// A yes that was given for what is no longer so.
    pub(super) fn void_approval(&mut self, why: &str) {
        let Some(stage) = self.state.stages.last_mut().filter(|stage| stage.left.is_none()) else { return };
        stage.approval = None;
        if let Some(who) = stage.approved_by.take() {
            self.record(format!("The yes of {who} is void: {why}"));
        }
    }

    /// A gate that answers worse than before must have been seen by whoever acts.
    pub(super) fn note_worse(&mut self, verdicts: &[Verdict]) {
        let known = self.state.stages.last().map(|stage| stage.gates.as_slice()).unwrap_or_default();
        let worse = verdicts
            .iter()
            .filter(|now| now.hard)
            .any(|now| known.iter().any(|before| before.name == now.name && is_worse(before, now)));
        if worse {
            self.state.revision = self.state.revision.saturating_add(1);
        }
    }

    /// What was done under this key is not done twice.
    pub(super) fn keep_key(&mut self, acted: &Acted) {
        self.state.acted.retain(|known| known.key != acted.key);
        self.state.acted.push(acted.clone());
        let surplus = self.state.acted.len().saturating_sub(KEYS);
        self.state.acted.drain(..surplus);
    }
}

/// Does a gate hold that did not, or say something bad that it did not say?
fn is_worse(before: &Verdict, now: &Verdict) -> bool {
    let bad = matches!(now.answer, Answer::Fail | Answer::Marginal | Answer::Error);
    now.holds() && !before.holds() || bad && before.answer != now.answer
}
