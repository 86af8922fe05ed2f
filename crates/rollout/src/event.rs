use serde::{Deserialize, Serialize};
use split::Arm;

use crate::{Interval, PostRunHook, Reading};

/// Everything that can happen to a run. Closed: what is not here changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A named person or tool wants it to begin.
    Start(Human),
    /// Time went by. Wanted at least once a second.
    Tick,
    /// A look at the counters.
    Interval(Box<Interval>),
    /// The source of a gate or a guardrail was read, or figures were pushed.
    Reading(Reading),
    /// How far a publication has come; sent whenever it changes.
    Acks(Acks),
    /// Back to stable, now.
    Abort(Human),
    /// Past what the run is waiting for: exactly one stage.
    Promote(Human),
    /// Takes one of several challengers out; the last one takes the run back.
    Drop {
        /// Which.
        arm: Arm,
        /// Who says so.
        human: Human,
    },
    /// Chooses one of several challengers and goes to the next stage with it alone.
    Choose {
        /// Which.
        arm: Arm,
        /// Who says so.
        human: Human,
    },
    /// Approve the next stage.
    Approve(Human),
    /// Stop where it is.
    Pause(Human),
    /// Go on where it was stopped.
    Resume(Human),
    /// The canary's weight by hand; the run stands still there until it is resumed.
    SetWeight {
        /// Who, and why.
        human: Human,
        /// The canary's share, in parts per million; below 1,000,000.
        weight_ppm: u32,
    },
    /// Another schedule of what is tried between runs; nothing else of the plan changes.
    Practice {
        /// Who wants it.
        human: Human,
        /// What is tried; `None`: nothing.
        practice: Option<Box<manifest::Practice>>,
    },
    /// The fleet lets it enter a stage (from 0, the hand-back counting as one more), and all before it.
    Permit {
        /// Which.
        stage: usize,
    },
    /// The fleet takes it back because of another member.
    CascadeRollback {
        /// Whose rollback it is.
        member: String,
        /// One English sentence.
        reason: String,
        /// No harm is proven: the plan's ramp is fast enough.
        gentle: bool,
    },
    /// How many endpoints are ready, while [`crate::State::watches_endpoints`].
    Endpoints(Endpoints),
    /// The canary is warm.
    WarmedUp,
    /// The warm-up failed.
    WarmUpFailed {
        /// What it said.
        reason: String,
    },
    /// What stable's endpoints answer while a hand-back is under way.
    StableReports(Vec<Endpoint>),
    /// The hand-back's hook did its work.
    HandBackDone,
    /// The hand-back's hook failed.
    HandBackFailed {
        /// What it said.
        reason: String,
    },
    /// A hook after the end did its work.
    Called {
        /// The run it is about: this one, or one before it.
        run: u64,
        /// What it is about.
        duty: PostRunHook,
    },
    /// A hook after the end failed.
    CallFailed {
        /// The run it is about.
        run: u64,
        /// What it is about.
        duty: PostRunHook,
        /// What it said.
        reason: String,
    },
    /// What the canary route's endpoints answer, while [`crate::State::polls_kept_version`].
    KeptReports(Vec<Endpoint>),
    /// The next run of this name begins.
    NextRun {
        /// Its number.
        run: u64,
    },
    /// What a person just did was asked for under a key, and is not to be done twice.
    Acted(crate::Acted),
}

impl Event {
    /// Is this said once, so that it must be told again when it could not be taken? Time and counts come again by
    /// themselves, a person is told at once, and what a fleet says to a member is part of one decision for all of them.
    #[must_use]
    pub const fn is_said_once(&self) -> bool {
        match self {
            Self::Acks(_)
            | Self::HandBackDone
            | Self::HandBackFailed { .. }
            | Self::WarmedUp
            | Self::WarmUpFailed { .. }
            | Self::Called { .. }
            | Self::CallFailed { .. }
            | Self::Reading(_) => true,
            Self::Tick
            | Self::Interval(_)
            | Self::Endpoints(_)
            | Self::StableReports(_)
            | Self::KeptReports(_)
            | Self::Permit { .. }
            | Self::CascadeRollback { .. }
            | Self::NextRun { .. }
            | Self::Acted(_)
            | Self::Start(_)
            | Self::Abort(_)
            | Self::Promote(_)
            | Self::Drop { .. }
            | Self::Choose { .. }
            | Self::Approve(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::SetWeight { .. }
            | Self::Practice { .. } => false,
        }
    }

    /// What a person did, by the command that does it, and who.
    #[must_use]
    pub const fn act(&self) -> Option<(&'static str, &Human)> {
        match self {
            Self::Start(human) | Self::Practice { human, .. } => Some(("apply", human)),
            Self::Abort(human) | Self::Drop { human, .. } => Some(("abort", human)),
            Self::Promote(human) | Self::Choose { human, .. } => Some(("promote", human)),
            Self::Approve(human) => Some(("approve", human)),
            Self::Pause(human) => Some(("pause", human)),
            Self::Resume(human) => Some(("resume", human)),
            Self::SetWeight { human, .. } => Some(("weight", human)),
            Self::Tick
            | Self::Interval(_)
            | Self::Reading(_)
            | Self::Acks(_)
            | Self::Permit { .. }
            | Self::CascadeRollback { .. }
            | Self::Endpoints(_)
            | Self::WarmedUp
            | Self::WarmUpFailed { .. }
            | Self::StableReports(_)
            | Self::HandBackDone
            | Self::HandBackFailed { .. }
            | Self::Called { .. }
            | Self::CallFailed { .. }
            | Self::KeptReports(_)
            | Self::NextRun { .. }
            | Self::Acted(_) => None,
        }
    }
}

/// How many endpoints are ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Endpoints {
    /// The canary's; `None`: not known.
    pub canary: Option<u32>,
    /// Stable's; `None`: not known.
    pub stable: Option<u32>,
    /// Why they could not be counted. An error is no loss of endpoints.
    pub error: Option<String>,
}

/// Who did something, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Human {
    /// A name.
    pub who: String,
    /// A sentence; may be empty.
    pub reason: String,
}

/// How far a publication has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acks {
    /// Which: [`crate::Publication::id`]. Others than the last one are ignored.
    pub publication: u64,
    /// Proxies that took it.
    pub acknowledged: u32,
    /// Proxies connected, the silent and the refusing included.
    pub connected: u32,
    /// Names of those that have not answered.
    pub missing: Vec<String>,
    /// Names of those that refused it, each with its reason.
    pub refused: Vec<Refused>,
}

/// A proxy that refused a publication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// Its name.
    pub node: String,
    /// Why.
    pub reason: String,
}

/// An endpoint behind one of the routes, as it answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Its URL.
    pub url: String,
    /// The version it reports; `None`: it did not answer, or named none.
    pub version: Option<String>,
    /// Why it reports none, in one sentence.
    #[serde(default)]
    pub error: Option<String>,
}

impl Endpoint {
    /// What it reports, for people: "http://... reports v1", or why it reports nothing.
    #[must_use]
    pub fn words(&self) -> String {
        match (&self.version, &self.error) {
            (Some(version), _) => format!("{} reports {version}", self.url),
            (None, Some(error)) => error.clone(),
            (None, None) => format!("{} does not say which version it serves", self.url),
        }
    }
}
