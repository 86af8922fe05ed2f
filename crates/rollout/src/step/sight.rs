//! No request goes to the canary unseen: which proxies are read, and what is done when none is or too few follow.

use manifest::{Insufficient, OnTimeout, Span};

use super::Run;
use crate::{Cause, Interval, Pause, Phase, RollbackBy, Severity};

/// The first stage is tried again after so many times `acknowledge.timeout` at most.
const MOST_WAITS: u64 = 10;

impl Run {
    /// Notes which proxies a look rests on, whatever it counted.
    pub(super) fn see(&mut self, interval: &Interval) {
        let (age_ms, quorum) = (self.state.age_ms, self.state.plan.acknowledge.quorum);
        let shadows = self.state.shadows();
        let sight = &mut self.state.sight;
        let whole = match &interval.coverage {
            Some(coverage) => coverage.is_whole(quorum),
            None => interval.gap.is_none(),
        };
        sight.coverage = interval.coverage.clone().unwrap_or_default();
        if let Some(gap) = interval.gap.as_deref().filter(|_| sight.coverage.lacking.is_empty()) {
            gap.clone_into(&mut sight.coverage.lacking);
        }
        if whole && interval.gap.is_none() {
            sight.whole_age_ms = Some(age_ms);
        }
        // Of copies only whole looks count; that some proxy speaks is seen all the same.
        if shadows && sight.coverage.told > 0 {
            sight.unseen_ms = 0;
        }
        let others = interval.others.iter().flat_map(|one| [&one.canary, &one.stable, &one.baseline]);
        let mut all = [&interval.canary, &interval.stable, &interval.baseline].into_iter().chain(others);
        if all.any(|counts| counts.assigned > 0) {
            sight.requests_age_ms = Some(age_ms);
        }
    }

    /// No request goes to the canary before a whole look at the counters came from the proxies that will carry it: has none come?
    pub(super) fn waits_for_sight(&mut self) -> bool {
        let state = &self.state;
        let Some(since) = state.unseen_since() else {
            self.forget("sight");
            return false;
        };
        if state.age_ms.saturating_sub(since) >= state.plan.no_data.after_ms {
            let text = format!("{}: nobody is exposed yet: {}", state.plan.name, state.what_is_unseen());
            self.notify(Severity::Warning, "sight", text);
        }
        true
    }

    /// After a rollback to weight 0 the first stage is tried again later and later: too few proxies may follow again.
    pub(super) fn waits_after_step_back(&self) -> bool {
        let state = &self.state;
        let times = u64::try_from(state.stages.len()).unwrap_or(u64::MAX).min(MOST_WAITS);
        let sent = state.publication.as_ref().map_or(0, |publication| publication.sent_age_ms);
        state.age_ms.saturating_sub(sent) < state.plan.acknowledge.timeout_ms.saturating_mul(times)
    }

    /// Acts on counts that do not come any more; has the phase changed?
    pub(super) fn blind(&mut self) -> bool {
        let unseen_ms = self.state.sight.unseen_ms;
        if unseen_ms < self.state.plan.no_data.after_ms {
            return false;
        }
        let before = self.state.phase.clone();
        let for_ms = unseen_ms / 1_000 * 1_000;
        let text = format!("{} for {}", self.state.what_is_unseen(), Span::from_ms(for_ms));
        // A shadow exposes no user.
        let action = match self.state.plan.no_data.action {
            Insufficient::Rollback if self.state.shadows() => Insufficient::Hold,
            // There is nothing to pause; a notice is sent.
            Insufficient::Pause if matches!(before, Phase::HandBack(_)) => Insufficient::Hold,
            action => action,
        };
        if self.state.ramp().is_some() {
            self.cut_ramp(format!("Rolled back at once: {text}"));
        } else if !matches!(before, Phase::Paused(_)) || action != Insufficient::Hold {
            self.undecided(action, Pause::NoData, RollbackBy::NoData, text);
        }
        self.state.phase != before
    }

    /// Too few proxies took the last weights in time.
    pub(super) fn too_few_follow(&mut self) {
        let text = format!("too few proxies took the weights in time: {}", self.followers());
        let on_timeout = self.state.plan.acknowledge.on_timeout;
        if on_timeout == OnTimeout::StepBack && self.steps_back(&text) {
            return;
        }
        let action = match on_timeout {
            OnTimeout::StepBack | OnTimeout::Pause => Insufficient::Pause,
            OnTimeout::Hold => Insufficient::Hold,
            OnTimeout::Rollback => Insufficient::Rollback,
        };
        self.undecided(action, Pause::Quorum, RollbackBy::Quorum, text);
    }

    /// Back to the weights a quorum had, when these were lower: all proxies split alike again, the silent ones included.
    fn steps_back(&mut self, why: &str) -> bool {
        let state = &self.state;
        let Some(publication) = state.publication.as_deref() else { return false };
        let (known, now) = (publication.before, state.weights);
        // Who was left out since stays out.
        let mut before = state.plan.weights_by(known.targeted, |arm| state.plan.share_of(arm, &known));
        before.shadow_ppm = known.shadow_ppm;
        let height = |weights: &manifest::Weights| (weights.canary_ppm, weights.shadow_ppm);
        let rises = state
            .plan
            .arms_in()
            .any(|arm| state.plan.share_of(arm, &before) > state.plan.share_of(arm, &now));
        if rises || height(&before) >= height(&now) {
            return false;
        }
        let starter = match &publication.sent.cause {
            Cause::Start { who } | Cause::Human { who } => who.clone(),
            _ => state.plan.name.clone(),
        };
        let stage = state.plan.stages.iter().rposition(|stage| stage.height() <= height(&before));
        let from = state.weight();
        self.leave_stage();
        if height(&before) > (0, 0) {
            // A weight by hand may lie below the first stage, whose gates hold from there on.
            self.enter_with(stage.unwrap_or(0), height(&before), before, Cause::StepBack);
            self.state.phase = Phase::Paused(Pause::Quorum);
        } else {
            self.state.phase = Phase::Pending { started_by: Some(starter) };
            self.publish(before, Cause::StepBack);
        }
        self.record(format!("Go back from {from} to {}, which a quorum has: {why}", self.state.weight()));
        let text =
            format!("{}: went back from {from} to {}: {why}", self.state.plan.name, self.state.weight());
        self.state.told.retain(|told| !told.starts_with("step-back/"));
        let key = format!("step-back/{}", self.state.age_ms);
        self.notify(Severity::Warning, &key, text);
        true
    }

    /// What goes back gently goes at once when it shows harm.
    pub(super) fn cut_ramp_on_harm(&mut self) {
        let (plan, evidence) = (&self.state.plan, &self.state.evidence);
        let found = evidence.broken(plan).or_else(|| evidence.harm(plan, self.state.scope()));
        if let Some(fired) = found {
            let evidence::Verdict { name, why, .. } = fired.verdict;
            self.cut_ramp(format!("Rolled back at once: {name}: {why}"));
        } else if let Some(reason) = self.state.overspent() {
            self.cut_ramp(format!("Rolled back at once: {reason}"));
        }
    }
}

impl crate::State {
    /// Since when it is waited for a whole look, once the proxies follow; `None`: one has come, or the plan does not ask
    /// for one.
    pub(crate) fn unseen_since(&self) -> Option<u64> {
        let quorum = self.publication.as_ref()?.quorum_age_ms?;
        let seen = self.sight.whole_age_ms.is_some_and(|at| at >= quorum);
        (self.plan.no_data.action != Insufficient::Hold && !seen).then_some(quorum)
    }

    /// "no metrics from any Envoy: http://10.0.0.7:9901: connection refused".
    pub(crate) fn what_is_unseen(&self) -> String {
        let coverage = &self.sight.coverage;
        let what = match (coverage.told, coverage.asked) {
            (0, _) => "no metrics from any Envoy".to_owned(),
            (told, asked) if told < asked => format!("metrics from {told} of {asked} Envoys"),
            _ => "no metrics from the Envoys that take the weights".to_owned(),
        };
        let why: Vec<&str> = [coverage.lacking.as_str(), coverage.unread.as_str()]
            .into_iter()
            .filter(|why| !why.is_empty())
            .collect();
        if why.is_empty() { what } else { format!("{what} ({})", why.join("; ")) }
    }
}
