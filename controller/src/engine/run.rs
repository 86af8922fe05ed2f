//! One run in the engine's hands: its state, and what is known of it outside the machine.

use std::collections::BTreeSet;
use std::convert::Infallible;

use api::{Latency, ObjectView};
use rollout::{Acks, CounterAccumulator, Event, HandBackProgress, Phase, State};
use split::Arm;
use tokio::sync::oneshot;

use super::acknowledged::Acknowledged;
use super::demand::Measured;
use super::publication::region;
use super::readings::Pushed;
use super::registry::ProxyUpdate;
use store::{Entry, Sample, Stored, Writing};

/// Measurements kept while the store refuses; older ones make room.
const SAMPLES_KEPT: usize = 4_000;

/// A specification as it was applied.
pub struct AppliedSpec {
    text: String,
    /// Read out of the text, once: views are made often.
    object: Option<ObjectView>,
}

impl AppliedSpec {
    pub fn new(text: String) -> Self {
        Self { object: ObjectView::of_text(&text), text }
    }

    /// As it is stored.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The object that it comes from; `None`: a person applied it.
    pub const fn object(&self) -> Option<&ObjectView> {
        self.object.as_ref()
    }
}

pub struct Run {
    pub spec: AppliedSpec,
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
    /// Does a decision hold that the store does not have?
    pub unsaved: bool,
    /// Lines of the journal that are written with the state.
    pub unwritten: Vec<Entry>,
    /// Measurements that are written with the state.
    pub samples: Vec<Sample>,
    /// How many were there before these, written or not.
    samples_before: u64,
    /// Held for as long as its hand-back is asked for.
    pub hand_back: Option<oneshot::Sender<Infallible>>,
    /// How often it moved, and how often that was a decision.
    pub moves: u64,
    pub decisions: u64,
}

impl Run {
    /// It is so from now on. Whoever is still at a hand-back that is asked for no more gives up.
    pub fn adopt(&mut self, state: State) {
        self.state = state;
        if !matches!(self.state.phase, Phase::HandBack(HandBackProgress::Asked { .. })) {
            self.hand_back = None;
        }
    }

    pub fn new(stored: Stored) -> Self {
        Self {
            accumulator: CounterAccumulator::new(&stored.state),
            spec: AppliedSpec::new(stored.spec),
            acknowledged: Acknowledged::of(stored.generation),
            state: stored.state,
            latency: None,
            probing: false,
            hand_back: None,
            asking: BTreeSet::new(),
            pushed: Pushed::default(),
            changed: false,
            count_due_ns: 0,
            measured: Measured::default(),
            kept_due_ns: 0,
            unsaved: false,
            unwritten: Vec::new(),
            samples: Vec::new(),
            samples_before: 0,
            moves: 0,
            decisions: 0,
        }
    }

    /// All of it that is stored.
    pub fn writing(&self) -> Writing<'_> {
        let Self { spec, state, acknowledged, unwritten, samples, .. } = self;
        let generation = acknowledged.generation;
        Writing { spec: spec.text(), state, generation, entries: unwritten, samples }
    }

    /// The same rollout was applied again, by an object that was made anew or says it otherwise.
    pub fn rename(&mut self, spec: AppliedSpec) {
        self.spec = spec;
        // It is written with the evidence; what is written by then does not have it.
        self.changed = true;
        self.count_move(false);
    }

    /// It has taken a step.
    pub const fn count_move(&mut self, decided: bool) {
        self.moves += 1;
        self.decisions += decided as u64;
    }

    /// How many measurements there have been.
    pub fn samples_end(&self) -> u64 {
        self.samples_before + self.samples.len() as u64
    }

    /// The store has it as it was after so many moves and decisions, with so many of its lines, and its measurements up to
    /// one.
    pub fn mark_written(&mut self, (moves, decisions): (u64, u64), lines: usize, samples_end: u64) {
        self.changed &= self.moves != moves;
        self.unsaved &= self.decisions != decisions;
        self.unwritten.drain(..lines.min(self.unwritten.len()));
        let samples = samples_end.saturating_sub(self.samples_before);
        let samples = usize::try_from(samples).unwrap_or(usize::MAX).min(self.samples.len());
        self.samples.drain(..samples);
        self.samples_before += samples as u64;
    }

    /// Keeps what an event measured until it is written.
    pub fn keep_sample(&mut self, event: &Event) {
        let Some(look) = Sample::of(&self.state, event, clock::unix_ms()) else { return };
        // A disk that refuses for long must not take the memory as well.
        if self.samples.len() >= SAMPLES_KEPT {
            self.samples.remove(0);
            self.samples_before += 1;
        }
        self.samples.push(look);
    }

    /// What the proxies' answers mean for its last publication; `None` when that is no news.
    pub fn news(&mut self, update: &mut ProxyUpdate<'_>) -> Option<Acks> {
        let publication = self.state.publication.as_ref()?.sent.id;
        let expect = self.state.plan.acknowledge.expect.as_ref();
        self.acknowledged.news(update, region(&self.state), publication, expect)
    }
}
