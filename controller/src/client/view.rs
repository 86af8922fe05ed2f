//! What the controller answers, as far as a person is shown it. Fields it does not know are passed over: an older
//! command can read a newer controller.

use serde::Deserialize;

/// A rollout.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct View {
    pub name: String,
    pub run: u64,
    pub phase: String,
    pub message: String,
    pub stage: u64,
    pub stage_count: u64,
    pub weight_ppm: u32,
    pub generation: Option<u64>,
    pub stable: String,
    pub canary: String,
    pub arms: Vec<Arm>,
    pub bandit: Option<Bandit>,
    pub stages: Vec<Stage>,
    pub guardrails: Vec<Gate>,
    pub exposed: Exposed,
    pub refusals: Vec<Refusal>,
    pub drill: Option<super::drill::Drill>,
    pub parity: Option<super::parity::Parity>,
    pub practice: Vec<Practice>,
    pub drill_passed_unix_ms: Option<u64>,
    pub parity_passed_unix_ms: Option<u64>,
    pub queued: Option<Queued>,
    pub closed: Option<Closed>,
    pub overrides: Vec<Override>,
    pub model: Option<String>,
    pub region: Option<String>,
    pub members: Vec<View>,
}

/// What is tried between runs by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Practice {
    pub exercise: String,
    pub when: String,
    pub next_unix_ms: Option<u64>,
    pub next: Option<String>,
    pub late: Option<String>,
    pub missed: bool,
    pub overdue: bool,
}

/// Who has met the versions on trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Exposed {
    pub requests: u64,
    pub errors: u64,
}

/// A time at which the weight does not rise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Closed {
    pub why: String,
}

/// What a named person went past.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Override {
    pub who: String,
    pub reason: String,
    pub stage: u64,
    pub past: Vec<String>,
}

/// One of several versions on trial.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Arm {
    pub arm: String,
    pub version: String,
    pub weight_ppm: u32,
    pub standing: String,
    pub reason: Option<String>,
    pub gates: Vec<Gate>,
}

/// Shares that follow the evidence.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Bandit {
    pub by: String,
    pub floor_ppm: u32,
    pub ceiling_ppm: u32,
    pub most_ppm: u32,
    pub next_in_ms: Option<u64>,
    pub holds: Option<String>,
    pub versions: Vec<Share>,
}

/// A version's share.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Share {
    pub arm: String,
    pub version: String,
    pub share_ppm: u32,
    pub best: Option<f64>,
}

/// The specification that comes next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Queued {
    pub canary: String,
    pub who: String,
    pub refused: Option<String>,
}

/// A stage that was entered.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Stage {
    pub gates: Vec<Gate>,
}

/// A gate or a guardrail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Gate {
    pub name: String,
    pub verdict: String,
    pub why: String,
}

/// A proxy that would not take a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Refusal {
    pub node: String,
    pub reason: String,
}

/// What became of a specification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Applied {
    pub name: String,
    pub run: u64,
    pub unchanged: bool,
    pub queued: bool,
    pub rescheduled: bool,
    pub warnings: Vec<String>,
}

/// Why something was not done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Fault {
    pub error: String,
}

impl View {
    /// The exit code of a rollout that is over: 0 promoted, 1 rolled back.
    pub fn over(&self) -> Option<u8> {
        match self.phase.as_str() {
            "Succeeded" => Some(0),
            "RolledBack" => Some(1),
            _ => None,
        }
    }
}
