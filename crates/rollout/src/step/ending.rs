//! After the end: the version without traffic is kept for a while, then a hook is told that it can be deleted.

use super::{Run, named};
use crate::ending::{HookCallRequest, PendingHook, PostRunHook};
use crate::{Below, Cause, Effect, Endpoint, Human, Severity, State};

/// A hook that failed is called again after this long, then after twice as long, and so on, in milliseconds.
const FIRST_PAUSE_MS: u64 = 10_000;
const LONGEST_PAUSE_MS: u64 = 600_000;

impl Run {
    /// Does what is due by now of what comes after the end, and of what earlier runs left behind.
    pub(super) fn settle_ending(&mut self) {
        if self.protects {
            return;
        }
        if self.state.is_over() && self.state.has_duties() && self.is_emptied() {
            self.place_kept();
            if self.state.kept_for_ms() == 0 {
                self.end_keeping();
            }
        }
        self.settle_calls();
    }

    /// Has every proxy weight 0? A quorum is enough to go on with, but what is deleted must not be missed by anybody:
    /// those that lag behind are waited for, then told by their lease, and given as long again to hear of it.
    fn is_emptied(&mut self) -> bool {
        if self.state.ending.emptied_age_ms.is_some() {
            return true;
        }
        let Some(publication) = &self.state.publication else { return false };
        let Some(quorum) = publication.quorum_age_ms else { return false };
        let waited = self.state.age_ms.saturating_sub(quorum);
        let timeout = self.state.plan.acknowledge.timeout_ms;
        if publication.acks.acknowledged < publication.acks.connected {
            if waited >= timeout && !self.state.ending.revoked {
                self.state.ending.revoked = true;
                self.record(format!(
                    "Proxies that have not taken weight 0 are told by their lease: {}",
                    self.followers()
                ));
                self.effects.push(Effect::Revoke { below: Below::LastPublished });
            }
            if waited < timeout.saturating_mul(2) {
                return false;
            }
        }
        self.state.ending.emptied_age_ms = Some(self.state.age_ms);
        let kept = self.state.kept();
        if let Some(keep) = self.state.plan.keep_warm.as_ref().filter(|_| !kept.is_empty()) {
            let time = manifest::Span::from_ms(keep.for_ms);
            self.record(format!(
                "No proxy sends the canary route anything; keep {} warm for {time}",
                kept.join(", ")
            ));
        }
        true
    }

    /// Has the old version put behind the canary route, now that no request goes there.
    fn place_kept(&mut self) {
        let Some(keep) = self.state.plan.keep_warm.as_ref().filter(|_| self.state.promoted()) else { return };
        let Some(how) = keep.hook.clone().filter(|_| !self.state.ending.placing) else { return };
        let keep_ms = Some(keep.for_ms);
        self.state.ending.placing = true;
        let request = self.state.request_after(&how, None);
        let versions = self.state.kept();
        self.ask_for(HookCallRequest { duty: PostRunHook::Keep, versions, keep_ms, ..request });
    }

    fn end_keeping(&mut self) {
        let kept = self.state.kept();
        if !kept.is_empty() {
            self.record(format!("{} is kept warm no longer: its time is over", kept.join(", ")));
        }
        self.state.ending.done = true;
        self.state.ending.calls.retain(|call| call.request.duty != PostRunHook::Keep);
        if let Some(how) = self.state.hook_after().cloned() {
            let request = self.state.request_after(&how, None);
            self.ask_for(request);
        }
    }

    fn ask_for(&mut self, request: HookCallRequest) {
        let (versions, wants) = (request.versions.join(", "), request.duty.wants());
        self.record(format!("Ask for {versions} to be {wants}"));
        self.state.ending.calls.push(PendingHook::new(request));
    }

    /// Calls the hooks whose time has come.
    pub(super) fn settle_calls(&mut self) {
        if self.protects {
            return;
        }
        let age_ms = self.state.age_ms;
        for call in &mut self.state.ending.calls {
            if !call.asked && call.due_age_ms <= age_ms {
                call.asked = true;
                self.effects.push(Effect::Call(call.request.clone()));
            }
        }
    }

    /// A hook did its work.
    pub(super) fn called(&mut self, run: u64, duty: PostRunHook) {
        let Some(call) = self.take_call(run, duty) else { return };
        if duty == PostRunHook::Keep {
            self.state.ending.placed = true;
        }
        self.forget(&key(&call));
        let versions = call.request.versions.join(", ");
        self.record(format!("The hook after run {run} succeeded: {versions} can be {}", past(duty)));
    }

    fn take_call(&mut self, run: u64, duty: PostRunHook) -> Option<PendingHook> {
        let calls = &mut self.state.ending.calls;
        let at = calls.iter().position(|call| call.request.run == run && call.request.duty == duty)?;
        Some(calls.remove(at))
    }

    /// A hook failed: people hear of it once, and it is called again.
    pub(super) fn call_failed(&mut self, run: u64, duty: PostRunHook, reason: &str) {
        let age_ms = self.state.age_ms;
        let calls = &mut self.state.ending.calls;
        let of = |call: &&mut PendingHook| call.request.run == run && call.request.duty == duty && call.asked;
        let Some(call) = calls.iter_mut().find(of) else { return };
        let pause = FIRST_PAUSE_MS.saturating_mul(1 << call.failures.min(10)).min(LONGEST_PAUSE_MS);
        call.asked = false;
        call.failures = call.failures.saturating_add(1);
        call.failed = Some(reason.to_owned());
        call.due_age_ms = age_ms.saturating_add(pause);
        let call = call.clone();
        let (versions, wants) = (call.request.versions.join(", "), duty.wants());
        self.record(format!("The hook after run {run} failed: {reason}"));
        let text = format!(
            "{}: {versions} is to be {wants}, and the hook after run {run} failed: {reason}; it is called again, at once \
             on resume",
            self.state.plan.name
        );
        self.notify(Severity::Warning, &key(&call), text);
    }

    /// A person wants failed hooks called at once; were there any?
    pub(super) fn call_again(&mut self, human: &Human) -> bool {
        if !self.state.has_failed_calls() {
            return false;
        }
        let age_ms = self.state.age_ms;
        for call in self.state.ending.calls.iter_mut().filter(|call| call.failures > 0 && !call.asked) {
            call.due_age_ms = age_ms;
        }
        self.record(format!("PendingHook the hooks after the end again for {}", named(human)));
        self.settle_calls();
        true
    }

    /// No request goes to the canary before the hooks of earlier runs have answered once: one of them may take something down, and
    /// what that is must not be under traffic.
    pub(super) fn waits_for_calls(&self) -> bool {
        self.state.ending.calls.iter().any(|call| call.failures == 0)
    }

    /// What the canary route's endpoints serve while a version is kept there.
    pub(super) fn kept_reports(&mut self, endpoints: &[Endpoint]) {
        if !self.state.polls_kept_version() {
            return;
        }
        let kept = self.state.kept();
        let serves =
            |endpoint: &Endpoint| endpoint.version.as_ref().is_some_and(|version| kept.contains(version));
        let there = !endpoints.is_empty() && endpoints.iter().all(serves);
        if self.state.ending.there == Some(there) {
            return;
        }
        let lost = self.state.ending.there.replace(there) == Some(true);
        let kept = kept.join(", ");
        if there {
            self.forget("kept-lost");
            self.record(format!("The canary route's endpoints report {kept}"));
        } else if lost {
            self.record(format!("The canary route's endpoints do not all report {kept} any more"));
            let text = format!(
                "{}: {kept} is no longer behind the canary route, where it is to be kept",
                self.state.plan.name
            );
            self.notify(Severity::Warning, "kept-lost", text);
        }
    }

    /// A person goes back to a version that was there before. There is no wait for a proof that the proxies follow: those
    /// that do are better off at once, and for the others nothing gets worse.
    pub(super) fn go_back_to(&mut self, human: &Human, returning: &manifest::Returning) {
        let (from, to) = (returning.from.clone(), self.state.plan.canary.clone());
        let vouched = returning.vouched.as_deref().unwrap_or("nobody says that it is there");
        self.record(format!(
            "Go back from {from} to {to} for {}: everybody at once ({vouched})",
            named(human)
        ));
        if returning.vouched.is_none() {
            self.override_by(human, vec![format!("nobody says that {to} is behind the canary route")]);
        }
        let run = self.state.run;
        self.state.rejected.retain(|rejected| rejected.version != from);
        self.state.rejected.push(crate::RejectedVersion {
            version: from,
            run,
            who: human.who.clone(),
            reason: human.reason.clone(),
        });
        self.enter_stage(0, Cause::Human { who: human.who.clone() });
    }
}

/// One for each matter people are notified of.
fn key(call: &PendingHook) -> String {
    format!("call/{}/{}", call.request.run, call.request.duty.word())
}

const fn past(duty: PostRunHook) -> &'static str {
    match duty {
        PostRunHook::Keep => "gone back to",
        PostRunHook::Succeeded | PostRunHook::RolledBack => "deleted",
    }
}

impl State {
    /// Did a hook after the end fail, and waits to be called again?
    pub(crate) fn has_failed_calls(&self) -> bool {
        self.ending.calls.iter().any(|call| call.failures > 0 && !call.asked)
    }
}
