//! The canary gets traffic only when it is there, and warm.

use manifest::{Insufficient, WarmUpHow};

use super::{Run, named};
use crate::{Effect, Endpoints, Human, Pause, Phase, RollbackBy, Severity, State, WarmUpRequest, WarmingUp};

/// A count older than this says nothing of now.
const STALE_MS: u64 = 30_000;
/// Looks in a row that find no endpoint left: one may be a blink.
const LOOKS: u32 = 2;

impl Run {
    /// Takes in how many endpoints are ready; acts when the canary has traffic and none is left.
    pub(super) fn count_endpoints(&mut self, endpoints: &Endpoints) {
        let age_ms = self.state.age_ms;
        let ready = &mut self.state.endpoints;
        match endpoints.error {
            // An error says nothing: what was known ages.
            Some(_) => ready.error.clone_from(&endpoints.error),
            None => {
                ready.canary = endpoints.canary;
                ready.stable = endpoints.stable;
                ready.error = None;
                ready.seen_age_ms = Some(age_ms);
                ready.none_left =
                    if endpoints.canary == Some(0) { ready.none_left.saturating_add(1) } else { 0 };
            }
        }
        let climbs = matches!(self.state.phase, Phase::Progressing | Phase::Promoting | Phase::Paused(_));
        let Some(plan) = self.state.plan.ready.as_ref().filter(|_| climbs) else { return };
        if self.state.weights.canary_ppm > 0 && self.state.endpoints.none_left >= LOOKS {
            let text = "the canary has traffic and no ready endpoint left".to_owned();
            self.undecided(plan.on_loss, Pause::Endpoints, RollbackBy::Endpoints, text);
        } else if self.state.endpoints.none_left == 0 {
            self.forget("endpoints");
        }
    }

    /// Must the next step wait for endpoints? Acts when it has waited too long.
    pub(super) fn waits_for_endpoints(&mut self, weight_ppm: u32) -> bool {
        let Err(why) = self.state.endpoints_for(weight_ppm) else {
            self.state.endpoints.wanted_age_ms = None;
            return false;
        };
        let age_ms = self.state.age_ms;
        let since = *self.state.endpoints.wanted_age_ms.get_or_insert(age_ms);
        let name = self.state.plan.name.clone();
        let Some(plan) = &self.state.plan.ready else { return false };
        let (late, action) = (age_ms.saturating_sub(since) >= plan.timeout_ms, plan.on_timeout);
        if late && matches!(self.state.phase, Phase::Progressing | Phase::Promoting) {
            self.undecided(action, Pause::Endpoints, RollbackBy::Endpoints, why);
        } else if late && action == Insufficient::Rollback {
            self.roll_back(RollbackBy::Endpoints, why);
        } else {
            let text = format!("{name}: holds at {}: {why}", self.state.weight());
            let key = format!("endpoints/{}", self.state.stages.len());
            self.notify(if late { Severity::Warning } else { Severity::Info }, &key, text);
        }
        true
    }

    /// Must the first stage wait for the canary to be warm?
    pub(super) fn waits_for_warmth(&mut self) -> bool {
        let Some(hook) = &self.state.plan.warm_up_hook else { return false };
        match &self.state.warming {
            Some(WarmingUp::Done) => return false,
            Some(WarmingUp::Asked | WarmingUp::Failed { .. }) => return true,
            None => {}
        }
        let what = match &hook.how {
            WarmUpHow::Requests { count, .. } => format!("by {count} requests"),
            _ => "by its hook".to_owned(),
        };
        self.record(format!("Warm {} {what}", self.state.plan.canary));
        self.state.warming = Some(WarmingUp::Asked);
        self.effects.extend(self.state.warm_up_request());
        true
    }

    pub(super) fn warmed(&mut self) {
        if self.state.warming == Some(WarmingUp::Asked) {
            self.state.warming = Some(WarmingUp::Done);
            self.record(format!("{} is warm", self.state.plan.canary));
        }
    }

    pub(super) fn warm_up_failed(&mut self, reason: &str) {
        if self.state.warming != Some(WarmingUp::Asked) {
            return;
        }
        self.state.warming = Some(WarmingUp::Failed { reason: reason.to_owned() });
        self.record(format!("The warm-up failed: {reason}"));
        let name = &self.state.plan.name;
        let text =
            format!("{name}: nobody is exposed: the warm-up failed: {reason}; resume to try again, or abort");
        self.notify(Severity::Warning, "warm-up", text);
    }

    pub(super) fn warm_again(&mut self, human: &Human) {
        if let Some(WarmingUp::Failed { .. }) = self.state.warming {
            self.state.warming = None;
            self.forget("warm-up");
            self.record(format!("Warm the canary again for {}", named(human)));
            self.settle();
        }
    }
}

impl State {
    /// Does it want [`crate::Event::Endpoints`]? Counted in which way: [`manifest::Plan::ready`].
    #[must_use]
    pub fn watches_endpoints(&self) -> bool {
        self.plan.ready.is_some()
            && matches!(
                self.phase,
                Phase::Pending { started_by: Some(_) }
                    | Phase::Progressing
                    | Phase::Promoting
                    | Phase::Paused(_)
            )
    }

    /// Has the canary the endpoints a weight takes?
    ///
    /// # Errors
    /// Why not, in one sentence.
    pub(crate) fn endpoints_for(&self, weight_ppm: u32) -> Result<(), String> {
        let Some(plan) = self.plan.ready.as_ref().filter(|_| weight_ppm > 0) else { return Ok(()) };
        let known = &self.endpoints;
        let fresh = known.seen_age_ms.is_some_and(|seen| self.age_ms.saturating_sub(seen) <= STALE_MS);
        let unknown = || {
            let error = known.error.as_deref().unwrap_or("they were not counted yet");
            format!("how many endpoints of the canary are ready is not known: {error}")
        };
        let canary = known.canary.filter(|_| fresh).ok_or_else(unknown)?;
        if plan.of_stable_ppm > 0 && known.stable.is_none() {
            return Err("how many endpoints of stable are ready is not known".to_owned());
        }
        let needed = plan.needed(weight_ppm, known.stable);
        if canary >= needed {
            return Ok(());
        }
        let weight = manifest::Percent::from_ppm(weight_ppm);
        Err(format!("the canary has {canary} of the {needed} ready endpoints that {weight} takes"))
    }

    /// Is there an endpoint to take traffic of this weight, as far as is known? A reason replaces some missing endpoints,
    /// but not the first one.
    pub(crate) fn reaches_somebody(&self, weight_ppm: u32) -> Result<(), String> {
        if self.endpoints.canary == Some(0) { self.endpoints_for(weight_ppm) } else { Ok(()) }
    }

    /// The share the canary gets in the next stage, as requests or as copies; 0: none rises.
    pub(crate) fn next_seen(&self) -> u32 {
        let next = self.next_stage().and_then(|next| self.plan.stages.get(next));
        next.map_or(0, manifest::Stage::seen_ppm)
    }

    /// The wish to have the canary warmed.
    pub(super) fn warm_up_request(&self) -> Option<Effect> {
        let hook = self.plan.warm_up_hook.clone()?;
        Some(Effect::WarmUp(WarmUpRequest {
            rollout: self.plan.name.clone(),
            stable: self.stable_version.clone(),
            canary: self.plan.canary.clone(),
            hook,
        }))
    }
}
