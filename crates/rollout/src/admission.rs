use manifest::{Plan, Supersede};

use crate::{Phase, RejectedVersion, State};

/// What applying a plan does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A run begins: [`State::new`] with these numbers, then [`crate::Event::Start`].
    Begin {
        /// Numbers the runs of this name.
        run: u64,
        /// The last epoch an earlier run published.
        epoch: u64,
    },
    /// This very plan is under way or done: nothing is to be done.
    Unchanged,
    /// So it is, but for what is tried between runs: [`crate::Event::Practice`] to each, and nothing else.
    Practice,
    /// The present run is to be aborted; then it begins.
    Replace,
    /// It is to be received again when the present run is over.
    Queue,
    /// It is not taken; one English sentence says why, and what would be.
    Refused(String),
}

/// Receives a plan. `present` is the last run of its name; `again`: a person wants a plan that was rolled back tried
/// once more.
#[must_use]
pub fn admit(present: Option<&State>, next: &Plan, again: bool) -> Admission {
    let Some(present) = present else { return Admission::Begin { run: 1, epoch: 0 } };
    let name = &next.name;
    let same = is_same(&present.plan, next);
    let rolled_back = present.phase == Phase::RolledBack;
    // A change of the drills' timetable alone is no wish to retry what was rolled back.
    if same && present.plan.practice != next.practice && !(again && rolled_back && present.is_over()) {
        return Admission::Practice;
    }
    if same && !rolled_back {
        return Admission::Unchanged;
    }
    if let Some(why) = gone_back_from(present, next).filter(|_| !again) {
        return Admission::Refused(why);
    }
    if !present.is_over() {
        return match next.supersede {
            Supersede::Queue => Admission::Queue,
            Supersede::Replace if !rolled_back && present.plan.returning.is_none() => Admission::Replace,
            // On its way down already, or back to what is known to be good: what comes next waits for the ground.
            Supersede::Replace => Admission::Queue,
            Supersede::Reject if present.plan.returning.is_some() => Admission::Refused(format!(
                "{name} goes back to {} (run {}); wait for its end, or set spec.supersede to queue",
                present.plan.canary, present.run
            )),
            Supersede::Reject => Admission::Refused(format!(
                "{name} is {} (run {}); abort it first, or set spec.supersede to queue or replace",
                present.phase.name(),
                present.run
            )),
        };
    }
    if same && !again {
        let reason = present.rollback.as_ref().map_or("", |rollback| rollback.reason.as_str());
        return Admission::Refused(format!(
            "{name} was rolled back with this very specification: {reason}; to try it once more, apply it again \
             explicitly"
        ));
    }
    if present.stable_version != next.stable {
        return Admission::Refused(format!(
            "spec.stable.version is {:?}, but run {} left {:?} behind the stable route; write that",
            next.stable, present.run, present.stable_version
        ));
    }
    Admission::Begin { run: present.run.saturating_add(1), epoch: present.epoch }
}

/// Are these the same rollout, whatever is tried between its runs?
pub(crate) fn is_same(present: &Plan, next: &Plan) -> bool {
    let mut present = present.as_applied();
    present.practice.clone_from(&next.practice);
    present == *next
}

/// What a named person went back from is not rolled out again by a file that is still there.
pub(crate) fn gone_back_from(present: &State, next: &Plan) -> Option<String> {
    let RejectedVersion { version, run, who, reason } = present.rejects(next)?;
    let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    Some(format!(
        "{who} went back from {version} in run {run}{why}; to try {version} once more, apply it again explicitly"
    ))
}
