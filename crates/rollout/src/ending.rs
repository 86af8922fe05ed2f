//! What a run that is over has still to do: keep a version warm, and tell those who asked to be told.

use serde::{Deserialize, Serialize};

use crate::{Event, OpenEnum, State};

/// What comes after the end of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PostRun {
    /// Since when no proxy has anything but weight 0, on the run's own clock.
    pub emptied_age_ms: Option<u64>,
    /// Were proxies that lag behind told by their lease?
    pub revoked: bool,
    /// Was the hook asked that puts the old version behind the canary route?
    pub placing: bool,
    /// Did it succeed?
    pub placed: bool,
    /// Do all endpoints of the canary route report the version that is kept? `None`: they were not asked.
    pub there: Option<bool>,
    /// Nothing is kept any longer; the hooks that are to be told are among the calls.
    pub done: bool,
    /// Hooks that have not succeeded yet, those of earlier runs included.
    pub calls: Vec<PendingHook>,
}

/// A hook that is to be called, until it succeeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingHook {
    /// What it is told.
    pub request: HookCallRequest,
    /// Is an answer awaited?
    pub asked: bool,
    /// How often it failed.
    pub failures: u32,
    /// What it said when it last failed.
    pub failed: Option<String>,
    /// When it is called next, on the run's own clock.
    pub due_age_ms: u64,
}

/// The wish to have a hook called about versions that have no traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookCallRequest {
    /// The rollout.
    pub rollout: String,
    /// Its run that is over.
    pub run: u64,
    /// What it is about.
    pub duty: PostRunHook,
    /// The versions without traffic: to be put behind the canary route, or to be deleted.
    pub versions: Vec<String>,
    /// The version behind the stable route.
    pub stable: String,
    /// The version whose run ended the keeping before its time.
    pub next: Option<String>,
    /// For how long it is to stay there, in milliseconds; of [`PostRunHook::Keep`].
    pub keep_ms: Option<u64>,
    /// How.
    pub how: manifest::HookHow,
}

/// What a hook after the end is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostRunHook {
    /// The old version is to be put behind the canary route.
    Keep,
    /// The run was a promotion: the old version can be deleted.
    Succeeded,
    /// The run was a rollback: the new version can be deleted.
    RolledBack,
}

/// A version that a named person went back from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectedVersion {
    /// Which.
    pub version: String,
    /// The run that went back from it.
    pub run: u64,
    /// Who.
    pub who: String,
    /// Why.
    pub reason: String,
}

/// A version that is kept warm, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeepWarmView {
    /// Which: of several challengers that were rolled back, all of them.
    pub versions: Vec<String>,
    /// For how long yet, in milliseconds of watched time.
    pub left_ms: u64,
    /// Until when, if the controller runs until then; in milliseconds since 1970.
    pub until_unix_ms: u64,
    /// Do all endpoints of the canary route report it? Absent: they were not asked.
    pub there: Option<bool>,
    /// Was it behind the stable route before, so that one can go back to it?
    pub was_stable: bool,
}

/// A hook that has not succeeded yet, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookCallView {
    /// The run it is about.
    pub run: u64,
    /// What it is about.
    pub duty: OpenEnum<PostRunHook>,
    /// The versions it is told of.
    pub versions: Vec<String>,
    /// What it said when it last failed.
    pub failed: Option<String>,
    /// When it is called again, in milliseconds from now; absent: an answer is awaited.
    pub again_ms: Option<u64>,
}

impl PostRunHook {
    /// What is wanted of the hook.
    #[must_use]
    pub const fn wants(self) -> &'static str {
        match self {
            Self::Keep => "put behind the canary route",
            Self::Succeeded | Self::RolledBack => "deleted",
        }
    }

    /// The word for it in requests to hooks.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Succeeded => "succeeded",
            Self::RolledBack => "rolled_back",
        }
    }
}

impl State {
    /// Is it over, and has it still something to do? Then it wants to be told of time.
    #[must_use]
    pub fn has_post_run_work(&self) -> bool {
        self.is_over() && (self.is_to_tell() || self.watched().is_some())
    }

    /// Is something kept warm, or a hook still to be called? Deleting the run drops that as well.
    #[must_use]
    pub fn is_to_tell(&self) -> bool {
        !self.ending.calls.is_empty() || self.has_duties()
    }

    /// May a person still do this although the run is over? Hooks are called again; a watch is stopped, and goes on.
    #[must_use]
    pub fn accepts_after_end(&self, event: &Event) -> bool {
        matches!(event, Event::Resume(_)) || matches!(event, Event::Pause(_)) && self.watched().is_some()
    }

    /// Is a version still to be kept, or a hook still to be told?
    pub(crate) fn has_duties(&self) -> bool {
        !self.ending.done && (self.plan.keep_warm.is_some() || self.hook_after().is_some())
    }

    /// Does the stable route serve the version that was rolled out? What it serves decides what can be deleted, not
    /// how the run is called: one that is taken back in the middle of its hand-back leaves the new version there.
    pub(crate) fn promoted(&self) -> bool {
        self.stable_version == self.plan.canary
    }

    /// The hook to be called after the end, as things stand.
    pub(crate) fn hook_after(&self) -> Option<&manifest::HookHow> {
        if self.promoted() {
            self.plan.after.succeeded.as_ref()
        } else {
            self.plan.after.rolled_back.as_ref()
        }
    }

    /// The versions that have no traffic when the run is over.
    pub(crate) fn idle_versions(&self) -> Vec<String> {
        let all = self.plan.versions().into_iter();
        all.filter(|version| *version != self.stable_version).map(str::to_owned).collect()
    }

    /// What is kept warm: after a promotion what the stable route served before, after a rollback what was on trial.
    #[must_use]
    pub fn kept(&self) -> Vec<String> {
        if !self.is_over() || self.ending.done || self.plan.keep_warm.is_none() {
            return Vec::new();
        }
        if self.promoted() { vec![self.plan.stable.clone()] } else { self.idle_versions() }
    }

    /// Does it want [`crate::Event::KeptReports`]?
    #[must_use]
    pub fn polls_kept_version(&self) -> bool {
        let asked = self.plan.keep_warm.as_ref().is_some_and(|keep| !keep.endpoints.is_empty());
        asked && self.ending.emptied_age_ms.is_some() && !self.kept().is_empty()
    }

    /// Is it known, without asking the endpoints, that a version is behind the canary route? A hook put it there, and
    /// no hook was told since that it can be deleted.
    #[must_use]
    pub fn was_placed(&self, version: &str) -> bool {
        self.promoted() && self.ending.placed && self.kept().iter().any(|kept| kept == version)
    }

    /// Is a hook being told at this moment that a version can be deleted?
    #[must_use]
    pub fn is_being_deleted(&self, version: &str) -> bool {
        self.ending.calls.iter().any(|call| {
            let told = call.asked || call.failures > 0;
            told && call.request.duty != PostRunHook::Keep
                && call.request.versions.iter().any(|it| it == version)
        })
    }

    /// The version on trial in a plan that a named person went back from.
    #[must_use]
    pub fn rejects(&self, plan: &manifest::Plan) -> Option<&RejectedVersion> {
        let on_trial = |version: &str| version != plan.stable && plan.versions().contains(&version);
        self.rejected.iter().find(|rejected| on_trial(&rejected.version))
    }

    /// What it takes over from the runs before it, which it follows: hooks that are still to be called, and versions
    /// that a person went back from. It needs the canary route, so whatever they kept is kept no longer; what it is
    /// about itself is nobody's to delete.
    #[must_use]
    pub fn following(mut self, before: &[&Self]) -> Self {
        let own: Vec<String> = self.plan.versions().into_iter().map(str::to_owned).collect();
        for state in before {
            let mut calls = state.ending.calls.clone();
            if state.has_duties()
                && let Some(how) = state.hook_after()
            {
                calls.push(PendingHook::new(state.request_after(how, Some(self.plan.canary.clone()))));
            }
            for mut call in calls {
                call.request.versions.retain(|version| !own.contains(version));
                if call.request.duty == PostRunHook::Keep || call.request.versions.is_empty() {
                    continue;
                }
                // Its clock begins anew, and pending answers no longer count.
                (call.asked, call.due_age_ms) = (false, 0);
                self.ending.calls.push(call);
            }
            self.acted.extend(state.acted.iter().cloned());
            if state.plan.name == self.plan.name {
                let rejected = state.rejected.iter().filter(|rejected| !own.contains(&rejected.version));
                self.rejected.extend(rejected.cloned());
            }
        }
        self
    }

    /// What a hook after the end is told.
    pub(crate) fn request_after(&self, how: &manifest::HookHow, next: Option<String>) -> HookCallRequest {
        HookCallRequest {
            rollout: self.plan.name.clone(),
            run: self.run,
            duty: if self.promoted() { PostRunHook::Succeeded } else { PostRunHook::RolledBack },
            versions: self.idle_versions(),
            stable: self.stable_version.clone(),
            next,
            keep_ms: None,
            how: how.clone(),
        }
    }

    /// For how long yet something is kept, in milliseconds; before the route is empty, the whole time.
    pub(crate) fn kept_for_ms(&self) -> u64 {
        let time = self.plan.keep_warm.as_ref().map_or(0, |keep| keep.for_ms);
        let since = self.ending.emptied_age_ms.map_or(0, |since| self.age_ms.saturating_sub(since));
        time.saturating_sub(since)
    }

    pub(crate) fn kept_view(&self) -> Option<KeepWarmView> {
        let versions = self.kept();
        let left_ms = self.kept_for_ms();
        (!versions.is_empty()).then(|| KeepWarmView {
            versions,
            left_ms,
            until_unix_ms: self.last.unix_ms.saturating_add(left_ms),
            there: self.ending.there,
            was_stable: self.promoted(),
        })
    }

    pub(crate) fn call_views(&self) -> Vec<HookCallView> {
        let view = |call: &PendingHook| HookCallView {
            run: call.request.run,
            duty: call.request.duty.into(),
            versions: call.request.versions.clone(),
            failed: call.failed.clone(),
            again_ms: (!call.asked).then(|| call.due_age_ms.saturating_sub(self.age_ms)),
        };
        self.ending.calls.iter().map(view).collect()
    }
}

impl PendingHook {
    pub(crate) const fn new(request: HookCallRequest) -> Self {
        Self { request, asked: false, failures: 0, failed: None, due_age_ms: 0 }
    }
}
