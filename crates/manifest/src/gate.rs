//! What must hold: gates and guardrails, as meant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::anomaly::Anomaly;
use crate::plan::Insufficient;
use crate::source::Source;

/// What is measured, per version, from weight-assigned requests alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of requests with an outcome that ended in an error.
    ErrorRate,
    /// 99th percentile of the model's answer time, in milliseconds; timeouts and resets count as slowest.
    LatencyP99,
    /// Mean of the model's own confidence.
    ConfidenceMean,
    /// Share of requests not answered in `overdueAfter`, those still waiting included.
    Overdue,
    /// Share of requests whose client went away before the answer.
    GoneRate,
    /// A number from the gate's own source; larger is worse. Not written: it follows from `source` with `max`.
    #[schemars(skip)]
    ExternalLow,
    /// A number from the gate's own source; larger is better. Not written: it follows from `source` with `min`.
    #[schemars(skip)]
    ExternalHigh,
}

impl Metric {
    /// The name as the user writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ErrorRate => "error_rate",
            Self::LatencyP99 => "latency_p99",
            Self::ConfidenceMean => "confidence_mean",
            Self::Overdue => "overdue",
            Self::GoneRate => "gone_rate",
            Self::ExternalLow | Self::ExternalHigh => "reading",
        }
    }

    /// Is a larger value worse?
    #[must_use]
    pub const fn larger_is_worse(self) -> bool {
        !matches!(self, Self::ConfidenceMean | Self::ExternalHigh)
    }

    /// Does it come from the gate's own source?
    #[must_use]
    pub const fn is_external(self) -> bool {
        matches!(self, Self::ExternalLow | Self::ExternalHigh)
    }

    /// Can it be told of copies, whose answers nobody but Envoy's router sees?
    #[must_use]
    pub const fn shows_in_shadow(self) -> bool {
        matches!(self, Self::ErrorRate | Self::LatencyP99 | Self::ExternalLow | Self::ExternalHigh)
    }

    /// Does what is told of copies decide, too? A copy is sent after the live request and beside it, to connections and
    /// caches of its own: its time says little of the version.
    #[must_use]
    pub const fn decides_in_shadow(self) -> bool {
        self.shows_in_shadow() && !matches!(self, Self::LatencyP99)
    }

    /// Is it a share of requests, between 0 and 1?
    #[must_use]
    pub const fn is_rate(self) -> bool {
        matches!(self, Self::ErrorRate | Self::Overdue | Self::GoneRate)
    }
}

/// A claim a stage must prove; its opposite, proved at any time, ends the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Gate {
    /// Its name in reports.
    pub name: String,
    /// What is measured.
    pub metric: Metric,
    /// Where an external metric is read.
    pub source: Option<Source>,
    /// A fixed limit, in the metric's unit.
    pub limit: Option<Limit>,
    /// A comparison with stable's traffic of the same moments.
    pub against: Option<Against>,
    /// Beside them: readings that are out of line are bad ones.
    #[serde(default)]
    pub anomaly: Option<Anomaly>,
    /// The canary requests a pass needs at least, counted in the stage.
    pub min_samples: u64,
    /// Must it pass? An advisory gate is reported and decides nothing.
    pub hard: bool,
    /// What proven harm does.
    pub on_fail: OnFail,
    /// What a value between good and bad does.
    pub on_marginal: OnMarginal,
    /// When it does so, and for how long.
    #[serde(default)]
    pub marginal: Marginal,
    /// Evidence of a stage counts from this long after its start, in milliseconds.
    pub start_after_ms: u64,
    /// The stage lasts at least this long for this gate's sake, in milliseconds.
    pub min_window_ms: u64,
    /// This many evaluations in a row must be good, beside the proof; 0: the proof alone.
    pub consecutive: u32,
    /// The time between two evaluations that `consecutive` and `failure_limit` count, in milliseconds.
    pub every_ms: u64,
    /// How many bad evaluations are borne before the gate fails; `None`: only proof fails it.
    pub failure_limit: Option<u32>,
    /// Its source answers, and holds no number.
    #[serde(default)]
    pub no_data: Unread,
    /// Its source cannot be read.
    #[serde(default)]
    pub on_error: Unread,
}

impl Gate {
    /// Does it say anything while stable is at work beside the canary (`concurrent`), or is not?
    #[must_use]
    pub const fn applies(&self, concurrent: bool) -> bool {
        match self.against {
            Some(_) => concurrent || self.limit.is_some(),
            None => true,
        }
    }

    /// Can a value lie between what passes and what fails?
    #[must_use]
    pub fn has_middle(&self) -> bool {
        self.limit.is_some_and(|limit| (limit.pass - limit.fail).abs() > 0.0)
            || self.against.is_some_and(|against| against.has_middle())
    }
}

/// What is borne between good and bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Marginal {
    /// So many evaluations in a stage; one more is acted on. `None`: the first proof is, or the first reading.
    pub borne: Option<u32>,
    /// With [`OnMarginal::Reanalyze`]: how often a stage begins the evidence again before it holds.
    pub again: u32,
    /// How long it may be held before a person is asked, in milliseconds; `None`: until the stage's deadline.
    pub hold_ms: Option<u64>,
}

impl Default for Marginal {
    /// Nothing is borne; once again, then held.
    fn default() -> Self {
        Self { borne: None, again: 1, hold_ms: None }
    }
}

/// How many readings in vain are borne, and what is done after one more. Neither kind says anything of the canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Unread {
    /// So many in a row.
    pub borne: u32,
    /// What is done then.
    pub action: Insufficient,
}

impl Default for Unread {
    /// Three, then it is said and the stage goes on waiting.
    fn default() -> Self {
        Self { borne: 3, action: Insufficient::Hold }
    }
}

/// A fixed limit. Which side is bad follows from the metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Limit {
    /// The value that must be kept to pass: a maximum, or a minimum where smaller is worse.
    pub pass: f64,
    /// The value beyond which the gate fails; between the two it is marginal.
    pub fail: f64,
}

impl Limit {
    /// One limit for both: nothing lies between good and bad.
    #[must_use]
    pub const fn of(value: f64) -> Self {
        Self { pass: value, fail: value }
    }
}

/// Rates and answer times of equal versions differ by up to this factor, and means by up to that part, for reasons that
/// are not the version's.
const EQUALS_DIFFER: f64 = 1.05;
const EQUAL_MEANS_DIFFER: f64 = 0.005;

/// A comparison with stable.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Against {
    /// To pass it must be proven that the canary is not worse than this: for rates and latencies a factor on
    /// stable's value (1.5), for means the share of stable's mean that may be lost (0.02).
    pub margin: f64,
    /// And worse by no more than this beside, in the metric's own unit: percentage points are hundredths.
    #[serde(default)]
    pub margin_points: f64,
    /// To fail it must be proven that the canary is worse than this, in the unit of `margin`.
    pub harm: f64,
    /// And by more than this beside, in the unit of `margin_points`.
    #[serde(default)]
    pub harm_points: f64,
    /// A rate not proven above this is no harm, whatever stable's is; 0: any.
    pub ignore_below: f64,
    /// A rate proven below this is a pass, whatever stable's is; 0: none.
    pub pass_below: f64,
}

impl Against {
    /// Where the margin of a rate is in points, this part of it is no harm yet: 0.05pp of 0.5pp.
    pub(crate) const PART_OF_POINTS: f64 = 0.1;

    /// Does harm begin beyond the margin, with something between the two?
    #[must_use]
    pub fn has_middle(&self) -> bool {
        self.harm > self.margin || self.harm_points > self.margin_points
    }

    /// By how much worse than stable is no harm yet, where nobody says: the factor from which harm of a rate or of answer
    /// times begins, and the part of a mean that may be lost. Arms of equal versions are never exactly equal, since a
    /// small arm has colder connections and caches, and with traffic enough any difference is proven.
    ///
    /// Chosen from `cargo xtask bench tolerance` (docs/figures.md). Tests of rates look for three tenths more and above,
    /// so a rate 10 % higher is borne from 1.05 on. Answer times are counted in bins of 4.4 %, and 1.13 is three of them:
    /// with two, answers 10 % slower are found within a day.
    #[must_use]
    pub const fn tolerance(metric: Metric) -> f64 {
        match metric {
            Metric::ErrorRate | Metric::Overdue | Metric::GoneRate => 1.05,
            Metric::LatencyP99 => 1.13,
            Metric::ConfidenceMean | Metric::ExternalLow | Metric::ExternalHigh => 0.02,
        }
    }

    /// Does harm begin so near to stable that versions that are equal may lie beyond it, with traffic enough? Figures of
    /// the user's own are not asked about, and neither is who says from which rate on harm is worth it.
    #[must_use]
    pub fn is_strict(&self, metric: Metric) -> bool {
        match metric {
            Metric::ErrorRate | Metric::Overdue | Metric::GoneRate | Metric::LatencyP99 => {
                self.harm < EQUALS_DIFFER && self.harm_points <= 0.0 && self.ignore_below <= 0.0
            }
            Metric::ConfidenceMean => self.harm < EQUAL_MEANS_DIFFER && self.harm_points <= 0.0,
            Metric::ExternalLow | Metric::ExternalHigh => false,
        }
    }

    /// Is there something within the margin that is harm all the same once there is proof?
    #[must_use]
    pub fn harm_is_nearer(&self) -> bool {
        self.harm < self.margin || self.harm_points < self.margin_points
    }

    /// The comparison of a metric for which none is written: rates within one and a half times, p99 within a quarter,
    /// means within 2 %.
    #[must_use]
    pub const fn usual(metric: Metric) -> Self {
        let none = Self {
            margin: 0.0,
            harm: 0.0,
            margin_points: 0.0,
            harm_points: 0.0,
            ignore_below: 0.0,
            pass_below: 0.0,
        };
        // As where no harm is written.
        let harm = Self::tolerance(metric);
        match metric {
            Metric::ErrorRate | Metric::Overdue | Metric::GoneRate => {
                Self { margin: 1.5, harm, pass_below: 0.01, ..none }
            }
            Metric::LatencyP99 => Self { margin: 1.25, harm, ..none },
            Metric::ConfidenceMean | Metric::ExternalLow | Metric::ExternalHigh => {
                Self { margin: 0.02, harm, ..none }
            }
        }
    }
}

/// What proven harm does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnFail {
    /// Back to stable.
    #[default]
    Rollback,
    /// Stop and wait for a person; the weight stays.
    Pause,
}

/// What a value between good and bad does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnMarginal {
    /// Go on measuring: for `maxHold`, or until the stage's deadline.
    #[default]
    Hold,
    /// Start the stage's evidence again, `reanalyses` times in a stage, then hold.
    Reanalyze,
    /// Stop and ask a person.
    Escalate,
}

/// A limit of the whole run, tested at every look, in every state, whatever the stage. One with a source is read and
/// counted instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Guardrail {
    /// Its name in reports.
    pub name: String,
    /// What is measured.
    pub metric: Metric,
    /// The canary may not be worse than this, in the metric's unit: a maximum, or a minimum where smaller is worse.
    pub limit: f64,
    /// As long as stable is at work beside the canary: only worse than this *and* than stable at the same moments.
    #[serde(default)]
    pub against_stable: bool,
    /// Of one with a source of its own: how it is read. Its readings are counted, not tested.
    #[serde(default)]
    pub reads: Option<Box<Reads>>,
}

impl Guardrail {
    /// Is this value worse than the limit?
    #[must_use]
    pub fn is_beyond(&self, value: f64) -> bool {
        if self.metric.larger_is_worse() { value > self.limit } else { value < self.limit }
    }
}

/// How a guardrail reads a figure of the user's own, while the canary has traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Reads {
    /// Where.
    pub source: Source,
    /// The time between two readings, in milliseconds.
    pub every_ms: u64,
    /// How many readings in a row may be beyond the limit; one more breaks it.
    pub borne: u32,
    /// Its source answers, and holds no number.
    pub no_data: Unread,
    /// Its source cannot be read.
    pub on_error: Unread,
}
