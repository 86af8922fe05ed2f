//! `GET /v1/rollouts/{name}`, as far as the demo reads it. Fields it does not know are left alone.

use serde::{Deserialize, Serialize};

/// One rollout.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct View {
    /// Its name.
    pub name: String,
    /// Counts the rollouts of this name, from 1.
    pub run: u64,
    /// Where it is.
    pub phase: Phase,
    /// Why, in one sentence.
    pub message: String,
    /// The stage it is in, from 1; 0 before the first.
    pub stage: usize,
    /// How many there are.
    pub stage_count: usize,
    /// The canary's weight in force.
    pub weight_ppm: u32,
    /// Version behind the stable route.
    pub stable: String,
    /// Version being rolled out.
    pub canary: String,
    /// The stages entered so far.
    pub stages: Vec<StageView>,
    /// Which proxy took which policy, and how long after it was sent.
    pub acks: Vec<Ack>,
    /// Which proxy refused which policy.
    pub refusals: Vec<Refusal>,
    /// The rollback, once decided.
    pub rollback: Option<RollbackView>,
    /// What happened, in order.
    pub history: Vec<Happening>,
}

/// Where a rollout is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Phase {
    /// Nothing published yet.
    #[default]
    Pending,
    /// On its way through the stages.
    Progressing,
    /// Waits for a person.
    Paused,
    /// At 100 %, until stable serves the new version.
    Promoting,
    /// Stable serves the new version; the weight goes back to 0.
    HandBack,
    /// Done: promoted.
    Succeeded,
    /// Done: all traffic is back on stable.
    RolledBack,
}

/// One stage.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StageView {
    /// Its weight.
    pub weight_ppm: u32,
    /// When its weight was published.
    pub entered_unix_ms: u64,
    /// When it was left.
    pub left_unix_ms: Option<u64>,
    /// What each gate says.
    pub gates: Vec<Gate>,
}

/// What one gate says.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Gate {
    /// Its name.
    pub name: String,
    /// `pass`, `fail`, `marginal`, `insufficient`, `error` or `not_applicable`.
    pub verdict: String,
    /// The canary's value, in the metric's own unit.
    pub estimate: Option<f64>,
    /// The value it is held against.
    pub bound: Option<f64>,
    /// Canary requests it rests on.
    pub n_canary: u64,
    /// Stable requests it rests on.
    pub n_control: u64,
    /// Why, in one sentence.
    pub why: String,
}

/// One acknowledgement.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Ack {
    /// The proxy.
    pub node: String,
    /// The policy.
    pub generation: u64,
    /// From push to acknowledgement, in milliseconds.
    pub ms: f64,
}

/// One refusal.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Refusal {
    /// The proxy.
    pub node: String,
    /// The policy.
    pub generation: u64,
    /// Why, as far as the proxy says.
    pub reason: String,
}

/// The decision to roll back.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RollbackView {
    /// When, `CLOCK_MONOTONIC`.
    pub decided_monotonic_ns: u64,
    /// When, in milliseconds since 1970.
    pub decided_unix_ms: u64,
    /// Why, in one sentence.
    pub reason: String,
}

/// One line of history.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Happening {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// What.
    pub what: String,
}

impl View {
    /// The stage it is in.
    pub fn current_stage(&self) -> Option<&StageView> {
        self.stages.get(self.stage.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_s_example_is_read() {
        let view: View = serde_json::from_str(
            r#"{"name":"ranker","run":1,"phase":"Progressing","message":"m","stage":1,"stage_count":4,"weight_ppm":50000,
            "generation":7,"epoch":3,"stable":"v1","canary":"v2",
            "stages":[{"weight_ppm":50000,"entered_unix_ms":5,"left_unix_ms":null,"gates":[{"name":"errors",
              "verdict":"pass","estimate":0.01,"bound":0.02,"n_canary":100,"n_control":1900,"why":"w"}]}],
            "acks":[{"node":"envoy-1","generation":7,"ms":31.5}],
            "refusals":[{"node":"envoy-1","generation":8,"reason":"r"}],
            "rollback":{"decided_monotonic_ns":9,"decided_unix_ms":8,"reason":"r"},
            "history":[{"unix_ms":0,"monotonic_ns":0,"what":"w"}]}"#,
        )
        .unwrap();
        assert_eq!(view.phase, Phase::Progressing);
        let stage = view.current_stage().unwrap();
        assert_eq!(
            (stage.weight_ppm, stage.gates[0].estimate, stage.gates[0].n_control),
            (50_000, Some(0.01), 1900)
        );
        assert_eq!(view.rollback.unwrap().decided_monotonic_ns, 9);
        assert_eq!(view.acks[0].ms, 31.5);
        assert!(View::default().current_stage().is_none());
    }
}
