//! The policy document: what the controller writes and every sidecar reads.
//!
//! Strict: an unknown field is an error, because a misspelt one would silently change the split. It travels through
//! a protobuf `Struct` in Istio, where numbers are doubles and key order is lost; so no integer here needs more than
//! 53 bits, salts are text, and nothing is derived from the raw bytes.

use serde::{Deserialize, Serialize};

use crate::{Arm, ArmName};

/// The version of this document's form.
pub const SCHEMA: u32 = 1;

/// How many further arms a rollout may have: each costs every proxy some 170 counters.
pub const MOST_OTHERS: usize = 6;

/// Everything a sidecar needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The form's version; [`SCHEMA`].
    pub schema: u32,
    /// Rises when the controller's store is new (milliseconds since 1970 at its creation).
    pub incarnation: u64,
    /// Rises with every push; for acknowledgement only.
    pub generation: u64,
    /// The dead-man's switch; none: the policy holds until the next push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// In order: the first whose `match` fits owns the request.
    #[serde(default)]
    pub rollouts: Vec<Rollout>,
}

/// How the filter asks whether its policy still stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// The Envoy cluster that leads to the controller.
    pub cluster: String,
    /// The `:authority` of the question.
    pub authority: String,
    /// The path of the question.
    pub path: String,
    /// How often one sidecar asks, in milliseconds; at least 100.
    pub interval_ms: u32,
    /// How long an answer holds, in milliseconds; more than the interval.
    pub ttl_ms: u32,
}

/// One rollout's share of the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// Its name; a label value.
    pub name: String,
    /// Rises when assignment changes.
    pub epoch: u64,
    /// Which requests it owns; absent: all.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub scope: Option<Match>,
    /// Exactly one proxy on a path decides.
    #[serde(default, skip_serializing_if = "is_decide")]
    pub role: Role,
    /// The routing header: set to the arm's name; the routes match it.
    pub header: String,
    /// Set on the response to the version that was chosen.
    pub version_header: String,
    /// What happens to the canary when the lease runs out.
    #[serde(default)]
    pub on_lease_expired: OnLeaseExpired,
    /// How requests are spread over the arms.
    pub assignment: Assignment,
    /// The arms.
    pub arms: Arms,
    /// Requests that stable answers and the canary gets a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
    /// Requests for which the arm is given. First that fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Requests that have a weight of their own. First that fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cohorts: Vec<Cohort>,
    /// The model's confidence in its answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    /// What is counted beyond outcomes and latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
    /// What is read in the bodies of answers; absent: nothing, and nothing is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

fn is_decide(role: &Role) -> bool {
    *role == Role::Decide
}

/// Which requests a rollout owns; what is absent fits everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Host names without port, any of which fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authority: Vec<String>,
    /// `/api` fits `/api` and `/api/x`, not `/apix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// The listener's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The listener's direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
}

/// The direction of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Towards the workload beside the proxy.
    Inbound,
    /// Away from it.
    Outbound,
    /// Gateways and hand-written listeners.
    Unspecified,
}

/// Does this proxy decide, or keep what a hop before it decided?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Assigns and counts.
    #[default]
    Decide,
    /// Keeps the arm that a trusted hop set, else stable; counts nothing.
    Follow {
        /// URI subject alternative names of the peers whose header is believed; `*` believes any peer, which is only
        /// right where nobody but a deciding proxy can connect.
        peers: Vec<String>,
    },
}

/// What an expired lease does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLeaseExpired {
    /// Everything goes to stable.
    #[default]
    Stable,
    /// The last weights hold; for when stable cannot take the traffic back. A revoked lease is obeyed all the same.
    Hold,
}

/// How requests are spread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Assignment {
    /// Each request by itself.
    Random {
        /// Where the draw comes from.
        #[serde(default)]
        source: Source,
        /// For `request_id`: what the id is hashed with.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        salt: String,
    },
    /// The same key always goes the same way at the same weight.
    Sticky {
        /// One per rollout, so that the same people are not always first.
        salt: String,
        /// Tried in order; the first that is there is the key.
        keys: Vec<Key>,
        /// What happens when none is there.
        #[serde(default)]
        no_key: NoKey,
    },
}

/// Where random assignment draws from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The filter's own stream: clients cannot choose it.
    #[default]
    Stream,
    /// The hash of `x-request-id`, for chains whose edge makes the ids: all hops agree. Clients that may set the id
    /// can choose their arm.
    RequestId,
}

/// What becomes of a request without a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoKey {
    /// Assigned by weight, by a draw.
    #[default]
    Random,
    /// Stable.
    Stable,
}

/// Where a key is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Key {
    /// A request header.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// A query parameter.
    Query(String),
    /// The client's address; `true`.
    SourceAddress(bool),
}

/// The arms of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arms {
    /// Takes what no other arm takes.
    pub stable: Stable,
    /// Grows from the bottom of the key space.
    pub canary: Canary,
    /// Grows from the top of the key space; served by stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// Further versions on trial, at most [`MOST_OTHERS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Other>,
}

impl Arms {
    /// Is anybody sent to a version on trial by weight?
    #[must_use]
    pub fn exposes(&self) -> bool {
        self.canary.weight_ppm > 0 || self.others.iter().any(|other| other.weight_ppm > 0)
    }

    /// The version an arm is served by; an arm that is not there is stable's.
    #[must_use]
    pub fn version(&self, arm: Arm) -> &str {
        match arm {
            Arm::Stable | Arm::Baseline => &self.stable.version,
            Arm::Canary => &self.canary.version,
            Arm::Other(name) => self
                .others
                .iter()
                .find(|other| other.name == name)
                .map_or(&self.stable.version, |other| &other.version),
        }
    }
}

/// The stable arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stable {
    /// The version behind the stable route.
    pub version: String,
    /// The rollout's own confidence in this version, as decimal text, for answers that carry none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,
}

/// The canary arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// The version behind the canary route.
    pub version: String,
    /// Parts per million of the traffic.
    pub weight_ppm: u32,
    /// The rollout's own confidence in this version, as decimal text, for answers that carry none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,
}

/// The virtual baseline arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Parts per million of the traffic; with the canary's at most 1,000,000.
    pub weight_ppm: u32,
}

/// Copies for the canary, of requests that are stable's by weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// Parts per million of the key space, from the bottom; what the arms take of it is not copied.
    pub weight_ppm: u32,
}

/// A further arm: another version on trial beside the canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Other {
    /// What the routing header says for it; also its label.
    pub name: ArmName,
    /// The version behind its route.
    pub version: String,
    /// Where its share of the key space begins, in parts per million from the bottom. It grows upwards from there,
    /// round the end, and may not meet another arm's share.
    pub start_ppm: u32,
    /// Parts per million of the traffic.
    pub weight_ppm: u32,
    /// The rollout's own confidence in this version, as decimal text, for answers that carry none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,
}

/// A condition on one value of the request. Exactly one place, exactly one test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// A request header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// A cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// A query parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// `true`: the path without its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<bool>,
    /// The whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// The start of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// `true`: any value that is not empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    /// A regular expression that fits the whole value ([`crate::Pattern`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

/// Requests for which the arm is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// All must hold.
    pub when: Vec<Condition>,
    /// The arm they get.
    pub arm: Arm,
}

/// Requests that have a weight of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cohort {
    /// Its name.
    pub name: String,
    /// All must hold.
    pub when: Vec<Condition>,
    /// Parts per million of the cohort that go to the arm; the rest goes to stable.
    pub weight_ppm: u32,
    /// The arm; the canary unless another version on trial is named.
    #[serde(default = "canary", skip_serializing_if = "is_canary")]
    pub arm: Arm,
}

const fn canary() -> Arm {
    Arm::Canary
}

fn is_canary(arm: &Arm) -> bool {
    *arm == Arm::Canary
}

/// Where the model's confidence is read and how it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confidence {
    /// The model's response header that carries it, as a decimal number. Absent: it is the score of [`Rollout::answer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_header: Option<String>,
    /// The response header it is shown in.
    pub header: String,
    /// The response header that says where it came from: `model` or `rollout`.
    pub source_header: String,
    /// The least value a model may give.
    pub min: f64,
    /// The largest value a model may give.
    pub max: f64,
}

/// What is read in the bodies of answers, of requests that the weights decided. Nothing is delayed or changed by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What is looked for.
    pub read: answer::Rules,
    /// So many answers are read at once by one worker of Envoy, 1 to [`MOST_OPEN`]; more are counted as unseen.
    pub max_open: u32,
}

/// How many answers one worker of Envoy may read at once: each takes memory in its VM while it lasts.
pub const MOST_OPEN: u32 = 10_000;

/// What is counted beyond outcomes and latency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// Stable's outcomes per group of users, for the variance between users under sticky assignment.
    #[serde(default)]
    pub groups: bool,
    /// The ages at which it is counted which requests wait for an answer, in milliseconds; at most [`MOST_AGES`], none of
    /// them 0 or above an hour. None: those of crate `tally`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ages_ms: Vec<u32>,
}

/// How many ages a rollout may be counted at: each costs every proxy up to 16 counters an arm.
pub const MOST_AGES: usize = 6;
