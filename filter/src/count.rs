//! Counters, defined on first use: a stat is permanent in Envoy, so what never happens must cost nothing.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use split::{Arm, Claim};
use tally::{Series, What};

use crate::host::{self, Metric};

/// The counters of one rollout under one policy.
pub struct Counters {
    rollout: String,
    versions: BTreeMap<Arm, String>,
    ids: RefCell<BTreeMap<(Arm, What), Option<u32>>>,
    latency: RefCell<BTreeMap<Arm, Option<u32>>>,
    last_challenger: Option<u32>,
    challenger_since_tick: Cell<bool>,
}

impl Counters {
    pub fn new(claim: &Claim<'_>) -> Self {
        let name = tally::gauge("last_canary_assigned_ms", &[("rollout", claim.name())]);
        Self {
            rollout: claim.name().to_owned(),
            versions: claim.arms().map(|arm| (arm, claim.version(arm).to_owned())).collect(),
            ids: RefCell::default(),
            latency: RefCell::default(),
            last_challenger: host::define(Metric::Gauge, &name).ok(),
            challenger_since_tick: Cell::new(false),
        }
    }

    pub fn count(&self, arm: Arm, what: What) {
        self.add(arm, what, 1);
    }

    pub fn add(&self, arm: Arm, what: What, by: u64) {
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
    pub fn latency(&self, arm: Arm, milliseconds: u64) {
        let id = *self.latency.borrow_mut().entry(arm).or_insert_with(|| {
            let version = self.version(arm);
            let tags = [("rollout", &*self.rollout), ("version", &version), ("arm", arm.as_str())];
            host::define(Metric::Histogram, &tally::gauge("latency_ms", &tags)).ok()
        });
        if let Some(id) = id {
            host::record(id, milliseconds);
        }
    }

    /// A request goes to a version on trial. When, is written at the next tick: a request need not pay for it.
    pub fn challenger(&self) {
        self.challenger_since_tick.set(true);
    }

    /// Shows when this process last sent a request to the canary or a further arm, in milliseconds since 1970: never too early, and
    /// late by at most a tick.
    pub fn tick(&self, now_ns: u64) {
        if self.challenger_since_tick.take()
            && let Some(id) = self.last_challenger
        {
            host::record(id, now_ns / 1_000_000);
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
