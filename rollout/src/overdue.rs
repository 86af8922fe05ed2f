//! Requests that are not answered in time, seen while they are still not answered.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::Aged;

/// Turns one arm's running counters into the counts of the metric `overdue`.
///
/// A request is overdue when it was not answered within T. Those that finish late are known from the latency bins;
/// those that never finish are in no bin at all, and a canary that hangs would look like a canary without traffic.
/// But of the requests assigned by t - T, at most `finished(t)` are finished; so at least
/// `assigned(t - T) - finished(t)` are still waiting and overdue. That is a lower bound (what finished may have been
/// assigned later), exact once nothing finishes. Found overdue = the largest value so far of
/// `finished later than T + still waiting`: never more than there really are, and never taken back.
///
/// Feed it totals since the start of counting, of all proxies together; call [`Overdue::restart`] when they began
/// again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overdue {
    after_ms: u64,
    /// (when, assigned until then), oldest first; the first is the last one at least T old.
    assigned: VecDeque<(u64, u64)>,
    reported: Aged,
    found: u64,
    /// Totals of before the last restart.
    base: Aged,
}

/// An arm's totals at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The moment, in milliseconds of any clock that does not run backwards.
    pub at_ms: u64,
    /// Requests assigned until then.
    pub assigned: u64,
    /// Requests finished until then, in whatever way.
    pub finished: u64,
    /// Requests that finished later than T until then: [`crate::Bins::longer_than`].
    pub late: u64,
}

impl Overdue {
    /// Nothing counted yet; overdue after `after_ms` (T).
    #[must_use]
    pub const fn new(after_ms: u64) -> Self {
        Self {
            after_ms,
            assigned: VecDeque::new(),
            reported: Aged { reached: 0, overdue: 0 },
            found: 0,
            base: Aged { reached: 0, overdue: 0 },
        }
    }

    /// Takes the totals of now and returns what is new since the last call.
    pub fn look(&mut self, totals: Totals) -> Aged {
        self.assigned.push_back((totals.at_ms, totals.assigned));
        let is_ripe = |at: u64| at.checked_add(self.after_ms).is_some_and(|ripe| ripe <= totals.at_ms);
        while self.assigned.get(1).is_some_and(|&(at, _)| is_ripe(at)) {
            self.assigned.pop_front();
        }
        // Before the first look is T old, nothing is known to have been assigned by t - T.
        let reached =
            self.assigned.front().filter(|&&(at, _)| is_ripe(at)).map_or(0, |&(_, assigned)| assigned);
        let waiting = reached.saturating_sub(totals.finished);
        // A late answer is counted when it finishes, its assignment when a look is old enough: the looks' spacing
        // may let it come first, and a share above one would be nonsense.
        self.found = self.found.max(totals.late.saturating_add(waiting).min(reached));
        let total = Aged { reached: self.base.reached + reached, overdue: self.base.overdue + self.found };
        // Never more events than trials in one interval: what is too much waits for the next.
        let reached = total.reached.saturating_sub(self.reported.reached);
        let overdue = total.overdue.saturating_sub(self.reported.overdue).min(reached);
        self.reported.reached += reached;
        self.reported.overdue += overdue;
        Aged { reached, overdue }
    }

    /// The totals begin again at nothing (a proxy was started again): what was in flight is forgotten, what was
    /// reported stays.
    pub fn restart(&mut self) {
        self.assigned.clear();
        self.base = self.reported;
        self.found = 0;
    }
}
