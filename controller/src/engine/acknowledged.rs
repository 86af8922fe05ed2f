//! What the proxies answer to the last publication of a run or an exercise.

use std::collections::BTreeMap;

use api::{Ack, Nack};
use manifest::Expect;
use rollout::{Acks, Refused};

use super::registry::ProxyUpdate;

/// Acknowledgements kept for people; older ones make room.
const KEPT: usize = 500;

/// How far a publication has come.
#[derive(Debug, Default)]
pub struct Acknowledged {
    /// The generation it went out with.
    pub generation: u64,
    /// Oldest first, those of earlier publications included.
    pub acks: Vec<Ack>,
    /// Oldest first, those of earlier publications included.
    pub refusals: Vec<Nack>,
    /// The generation each node acknowledged when it was last listed.
    listed: BTreeMap<String, u64>,
    /// What the machine was last told.
    told: Option<Acks>,
    /// The filters' refusals by reason, as they stood when it went out.
    reasons_before: BTreeMap<String, u64>,
}

impl Acknowledged {
    /// Nothing is known yet of what went out with this generation.
    pub fn of(generation: u64) -> Self {
        Self { generation, ..Self::default() }
    }

    /// A publication goes out: answers to the one before no longer count.
    pub fn note_published(&mut self, generation: u64, reasons: &BTreeMap<String, u64>) {
        self.generation = generation;
        self.reasons_before.clone_from(reasons);
        self.told = None;
    }

    /// What the proxies' answers mean for the publication of this number; `None` when that is no news.
    pub fn news(
        &mut self,
        update: &mut ProxyUpdate<'_>,
        region: Option<&str>,
        publication: u64,
        expect: Option<&Expect>,
    ) -> Option<Acks> {
        let generation = self.generation;
        if self.told.is_some() && !update.concerns(region, generation) {
            return None;
        }
        for news in update.news_of(region).filter(|news| news.had_quorum(generation)) {
            if expect.is_some_and(|expect| !expect.knows(news.name)) {
                continue;
            }
            let Some(ack) = news.node.acknowledged else { continue };
            if self.listed.get(news.name).is_none_or(|known| *known < generation) {
                let node = news.name.to_owned();
                self.listed.insert(node.clone(), ack.generation);
                self.acks.push(Ack { node, generation: ack.generation, ms: ack.latency_ms });
            }
        }
        let surplus = self.acks.len().saturating_sub(KEPT);
        self.acks.drain(..surplus);
        let (quorum, refusals) =
            (update.quorum(region, generation, expect), update.refusals(region, generation));
        for (node, refused) in refusals {
            self.refused(node, refused.generation, &refused.reason, update.reasons);
        }
        let surplus = self.refusals.len().saturating_sub(KEPT);
        self.refusals.drain(..surplus);
        // Each pod is a proxy of its own: pods that have ended are not listed again.
        if self.listed.len() > update.known() * 2 + KEPT {
            self.listed.retain(|node, _| update.knows(node));
        }
        let behind = |node: &String| quorum.behind.binary_search(node).is_ok();
        let refused =
            self.refusals.iter().filter(|refusal| refusal.generation >= generation && behind(&refusal.node));
        let acks = Acks {
            publication,
            acknowledged: u32::try_from(quorum.holding).unwrap_or(u32::MAX),
            connected: u32::try_from(quorum.connected).unwrap_or(u32::MAX),
            refused: refused
                .map(|refusal| Refused { node: shown(&refusal.node), reason: refusal.reason.clone() })
                .collect(),
            missing: quorum.behind.iter().map(|node| shown(node)).collect(),
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
            None => self.refusals.push(Nack { node: node.to_owned(), generation, reason }),
        }
    }
}

/// A proxy's name for people: that of its pod, where it tells it.
fn shown(node: &str) -> String {
    envoy::ecds::pod(node).unwrap_or_else(|| node.to_owned())
}

#[cfg(test)]
mod tests {
    use envoy::ecds::{Acknowledged as Held, Node, Nodes, Refused as Refusal};

    use super::super::registry::ProxyRegistry;
    use super::*;

    fn node(acknowledged: Option<u64>, refused: Option<u64>) -> Node {
        Node {
            streams: 1,
            acknowledged: acknowledged.map(|generation| Held {
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
        let mut known = Acknowledged::of(3);
        let nodes = Nodes(
            [("a", node(Some(3), None)), ("b", node(Some(2), Some(3))), ("c", node(Some(2), None))]
                .map(|(name, node)| (name.to_owned(), node))
                .into(),
        );
        let (mut registry, none) = (ProxyRegistry::default(), BTreeMap::new());
        let acks = known.news(&mut registry.update(&nodes, &none), None, 7, None).expect("news");
        assert_eq!((acks.publication, acks.acknowledged, acks.connected), (7, 1, 3));
        assert_eq!(acks.missing, ["b", "c"]);
        assert_eq!(acks.refused.len(), 1);
        assert_eq!(known.acks, [Ack { node: "a".into(), generation: 3, ms: Some(5.0) }]);
        assert_eq!(known.news(&mut registry.update(&nodes, &none), None, 7, None), None, "told once");

        // The filter's own reason comes later, with its counters.
        let reasons = BTreeMap::from([("weight".to_owned(), 2)]);
        let acks =
            known.news(&mut registry.update(&nodes, &reasons), None, 7, None).expect("the reason is news");
        assert!(acks.refused.iter().all(|refused| refused.reason.contains("(filter: weight)")), "{acks:?}");
    }

    #[test]
    fn strangers_neither_make_nor_break_a_quorum() {
        let expect = Expect { count: None, names: vec!["edge-*".to_owned(), "gate".to_owned()] };
        let (mut registry, none) = (ProxyRegistry::default(), BTreeMap::new());
        for (told, acknowledged, connected, missing) in [
            (
                &[("edge-1", Some(3)), ("edge-2", None), ("stranger", Some(3))][..],
                1,
                3,
                &["edge-2", "gate"][..],
            ),
            (&[("edge-1", Some(3)), ("edge-2", Some(3)), ("gate", Some(3)), ("stranger", None)], 3, 3, &[]),
            (&[("stranger", Some(3)), ("another", Some(3))], 0, 1, &["gate"]),
        ] {
            let nodes = told.iter().map(|(name, held)| ((*name).to_owned(), node(*held, None)));
            let nodes = Nodes(nodes.collect());
            let mut known = Acknowledged::of(3);
            let acks = known.news(&mut registry.update(&nodes, &none), None, 7, Some(&expect)).expect("news");
            assert_eq!((acks.acknowledged, acks.connected), (acknowledged, connected), "{told:?}");
            assert_eq!(acks.missing, missing);
            assert!(known.acks.iter().all(|ack| expect.knows(&ack.node)), "{:?}", known.acks);
        }
    }

    #[test]
    fn proxies_that_come_and_go_without_end_leave_little_behind() {
        let mut known = Acknowledged::of(3);
        let (mut registry, none) = (ProxyRegistry::default(), BTreeMap::new());
        for n in 0..3 * KEPT {
            let (held, refused) = (format!("held-{n}"), format!("refused-{n}"));
            let nodes = [(held, node(Some(3), None)), (refused, node(None, Some(3)))];
            known.news(&mut registry.update(&Nodes(nodes.into()), &none), None, 7, None);
        }
        assert!(known.acks.len() <= KEPT && known.refusals.len() <= KEPT);
        assert!(known.listed.len() <= KEPT + 8, "{}", known.listed.len());
        let last = known.acks.last().map(|ack| ack.node.clone());
        assert_eq!(last, Some(format!("held-{}", 3 * KEPT - 1)));
    }

    #[test]
    fn reasons_of_before_the_push_are_not_its_own() {
        let mut known = Acknowledged::default();
        let before = BTreeMap::from([("weight".to_owned(), 2)]);
        known.note_published(3, &before);
        let nodes = Nodes([("b".to_owned(), node(None, Some(3)))].into());
        let mut registry = ProxyRegistry::default();
        let acks = known.news(&mut registry.update(&nodes, &before), None, 1, None).expect("news");
        assert!(!acks.refused.is_empty());
        assert!(acks.refused.iter().all(|refused| !refused.reason.contains("filter")), "{acks:?}");
    }
}
