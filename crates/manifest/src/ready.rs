//! Is the canary there, and warm, before it gets traffic? As meant.

use serde::{Deserialize, Serialize};

use crate::plan::Insufficient;
use crate::source::Source;
use crate::workload::ReadyWorkloads;

/// Endpoints the canary must have before its weight rises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Ready {
    /// At least so many; never 0.
    pub endpoints: u32,
    /// Of the ready endpoints stable has for the same traffic, in parts per million.
    pub of_stable_ppm: u32,
    /// Where they are counted; `None`: in Envoy's clusters ([`crate::Traffic::clusters`]).
    pub source: Option<Source>,
    /// Where they are counted in its place: in Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<ReadyWorkloads>,
    /// How long a step waits for them, in milliseconds.
    pub timeout_ms: u64,
    /// What happens when it waited longer.
    pub on_timeout: Insufficient,
    /// What happens when the canary has traffic and no endpoint is left.
    pub on_loss: Insufficient,
}

/// What warms the canary before its first request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WarmUpHook {
    /// How.
    pub how: WarmUpHow,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
}

/// How the canary is warmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WarmUpHow {
    /// A POST with the rollout's name and versions as JSON; 2xx is success.
    Url(String),
    /// A program with arguments; exit code 0 is success.
    Command(Vec<String>),
    /// Requests straight to the canary, one after the other; each must be answered 2xx.
    Requests {
        /// Where it answers.
        url: String,
        /// How many.
        count: u32,
        /// A POST of this JSON text; `None`: a GET.
        body: Option<String>,
    },
}

impl Ready {
    /// Ready endpoints wanted at a weight; `stable`: those stable has, `None`: unknown.
    #[must_use]
    pub fn needed(&self, weight_ppm: u32, stable: Option<u32>) -> u32 {
        let million = u128::from(split::MILLION);
        let share = u128::from(weight_ppm) * u128::from(self.of_stable_ppm);
        let part = (u128::from(stable.unwrap_or(0)) * share).div_ceil(million * million);
        self.endpoints.max(u32::try_from(part).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {

    #[track_caller]
    fn check(lines: &str, weight_ppm: u32, stable: Option<u32>, needed: u32) {
        let text = format!("{}  ready: {lines}\n", crate::tests::MINIMAL);
        let plan = crate::load(&text).unwrap_or_else(|problems| panic!("{problems}")).plan;
        assert_eq!(
            plan.ready.expect("it").needed(weight_ppm, stable),
            needed,
            "{lines} {weight_ppm} {stable:?}"
        );
    }

    #[test]
    fn as_many_as_the_traffic_takes() {
        check("{}", 500_000, Some(10), 1);
        check("{endpoints: 3}", 10_000, None, 3);
        check("{ofStable: 100%}", 500_000, Some(10), 5);
        check("{ofStable: 100%}", 10_000, Some(10), 1);
        check("{ofStable: 100%}", 310_000, Some(10), 4);
        check("{ofStable: 80%, endpoints: 2}", 1_000_000, Some(10), 8);
        check("{ofStable: 80%, endpoints: 2}", 1_000_000, None, 2);
        check("{ofStable: 100%}", 1_000_000, Some(u32::MAX), u32::MAX);
    }
}
