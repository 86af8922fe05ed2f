//! Everything that leaves a mark: publications, rollbacks, records, notices; and the run's own clock.

use manifest::{Acknowledge, Weights};

use super::{LONGEST_STEP_MS, Run, named};
use crate::state::PublicationState;
use crate::{
    Acks, Below, Cause, Effect, HandBackProgress, Human, Notice, Phase, Publication, Record, RollbackBy,
    RolledBack, Severity, State,
};

/// The controller was not running in a step that took longer, so no more of it is time in which nothing could be seen: a controller that
/// stood still does not take a canary back for it (the leases do).
const LONGEST_LOOK_MS: u64 = 5_000;

/// Lines of history a state keeps; the store keeps all.
const HISTORY: usize = 200;

/// When the two clocks disagree by more, the wall clock was set.
const LARGEST_DRIFT_MS: u64 = 1_000;

impl Run {
    /// Moves the run's own clock on.
    pub(super) fn pass_time(&mut self) {
        let passed = self.now.since_ms(self.state.last).min(LONGEST_STEP_MS);
        let by_wall_clock = self.now.unix_ms.checked_sub(self.state.last.unix_ms);
        let set =
            by_wall_clock.is_none_or(|ms| ms.abs_diff(self.now.since_ms(self.state.last)) > LARGEST_DRIFT_MS);
        if set
            && let Some(stage) = self.state.stages.last_mut().filter(|stage| stage.counts_from_ms.is_some())
        {
            stage.counts_from_ms = Some(self.now.unix_ms);
        }
        self.state.last = self.now;
        self.state.age_ms = self.state.age_ms.saturating_add(passed);
        let unseen_ms = self.state.sight.unseen_ms.saturating_add(passed.min(LONGEST_LOOK_MS));
        self.state.sight.unseen_ms = if self.state.measures() { unseen_ms } else { 0 };
        let of_stage =
            matches!(self.state.phase, Phase::Progressing | Phase::Promoting) && self.acknowledged();
        let lived = self.state.coverage.pass(passed, of_stage);
        self.spend(lived);
    }

    /// Counts tell of some of the time that went by: that is the stage's time.
    pub(super) fn cover(&mut self, span_ms: u64) {
        let (covered, late) = self.state.coverage.take(span_ms);
        if let Some(stage) = self.state.stages.last_mut() {
            stage.baked_ms = stage.baked_ms.saturating_add(covered);
        }
        self.spend(late);
    }

    /// Time towards the deadline. That is for evidence, and the evidence of a stage which waits for a window or for others
    /// has come.
    fn spend(&mut self, ms: u64) {
        let waits = ms == 0 || self.state.is_complete() && !self.state.must_choose();
        if let Some(stage) = self.state.stages.last_mut().filter(|_| !waits) {
            stage.spent_ms = stage.spent_ms.saturating_add(ms);
        }
    }

    /// Has a quorum the last weights?
    pub(super) fn acknowledged(&self) -> bool {
        self.state.publication.as_ref().is_some_and(|publication| publication.quorum_age_ms.is_some())
    }

    /// Sends weights to every proxy.
    pub(super) fn publish(&mut self, weights: Weights, cause: Cause) {
        let state = &mut self.state;
        state.epoch = state.epoch.saturating_add(1);
        let before = match &state.publication {
            Some(last) if last.quorum_age_ms.is_some() => state.weights,
            Some(last) => last.before,
            None => Weights::default(),
        };
        if (weights.shadow_ppm > 0) != state.shadows() {
            state.sight.unseen_ms = 0;
        }
        state.weights = weights;
        state.coverage.begin_stage();
        let id = state.publication.as_ref().map_or(1, |last| last.sent.id.saturating_add(1));
        let policy = state.plan.policy(state.epoch, weights, &state.stable_version);
        let sent = Publication { id, policy, cause };
        state.publication = Some(Box::new(PublicationState {
            sent: sent.clone(),
            sent_age_ms: state.age_ms,
            quorum_age_ms: None,
            acks: Acks { publication: id, ..Acks::default() },
            before,
        }));
        self.effects.push(Effect::Publish(Box::new(sent)));
        self.void_approval("the weights changed");
    }

    /// Notes how far the last publication has come.
    pub(super) fn acknowledge(&mut self, acks: &Acks) {
        let reached = is_quorum(&self.state.plan.acknowledge, acks);
        let age_ms = self.state.age_ms;
        let Some(publication) = &mut self.state.publication else { return };
        if acks.publication != publication.sent.id {
            return;
        }
        publication.acks = acks.clone();
        if !reached || publication.quorum_age_ms.is_some() {
            return;
        }
        publication.quorum_age_ms = Some(age_ms);
        self.forget("quorum");
        let exposed = self.state.measures();
        if exposed && self.state.exposed_age_ms.is_none() {
            self.state.exposed_age_ms = Some(age_ms);
        }
        if exposed && self.state.has_just_risen() {
            self.state.raised_age_ms = Some(age_ms);
        }
        if matches!(self.state.phase, Phase::Progressing | Phase::Promoting | Phase::Paused(_))
            && let Some(stage) = self.state.stages.last_mut()
        {
            stage.acknowledged = Some(self.now);
            stage.counts_from_ms = Some(self.now.unix_ms);
        }
    }

    /// Has the last publication waited too long for its quorum?
    pub(super) fn overdue_quorum(&self) -> bool {
        self.state.publication.as_ref().is_some_and(|publication| {
            publication.quorum_age_ms.is_none()
                && self.state.age_ms.saturating_sub(publication.sent_age_ms)
                    >= self.state.plan.acknowledge.timeout_ms
        })
    }

    /// "4 of 5 proxies follow; missing: edge-3".
    pub(super) fn followers(&self) -> String {
        let Some(publication) = &self.state.publication else { return "nothing was published".to_owned() };
        let acks = &publication.acks;
        let mut text = format!("{} of {} proxies follow", acks.acknowledged, acks.connected);
        if !acks.missing.is_empty() {
            text.push_str(&format!("; missing: {}", acks.missing.join(", ")));
        }
        for refused in &acks.refused {
            text.push_str(&format!("; {} refused: {}", refused.node, refused.reason));
        }
        text
    }

    /// Back to stable. Waits for nothing, and does nothing when it is done already.
    pub(super) fn roll_back(&mut self, by: RollbackBy, reason: String) {
        let gentle = by.is_gentle();
        self.go_back(by, reason, gentle);
    }

    pub(super) fn go_back(&mut self, by: RollbackBy, reason: String, gentle: bool) {
        if matches!(self.state.phase, Phase::RolledBack | Phase::Succeeded) {
            return;
        }
        self.leave_stage();
        self.forget_shown();
        self.state.alone = None;
        let guardrails = self.state.evidence.guardrail_verdicts(&self.state.plan, self.state.scope());
        let weight = self.state.weights.canary_ppm;
        let ramp = self.state.plan.rollback.ramp_ppm.iter().position(|&ppm| ppm < weight && ppm > 0);
        let ramp = ramp.filter(|_| gentle);
        self.state.phase = Phase::RolledBack;
        // Ending a return means going forward again to what it returned from.
        let run = self.state.run;
        self.state.rejected.retain(|rejected| rejected.run != run);
        self.state.rollback =
            Some(RolledBack { decided: self.now, by, reason: reason.clone(), ramp, guardrails });
        let back = if self.state.stable_version == self.state.plan.stable {
            String::new()
        } else {
            format!(" (stable serves {} by now)", self.state.stable_version)
        };
        self.record(format!("Roll back {} to stable{back}: {reason}", self.state.plan.canary));
        match ramp {
            Some(step) => self.publish_ramp(step),
            None => self.publish_nothing(),
        }
        let text = format!("{}: rolled back: {reason}", self.state.plan.name);
        self.notify(Severity::Critical, "rolled-back", text);
    }

    fn publish_ramp(&mut self, step: usize) {
        let ppm = self.state.plan.rollback.ramp_ppm.get(step).copied().unwrap_or(0);
        let weights = Weights { canary_ppm: ppm.min(self.state.weights.canary_ppm), ..Weights::default() };
        self.publish(weights, Cause::Rollback);
    }

    fn publish_nothing(&mut self) {
        self.publish(Weights::default(), Cause::Rollback);
        self.effects.push(Effect::Revoke { below: Below::LastPublished });
    }

    /// The next step of a ramped rollback.
    pub(super) fn settle_ramp(&mut self) {
        let Some(step) = self.state.ramp() else {
            if self.overdue_quorum() {
                let text =
                    format!("{}: weight 0 is not everywhere yet: {}", self.state.plan.name, self.followers());
                self.notify(Severity::Critical, "quorum", text);
            }
            return;
        };
        if self.blind() {
            return;
        }
        let sent = self.state.publication.as_ref().map_or(0, |publication| publication.sent_age_ms);
        if self.state.age_ms.saturating_sub(sent) < self.state.plan.rollback.step_ms {
            return;
        }
        let next = step.saturating_add(1);
        let more = self.state.plan.rollback.ramp_ppm.get(next).is_some_and(|&ppm| ppm > 0);
        self.set_ramp(more.then_some(next));
        if more {
            self.publish_ramp(next);
        } else {
            self.publish_nothing();
        }
    }

    fn set_ramp(&mut self, ramp: Option<usize>) {
        if let Some(rollback) = &mut self.state.rollback {
            rollback.ramp = ramp;
        }
    }

    /// What goes back step by step goes back at once.
    pub(super) fn cut_ramp(&mut self, what: String) {
        self.set_ramp(None);
        self.record(what);
        self.publish_nothing();
    }

    /// A person ends it.
    pub(super) fn abort(&mut self, human: &Human) {
        if self.state.ramp().is_some() {
            self.cut_ramp(format!("Rolled back at once by {}", named(human)));
        } else {
            self.roll_back(RollbackBy::Human(human.who.clone()), format!("aborted by {}", named(human)));
        }
    }

    pub(super) fn record(&mut self, what: String) {
        let record = Record { at: self.now, what };
        self.state.revision = self.state.revision.saturating_add(1);
        self.state.history.push(record.clone());
        if self.state.history.len() > HISTORY {
            self.state.history.remove(0);
        }
        self.effects.push(Effect::Record(record));
    }

    /// Tells people, once per matter.
    pub(super) fn notify(&mut self, severity: Severity, key: &str, text: String) {
        if self.state.told.iter().any(|told| told == key) {
            return;
        }
        self.state.told.push(key.to_owned());
        let key = format!("{}/{}/{key}", self.state.plan.name, self.state.run);
        self.effects.push(Effect::Notify(Notice { severity, key, text }));
    }

    /// The matter is settled; should it come up again, people are told again.
    pub(super) fn forget(&mut self, key: &str) {
        self.state.told.retain(|told| told != key);
    }
}

impl RollbackBy {
    /// Proven harm is ended at once; a ramp is for rollbacks without proven harm.
    pub(crate) const fn is_gentle(&self) -> bool {
        matches!(self, Self::Human(_) | Self::Deadline | Self::NoData | Self::Quorum)
    }
}

impl State {
    /// Is the present stage's weight above the one before it, and not yet acknowledged?
    fn has_just_risen(&self) -> bool {
        let mut stages = self.stages.iter().rev();
        let Some(now) = stages.next().filter(|stage| stage.acknowledged.is_none()) else { return false };
        let before = self.publication.as_ref().map_or(0, |publication| publication.before.canary_ppm);
        now.weight_ppm > before || stages.next().is_none_or(|before| now.weight_ppm > before.weight_ppm)
    }

    /// Are there counts young enough to rely on? Without traffic none are needed.
    pub(crate) fn fresh(&self) -> bool {
        !self.measures() || self.counts_missing_ms() < self.plan.no_data.after_ms
    }

    /// For how long counts have been missing. They are not missed before the canary got traffic.
    pub(crate) fn counts_missing_ms(&self) -> u64 {
        let since = self.counts_age_ms.max(self.exposed_age_ms);
        since.map_or(0, |since| self.age_ms.saturating_sub(since))
    }

    /// The effects the present state asks for, to be carried out again after a restart of the caller.
    #[must_use]
    pub fn standing_effects(&self) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(publication) = &self.publication {
            effects.push(Effect::Publish(Box::new(publication.sent.clone())));
        }
        match &self.phase {
            Phase::RolledBack if self.ramp().is_none() => {
                effects.push(Effect::Revoke { below: Below::LastPublished })
            }
            Phase::Pending { .. } if self.warming == Some(crate::WarmingUp::Asked) => {
                effects.extend(self.warm_up_request());
            }
            Phase::HandBack(HandBackProgress::Asked { done: false, failed: None, .. }) => {
                effects.extend(self.hand_back_request());
            }
            _ => {}
        }
        let asked = self.ending.calls.iter().filter(|call| call.asked);
        effects.extend(asked.map(|call| Effect::Call(call.request.clone())));
        effects
    }
}

/// Have enough proxies taken it? No proxy at all is no quorum: nobody would be there to take the canary back either; and of
/// those that are expected the ones that are not there have not.
fn is_quorum(terms: &Acknowledge, acks: &Acks) -> bool {
    let expected = terms.expect.as_ref().and_then(|expect| expect.count).unwrap_or(0);
    let all = acks.connected.max(expected);
    all > 0 && f64::from(acks.acknowledged) >= terms.quorum * f64::from(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_is_of_those_that_are_expected() {
        let plan = manifest::load(
            "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n",
        )
        .expect("a rollout")
        .plan;
        for (expected, acknowledged, connected, reached) in [
            (None, 0, 0, false),
            (None, 1, 1, true),
            (None, 1, 2, false),
            (None, 19, 20, true),
            (Some(2), 1, 1, false),
            (Some(2), 2, 2, true),
            (Some(2), 2, 3, false),
            (Some(20), 19, 19, true),
            (Some(1), 0, 0, false),
        ] {
            let mut terms = plan.acknowledge.clone();
            terms.expect = expected.map(|count| manifest::Expect { count: Some(count), names: Vec::new() });
            let acks = Acks { acknowledged, connected, ..Acks::default() };
            assert_eq!(
                is_quorum(&terms, &acks),
                reached,
                "{acknowledged} of {connected}, {expected:?} expected"
            );
        }
    }
}
