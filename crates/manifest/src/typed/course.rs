//! The way up and back: stages, gates, guardrails.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Anomaly;
use crate::amount::{Margin, Percent, Quantity, Span};
use crate::expect::Expect;
use crate::gate::{Metric, OnFail, OnMarginal};
use crate::incident::OnSharedIncident;
use crate::plan::{Insufficient, OnTimeout};
use crate::source::Source;
use calendar::Day;

/// One stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stage {
    /// The canary's share of the traffic. Needed unless there is a `shadow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Percent>,
    /// In place of `weight`: stable answers, and the canary gets a copy of this share of the requests (shadow traffic).
    /// Its answers are discarded; errors and answer times are read from Envoy's counters of the two clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Percent>,
    /// The minimum time at this weight.
    pub bake: Span,
    /// The maximum time at this weight without enough evidence. Default: three times the bake, at least 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// The names of the gates that must pass here. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<Vec<String>>,
    /// The next stage needs an approval (`serin approve`). Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<bool>,
}

/// A gate: a claim that a stage must prove.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gate {
    /// Its name in reports.
    pub name: String,
    /// What is measured. Needed unless the preset has a gate of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// A metric of your own, in place of `metric`. Its measurements are counted, not tested statistically: the gate
    /// passes after `consecutive` good ones (default 3) and fails after more than `failureLimit` bad ones (default 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// With `source`: whether lower or higher is better. Default: as `max` or `min` implies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub better: Option<Better>,
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
    /// With `against`: proven not worse than this: pass. This is what a stage must prove, not what a run tolerates: see
    /// `harm`. A factor (1.5x), a percentage of stable's value (2%), or percentage points (0.5pp; hundredths of the
    /// unit of a mean or measurement).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// With `against`: proven worse than this: fail, at any time of the run, even within the margin. A value between
    /// `harm` and `margin` may pass at first and fail later. Equal versions differ by a few per cent, so it is above
    /// zero. Default: 1.05x for rates (a tenth of a margin in points) and 1.13x for latencies, but no more than the
    /// margin; the margin for means and readings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm: Option<Margin>,
    /// With `against` and a rate: as long as the canary is not proven above this, being worse than stable is no
    /// harm. Default: 0%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_below: Option<Percent>,
    /// With `against` and a rate: proven below this is a pass too, even if stable is better; without it, two versions
    /// without any error could never be proven alike. Default: 1%; none if the margin is in points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_below: Option<Percent>,
    /// With `source`: a measurement that is an outlier is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<Anomaly>,
    /// The smallest number of canary requests for a pass. Default: 100; 300 for means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_samples: Option<u64>,
    /// Whether the gate decides. Default: hard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// What proven harm does. Default: rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_fail: Option<OnFail>,
    /// What a value between pass and fail does. Default: hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_marginal: Option<OnMarginal>,
    /// How many marginal evaluations a stage allows; the next one triggers `onMarginal`. Default: `onMarginal` applies
    /// when the value is proven marginal, or at the first marginal measurement of a `source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marginal_limit: Option<u32>,
    /// With `onMarginal: reanalyze`: how often a stage discards its evidence and measures again before it holds.
    /// Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reanalyses: Option<u32>,
    /// How long a marginal gate may hold the stage before a person is asked; time spent waiting for people does not
    /// count. Default: until the stage's deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_hold: Option<Span>,
    /// How long after a stage's start its evidence begins. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_after: Option<Span>,
    /// The shortest time of evidence. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_window: Option<Span>,
    /// Time between the evaluations that `consecutive`, `failureLimit` and `marginalLimit` count. Default: 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// Good evaluations in a row that a pass needs in addition to the proof. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consecutive: Option<u32>,
    /// How many bad evaluations are allowed; the next one fails the gate, proven or not. Default: only a proof fails it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_limit: Option<u32>,
    /// With `source`: what happens when it answers without a number. Default: after more than 3 in a row, hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data: Option<Unread>,
    /// With `source`: what happens when it cannot be read. Default: after more than 3 in a row, hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<Unread>,
}

/// What happens after measurements without a result. They are neither good nor bad: the stage cannot end on them, and its
/// deadline stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unread {
    /// How many in a row are allowed. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// What happens after one more: hold (and say so), pause until it can be read again, or rollback. Default: hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Insufficient>,
}

/// Whether lower or higher is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Better {
    /// Such as accuracy or revenue.
    Higher,
    /// Such as cost or complaints.
    Lower,
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
    /// Removes a gate of the preset.
    Off,
}

/// A limit of the whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Guardrail {
    /// Its name in reports.
    pub name: String,
    /// What is measured. Needed unless there is a `source`, or the preset has a guardrail of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// A metric of your own, in place of `metric`, measured whenever the canary has traffic. Its measurements are
    /// counted, not tested statistically: more than `failureLimit` in a row beyond the limit roll back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Proven above this, or measured above it too often: rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Quantity>,
    /// Proven below this, or measured below it too often: rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Quantity>,
    /// For a share of requests: while stable serves too, roll back only if the canary is beyond the limit and worse than
    /// stable at the same time. Default: the limit is absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<Control>,
    /// With `source`: the time between two measurements. Default: 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// With `source`: how many measurements in a row may be beyond the limit. Default: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_limit: Option<u32>,
    /// With `source`: what happens when it answers without a number. Default: after more than 3 in a row, hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data: Option<Unread>,
    /// With `source`: what happens when it cannot be read. Default: after more than 3 in a row, hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<Unread>,
    /// `off` removes a guardrail of the preset. Default: hard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
}

/// How much a canary may cost before 100 %; more is a rollback, whether harm is proven or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// Requests sent to the canary. Default: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Errors among them. Default: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<u64>,
}

/// The probability of rolling back a canary that is as good as stable, divided between guardrails and gates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alpha {
    /// All guardrails together. Default: 0.01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<f64>,
    /// All hard gates together. Default: 0.04.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<f64>,
    /// The probability that a gate passes a canary that is just beyond its margin. Default: 0.05.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<f64>,
}

/// How many proxies must acknowledge new weights, and how soon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Acknowledge {
    /// Share of the connected proxies that must have the new weights before a stage's bake time starts. Default: 95%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Percent>,
    /// How long they may take to acknowledge. Default: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What happens when they take longer. Default: stepBack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<OnTimeout>,
    /// Which proxies are expected. Default: those that are connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

/// What happens while no counts can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoData {
    /// Counts older than this are no data. Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Span>,
    /// What happens then. Default: rollback, since a canary that cannot be observed must not have users. With hold it
    /// keeps its weight, and it may get its first users before any counters were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Insufficient>,
}

/// The times at which a weight may rise by itself. It may always fall, and a person may always promote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Windows {
    /// The time zone, such as Europe/Berlin, with daylight saving. Default: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// In place of `timeZone`: a fixed offset from UTC, such as +02:00.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utc_offset: Option<String>,
    /// Open in any of these. Default: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Window>,
    /// Closed in any of these, even within a window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freezes: Vec<Freeze>,
}

/// A time of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// On which days it begins. Default: on all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Day>,
    /// When it begins, such as 09:00.
    pub from: String,
    /// When it ends, such as 17:30; if that is not after the beginning, on the next day.
    pub to: String,
}

/// Days on which no weight rises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Freeze {
    /// The first day, such as 2026-12-20.
    pub from: String,
    /// The last day, included.
    pub to: String,
    /// Why; shown to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How traffic returns to stable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollback {
    /// Falling weights of a stepwise rollback. Default: none, at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ramp: Vec<Percent>,
    /// The time at each weight. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Span>,
    /// A limit is broken, and stable breaks it at the same moments as much: hold the weight, or roll back all the same.
    /// Default: hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_shared_incident: Option<OnSharedIncident>,
    /// With `hold`: the longest time in one stage; the canary is taken back after it, for it may be the cause. Default:
    /// 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_incident_for: Option<Span>,
}
