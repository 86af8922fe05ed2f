//! One run in the engine's hands: its state, and what is known of it outside the machine.

use std::collections::BTreeSet;

use api::Latency;
use rollout::{Acks, CounterAccumulator, Event, State};
use split::Arm;

use super::acknowledged::Acknowledged;
use super::demand::Measured;
use super::publication::region;
use super::readings::Pushed;
use super::registry::ProxyUpdate;
use crate::clock;
use store::{Entry, Sample, Stored, Writing};

/// Measurements kept while the store refuses; older ones make room.
const SAMPLES_KEPT: usize = 4_000;

pub struct Run {
    pub spec: String,
    pub state: State,
    pub accumulator: CounterAccumulator,
    /// How far its last publication has come.
    pub acknowledged: Acknowledged,
    /// After a rollback: how long the canary still got requests.
    pub latency: Option<Latency>,
    /// Is a question to stable's endpoints under way?
    pub probing: bool,
    /// Gates whose source is being asked.
    pub asking: BTreeSet<(String, Option<Arm>)>,
    pub pushed: Pushed,
    /// Is the present state another than the stored one?
    pub changed: bool,
    /// When its endpoints are counted next.
    pub count_due_ns: u64,
    pub measured: Measured,
    /// When the endpoints of what it keeps warm are asked next.
    pub kept_due_ns: u64,
    /// Did the store refuse a decision that holds all the same?
    pub unsaved: bool,
    /// Lines of the journal that are written with the state.
    pub unwritten: Vec<Entry>,
    /// Measurements that are written with the state.
    pub samples: Vec<Sample>,
}

impl Run {
    pub fn new(stored: Stored) -> Self {
        Self {
            accumulator: CounterAccumulator::new(&stored.state),
            spec: stored.spec,
            acknowledged: Acknowledged::of(stored.generation),
            state: stored.state,
            latency: None,
            probing: false,
            asking: BTreeSet::new(),
            pushed: Pushed::default(),
            changed: false,
            count_due_ns: 0,
            measured: Measured::default(),
            kept_due_ns: 0,
            unsaved: false,
            unwritten: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// All of it that is stored.
    pub fn writing(&self) -> Writing<'_> {
        let Self { spec, state, acknowledged, unwritten, samples, .. } = self;
        Writing { spec, state, generation: acknowledged.generation, entries: unwritten, samples }
    }

    /// The store has all of it.
    pub fn written(&mut self) {
        (self.changed, self.unsaved) = (false, false);
        self.unwritten.clear();
        self.samples.clear();
    }

    /// Keeps what an event measured until it is written.
    pub fn measured(&mut self, event: &Event) {
        let Some(look) = Sample::of(&self.state, event, clock::unix_ms()) else { return };
        // A disk that refuses for long must not take the memory as well.
        if self.samples.len() >= SAMPLES_KEPT {
            self.samples.remove(0);
        }
        self.samples.push(look);
    }

    /// What the proxies' answers mean for its last publication; `None` when that is no news.
    pub fn news(&mut self, update: &mut ProxyUpdate<'_>) -> Option<Acks> {
        let publication = self.state.publication.as_ref()?.sent.id;
        self.acknowledged.news(update, region(&self.state), publication)
    }
}
