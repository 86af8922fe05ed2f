use super::{Nodes, Quorum};

/// The connected nodes of a region, those furthest behind first: how far any generation has got, without looking at
/// every node again for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranks<'n> {
    /// What each holds, and its `node.id`.
    held: Vec<(Option<u64>, &'n str)>,
}

impl Nodes {
    /// The nodes of a region in the order of what they hold; `None`: all of them.
    #[must_use]
    pub fn ranks(&self, region: Option<&str>) -> Ranks<'_> {
        let there = self.0.iter().filter(|(_, node)| node.is_connected() && node.is_in(region));
        let held = there.map(|(id, node)| (node.acknowledged.map(|held| held.generation), id.as_str()));
        let mut held: Vec<_> = held.collect();
        held.sort_unstable();
        Ranks { held }
    }
}

impl Ranks<'_> {
    /// How many of the nodes hold a generation, or a later one, and which do not.
    #[must_use]
    pub fn quorum(&self, generation: u64) -> Quorum {
        // Whoever holds nothing sorts before everybody.
        let holding_from = self.held.partition_point(|(held, _)| *held < Some(generation));
        let (behind, holding) = self.held.split_at(holding_from);
        let mut behind: Vec<String> = behind.iter().map(|(_, id)| (*id).to_owned()).collect();
        behind.sort_unstable();
        Quorum { connected: self.held.len(), holding: holding.len(), behind }
    }
}
