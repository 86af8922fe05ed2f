//! How many requests were answered by the time they reached an age?
//!
//! A request that is never answered is in no histogram, and one whose client leaves first is in none either: a version
//! that hangs would look like one without traffic. So requests are followed from their assignment on. They are gathered
//! by the time at which they were assigned, a bucket for every tick; when a bucket reaches one of the ages, each of its
//! requests is counted once, as what it is by then. Both arms' requests in a bucket are of the same moments and of the
//! same age, whatever their outcome later.
//!
//! Costs a request one shared pointer and two additions, and a VM one small bucket for each tick of the last age.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use split::Arm;

use crate::Progress;

/// The ages at which is counted, where a policy names none, in milliseconds.
pub const AGES_MS: [u32; 4] = [500, 2_000, 8_000, 32_000];

/// More time than this between two ticks did not pass: a wall clock was set, or the host slept.
const LONGEST_TICK_NS: u64 = 1_000_000_000;

/// Follows the requests of one rollout in one VM, under one policy.
#[derive(Debug)]
pub struct InFlight {
    /// In ascending order, each with the number of the first bucket that has not reached it.
    ages: Vec<(u32, u64)>,
    /// Buckets that have not reached the last age, oldest first; the last one is open.
    buckets: VecDeque<Rc<Bucket>>,
    /// The number of the first of `buckets`.
    first: u64,
    /// Time followed so far, by ticks.
    elapsed_ns: u64,
    last_tick_ns: Option<u64>,
}

/// Requests assigned between two ticks.
#[derive(Debug, Default)]
struct Bucket {
    /// When the last of them was assigned, at the latest.
    closed_ns: Cell<u64>,
    /// Has it reached the first age?
    ripe: Cell<bool>,
    of: RefCell<Vec<(Arm, Count)>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    assigned: u64,
    waiting: u64,
    left: u64,
    left_soon: u64,
}

/// Requests that reached an age, to be counted once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Their arm.
    pub arm: Arm,
    /// The age, in milliseconds.
    pub age_ms: u32,
    /// Their outcome.
    pub progress: Progress,
    /// How many.
    pub n: u64,
}

/// One request that is followed; hand it to [`Ticket::end`] when something becomes of it.
#[derive(Debug)]
pub struct Ticket {
    bucket: Rc<Bucket>,
    arm: Arm,
    open: Cell<bool>,
}

/// What becomes of a request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An answer began, or it failed.
    Answered,
    /// Its client left first.
    Left,
    /// No model was asked: it is no outcome.
    NoOutcome,
}

impl InFlight {
    /// Follows requests up to the last of these ages, in milliseconds.
    #[must_use]
    pub fn new(ages_ms: &[u32]) -> Self {
        let mut ages: Vec<(u32, u64)> = ages_ms.iter().map(|&age| (age, 0)).collect();
        ages.sort_unstable();
        ages.dedup();
        Self { ages, buckets: VecDeque::new(), first: 0, elapsed_ns: 0, last_tick_ns: None }
    }

    /// A request is assigned. The baseline's are followed as stable's, which answers them: at 50 % it has all that stable
    /// gets, and counters of its own would tell nothing more.
    pub fn admit(&mut self, arm: Arm) -> Ticket {
        let arm = if arm == Arm::Baseline { Arm::Stable } else { arm };
        let open = self.buckets.back().filter(|bucket| bucket.closed_ns.get() == 0).cloned();
        let bucket = open.unwrap_or_else(|| {
            let bucket = Rc::new(Bucket::default());
            self.buckets.push_back(Rc::clone(&bucket));
            bucket
        });
        bucket.change(arm, |count| {
            count.assigned += 1;
            count.waiting += 1;
        });
        Ticket { bucket, arm, open: Cell::new(true) }
    }

    /// Time passes, by a clock that may be set; `count` is told of the requests that reached an age.
    pub fn tick(&mut self, now_ns: u64, mut count: impl FnMut(Reached)) {
        let last = self.last_tick_ns.replace(now_ns).unwrap_or(now_ns);
        self.elapsed_ns += now_ns.saturating_sub(last).min(LONGEST_TICK_NS);
        if let Some(open) = self.buckets.back().filter(|bucket| bucket.closed_ns.get() == 0) {
            open.closed_ns.set(self.elapsed_ns.max(1));
        }
        for (age_ms, next) in &mut self.ages {
            let age_ns = u64::from(*age_ms) * 1_000_000;
            *next = (*next).max(self.first);
            while let Some(bucket) =
                usize::try_from(*next - self.first).ok().and_then(|at| self.buckets.get(at))
            {
                let closed_ns = bucket.closed_ns.get();
                if closed_ns == 0 || closed_ns + age_ns > self.elapsed_ns {
                    break;
                }
                bucket.report(*age_ms, &mut count);
                bucket.ripe.set(true);
                *next += 1;
            }
        }
        let done = self.ages.iter().map(|(_, next)| *next).min();
        while done.is_none_or(|done| self.first < done) && self.buckets.pop_front().is_some() {
            self.first += 1;
        }
    }

    /// Is nobody followed any more?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}

impl Bucket {
    fn change(&self, arm: Arm, change: impl FnOnce(&mut Count)) {
        let mut of = self.of.borrow_mut();
        let at = of.iter().position(|(known, _)| *known == arm).unwrap_or_else(|| {
            of.push((arm, Count::default()));
            of.len() - 1
        });
        if let Some((_, count)) = of.get_mut(at) {
            change(count);
        }
    }

    fn report(&self, age_ms: u32, count: &mut impl FnMut(Reached)) {
        for &(arm, seen) in self.of.borrow().iter() {
            let done = seen.assigned.saturating_sub(seen.waiting + seen.left + seen.left_soon);
            for (progress, n) in [
                (Progress::Answered, done),
                (Progress::Waiting, seen.waiting),
                (Progress::Left, seen.left),
                (Progress::LeftSoon, seen.left_soon),
            ] {
                if n > 0 {
                    count(Reached { arm, age_ms, progress, n });
                }
            }
        }
    }
}

impl Ticket {
    /// Something becomes of the request; only the first end counts; that it belongs to no version always does.
    pub fn end(&self, ending: Ending) {
        let waited = self.open.replace(false);
        self.bucket.change(self.arm, |count| match (ending, waited) {
            (Ending::Answered | Ending::Left, false) => {}
            (Ending::Answered, true) => count.waiting = count.waiting.saturating_sub(1),
            (Ending::Left, true) => {
                count.waiting = count.waiting.saturating_sub(1);
                if self.bucket.ripe.get() { count.left += 1 } else { count.left_soon += 1 }
            }
            (Ending::NoOutcome, waited) => {
                count.assigned = count.assigned.saturating_sub(1);
                count.waiting = count.waiting.saturating_sub(u64::from(waited));
            }
        });
    }
}

#[cfg(test)]
#[path = "tests/in_flight.rs"]
mod tests;
