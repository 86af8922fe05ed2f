//! The rollout as typed: `serin.dev/v1alpha1`, field for field.
//!
//! Everything but the two versions has a default, from the preset first and from [`crate::compile`] else. Nothing is
//! checked here beyond form.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::{Margin, Percent, Quantity, Span};
use crate::gate::{Metric, OnFail, OnMarginal};
use crate::plan::{ErrorClass, Insufficient, Unit};

/// The form of this document.
pub const API_VERSION: &str = "serin.dev/v1alpha1";
/// The kind of this document.
pub const KIND: &str = "Rollout";

/// A rollout of one new version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollout {
    /// `serin.dev/v1alpha1`.
    pub api_version: String,
    /// `Rollout`.
    pub kind: String,
    /// What it is called.
    pub metadata: Metadata,
    /// What it does.
    pub spec: RolloutSpec,
}

/// What a rollout is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Letters, digits, `.`, `_` and `-`, at most 63: it is a label in every counter.
    pub name: String,
    /// The Kubernetes namespace; without meaning elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// For the reader's tools; without meaning here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// For the reader's tools; without meaning here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a rollout does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutSpec {
    /// The version everybody gets today.
    pub stable: Version,
    /// The version to roll out.
    pub canary: Version,
    /// Who is asked when it is not clear what to do; shown in notices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Which requests the rollout owns. Default: all.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub scope: Option<Match>,
    /// Names of headers, and who decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
    /// How requests are spread over the versions. Default: at random, each request by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<Assignment>,
    /// Requests for which the version is given. First that fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Requests with a weight of their own. First that fits. Not evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cohorts: Vec<Cohort>,
    /// Where the model's confidence is read and shown. Default: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    /// The dead-man's switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Stages and gates to start from; what is written here goes before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The way up. Default: the preset's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<Stage>>,
    /// What every stage must prove. One with the name of a gate of the preset changes only the fields it gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Limits of the whole run. One with the name of a guardrail of the preset changes only the fields it gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<Guardrail>,
    /// The chance of rolling back a canary that is as good as stable, divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<Alpha>,
    /// Which outcomes count as errors. Default: too_many, server_error, timeout, reset, grpc_error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_classes: Option<Vec<ErrorClass>>,
    /// A request not answered for this long is overdue. Default: 2s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_after: Option<Span>,
    /// The canary's first minutes, which are not evidence (cold caches). Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<Span>,
    /// What happens at a stage's deadline without enough evidence. Default: pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_insufficient: Option<Insufficient>,
    /// The proof that the proxies follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Acknowledge>,
    /// What happens while no counts arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data: Option<NoData>,
    /// How traffic comes back. Default: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// As much of stable's traffic as the canary gets is counted apart, for comparison. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<bool>,
    /// How the new version gets behind the stable route at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_back: Option<HandBack>,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Version {
    /// Letters, digits, `.`, `_` and `-`, at most 63: it is a label in every counter.
    pub version: String,
}

/// Which requests a rollout owns; what is absent fits everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// Towards the workload beside the proxy.
    Inbound,
    /// Away from it.
    Outbound,
    /// Gateways and hand-written listeners.
    Unspecified,
}

/// Names of headers, and who decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Routing {
    /// The request header the routes match. Default: x-serin-arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The response header with the version. Default: x-serin-version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_header: Option<String>,
    /// Not empty: this proxy keeps the arm that a hop before it chose, when that hop's certificate names one of
    /// these URIs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follow: Vec<String>,
}

/// How requests are spread over the versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assignment {
    /// Default: random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Sticky: where a user's key is looked for, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
    /// Sticky: what becomes of a request without a key. Default: random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_key: Option<NoKey>,
    /// What keys are hashed with. Default: the rollout's name and the canary's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Random: where the draw comes from. Default: stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What the statistics count. Default: user when sticky, request else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
}

/// By request or by user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Each request by itself.
    #[default]
    Random,
    /// The same user always gets the same version at the same weight.
    Sticky,
}

/// Where a key is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
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

/// What becomes of a request without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NoKey {
    /// Assigned by weight, by a draw.
    Random,
    /// Stable.
    Stable,
}

/// Where random assignment draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The proxy's own stream, which no client can choose.
    Stream,
    /// The hash of `x-request-id`, for chains whose edge makes the ids.
    RequestId,
}

/// A condition on one value of the request: exactly one place, exactly one test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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
    /// The whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// The start of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// `true`: any value that is not empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
}

/// Requests for which the version is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Override {
    /// All must hold.
    pub when: Vec<Condition>,
    /// What they get.
    pub arm: Arm,
}

/// An arm a request can be sent to by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Arm {
    /// The version everybody gets today.
    Stable,
    /// The version being rolled out.
    Canary,
}

/// Requests with a weight of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cohort {
    /// Its name.
    pub name: String,
    /// All must hold.
    pub when: Vec<Condition>,
    /// The share of them that gets the canary, whatever the stage.
    pub weight: Percent,
}

/// Where the model's confidence is read and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Confidence {
    /// The model's response header that carries it, as a decimal number.
    pub from_header: String,
    /// The response header it is shown in. Default: x-serin-confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The response header that says whether the model or the rollout gave it. Default: x-serin-confidence-source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_header: Option<String>,
    /// What a model may give. Default: 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
}

/// From the least to the largest value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Range {
    /// The least value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
}

/// The dead-man's switch: every proxy asks once a second whether its weights still stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lease {
    /// Unanswered questions before the lease has run out. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervals: Option<u32>,
    /// What happens then. Default: stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_expired: Option<OnExpired>,
}

/// What an expired lease does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnExpired {
    /// Everything goes to stable.
    Stable,
    /// The last weights hold; for when stable cannot take the traffic back.
    Hold,
}

/// One step of the way up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stage {
    /// The canary's share of the traffic.
    pub weight: Percent,
    /// The shortest time at this weight.
    pub bake: Span,
    /// The longest time at this weight without enough evidence. Default: three times the bake, at least 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// The names of the gates that must pass here. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<Vec<String>>,
    /// A person must say yes before the next stage. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<bool>,
}

/// A claim a stage must prove.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gate {
    /// Its name in reports.
    pub name: String,
    /// What is measured. Needed unless the preset has a gate of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// Proven at most this: pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Quantity>,
    /// Proven at least this: pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Quantity>,
    /// With `max`: proven above this: fail. Between the two: marginal. Default: as `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_above: Option<Quantity>,
    /// With `min`: proven below this: fail. Between the two: marginal. Default: as `min`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_below: Option<Quantity>,
    /// Compare with stable's traffic of the same moments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<Control>,
    /// With `against`: proven not worse than this: pass. A factor (1.5x) or a part (2%) of stable's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// With `against`: proven worse than this: fail. Default: 1x for rates and latencies, 0% for means, that is
    /// worse at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm: Option<Margin>,
    /// With `against` and a rate: as long as the canary is not proven above this, being worse than stable is no
    /// harm. Default: 0%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_below: Option<Percent>,
    /// With `against` and a rate: proven below this is a pass too, even when stable is better; without it two
    /// versions that never fail could never be told to be alike. Default: 1%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_below: Option<Percent>,
    /// Canary requests a pass needs at least. Default: 100; 300 for means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_samples: Option<u64>,
    /// Whether it decides. Default: hard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// What proven harm does. Default: rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_fail: Option<OnFail>,
    /// What a value between good and bad does. Default: hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_marginal: Option<OnMarginal>,
    /// How long after a stage's start its evidence begins. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_after: Option<Span>,
    /// The shortest time of evidence. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_window: Option<Span>,
    /// Time between the evaluations that `consecutive` and `failureLimit` count. Default: 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// Good evaluations in a row, beside the proof. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consecutive: Option<u32>,
    /// Bad evaluations that are borne; one more fails the gate, proof or not. Default: only proof fails it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_limit: Option<u32>,
}

/// What a gate compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Control {
    /// Stable's weight-assigned requests at the same time.
    Stable,
}

/// Whether a gate decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// It must pass, and its failure acts.
    Hard,
    /// It is reported and decides nothing.
    Advisory,
    /// It is not there: for leaving out a gate of the preset.
    Off,
}

/// A limit of the whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Guardrail {
    /// Its name in reports.
    pub name: String,
    /// What is measured. Needed unless the preset has a guardrail of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// Proven above this: rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Quantity>,
    /// Proven below this: rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Quantity>,
    /// `off`: it is not there: for leaving out a guardrail of the preset. Default: hard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
}

/// The chance of rolling back a canary that is as good as stable, divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alpha {
    /// All guardrails together. Default: 0.01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<f64>,
    /// All hard gates together. Default: 0.04.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<f64>,
    /// The chance that a gate passes a canary that is just beyond its margin. Default: 0.05.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<f64>,
}

/// The proof that the proxies follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Acknowledge {
    /// Share of the connected proxies that must have the new weights before a stage's clock starts. Default: 95%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Percent>,
    /// How long they may take. Default: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What happens when they take longer. Default: pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<Insufficient>,
}

/// What happens while no counts arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoData {
    /// Counts older than this are no data. Default: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Span>,
    /// What happens then. Default: hold; the stage cannot end without counts, and its deadline is not moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Insufficient>,
}

/// How traffic comes back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollback {
    /// Weights on the way down, falling. Default: none, at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ramp: Vec<Percent>,
    /// The time at each of them. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Span>,
}

/// How the new version gets behind the stable route at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HandBack {
    /// Called when the new version is to be put there. Default: a person or a deploy tool does it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<Hook>,
    /// URLs of stable's endpoints; the weight goes down when all of them report the new version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The header of their answers that names the version. Default: x-model-version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_header: Option<String>,
    /// The field of their JSON answers that names the version, in place of a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_pointer: Option<String>,
    /// The canary's weights on the way from 100 % to 0, falling. Default: 50%, 0%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Percent>>,
    /// The shortest time at each of them. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Span>,
    /// When people are reminded that stable still serves the old version. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind_after: Option<Span>,
}

/// What puts the new version behind the stable route: exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hook {
    /// Gets a POST with the rollout's name and versions as JSON; 2xx is success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A program and its arguments, run by the controller; exit code 0 is success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
}
