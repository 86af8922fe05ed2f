//! The proxies, as they status when they were last listened to. A thousand of them answer each publication one after the
//! other, and a hundred runs want to know what that means: only those that did something are looked at, and only by the
//! runs that wait for it.

use std::collections::{BTreeMap, BTreeSet};

use envoy::ecds::{Node, Nodes, Quorum, Ranks, Refused};
use manifest::Expect;

/// What is known of the proxies, for all runs.
#[derive(Debug, Default)]
pub struct ProxyRegistry {
    known: BTreeMap<String, ProxyStatus>,
    /// The filters' refusals since this process began, by reason.
    reasons: BTreeMap<String, u64>,
}

/// How a proxy status.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ProxyStatus {
    region: String,
    connected: bool,
    /// The generation it holds.
    held: Option<u64>,
    refused: Option<Refused>,
}

/// What the proxies say now.
pub struct ProxyUpdate<'n> {
    nodes: &'n Nodes,
    /// The filters' refusals since this process began, by reason.
    pub reasons: &'n BTreeMap<String, u64>,
    /// Are there more of them than before?
    more_reasons: bool,
    news: Vec<ProxyEvent<'n>>,
    /// By region; made when they are first asked for.
    ranks: BTreeMap<Option<String>, Ranks<'n>>,
}

/// A proxy that did something.
pub struct ProxyEvent<'n> {
    pub name: &'n str,
    pub node: &'n Node,
    /// How it status before; `None`: it was not there.
    before: Option<ProxyStatus>,
}

impl ProxyStatus {
    fn new(node: &Node) -> Self {
        Self {
            region: node.region.clone(),
            connected: node.is_connected(),
            held: node.acknowledged.map(|held| held.generation),
            refused: node.refused.clone(),
        }
    }

    fn is_as(&self, node: &Node) -> bool {
        self.connected == node.is_connected()
            && self.held == node.acknowledged.map(|held| held.generation)
            && self.refused == node.refused
            && self.region == node.region
    }
}

impl ProxyRegistry {
    /// Finds out what is new since it was last asked.
    pub fn update<'n>(&'n mut self, nodes: &'n Nodes, reasons: &BTreeMap<String, u64>) -> ProxyUpdate<'n> {
        let mut news = Vec::new();
        for (name, node) in &nodes.0 {
            match self.known.get_mut(name) {
                Some(status) if status.is_as(node) => {}
                Some(status) => {
                    let before = std::mem::replace(status, ProxyStatus::new(node));
                    news.push(ProxyEvent { name, node, before: Some(before) });
                }
                None => {
                    self.known.insert(name.clone(), ProxyStatus::new(node));
                    news.push(ProxyEvent { name, node, before: None });
                }
            }
        }
        if self.known.len() > nodes.0.len() {
            self.known.retain(|name, _| nodes.0.contains_key(name));
        }
        let more_reasons = self.reasons != *reasons;
        if more_reasons {
            self.reasons.clone_from(reasons);
        }
        ProxyUpdate { nodes, reasons: &self.reasons, more_reasons, news, ranks: BTreeMap::new() }
    }

    /// The filters' refusals since this process began, by reason.
    pub const fn reasons(&self) -> &BTreeMap<String, u64> {
        &self.reasons
    }

    /// Names of the proxies that are connected.
    pub fn connected(&self) -> impl Iterator<Item = &String> {
        self.known.iter().filter(|(_, status)| status.connected).map(|(name, _)| name)
    }

    /// Names of those of a region that are connected; `None`: everywhere.
    pub fn connected_in<'a>(&'a self, region: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        let there = move |status: &ProxyStatus| region.is_none_or(|region| status.region == region);
        let connected = self.known.iter().filter(move |(_, status)| status.connected && there(status));
        connected.map(|(name, _)| name.as_str())
    }

    /// The regions that connected proxies name.
    pub fn regions(&self) -> BTreeSet<&str> {
        let connected = self.known.values().filter(|status| status.connected && !status.region.is_empty());
        connected.map(|status| status.region.as_str()).collect()
    }
}

impl<'n> ProxyUpdate<'n> {
    /// How many proxies are known.
    pub fn known(&self) -> usize {
        self.nodes.0.len()
    }

    /// Is this one?
    pub fn knows(&self, node: &str) -> bool {
        self.nodes.0.contains_key(node)
    }

    /// The proxies of a region that did something; `None`: all.
    pub fn news_of(&self, region: Option<&str>) -> impl Iterator<Item = &ProxyEvent<'n>> {
        self.news.iter().filter(move |news| news.node.is_in(region))
    }

    /// Is any of it news to a run that waits for a generation in a region?
    pub fn concerns(&self, region: Option<&str>, generation: u64) -> bool {
        self.more_reasons || self.news.iter().any(|news| news.concerns(region, generation))
    }

    /// Those of a region that refused a generation or a later one, with their words: if they may be other words than
    /// before.
    pub fn refusals(&self, region: Option<&str>, generation: u64) -> Vec<(&'n str, &'n Refused)> {
        let refused = |name: &'n str, node: &'n Node| {
            let refused = since(node.refused.as_ref(), generation)?;
            node.is_in(region).then_some((name, refused))
        };
        if self.more_reasons {
            self.nodes.0.iter().filter_map(|(name, node)| refused(name, node)).collect()
        } else {
            self.news.iter().filter_map(|news| refused(news.name, news.node)).collect()
        }
    }

    /// How far a generation has got in a region.
    pub fn quorum(&mut self, region: Option<&str>, generation: u64, expect: Option<&Expect>) -> Quorum {
        if let Some(expect) = expect.filter(|expect| !expect.names.is_empty()) {
            return self.quorum_of(expect, region, generation);
        }
        let nodes = self.nodes;
        let ranks = self.ranks.entry(region.map(str::to_owned));
        ranks.or_insert_with(|| nodes.ranks(region)).quorum(generation)
    }
}

impl ProxyUpdate<'_> {
    /// The same of the proxies that are expected by name; others that are connected do not count.
    fn quorum_of(&self, expect: &Expect, region: Option<&str>, generation: u64) -> Quorum {
        let mut quorum = Quorum::default();
        let connected = self.nodes.0.iter().filter(|(_, node)| node.is_connected());
        for (name, node) in connected.filter(|(name, node)| node.is_in(region) && expect.knows(name)) {
            quorum.connected += 1;
            if node.holds(generation) {
                quorum.holding += 1;
            } else {
                quorum.behind.push(name.clone());
            }
        }
        // The region of a proxy that is not connected is unknown, so no region waits for it.
        let gone = |name: &&str| !self.nodes.0.get(*name).is_some_and(|node| node.is_connected());
        for name in expect.single().filter(|_| region.is_none()).filter(gone) {
            quorum.connected += 1;
            quorum.behind.push(name.to_owned());
        }
        quorum.behind.sort_unstable();
        quorum
    }
}

impl ProxyEvent<'_> {
    /// Did it come to hold a generation just now?
    pub fn had_quorum(&self, generation: u64) -> bool {
        let held = self
            .before
            .as_ref()
            .is_some_and(|before| before.held >= Some(generation) && before.region == self.node.region);
        self.node.holds(generation) && !held
    }

    fn concerns(&self, region: Option<&str>, generation: u64) -> bool {
        let here = |of: &str| region.is_none_or(|region| region == of);
        let now = here(&self.node.region).then(|| {
            let refused = since(self.node.refused.as_ref(), generation);
            (self.node.is_connected(), self.node.holds(generation), refused)
        });
        let before = self.before.as_ref().filter(|before| here(&before.region)).map(|before| {
            let refused = since(before.refused.as_ref(), generation);
            (before.connected, before.held >= Some(generation), refused)
        });
        now != before
    }
}

/// A refusal of a generation or a later one.
fn since(refused: Option<&Refused>, generation: u64) -> Option<&Refused> {
    refused.filter(|refused| refused.generation >= generation)
}

#[cfg(test)]
mod tests {
    use envoy::ecds::Acknowledged;
    use judge::random::SplitMix64;

    use super::*;

    /// What a run of a region that waits for a generation is told, found by looking at everybody.
    fn answer(nodes: &Nodes, region: Option<&str>, generation: u64) -> (Quorum, Vec<(String, Refused)>) {
        let mut quorum = Quorum::default();
        let mut refused = Vec::new();
        for (name, node) in nodes.0.iter().filter(|(_, node)| node.is_in(region)) {
            if !node.is_connected() {
                continue;
            }
            quorum.connected += 1;
            if node.holds(generation) {
                quorum.holding += 1;
                continue;
            }
            quorum.behind.push(name.clone());
            refused.extend(since(node.refused.as_ref(), generation).map(|by| (name.clone(), by.clone())));
        }
        (quorum, refused)
    }

    const REGIONS: [Option<&str>; 3] = [None, Some("eu"), Some("us")];

    /// Proxies do what a seed says; nobody misses what concerns it.
    #[test]
    fn whoever_is_not_concerned_would_hear_the_same() {
        let mut chance = SplitMix64::seeded(3);
        let mut chosen = |below: u64| chance.below(below);
        let (mut roster, mut nodes, mut reasons) =
            (ProxyRegistry::default(), Nodes::default(), BTreeMap::new());
        let mut before = BTreeMap::new();
        let mut spared = 0;
        for round in 0..2_000 {
            let name = ["a", "b", "c", "d"][chosen(4) as usize];
            let node = nodes.0.entry(name.to_owned()).or_default();
            match chosen(8) {
                0 | 1 => node.streams = 1,
                2 => node.streams = 0,
                3 => {
                    node.refused =
                        Some(Refused { generation: chosen(5), unix_ms: round, reason: format!("{round}") });
                }
                4 => node.region = ["", "eu", "us"][chosen(3) as usize].to_owned(),
                5 if node.streams == 0 => drop(nodes.0.remove(name)),
                5 => *reasons.entry("weight".to_owned()).or_default() += chosen(2),
                _ => {
                    let generation = chosen(5);
                    node.acknowledged = Some(Acknowledged { generation, unix_ms: round, latency_ms: None });
                }
            }
            let mut update = roster.update(&nodes, &reasons);
            for (region, generation) in
                REGIONS.into_iter().flat_map(|region| (1..5).map(move |of| (region, of)))
            {
                let now = answer(&nodes, region, generation);
                assert_eq!(update.quorum(region, generation, None), now.0, "round {round}");
                if !update.concerns(region, generation) {
                    spared += 1;
                    let before: Option<&(Quorum, Vec<_>)> = before.get(&(region, generation));
                    assert!(before.is_none_or(|before| *before == now), "round {round}: {before:?} {now:?}");
                }
                before.insert((region, generation), now);
            }
            let connected: Vec<&String> = roster.connected().collect();
            let expected = nodes.0.iter().filter(|(_, node)| node.is_connected()).map(|(name, _)| name);
            assert!(connected.into_iter().eq(expected));
            assert!(roster.regions().into_iter().eq(nodes.regions().iter().map(String::as_str)));
        }
        assert!(spared > 5_000, "hardly anybody is spared: {spared}");
    }

    #[test]
    fn a_generation_comes_to_be_held_once() {
        let (mut roster, none) = (ProxyRegistry::default(), BTreeMap::new());
        let held = |generation: Option<u64>, streams| {
            let acknowledged =
                generation.map(|generation| Acknowledged { generation, unix_ms: 0, latency_ms: None });
            let node = Node { streams, acknowledged, ..Node::default() };
            Nodes([("a".to_owned(), node)].into())
        };
        for (generation, streams, came) in [
            (None, 1, false),
            (Some(2), 1, false),
            (Some(3), 1, true),
            (Some(4), 1, false),
            (Some(4), 0, false),
        ] {
            let nodes = held(generation, streams);
            let update = roster.update(&nodes, &none);
            let said = update.news_of(None).any(|news| news.had_quorum(3));
            assert_eq!(said, came, "{generation:?}");
        }
    }
}
