//! What is done now and then: writing down evidence, pruning what is old, looking whether a clock was set.

use std::time::Instant;

use rollout::{Now, State};

use super::{Engine, Succession};
use crate::health::Health;

/// Evidence without a decision is written this often: losing less than this much of it is a gap, not a fault.
pub(super) const CHECKPOINT_NS: u64 = 5_000_000_000;

/// What is over and has something left to do is written so many times less often. A crash then costs a minute of it at
/// most: a watch has seen that much less, and a version is kept warm that much longer.
const SELDOM: u64 = 12;

/// Whether there is anything old is looked after this often; when there is, a little at every tick.
const PRUNE_NS: u64 = 60_000_000_000;

/// When the two clocks disagree by more, the wall clock was set.
const LARGEST_DRIFT_MS: i64 = 1_000;

/// When what was last done; times are monotonic.
pub(super) struct Maintenance {
    /// When runs were last written without a decision.
    checkpoint_ns: u64,
    /// The same of runs that are over.
    seldom_ns: u64,
    /// When what is old was last pruned, and how often that is wanted.
    pruned_ns: u64,
    prune_every_ns: u64,
    /// When practice was last looked after.
    pub practice_looked_ns: u64,
    /// The clocks at the last look at them.
    clocks: Now,
    /// What readiness is answered from; `None`: it is not served.
    pub health: Option<Health>,
    /// Did the store refuse the last write?
    pub disk_refuses: bool,
    /// When a proxy last ran what was never decided here, and what.
    pub fenced: Option<(u64, (u64, u64))>,
    /// The last policy of the replica before, as it was written down; `None`: this process goes on from nobody's.
    pub before: Option<(u64, u64)>,
    /// What it goes on from, where several replicas decide one after the other; `None`: this one is alone.
    pub succession: Option<Succession>,
    /// Do proxies prove who they are?
    pub proxies_prove: bool,
    /// Was a proxy believed in this process that proved nothing?
    pub believed: bool,
    /// When the log last named such an unproven report.
    pub doubted_ns: Option<u64>,
    /// Pushes that proxies took for older than what they run.
    pub stale: u64,
    /// Was something taken back that no write has been begun for?
    pub hurry: bool,
    /// Why the store refused, and until when it is not asked again.
    pub refusal: Option<(String, Instant)>,
}

/// Whose turn it is to be written without a decision.
#[derive(Clone, Copy)]
pub(super) struct Due {
    live: bool,
    over: bool,
}

impl Due {
    /// Is it that of runs that are under way?
    pub const fn live(self) -> bool {
        self.live
    }

    /// Is it this run's?
    pub fn of(self, state: &State) -> bool {
        if state.is_over() { self.over } else { self.live }
    }
}

impl Maintenance {
    pub fn new() -> Self {
        let now = clock::now();
        Self {
            checkpoint_ns: now.monotonic_ns,
            seldom_ns: now.monotonic_ns,
            pruned_ns: now.monotonic_ns,
            prune_every_ns: 0,
            practice_looked_ns: 0,
            clocks: now,
            health: None,
            disk_refuses: false,
            fenced: None,
            before: None,
            succession: None,
            proxies_prove: false,
            believed: false,
            doubted_ns: None,
            stale: 0,
            hurry: false,
            refusal: None,
        }
    }

    /// Whose turn is it? What is due now is due again later.
    pub fn checkpoint_due(&mut self, every_ns: u64) -> Due {
        let now_ns = clock::monotonic_ns();
        let due = Due {
            live: now_ns.saturating_sub(self.checkpoint_ns) >= every_ns,
            over: now_ns.saturating_sub(self.seldom_ns) >= every_ns.saturating_mul(SELDOM),
        };
        if due.live {
            self.checkpoint_ns = now_ns;
        }
        if due.over {
            self.seldom_ns = now_ns;
        }
        due
    }
}

impl Engine {
    /// Thins and forgets a little of what is old.
    pub(super) fn prune(&mut self) {
        let now_ns = clock::monotonic_ns();
        if now_ns.saturating_sub(self.maintenance.pruned_ns) < self.maintenance.prune_every_ns {
            return;
        }
        self.maintenance.pruned_ns = now_ns;
        match self.journal.prune(clock::unix_ms()) {
            Ok(more) => self.maintenance.prune_every_ns = if more { 0 } else { PRUNE_NS },
            Err(error) => {
                self.maintenance.prune_every_ns = PRUNE_NS;
                self.unwritten(&error);
            }
        }
    }

    /// Was the wall clock set, or did the machine sleep? Then what was dated by it is dated anew.
    pub(super) fn look_at_clocks(&mut self) {
        let now = clock::now();
        let before = std::mem::replace(&mut self.maintenance.clocks, now);
        let passed = i64::try_from(now.since_ms(before)).unwrap_or(i64::MAX);
        let by_ms = now.unix_ms.cast_signed() - before.unix_ms.cast_signed() - passed;
        if by_ms.abs() > LARGEST_DRIFT_MS {
            tracing::warn!("the wall clock was set, by {by_ms} ms");
            self.runs.values_mut().for_each(|run| run.accumulator.clock_set(by_ms));
        }
    }
}
