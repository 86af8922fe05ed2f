use std::collections::BTreeMap;

/// One generation of the policy, as each region is told it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documents {
    /// For nodes of regions that have none of their own, and for those that name no region.
    pub common: String,
    /// By `node.locality.region`.
    pub regions: BTreeMap<String, String>,
}

impl Documents {
    /// What the nodes of a region are told.
    #[must_use]
    pub fn of(&self, region: &str) -> &str {
        self.regions.get(region).unwrap_or(&self.common)
    }
}

impl From<String> for Documents {
    fn from(common: String) -> Self {
        Self { common, regions: BTreeMap::new() }
    }
}
