//! From the runs to the one policy document that every proxy gets.

use api::path;
use envoy::{Documents, Ecds, EcdsFile};
use futures::future::BoxFuture;
use ring::digest::SHA256;
use split::policy::{Lease, Policy, SCHEMA};
use split::{PolicyError, Splitter};
use store::Mesh;

mod background;
mod followers;

pub use background::BackgroundTarget;
pub use followers::{Followers, Served};

/// Where the heartbeat goes: names that the bootstrap defines too.
const CLUSTER: &str = "serin";

/// A way to the proxies. Another place to run in is another target: the engine knows none of them by name.
pub trait Target: Send + Sync {
    /// Sends it; twice does no harm. What fails is told here: proxies that do not hear of it are missing among those that
    /// acknowledge, which is what the run acts on.
    fn publish<'a>(&'a self, snapshot: &'a PolicySnapshot) -> BoxFuture<'a, ()>;

    /// What is sent from now on is of another incarnation.
    fn begin_incarnation(&self, incarnation: u64);

    /// Resolves when what was sent has left; at once where sending waits for that.
    fn arrived(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Target for Ecds {
    fn publish<'a>(&'a self, snapshot: &'a PolicySnapshot) -> BoxFuture<'a, ()> {
        self.publish(snapshot.generation, snapshot.documents.clone());
        Box::pin(std::future::ready(()))
    }

    fn begin_incarnation(&self, incarnation: u64) {
        self.begin_incarnation(incarnation);
    }
}

impl Target for EcdsFile {
    fn publish<'a>(&'a self, snapshot: &'a PolicySnapshot) -> BoxFuture<'a, ()> {
        Box::pin(async {
            if let Err(error) = self.write_all(snapshot.generation, &snapshot.documents).await {
                tracing::error!("{error}");
            }
        })
    }

    fn begin_incarnation(&self, incarnation: u64) {
        self.begin_incarnation(incarnation);
    }
}

impl Target for istio::Plugin {
    fn publish<'a>(&'a self, snapshot: &'a PolicySnapshot) -> BoxFuture<'a, ()> {
        let region = self.place().region.as_deref();
        let policy = region.map_or(&*snapshot.documents.common, |region| snapshot.documents.of(region));
        // It is JSON: a proxy's reader has read it.
        if let Err(error) = self.publish(policy) {
            tracing::error!("{}: {error}", self.place());
        }
        Box::pin(std::future::ready(()))
    }

    /// The policy says it.
    fn begin_incarnation(&self, _: u64) {}
}

/// Sends policies out.
pub struct Publisher {
    targets: Vec<Box<dyn Target>>,
    incarnation: u64,
    interval_ms: u32,
}

/// A policy ready to be sent.
#[derive(Clone)]
pub struct PolicySnapshot {
    pub generation: u64,
    pub ttl_ms: u32,
    /// The digests of its documents, by which proxies name them when they ask for their lease.
    pub digests: Vec<u64>,
    /// What the whole mesh knows meanwhile: what is taken back is published before it is written down.
    pub mesh: Mesh,
    documents: Documents,
}

/// One rollout's part of the policy.
#[derive(Clone, Debug)]
pub struct Part {
    /// Whose proxies are told; `None`: all.
    pub region: Option<String>,
    pub policy: split::policy::Rollout,
}

impl Publisher {
    /// Sends over all of these, one after the other.
    pub const fn new(targets: Vec<Box<dyn Target>>, incarnation: u64, interval_ms: u32) -> Self {
        Self { targets, incarnation, interval_ms }
    }

    /// What is sent from now on is of another incarnation.
    pub fn begin_incarnation(&mut self, incarnation: u64) {
        self.incarnation = incarnation;
        self.targets.iter().for_each(|target| target.begin_incarnation(incarnation));
    }

    /// Writes what each region's proxies are told and reads it as a proxy will: what the filter would refuse never
    /// leaves. A part with a region is that region's alone. `vouched`: it carries a lease even if no request goes to the canary.
    pub fn compose(
        &self,
        generation: u64,
        parts: &[Part],
        lease_intervals: u32,
        vouched: bool,
    ) -> Result<PolicySnapshot, PolicyError> {
        let ttl_ms = self.interval_ms.saturating_mul(lease_intervals.max(2));
        let mut digests = Vec::new();
        let mut told = |region: Option<&str>| {
            let here = parts.iter().filter(|part| part.region.is_none() || part.region.as_deref() == region);
            let rollouts = here.map(|part| part.policy.clone()).collect();
            let (text, digest) = self.document(generation, rollouts, ttl_ms, vouched)?;
            digests.push(digest);
            Ok::<_, PolicyError>(text)
        };
        let mut documents = Documents::from(told(None)?);
        for region in parts.iter().filter_map(|part| part.region.as_ref()) {
            if !documents.regions.contains_key(region) {
                documents.regions.insert(region.clone(), told(Some(region))?);
            }
        }
        Ok(PolicySnapshot { generation, ttl_ms, digests, mesh: Mesh::default(), documents })
    }

    fn document(
        &self,
        generation: u64,
        rollouts: Vec<split::policy::Rollout>,
        ttl_ms: u32,
        vouched: bool,
    ) -> Result<(String, u64), PolicyError> {
        // A policy that exposes nothing needs no lease.
        let exposed = vouched || rollouts.iter().any(exposes);
        let lease = exposed.then(|| Lease {
            cluster: CLUSTER.to_owned(),
            authority: CLUSTER.to_owned(),
            path: path::LEASE.to_owned(),
            interval_ms: self.interval_ms,
            ttl_ms,
        });
        let mut policy =
            Policy { schema: SCHEMA, incarnation: self.incarnation, generation, lease, rollouts };
        let digest = digest(&written(&policy)?);
        // A proxy asks for its lease by this path, filters of earlier releases too: so it names the document it runs.
        if let Some(lease) = &mut policy.lease {
            lease.path = path::lease_of(format_args!("{digest:016x}"));
        }
        Splitter::compile(&policy)?;
        Ok((written(&policy)?, digest))
    }

    /// Resolves when what was sent has left over every way.
    pub async fn arrived(&self) {
        for target in &self.targets {
            target.arrived().await;
        }
    }

    /// Sends it, over every way there is.
    pub async fn send(&self, snapshot: &PolicySnapshot) {
        for target in &self.targets {
            target.publish(snapshot).await;
        }
    }
}

fn written(policy: &Policy) -> Result<String, PolicyError> {
    serde_json::to_string(policy).map_err(|error| PolicyError {
        field: "policy".to_owned(),
        problem: error.to_string(),
        remedy: "give finite numbers",
        reason: "malformed",
    })
}

/// Tells one document from another of the same number, in this process and in those after it.
fn digest(text: &str) -> u64 {
    let hash = ring::digest::digest(&SHA256, text.as_bytes());
    hash.as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes)
}

/// Can a rollout's part of a policy send a request to the canary?
pub fn exposes(rollout: &split::policy::Rollout) -> bool {
    rollout.arms.exposes()
        || rollout.shadow.is_some()
        || !rollout.overrides.is_empty()
        || !rollout.cohorts.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(weight_ppm: u32) -> Part {
        let plan = manifest::load(
            "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n",
        )
        .expect("a rollout")
        .plan;
        Part { region: None, policy: plan.policy(1, plan.weights(weight_ppm, true), "v1") }
    }

    fn publisher() -> Publisher {
        Publisher::new(Vec::new(), 9, 1_000)
    }

    #[test]
    fn only_what_exposes_somebody_carries_a_lease() {
        for (weight, leased) in [(0, false), (1, true), (1_000_000, true)] {
            let snapshot = publisher().compose(4, &[rollout(weight)], 5, false).expect("a policy");
            let policy: Policy = serde_json::from_str(&snapshot.documents.common).expect("read back");
            assert_eq!((policy.incarnation, policy.generation), (9, 4));
            assert_eq!(policy.lease.is_some(), leased, "{weight}");
            assert_eq!(snapshot.ttl_ms, 5_000);
        }
    }

    #[test]
    fn what_a_filter_would_refuse_never_leaves() {
        let error =
            publisher().compose(4, &[rollout(1), rollout(1)], 5, false).err().expect("twice the same name");
        assert_eq!(error.field, "rollouts[1].name");
    }

    #[test]
    fn a_regions_part_is_told_to_its_proxies_alone() {
        let here = |region: Option<&str>, name: &str, weight| {
            let mut part = rollout(weight);
            (part.region, part.policy.name) = (region.map(str::to_owned), name.to_owned());
            part
        };
        let parts = [here(Some("eu"), "f.eu", 1), here(Some("us"), "f.us", 0), here(None, "all", 0)];
        let snapshot = publisher().compose(4, &parts, 5, false).expect("policies");
        for (region, told, leased) in
            [("eu", vec!["f.eu", "all"], true), ("us", vec!["f.us", "all"], false), ("", vec!["all"], false)]
        {
            let policy: Policy = serde_json::from_str(snapshot.documents.of(region)).expect("read back");
            let names: Vec<&str> = policy.rollouts.iter().map(|rollout| rollout.name.as_str()).collect();
            assert_eq!((names, policy.lease.is_some(), policy.generation), (told, leased, 4), "{region}");
        }
    }
}
