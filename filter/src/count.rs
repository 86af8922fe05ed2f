//! Counters, defined on first use: a stat is permanent in Envoy, so what never happens must cost nothing.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use split::{Arm, Cause, Claim};
use tally::metric::filter;
use tally::{AGES_MS, Class, InFlight, Reached, Series, Slot, Ticket, What};

use crate::host::{self, Metric};

thread_local! {
    /// Every set of counters of this VM that still has requests to follow: a policy that was replaced, and whose requests
    /// ended, gets no tick any more.
    static FOLLOWED: RefCell<Vec<Rc<Counters>>> = const { RefCell::new(Vec::new()) };
}

/// The counters of one rollout under one policy.
pub struct Counters {
    rollout: String,
    /// The epoch by which this policy assigns.
    epoch: u64,
    /// The epoch by which the newest policy of this VM assigns.
    present: Cell<u64>,
    waiting: RefCell<InFlight>,
    versions: BTreeMap<Arm, String>,
    ids: RefCell<BTreeMap<(Arm, What), Option<u32>>>,
    latency: RefCell<BTreeMap<Arm, Option<u32>>>,
    last_challenger: Option<u32>,
    challenger_since_tick: Cell<bool>,
}

/// Time passes for all counters of this VM.
pub fn tick(now_ns: u64) {
    FOLLOWED.with_borrow_mut(|followed| {
        followed.iter().for_each(|counters| counters.tick(now_ns));
        followed.retain(|counters| Rc::strong_count(counters) > 1 || !counters.waiting.borrow().is_empty());
    });
}

impl Counters {
    /// The counters of a policy that is about to be in force; whatever this VM counted of the rollout before is of the
    /// past from now on.
    pub fn begin(claim: &Claim<'_>) -> Rc<Self> {
        let name = tally::last_canary_gauge(claim.name());
        let ages = if claim.ages_ms().is_empty() { &AGES_MS } else { claim.ages_ms() };
        let counters = Rc::new(Self {
            rollout: claim.name().to_owned(),
            epoch: claim.epoch(),
            present: Cell::new(claim.epoch()),
            waiting: RefCell::new(InFlight::new(ages)),
            versions: claim.arms().map(|arm| (arm, claim.version(arm).to_owned())).collect(),
            ids: RefCell::default(),
            latency: RefCell::default(),
            last_challenger: host::define(Metric::Gauge, &name).ok(),
            challenger_since_tick: Cell::new(false),
        });
        FOLLOWED.with_borrow_mut(|followed| {
            for earlier in followed.iter().filter(|earlier| earlier.rollout == counters.rollout) {
                earlier.present.set(counters.epoch);
            }
            followed.push(Rc::clone(&counters));
        });
        counters
    }

    /// Says by which epoch this policy assigns.
    pub fn announce(&self) {
        show(&tally::epoch_gauge(&self.rollout), self.epoch);
    }

    /// Are these the weights in force?
    pub fn is_present(&self) -> bool {
        self.epoch == self.present.get()
    }

    /// A request is given an arm; one that the weights decided is followed.
    pub fn count_assigned(&self, arm: Arm, cause: Cause) -> Option<Ticket> {
        self.count(arm, What::Assigned(cause, self.slot(cause)));
        (cause == Cause::Weight).then(|| self.waiting.borrow_mut().admit(arm))
    }

    pub fn count_finished(&self, arm: Arm, cause: Cause, class: Class) {
        self.count(arm, What::Finished(cause, class, self.slot(cause)));
    }

    fn slot(&self, cause: Cause) -> Option<Slot> {
        (cause == Cause::Weight).then(|| Slot::at(self.epoch, self.present.get()))
    }

    pub fn count(&self, arm: Arm, what: What) {
        self.add(arm, what, 1);
    }

    fn add(&self, arm: Arm, what: What, by: u64) {
        // A counter the host would not define is not asked for again; the request goes its way.
        let id = *self.ids.borrow_mut().entry((arm, what)).or_insert_with(|| {
            let series = Series { rollout: self.rollout.clone(), version: self.version(arm), arm, what };
            host::define(Metric::Counter, &series.to_string()).ok()
        });
        if let Some(id) = id {
            host::increment(id, by);
        }
    }

    /// For people's dashboards: Envoy's own histogram, of every cause.
    pub fn record_latency(&self, arm: Arm, milliseconds: u64) {
        let id = *self.latency.borrow_mut().entry(arm).or_insert_with(|| {
            let version = self.version(arm);
            let tags = [("rollout", &*self.rollout), ("version", &version), ("arm", arm.as_str())];
            host::define(Metric::Histogram, &tally::gauge(filter::LATENCY_MS, &tags)).ok()
        });
        if let Some(id) = id {
            host::record(id, milliseconds);
        }
    }

    /// A request goes to a version on trial. When, is written at the next tick: a request need not pay for it.
    pub fn note_challenger(&self) {
        self.challenger_since_tick.set(true);
    }

    /// Counts the requests that reached an age, and shows when this process last sent a request to the canary or a
    /// further arm, in milliseconds since 1970: never too early, and late by at most a tick.
    fn tick(&self, now_ns: u64) {
        let slot = Slot::at(self.epoch, self.present.get());
        self.waiting.borrow_mut().tick(now_ns, |reached| {
            let Reached { arm, age_ms, progress, n } = reached;
            // Late requests are no evidence.
            if slot == Slot::Late {
                return;
            }
            self.add(arm, What::Aged { slot, age_ms, progress }, n);
        });
        if self.challenger_since_tick.take()
            && let (Some(id), Ok(unix_ns)) = (self.last_challenger, host::now())
        {
            host::record(id, unix_ns / 1_000_000);
        }
    }

    fn version(&self, arm: Arm) -> String {
        self.versions.get(&arm).cloned().unwrap_or_default()
    }
}

/// Counts something that happens too rarely to keep its id.
pub fn once(name: &str) {
    if let Ok(id) = host::define(Metric::Counter, name) {
        host::increment(id, 1);
    }
}

/// Shows a value.
pub fn show(name: &str, value: u64) {
    if let Ok(id) = host::define(Metric::Gauge, name) {
        host::record(id, value);
    }
}
