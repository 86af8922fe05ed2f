use std::collections::BTreeMap;

use crate::{Resource, resource::Wire};

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

/// The same as it travels: a thousand nodes are sent it, and it is made once.
#[derive(Debug)]
pub(super) struct Wires {
    common: Wire,
    regions: BTreeMap<String, Wire>,
}

impl Wires {
    pub(super) fn new(resource: &Resource, documents: &Documents) -> Self {
        let regions = documents.regions.iter();
        Self {
            common: Wire::new(resource, &documents.common),
            regions: regions.map(|(region, text)| (region.clone(), Wire::new(resource, text))).collect(),
        }
    }

    /// What the nodes of a region are told.
    pub(super) fn of(&self, region: &str) -> &Wire {
        self.regions.get(region).unwrap_or(&self.common)
    }
}

impl From<String> for Documents {
    fn from(common: String) -> Self {
        Self { common, regions: BTreeMap::new() }
    }
}
