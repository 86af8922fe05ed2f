//! From the runs to the one policy document that every proxy gets.

use envoy::{Ecds, EcdsFile};
use split::policy::{Lease, Policy, SCHEMA};
use split::{PolicyError, Splitter};

/// Where the heartbeat goes: names that the bootstrap defines too.
const CLUSTER: &str = "serin";
const PATH: &str = "/v1/lease";

/// Sends policies out.
pub struct Publisher {
    ecds: Ecds,
    file: Option<EcdsFile>,
    incarnation: u64,
    interval_ms: u32,
}

/// A policy ready to be sent.
pub struct Letter {
    pub generation: u64,
    pub ttl_ms: u32,
    text: String,
}

impl Publisher {
    pub const fn new(ecds: Ecds, file: Option<EcdsFile>, incarnation: u64, interval_ms: u32) -> Self {
        Self { ecds, file, incarnation, interval_ms }
    }

    /// Writes the document and reads it as a proxy will: what the filter would refuse never leaves. `vouched`: it
    /// carries a lease even if nobody is exposed.
    pub fn compose(
        &self,
        generation: u64,
        rollouts: Vec<split::policy::Rollout>,
        lease_intervals: u32,
        vouched: bool,
    ) -> Result<Letter, PolicyError> {
        let ttl_ms = self.interval_ms.saturating_mul(lease_intervals.max(2));
        // Nothing exposed needs nobody to vouch for it.
        let exposed = vouched || rollouts.iter().any(exposes);
        let lease = exposed.then(|| Lease {
            cluster: CLUSTER.to_owned(),
            authority: CLUSTER.to_owned(),
            path: PATH.to_owned(),
            interval_ms: self.interval_ms,
            ttl_ms,
        });
        let policy = Policy { schema: SCHEMA, incarnation: self.incarnation, generation, lease, rollouts };
        Splitter::compile(&policy)?;
        let text = serde_json::to_string(&policy).map_err(|error| PolicyError {
            field: "policy".to_owned(),
            problem: error.to_string(),
            remedy: "give finite numbers",
            reason: "malformed",
        })?;
        Ok(Letter { generation, ttl_ms, text })
    }

    /// Sends it, over every way there is. Twice does no harm.
    pub async fn send(&self, letter: Letter) {
        if let Some(file) = &self.file
            && let Err(error) = file.write(letter.generation, &letter.text).await
        {
            tracing::error!("{error}");
        }
        self.ecds.publish(letter.generation, letter.text);
    }
}

/// May a rollout's part of a policy send anybody to the canary?
pub fn exposes(rollout: &split::policy::Rollout) -> bool {
    rollout.arms.exposes()
        || rollout.shadow.is_some()
        || !rollout.overrides.is_empty()
        || !rollout.cohorts.is_empty()
}

#[cfg(test)]
mod tests {
    use envoy::Resource;

    use super::*;

    fn rollout(weight_ppm: u32) -> split::policy::Rollout {
        let plan = spec::load(
            "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n",
        )
        .expect("a rollout")
        .plan;
        plan.policy(1, plan.weights(weight_ppm, true), "v1")
    }

    fn publisher() -> Publisher {
        Publisher::new(Ecds::new(Resource::local("/filter.wasm"), 9), None, 9, 1_000)
    }

    #[test]
    fn only_what_exposes_somebody_carries_a_lease() {
        for (weight, leased) in [(0, false), (1, true), (1_000_000, true)] {
            let letter = publisher().compose(4, vec![rollout(weight)], 5, false).expect("a policy");
            let policy: Policy = serde_json::from_str(&letter.text).expect("read back");
            assert_eq!((policy.incarnation, policy.generation), (9, 4));
            assert_eq!(policy.lease.is_some(), leased, "{weight}");
            assert_eq!(letter.ttl_ms, 5_000);
        }
    }

    #[test]
    fn what_a_filter_would_refuse_never_leaves() {
        let error = publisher()
            .compose(4, vec![rollout(1), rollout(1)], 5, false)
            .err()
            .expect("twice the same name");
        assert_eq!(error.field, "rollouts[1].name");
    }
}
