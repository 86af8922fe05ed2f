//! A run: `GET /v1/rollouts`, `GET /v1/rollouts/{name}` and `GET /v1/rollouts/{name}/runs/{run}`.

use rollout::{Demand, DrillView, ParityView, PhaseName, PracticeView, View};
use serde::{Deserialize, Serialize};

/// One run: what the machine says of it, and what the mesh does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunView {
    /// The run's state.
    #[serde(flatten)]
    pub run: View,
    /// The revision, which changes whenever the rollout moves on; acts name it ([`crate::EXPECT_HEADER`]). Absent: it is an
    /// earlier run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// The generation of the policy that last changed this rollout; absent: it is an earlier run.
    pub generation: Option<u64>,
    /// Acknowledgements, oldest first.
    pub acks: Vec<Ack>,
    /// Refusals, oldest first.
    pub refusals: Vec<Nack>,
    /// After a rollback: for how long the canary still got requests, by the proxies' own counters.
    pub rollback_latency: Option<Latency>,
    /// The last drill of the rollback path, or the one under way.
    pub drill: Option<DrillView>,
    /// When a drill last passed, in milliseconds since 1970.
    pub drill_passed_unix_ms: Option<u64>,
    /// The last A/A check, or the one under way.
    pub parity: Option<ParityView>,
    /// When parity was last proven, in milliseconds since 1970.
    pub parity_passed_unix_ms: Option<u64>,
    /// Scheduled drills and A/A checks; a fleet's members each have their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub practice: Vec<PracticeView>,
    /// The load of its versions, now and next; a fleet's members each have their own.
    pub demand: Option<Demand>,
    /// The specification that is queued.
    pub queued: Option<QueuedView>,
    /// Rollouts before it in the policy that take its requests, all of them or some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claimed_by: Vec<ClaimedBy>,
    /// The object of Kubernetes that the rollout is kept by; absent: a person applied it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<crate::ObjectView>,
    /// Of a fleet: its members, which stand under their own names as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<RunView>,
}

/// An earlier run, as it ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PastView {
    /// The run's state.
    #[serde(flatten)]
    pub run: View,
    /// Of a fleet: its members.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<View>,
}

/// A proxy took a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ack {
    /// The proxy.
    pub node: String,
    /// The policy.
    pub generation: u64,
    /// From the push to the acknowledgement; absent for a node that came later.
    pub ms: Option<f64>,
}

/// A proxy refused a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Nack {
    /// The proxy.
    pub node: String,
    /// The policy.
    pub generation: u64,
    /// Why, as far as the proxy says.
    pub reason: String,
}

/// From the decision to roll back to the last request that any proxy sent to the canary, in milliseconds of the wall
/// clock: an interval, because filters write it at a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// At least.
    pub from_ms: u64,
    /// At most.
    pub to_ms: u64,
    /// Have all proxies acknowledged the rollback and reported since? While not, it is a lower bound.
    pub complete: bool,
}

/// A rollout that takes requests of another, because it comes first in the policy: they are ordered by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimedBy {
    /// Its name.
    pub name: String,
    /// Does it take all of them? Then the canary gets no request.
    pub all: bool,
}

/// A specification that waits for the present run to be over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueuedView {
    /// The version it begins with.
    pub stable: String,
    /// The version it rolls out.
    pub canary: String,
    /// Who applied it.
    pub who: String,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Why it could not begin when the run before was over.
    pub refused: Option<String>,
}

impl RunView {
    /// Is it a member of a fleet?
    #[must_use]
    pub const fn is_member(&self) -> bool {
        self.run.model.is_some() || self.run.region.is_some()
    }

    /// How it ended: promoted (`true`) or taken back; `None`: it is under way.
    #[must_use]
    pub fn promoted(&self) -> Option<bool> {
        match self.run.phase.known()? {
            PhaseName::Succeeded => Some(true),
            PhaseName::RolledBack => Some(false),
            _ => None,
        }
    }
}
