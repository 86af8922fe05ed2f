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
    /// Revoke the lease of what earlier policies say of this rollout: proxies send its requests to stable at their next
    /// heartbeat, ahead of any slow push. What they say of other rollouts stands.
    Revoke {
        /// Which policies those are.
        below: Below,
    },
    /// Get the new version behind the stable route; answer with `HandBackDone` or `HandBackFailed`, and report
    /// stable's endpoints while [`crate::State::watches_stable`].
    HandBack(HandBackRequest),
    /// Warm the canary; answer with `WarmedUp` or `WarmUpFailed`.
    WarmUp(WarmUpRequest),
    /// Call a hook after the end; answer with `Called` or `CallFailed`.
    Call(crate::HookCallRequest),
    /// Write this down.
    Record(Record),
    /// Tell people.
    Notify(Notice),
}

/// Up to which policy a lease is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Below {
    /// Those before the last publication; that of the same decision, where it publishes.
    LastPublished,
    /// The last publication as well. No push follows, so a proxy that has it hears of it by its lease alone.
    InForce,
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
    /// Down: too few proxies took the weights above these.
    StepBack,
    /// Down: the run ends.
    Rollback,
    /// Down: stable serves the new version by now.
    HandBack,
}

impl Effect {
    /// Does this leave traffic where it is, or take it back to stable? Such a decision holds although it cannot be written
    /// down. `before`: what the run published last.
    #[must_use]
    pub fn takes_back(&self, before: Option<&policy::Rollout>) -> bool {
        match self {
            Self::Publish(publication) => {
                publication.cause == Cause::Rollback
                    || before.is_some_and(|before| exposes_no_more(&publication.policy, before))
            }
            Self::HandBack(_) | Self::WarmUp(_) | Self::Call(_) => false,
            Self::Revoke { .. } | Self::Record(_) | Self::Notify(_) => true,
        }
    }
}

/// Does a policy send no request to a version on trial that the one before it sent elsewhere? What it says of anything else must
/// be the same.
fn exposes_no_more(now: &policy::Rollout, before: &policy::Rollout) -> bool {
    let (arms, were) = (&now.arms, &before.arms);
    let bounded = |version: &str, ppm: u32, was: Option<(&str, u32)>| {
        ppm == 0 || was.is_some_and(|(known, most)| known == version && ppm <= most)
    };
    let canary = bounded(
        &arms.canary.version,
        arms.canary.weight_ppm,
        Some((&were.canary.version, were.canary.weight_ppm)),
    );
    let others = arms.others.iter().all(|other| {
        let was = were.others.iter().find(|was| was.name == other.name && was.start_ppm == other.start_ppm);
        bounded(&other.version, other.weight_ppm, was.map(|was| (was.version.as_str(), was.weight_ppm)))
    });
    let copied = |rollout: &policy::Rollout| rollout.shadow.as_ref().map_or(0, |shadow| shadow.weight_ppm);
    canary
        && others
        && copied(now) <= copied(before)
        && arms.stable.version == were.stable.version
        && (now.overrides.is_empty() || now.overrides == before.overrides)
        && (now.cohorts.is_empty() || now.cohorts == before.cohorts)
        && now.scope == before.scope
        && now.assignment == before.assignment
}

impl Cause {
    /// May these weights wait a moment for others that are under way as well? What comes back never does, nor what a
    /// person wants.
    #[must_use]
    pub const fn may_wait(&self) -> bool {
        match self {
            Self::Probe | Self::Start { .. } | Self::Verdict { .. } | Self::HandBack => true,
            Self::Human { .. }
            | Self::Bandit { .. }
            | Self::Drop { .. }
            | Self::StepBack
            | Self::Rollback => false,
        }
    }
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
    /// A person should look.
    Warning,
    /// Traffic was taken back, or must be.
    Critical,
}
