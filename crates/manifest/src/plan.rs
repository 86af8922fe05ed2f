//! The rollout as meant: everything checked, every default filled in, every unit plain.
//!
//! A [`Plan`] is made by [`crate::compile`] alone (`non_exhaustive` keeps other crates from building one), so whoever
//! holds one need not check anything again. Its serialised form is the store's, not the user's.

use serde::{Deserialize, Serialize};
use split::policy;

pub use crate::acknowledge::{Acknowledge, OnTimeout};
use crate::bandit::Bandit;
use crate::challenger::{Challenger, Choose, MOST_CHALLENGERS};
use crate::fleet::Member;
use crate::gate::{Gate, Guardrail};
use crate::keep_warm::{AfterRun, KeepWarm, Returning};
use crate::practice::Practice;
use crate::ready::{Ready, WarmUpHook};
use crate::watch::Watch;
use calendar::Windows;

/// What a rollout will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Plan {
    /// Its name; also its label in every counter.
    pub name: String,
    /// The version that serves all traffic today.
    pub stable: String,
    /// The version to be rolled out; of several, the lead's.
    pub canary: String,
    /// Every version on trial, when there are several; the first is the canary.
    #[serde(default)]
    pub challengers: Vec<Challenger>,
    /// Which of them the run is about when only one can be meant: the first that is still in, or the chosen one.
    #[serde(default)]
    pub lead: usize,
    /// How one of them is chosen.
    #[serde(default)]
    pub choose: Option<Choose>,
    /// How shares follow the evidence within a stage; `None`: weights stand still.
    #[serde(default)]
    pub bandit: Option<Bandit>,
    /// Who is asked when it is not clear what to do; free text, shown in notices.
    pub owner: Option<String>,
    /// How the traffic is taken and split: all of the policy document but the weights.
    pub traffic: Traffic,
    /// Weights in rising order; the last is 100 %.
    pub stages: Vec<Stage>,
    /// What a stage must prove, and what ends the run at once when it shows harm.
    pub gates: Vec<Gate>,
    /// Limits of the whole run.
    pub guardrails: Vec<Guardrail>,
    /// How much false alarm the whole run may hold.
    pub alpha: Alpha,
    /// What the canary may cost before it bears all traffic.
    #[serde(default)]
    pub budget: Budget,
    /// Which finished requests count as errors (`class` in the counters).
    pub error_classes: Vec<ErrorClass>,
    /// A request not answered for this long is overdue, in milliseconds.
    pub overdue_after_ms: u64,
    /// Evidence of each version's first minutes is left out: this long after the first stage began, in milliseconds.
    pub warm_up_ms: u64,
    /// Endpoints the canary must have before its weight rises; `None`: they are not counted.
    #[serde(default)]
    pub ready: Option<Box<Ready>>,
    /// What warms the canary before its first request.
    #[serde(default)]
    pub warm_up_hook: Option<Box<WarmUpHook>>,
    /// How many proxies must acknowledge new weights, and how soon.
    pub acknowledge: Acknowledge,
    /// What happens while no counts can be read.
    pub no_data: NoData,
    /// What a run does with the routes when it is done.
    pub hand_back: HandBack,
    /// What stays deployed when the run is over; `None`: nothing need.
    #[serde(default)]
    pub keep_warm: Option<Box<KeepWarm>>,
    /// Who is told when nothing has to stay deployed any longer.
    #[serde(default)]
    pub after: AfterRun,
    /// It goes back to a version that was there before; `None`: it tries a new one.
    #[serde(default)]
    pub returning: Option<Returning>,
    /// When the weight may rise by itself; `None`: always.
    pub windows: Option<Windows>,
    /// Scheduled exercises between runs.
    #[serde(default)]
    pub practice: Option<Box<Practice>>,
    /// What becomes of another version that is applied under this name while the run lasts.
    pub supersede: Supersede,
    /// How traffic returns to stable.
    pub rollback: Rollback,
    /// Keeps a virtual baseline: as much of stable's traffic as the canary gets, counted apart.
    pub baseline: bool,
    /// The unit the statistics count in.
    pub unit: Unit,
    /// Its place among runs it belongs to; `None`: it is by itself.
    #[serde(default)]
    pub member: Option<Member>,
    /// What is watched after the promotion; `None`: nothing.
    #[serde(default)]
    pub watch: Option<Box<Watch>>,
}

/// All of the policy document that does not change from stage to stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Traffic {
    /// Which requests the rollout owns.
    pub scope: Option<policy::Match>,
    /// Whether this proxy decides or follows a hop before it.
    pub role: policy::Role,
    /// The routing header.
    pub header: String,
    /// The response header with the version.
    pub version_header: String,
    /// How requests are spread.
    pub assignment: policy::Assignment,
    /// Requests for which the arm is given.
    pub overrides: Vec<policy::Override>,
    /// Requests with a weight of their own.
    pub cohorts: Vec<policy::Cohort>,
    /// The clusters behind the routes, as Envoy calls them: where the outcome of copies is read.
    #[serde(default)]
    pub clusters: Clusters,
    /// Where the model's confidence is read and shown.
    pub confidence: Option<policy::Confidence>,
    /// What is read in the bodies of answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<policy::Answer>,
    /// Are stable's outcomes counted per group of users?
    pub count_groups: bool,
    /// What happens to the canary when nobody renews the lease.
    pub on_lease_expired: policy::OnLeaseExpired,
    /// The lease runs out after this many missed heartbeats.
    pub lease_intervals: u32,
}

/// The clusters behind the routes, as Envoy calls them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Clusters {
    /// Behind the stable route.
    pub stable: String,
    /// Behind the canary's.
    pub canary: String,
}

impl Default for Clusters {
    fn default() -> Self {
        Self { stable: "stable".to_owned(), canary: "canary".to_owned() }
    }
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Stage {
    /// The canary's share, in parts per million.
    pub weight_ppm: u32,
    /// At weight 0: the share of the traffic the canary gets a copy of, in parts per million.
    #[serde(default)]
    pub shadow_ppm: u32,
    /// The shortest time at this weight, counted from the acknowledged quorum, in milliseconds.
    pub bake_ms: u64,
    /// The longest time at this weight without enough evidence, in milliseconds; time spent waiting for a person is
    /// not counted.
    pub deadline_ms: u64,
    /// What happens at the deadline.
    pub on_insufficient: Insufficient,
    /// The gates that must pass here, by index into [`Plan::gates`].
    pub gates: Vec<usize>,
    /// A person must say yes before the next stage.
    pub approval: bool,
}

/// The run's false-alarm budget: the chance that a canary as good as stable is rolled back. Of several challengers each
/// has an equal part of what the user wrote, so that the whole run keeps its level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Alpha {
    /// Shared by all guardrails.
    pub guardrails: f64,
    /// Shared by all gates that can roll back or pause.
    pub gates: f64,
    /// Of each gate's proof that there is no harm. Every gate must pass, so this needs no sharing.
    pub pass: f64,
}

impl Alpha {
    /// The part of the gates' chance that is spent while the canary stands alone, at 100 %.
    const ALONE: f64 = 0.1;

    /// What gates may spend while stable stands beside the canary.
    #[must_use]
    pub fn beside_stable(&self) -> f64 {
        self.gates * (1.0 - Self::ALONE)
    }

    /// What they may spend while nothing does.
    #[must_use]
    pub fn alone(&self) -> f64 {
        self.gates * Self::ALONE
    }
}

/// What the canary may cost before it bears all traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Budget {
    /// Requests; `None`: any number.
    pub requests: Option<u64>,
    /// Errors among them; `None`: any number.
    pub errors: Option<u64>,
}

/// What happens while no counts can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NoData {
    /// Counts older than this are no data, in milliseconds.
    pub after_ms: u64,
    /// What happens then.
    pub action: Insufficient,
}

/// What is done when it cannot be decided. There is no "go on" here, on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Insufficient {
    /// Stay, keep counting, and tell people.
    Hold,
    /// Stop and wait for a person; the weight stays.
    #[default]
    Pause,
    /// Back to stable.
    Rollback,
}

/// How a run ends after 100 %.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HandBack {
    /// How the new version gets behind the stable route.
    pub how: HandBackHow,
    /// URLs of stable's endpoints, asked until all of them report the new version.
    pub endpoints: Vec<String>,
    /// Where an endpoint's answer names its version.
    pub version_in: VersionIn,
    /// The weights on the way back from 100 % to 0, falling; the last is 0.
    pub steps_ppm: Vec<u32>,
    /// The shortest time at each of them, in milliseconds.
    pub step_ms: u64,
    /// After this long people are told that stable still serves the old version, in milliseconds.
    pub remind_after_ms: u64,
}

/// Who puts the new version behind the stable route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HandBackHow {
    /// A person or a deploy tool of its own accord.
    Manual,
    /// A POST with the rollout's name and versions as JSON; 2xx is success.
    Url(String),
    /// A program with arguments; exit code 0 is success.
    Command(Vec<String>),
    /// The controller itself, in Kubernetes.
    Kubernetes(Box<crate::workload::WorkloadChange>),
}

/// Where an endpoint's answer names its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VersionIn {
    /// A response header.
    Header(String),
    /// A field of the JSON body, as a JSON pointer.
    JsonPointer(String),
}

/// How traffic comes back to stable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rollback {
    /// Weights on the way down, falling, in parts per million; empty: at once.
    pub ramp_ppm: Vec<u32>,
    /// The time at each of them, in milliseconds.
    pub step_ms: u64,
    /// What is done about trouble that stable shares.
    #[serde(default)]
    pub shared_incident: crate::SharedIncident,
}

/// What becomes of another version that is applied while a run lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Supersede {
    /// It is refused.
    #[default]
    Reject,
    /// It begins when the run is over.
    Queue,
    /// The run is aborted, and it begins.
    Replace,
}

/// The unit the statistics count in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// Each request stands for itself.
    #[default]
    Request,
    /// Requests of one user go together: evidence is weakened by the measured design effect, and without group
    /// counts there is no verdict at all.
    User,
}

/// The outcome classes of a finished request that can count as an error.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// 4xx other than 429.
    ClientError,
    /// 429.
    TooMany,
    /// 5xx.
    ServerError,
    /// No answer in the route's time.
    Timeout,
    /// The connection broke.
    Reset,
    /// A gRPC status other than OK.
    GrpcError,
}

impl ErrorClass {
    /// Those that count where the user names none.
    pub const USUAL: [Self; 5] =
        [Self::TooMany, Self::ServerError, Self::Timeout, Self::Reset, Self::GrpcError];

    /// The class as counters write it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ClientError => "client_error",
            Self::TooMany => "too_many",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::GrpcError => "grpc_error",
        }
    }
}

/// The weights in force: what changes from stage to stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// The share of the version on trial, in parts per million; of several, the lead's.
    pub canary_ppm: u32,
    /// The shares of the others, in the order of [`Plan::challengers`]; 0 in the lead's place.
    #[serde(default)]
    pub rivals_ppm: [u32; MOST_CHALLENGERS],
    /// The virtual baseline's share, in parts per million.
    pub baseline_ppm: u32,
    /// The share of the traffic that stable answers and the canary gets a copy of, in parts per million.
    #[serde(default)]
    pub shadow_ppm: u32,
    /// Are cohorts and overrides obeyed?
    pub targeted: bool,
}

impl Stage {
    /// Does the canary get requests here that count as evidence, or copies of them?
    #[must_use]
    pub const fn measures(&self) -> bool {
        self.weight_ppm > 0 || self.shadow_ppm > 0
    }

    /// The share of the traffic that the canary gets, as requests or as copies, in parts per million.
    #[must_use]
    pub const fn seen_ppm(&self) -> u32 {
        if self.weight_ppm > 0 { self.weight_ppm } else { self.shadow_ppm }
    }

    /// Can this gate hold the stage, or end the run in it? In a shadow some only tell.
    #[must_use]
    pub const fn is_held_by(&self, gate: &Gate) -> bool {
        gate.hard && (self.shadow_ppm == 0 || gate.metric().decides_in_shadow())
    }

    /// Its place on the way up: shadows grow at weight 0, and then the weight does.
    #[must_use]
    pub const fn height(&self) -> (u32, u32) {
        (self.weight_ppm, self.shadow_ppm)
    }
}

impl Plan {
    /// Do users stay with a version while the weight stands?
    #[must_use]
    pub const fn is_sticky(&self) -> bool {
        matches!(self.traffic.assignment, policy::Assignment::Sticky { .. })
    }

    /// This rollout's part of the policy document at these weights. `stable` is the version behind the stable route:
    /// the canary's once it has been handed back.
    #[must_use]
    pub fn policy(&self, epoch: u64, weights: Weights, stable: &str) -> policy::Rollout {
        let traffic = &self.traffic;
        let overrides =
            traffic.overrides.iter().filter(|written| weights.targeted && self.takes_targeted(written.arm));
        let cohorts = traffic.cohorts.iter().cloned().map(|mut cohort| {
            if !weights.targeted || !self.takes_targeted(cohort.arm) {
                cohort.weight_ppm = 0;
            }
            cohort
        });
        policy::Rollout {
            name: self.name.clone(),
            epoch,
            scope: traffic.scope.clone(),
            role: traffic.role.clone(),
            header: traffic.header.clone(),
            version_header: traffic.version_header.clone(),
            on_lease_expired: traffic.on_lease_expired,
            assignment: traffic.assignment.clone(),
            arms: self.policy_arms(weights, stable),
            shadow: (weights.shadow_ppm > 0).then_some(policy::Shadow { weight_ppm: weights.shadow_ppm }),
            overrides: overrides.cloned().collect(),
            cohorts: cohorts.collect(),
            confidence: traffic.confidence.clone(),
            answer: traffic.answer.clone(),
            count: self.count(),
        }
    }
}
