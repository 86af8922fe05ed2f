use serde::{Deserialize, Serialize};
use split::{Arm, policy};

use crate::Now;

/// What is to be done. Each can be done twice without harm, so after a crash the caller does again what the stored
/// state asks for ([`crate::State::standing_effects`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Send these weights to every proxy, and report back with [`crate::Event::Acks`].
    Publish(Box<Publication>),
    /// Revoke the lease of everything published before the last publication: proxies go to stable at their next
    /// heartbeat, ahead of any slow push.
    Revoke,
    /// Get the new version behind the stable route; answer with `HandBackDone` or `HandBackFailed`, and report
    /// stable's endpoints while [`crate::State::watches_stable`].
    HandBack(HandBackRequest),
    /// Warm the canary; answer with `WarmedUp` or `WarmUpFailed`.
    WarmUp(WarmUpRequest),
    /// Call a hook after the end; answer with `Called` or `CallFailed`.
    Call(crate::CallRequest),
    /// Write this down.
    Record(Record),
    /// Tell people.
    Notify(Notice),
}

/// Weights on their way to the proxies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// Numbered within the run; comes back in [`crate::Acks`].
    pub id: u64,
    /// This rollout's part of the policy document, epoch and weights included.
    pub policy: policy::Rollout,
    /// What allowed it.
    pub cause: Cause,
}

/// What allowed a change of weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Nothing is exposed yet: the proxies prove that they follow.
    Probe,
    /// A named person began the run, and the proxies follow.
    Start {
        /// Who.
        who: String,
    },
    /// Every gate of the stage passed.
    Verdict {
        /// The stage that was left, from 0.
        stage: usize,
    },
    /// A named person said so.
    Human {
        /// Who.
        who: String,
    },
    /// Shares follow the evidence, within the range the plan gives the stage.
    Bandit {
        /// The stage, from 0.
        stage: usize,
    },
    /// Down: one of several challengers is out.
    Drop {
        /// Which.
        arm: Arm,
    },
    /// Down: the run ends.
    Rollback,
    /// Down: stable serves the new version by now.
    HandBack,
}

/// The wish to have the new version behind the stable route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandBackRequest {
    /// The rollout.
    pub rollout: String,
    /// The version behind the stable route until now.
    pub from: String,
    /// The version that belongs there.
    pub to: String,
    /// For how long the version from before is to stay deployed after the run, in milliseconds; `None`: it need not.
    pub keep_ms: Option<u64>,
    /// How.
    pub how: manifest::HandBackHow,
}

/// The wish to have the canary warmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmUpRequest {
    /// The rollout.
    pub rollout: String,
    /// The version behind the stable route.
    pub stable: String,
    /// The version to warm.
    pub canary: String,
    /// How.
    pub hook: Box<manifest::WarmUpHook>,
}

/// A line of the run's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// When.
    pub at: Now,
    /// One English sentence.
    pub what: String,
}

/// A message for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// How urgent.
    pub severity: Severity,
    /// Equal for messages about the same matter: of these one is enough.
    pub key: String,
    /// One English sentence.
    pub text: String,
}

/// How urgent a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look.
    Warning,
    /// Traffic was taken back, or must be.
    Critical,
}
