//! The end: the new version goes behind the stable route, and the weight back to 0.

use manifest::{HandBackHow, Weights};

use super::{Run, named};
use crate::{Cause, Effect, Endpoint, HandBackProgress, HandBackRequest, Human, Phase, Severity, State};

impl Run {
    pub(super) fn begin_hand_back(&mut self, why: &str) {
        self.state.phase = Phase::HandBack(HandBackProgress::Asked {
            since_age_ms: self.state.age_ms,
            done: false,
            failed: None,
            reported: None,
        });
        self.state.stable_ready = false;
        let canary = self.state.plan.canary.clone();
        self.record(format!("Promote {canary}: {why}; ask for it to be put behind the stable route"));
        match self.state.hand_back_request() {
            Some(request) => self.effects.push(request),
            None => {
                let text = format!(
                    "{}: {canary} bore all traffic; put it behind the stable route now, then confirm with promote",
                    self.state.plan.name
                );
                self.notify(Severity::Info, "hand-back", text);
            }
        }
    }

    pub(super) fn stable_reports(&mut self, endpoints: &[Endpoint]) {
        if !self.state.watches_stable() {
            return;
        }
        let canary = &self.state.plan.canary;
        self.state.stable_ready = !endpoints.is_empty()
            && endpoints.iter().all(|endpoint| endpoint.version.as_ref() == Some(canary));
        if let Phase::HandBack(HandBackProgress::Asked { reported, .. }) = &mut self.state.phase {
            let other = endpoints.iter().filter(|endpoint| endpoint.version.as_ref() != Some(canary));
            let words: Vec<String> = other.map(Endpoint::words).collect();
            *reported = (!words.is_empty()).then(|| words.join("; "));
        }
    }

    pub(super) fn hand_back_done(&mut self) {
        if let Phase::HandBack(HandBackProgress::Asked { done, failed, .. }) = &mut self.state.phase
            && !*done
        {
            *done = true;
            *failed = None;
            self.record("The hand-back's hook succeeded".to_owned());
        }
    }

    pub(super) fn hand_back_failed(&mut self, reason: &str) {
        if let Phase::HandBack(HandBackProgress::Asked { failed, .. }) = &mut self.state.phase {
            *failed = Some(reason.to_owned());
            self.record(format!("The hand-back's hook failed: {reason}"));
            let name = &self.state.plan.name;
            let text = format!("{name}: the hand-back failed, all traffic stays with the canary: {reason}");
            self.notify(Severity::Warning, "hand-back-failed", text);
        }
    }

    pub(super) fn ask_again(&mut self, human: &Human) {
        if let Phase::HandBack(HandBackProgress::Asked { done, failed, since_age_ms, .. }) =
            &mut self.state.phase
        {
            *done = false;
            *failed = None;
            *since_age_ms = self.state.age_ms;
            self.forget("hand-back-failed");
            self.forget("hand-back-late");
            self.record(format!("Ask for the hand-back again for {}", named(human)));
            self.effects.extend(self.state.hand_back_request());
        }
    }

    pub(super) fn confirm_hand_back(&mut self, human: &Human) {
        if matches!(self.state.phase, Phase::HandBack(HandBackProgress::Asked { .. })) {
            self.record(format!("{} confirms that stable serves {}", named(human), self.state.plan.canary));
            self.lower(0);
        }
    }

    pub(super) fn settle_hand_back(&mut self) {
        if self.blind() || self.protects {
            return;
        }
        match self.state.phase.clone() {
            Phase::HandBack(HandBackProgress::Asked { since_age_ms, done, reported: said, .. }) => {
                let reported = !self.state.plan.hand_back.endpoints.is_empty();
                if if reported { self.state.stable_ready } else { done } {
                    self.record(format!("Stable serves {}", self.state.plan.canary));
                    self.lower(0);
                } else if self.state.age_ms.saturating_sub(since_age_ms)
                    >= self.state.plan.hand_back.remind_after_ms
                {
                    let text = format!(
                        "{}: stable does not serve {} yet; all traffic stays with the canary{}",
                        self.state.plan.name,
                        self.state.plan.canary,
                        said.map(|said| format!(": {said}")).unwrap_or_default()
                    );
                    self.notify(Severity::Warning, "hand-back-late", text);
                }
            }
            Phase::HandBack(HandBackProgress::Lowering { step }) => self.settle_lowering(step),
            _ => {}
        }
    }

    fn settle_lowering(&mut self, step: usize) {
        let Some(quorum) = self.state.publication.as_ref().and_then(|publication| publication.quorum_age_ms)
        else {
            if self.overdue_quorum() {
                let text =
                    format!("{}: the way back to weight 0 waits: {}", self.state.plan.name, self.followers());
                self.notify(Severity::Warning, "quorum", text);
            }
            return;
        };
        if self.state.weights.canary_ppm == 0 {
            self.state.phase = Phase::Succeeded;
            self.state.succeeded_age_ms = Some(self.state.age_ms);
            self.record(format!("Succeeded: stable serves {}", self.state.plan.canary));
            let text = format!("{}: {}", self.state.plan.name, self.state.message());
            self.begin_watch();
            return self.notify(Severity::Info, "succeeded", text);
        }
        // Stable is not given more while its endpoints say anything else than the new version.
        let doubted = !self.state.plan.hand_back.endpoints.is_empty() && !self.state.stable_ready;
        if doubted {
            let text =
                format!("{}: stable's endpoints do not all report the new version", self.state.plan.name);
            return self.notify(Severity::Warning, "stable-not-ready", text);
        }
        self.forget("stable-not-ready");
        if self.state.age_ms.saturating_sub(quorum) >= self.state.plan.hand_back.step_ms {
            self.lower(step.saturating_add(1));
        }
    }

    /// Publishes a step of the way back; from here on the stable route serves the new version.
    fn lower(&mut self, step: usize) {
        self.state.stable_version.clone_from(&self.state.plan.canary);
        self.state.alone = None;
        let ppm = self.state.plan.hand_back.steps_ppm.get(step).copied().unwrap_or(0);
        self.state.phase = Phase::HandBack(HandBackProgress::Lowering { step });
        let weights = Weights { canary_ppm: ppm.min(self.state.weights.canary_ppm), ..Weights::default() };
        self.publish(weights, Cause::HandBack);
        self.record(format!("Give traffic back to stable: the canary's weight is {}", self.state.weight()));
    }
}

impl State {
    /// What speaks against a person's word that stable serves the new version, as far as it can be asked.
    pub(crate) fn hand_back_doubts(&self) -> Vec<String> {
        let canary = &self.plan.canary;
        if self.plan.hand_back.endpoints.is_empty() {
            // Only the hook can be asked, and its failure is known.
            let Phase::HandBack(HandBackProgress::Asked { failed: Some(why), .. }) = &self.phase else {
                return Vec::new();
            };
            return vec![format!("the hand-back's hook failed: {why}")];
        }
        if self.stable_ready {
            return Vec::new();
        }
        let Phase::HandBack(HandBackProgress::Asked { reported: Some(words), .. }) = &self.phase else {
            return vec!["stable's endpoints have not said yet which version they serve".to_owned()];
        };
        vec![format!("stable's endpoints do not all report {canary}: {words}")]
    }

    /// The wish to have the new version behind the stable route; `None` when a person does it.
    pub(super) fn hand_back_request(&self) -> Option<Effect> {
        let how = self.plan.hand_back.how.clone();
        (how != HandBackHow::Manual).then(|| {
            Effect::HandBack(HandBackRequest {
                rollout: self.plan.name.clone(),
                from: self.plan.stable.clone(),
                to: self.plan.canary.clone(),
                keep_ms: self.plan.keep_warm.as_ref().map(|keep| keep.for_ms),
                how,
            })
        })
    }
}
