//! One run in the engine's hands: its state, and what is known of it outside the machine.

use std::collections::{BTreeMap, BTreeSet};

use rollout::{Acks, CounterAccumulator, Event, Refused, State};
use serde::Serialize;
use split::Arm;

use super::demand::Measured;
use super::latency::Latency;
use super::readings::Pushed;
use super::roster::Heard;
use crate::clock;
use store::{Entry, Look, Stored, Writing};

/// Measurements kept while the store refuses; older ones make room.
const LOOKS_KEPT: usize = 4_000;

/// Acknowledgements kept for people; older ones make room.
const ACKS_KEPT: usize = 500;

pub struct Run {
    pub spec: String,
    pub state: State,
    /// The generation the last publication went out with.
    pub generation: u64,
    pub accumulator: CounterAccumulator,
    pub acks: Vec<Ack>,
    pub refusals: Vec<RefusalView>,
    /// After a rollback: how long the canary still got requests.
    pub latency: Option<Latency>,
    /// The generation each node acknowledged when it was last listed.
    acked: BTreeMap<String, u64>,
    /// What the machine was last told of acknowledgements.
    told: Option<Acks>,
    /// The filters' refusals by reason, as they stood when the last publication went out.
    reasons_before: BTreeMap<String, u64>,
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
    pub looks: Vec<Look>,
}

/// An acknowledgement, for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ack {
    pub node: String,
    pub generation: u64,
    /// From the push to the acknowledgement; absent for a node that came later.
    pub ms: Option<f64>,
}

/// A refusal, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusalView {
    pub node: String,
    pub generation: u64,
    pub reason: String,
}

impl Run {
    pub fn new(stored: Stored) -> Self {
        Self {
            accumulator: CounterAccumulator::new(&stored.state),
            spec: stored.spec,
            generation: stored.generation,
            state: stored.state,
            acks: Vec::new(),
            refusals: Vec::new(),
            latency: None,
            acked: BTreeMap::new(),
            told: None,
            reasons_before: BTreeMap::new(),
            probing: false,
            asking: BTreeSet::new(),
            pushed: Pushed::default(),
            changed: false,
            count_due_ns: 0,
            measured: Measured::default(),
            kept_due_ns: 0,
            unsaved: false,
            unwritten: Vec::new(),
            looks: Vec::new(),
        }
    }

    /// All of it that is stored.
    pub fn writing(&self) -> Writing<'_> {
        let Self { spec, state, generation, unwritten, looks, .. } = self;
        Writing { spec, state, generation: *generation, entries: unwritten, looks }
    }

    /// The store has all of it.
    pub fn written(&mut self) {
        (self.changed, self.unsaved) = (false, false);
        self.unwritten.clear();
        self.looks.clear();
    }

    /// Keeps what an event measured until it is written.
    pub fn measured(&mut self, event: &Event) {
        let Some(look) = Look::of(&self.state, event, clock::unix_ms()) else { return };
        // A disk that refuses for long must not take the memory as well.
        if self.looks.len() >= LOOKS_KEPT {
            self.looks.remove(0);
        }
        self.looks.push(look);
    }

    /// A publication goes out: answers to the one before no longer count.
    pub fn published(&mut self, reasons: &BTreeMap<String, u64>) {
        self.accumulator.unsettle(self.state.epoch);
        self.reasons_before = reasons.clone();
        self.told = None;
    }

    /// What the proxies' answers mean for this run's last publication; `None` when that is no news.
    pub fn acknowledged(&mut self, heard: &mut Heard<'_>) -> Option<Acks> {
        let publication = self.state.publication.as_ref()?.sent.id;
        let (region, generation) = (super::act::region(&self.state), self.generation);
        if self.told.is_some() && !heard.concerns(region, generation) {
            return None;
        }
        for news in heard.news_of(region).filter(|news| news.came_to_hold(generation)) {
            let Some(ack) = news.node.acknowledged else { continue };
            if self.acked.get(news.name).is_none_or(|known| *known < generation) {
                let node = news.name.to_owned();
                self.acked.insert(node.clone(), ack.generation);
                self.acks.push(Ack { node, generation: ack.generation, ms: ack.latency_ms });
            }
        }
        let surplus = self.acks.len().saturating_sub(ACKS_KEPT);
        self.acks.drain(..surplus);
        let (quorum, refusals) = (heard.quorum(region, generation), heard.refusals(region, generation));
        for (node, refused) in refusals {
            self.refused(node, refused.generation, &refused.reason, heard.reasons);
        }
        let behind = |node: &String| quorum.behind.binary_search(node).is_ok();
        let refused =
            self.refusals.iter().filter(|refusal| refusal.generation >= generation && behind(&refusal.node));
        let acks = Acks {
            publication,
            acknowledged: u32::try_from(quorum.holding).unwrap_or(u32::MAX),
            connected: u32::try_from(quorum.connected).unwrap_or(u32::MAX),
            refused: refused
                .map(|refusal| Refused { node: refusal.node.clone(), reason: refusal.reason.clone() })
                .collect(),
            missing: quorum.behind,
        };
        if self.told.as_ref() == Some(&acks) {
            return None;
        }
        self.told = Some(acks.clone());
        Some(acks)
    }

    /// Envoy's words for a refusal name only the plugin; the filter's own reason arrives with its counters, later.
    fn refused(&mut self, node: &str, generation: u64, said: &str, reasons: &BTreeMap<String, u64>) {
        let before = |reason: &String| self.reasons_before.get(reason).copied().unwrap_or(0);
        let words: Vec<&str> = reasons
            .iter()
            .filter(|(reason, n)| **n > before(reason))
            .map(|(reason, _)| reason.as_str())
            .collect();
        let reason =
            if words.is_empty() { said.to_owned() } else { format!("{said} (filter: {})", words.join(", ")) };
        match self.refusals.iter_mut().find(|seen| seen.node == node && seen.generation == generation) {
            Some(seen) => seen.reason = reason,
            None => self.refusals.push(RefusalView { node: node.to_owned(), generation, reason }),
        }
    }
}

#[cfg(test)]
mod tests {
    use envoy::ecds::{Acknowledged, Node, Nodes, Refused as Refusal};
    use rollout::{Event, Human, Now, step};

    use super::super::roster::Roster;
    use super::*;

    /// A run whose probe went out as generation 3.
    fn run() -> Run {
        let plan = manifest::load(
            "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n",
        )
        .expect("a rollout")
        .plan;
        let start = Event::Start(Human { who: "me".into(), reason: String::new() });
        let (state, _) = step(State::new(plan, 1, 0, Now::at_ms(1)), &start, Now::at_ms(2));
        Run::new(Stored { spec: String::new(), state, generation: 3 })
    }

    fn node(acknowledged: Option<u64>, refused: Option<u64>) -> Node {
        Node {
            streams: 1,
            acknowledged: acknowledged.map(|generation| Acknowledged {
                generation,
                unix_ms: 0,
                latency_ms: Some(5.0),
            }),
            refused: refused.map(|generation| Refusal {
                generation,
                unix_ms: 0,
                reason: "Unable to create Wasm plugin serin".to_owned(),
            }),
            ..Node::default()
        }
    }

    #[test]
    fn who_has_it_who_refused_it_and_who_is_silent() {
        let mut run = run();
        let nodes = Nodes(
            [("a", node(Some(3), None)), ("b", node(Some(2), Some(3))), ("c", node(Some(2), None))]
                .map(|(name, node)| (name.to_owned(), node))
                .into(),
        );
        let (mut roster, none) = (Roster::default(), BTreeMap::new());
        let acks = run.acknowledged(&mut roster.hear(&nodes, &none)).expect("news");
        assert_eq!((acks.acknowledged, acks.connected), (1, 3));
        assert_eq!(acks.missing, ["b", "c"]);
        assert_eq!(acks.refused.len(), 1);
        assert_eq!(run.acks, [Ack { node: "a".into(), generation: 3, ms: Some(5.0) }]);
        assert_eq!(run.acknowledged(&mut roster.hear(&nodes, &none)), None, "told once");

        // The filter's own reason comes later, with its counters.
        let reasons = BTreeMap::from([("weight".to_owned(), 2)]);
        let acks = run.acknowledged(&mut roster.hear(&nodes, &reasons)).expect("the reason is news");
        assert!(acks.refused.iter().all(|refused| refused.reason.contains("(filter: weight)")), "{acks:?}");
    }

    #[test]
    fn reasons_of_before_the_push_are_not_its_own() {
        let mut run = run();
        let before = BTreeMap::from([("weight".to_owned(), 2)]);
        run.published(&before);
        let nodes = Nodes([("b".to_owned(), node(None, Some(3)))].into());
        let acks = run.acknowledged(&mut Roster::default().hear(&nodes, &before)).expect("news");
        assert!(!acks.refused.is_empty());
        assert!(acks.refused.iter().all(|refused| !refused.reason.contains("filter")), "{acks:?}");
    }
}
