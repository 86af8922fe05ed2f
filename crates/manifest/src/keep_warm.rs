//! The time after a run, as meant: what is kept, which hooks are called at its end, and the plan of a way back to a version that
//! was there before.

use serde::{Deserialize, Serialize};
use split::policy;

use crate::plan::{Budget, Insufficient, NoData, OnTimeout, Plan, Stage, Unit, VersionIn};

/// Keep-warm: the version without traffic stays behind the canary route for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KeepWarm {
    /// For how long, in milliseconds; never 0.
    pub for_ms: u64,
    /// What puts the old version there after a promotion; `None`: a person or a deploy tool of its own accord.
    pub hook: Option<HookHow>,
    /// URLs of the canary route's endpoints, asked which version they serve.
    pub endpoints: Vec<String>,
    /// Where an endpoint's answer names its version.
    pub version_in: VersionIn,
}

/// The hooks that learn which versions can be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct AfterRun {
    /// After a promotion.
    pub succeeded: Option<HookHow>,
    /// After a rollback.
    pub rolled_back: Option<HookHow>,
}

/// How a hook is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HookHow {
    /// A POST of JSON; 2xx is success.
    Url(String),
    /// A program with arguments; exit code 0 is success.
    Command(Vec<String>),
    /// The controller itself, in Kubernetes.
    Kubernetes(Box<crate::workload::WorkloadChange>),
}

/// A run that a person began to go back to a version that was behind the stable route before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Returning {
    /// The version gone back from: behind the stable route when it began.
    pub from: String,
    /// Who said that the version gone back to is behind the canary route; `None`: nobody, and a person took it on
    /// themselves.
    pub vouched: Option<String>,
}

/// A missing quorum is reported after this long, in milliseconds.
const TOLD_AFTER_MS: u64 = 60_000;

impl Plan {
    /// The versions it is about: that behind the stable route, and those on trial.
    #[must_use]
    pub fn versions(&self) -> Vec<&str> {
        let mut all = vec![self.stable.as_str(), self.canary.as_str()];
        for challenger in &self.challengers {
            if !all.contains(&challenger.version.as_str()) {
                all.push(&challenger.version);
            }
        }
        all
    }

    /// The same rollout on its way back from `from`, which the stable route serves, to `to` behind the canary route:
    /// everybody at once, and nothing that could take it back by itself. A person decided, and what they go back from
    /// is what is known to be bad: no gate, no guardrail, no lost lease and no silence may give it the traffic again.
    /// Nor may anything written for the trial of a new version: cohorts, overrides, keys that are missing, windows.
    #[must_use]
    pub fn to_return(&self, from: &str, to: &str, vouched: Option<String>) -> Self {
        let mut plan = self.clone();
        (plan.stable, plan.canary) = (from.to_owned(), to.to_owned());
        plan.returning = Some(Returning { from: from.to_owned(), vouched });
        (plan.challengers, plan.lead, plan.choose, plan.bandit) = (Vec::new(), 0, None, None);
        plan.watch = None;
        (plan.gates, plan.guardrails, plan.budget) = (Vec::new(), Vec::new(), Budget::default());
        (plan.windows, plan.ready, plan.warm_up_hook, plan.warm_up_ms) = (None, None, None, 0);
        (plan.baseline, plan.unit) = (false, Unit::Request);
        plan.stages = vec![Stage {
            weight_ppm: split::MILLION,
            shadow_ppm: 0,
            bake_ms: 0,
            deadline_ms: TOLD_AFTER_MS,
            on_insufficient: Insufficient::Hold,
            gates: Vec::new(),
            approval: false,
        }];
        plan.no_data = NoData { after_ms: TOLD_AFTER_MS, action: Insufficient::Hold };
        plan.acknowledge.on_timeout = OnTimeout::Hold;
        let traffic = &mut plan.traffic;
        (traffic.overrides, traffic.cohorts, traffic.count_groups) = (Vec::new(), Vec::new(), false);
        traffic.on_lease_expired = policy::OnLeaseExpired::Hold;
        traffic.assignment =
            policy::Assignment::Random { source: policy::Source::default(), salt: String::new() };
        if let Some(member) = &mut plan.member {
            // Everywhere at once.
            (member.wave, member.terms.soak_ms) = (0, 0);
        }
        plan
    }
}
