//! What must hold: gates and guardrails, as meant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::anomaly::Anomaly;
use crate::plan::Insufficient;
use crate::source::Source;
use crate::typed::Better;

mod against;
mod stored;

pub use against::Against;

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
    /// Share of requests that took the proxy more than one try, however they ended.
    RetryRate,
    /// Share of the answers that were looked into that failed, broke off, or are no JSON where JSON was asked for.
    AnswerErrorRate,
    /// Share of answers of whose bodies nothing is known.
    UnseenRate,
    /// Share of the answers that were looked into that refuse.
    RefusalRate,
    /// Share of the answers that were looked into that hold nothing.
    EmptyRate,
    /// Share of the answers that were looked into that are no JSON where JSON was asked for.
    InvalidRate,
    /// 95th percentile of the time to the first token of a stream, in milliseconds.
    TimeToFirstTokenP95,
    /// 95th percentile of the time per token after the first of a stream, in milliseconds.
    TimePerOutputTokenP95,
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
            Self::RetryRate => "retry_rate",
            Self::AnswerErrorRate => "answer_error_rate",
            Self::UnseenRate => "unseen_rate",
            Self::RefusalRate => "refusal_rate",
            Self::EmptyRate => "empty_rate",
            Self::InvalidRate => "invalid_rate",
            Self::TimeToFirstTokenP95 => "time_to_first_token_p95",
            Self::TimePerOutputTokenP95 => "time_per_output_token_p95",
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
        matches!(self.kind(), MetricKind::Rate)
    }

    /// Is it a percentile of times?
    #[must_use]
    pub const fn is_time(self) -> bool {
        matches!(self.kind(), MetricKind::Time)
    }

    /// Is it a time of tokens? Those stand in every second bin of answer times.
    #[must_use]
    pub const fn is_of_tokens(self) -> bool {
        matches!(self, Self::TimeToFirstTokenP95 | Self::TimePerOutputTokenP95)
    }

    /// The part of requests above the percentile it is, of times.
    #[must_use]
    pub const fn tail(self) -> f64 {
        if matches!(self, Self::LatencyP99) { 0.01 } else { 0.05 }
    }

    /// Is it told by the bodies of answers alone?
    #[must_use]
    pub const fn is_of_bodies(self) -> bool {
        matches!(
            self,
            Self::AnswerErrorRate
                | Self::UnseenRate
                | Self::RefusalRate
                | Self::EmptyRate
                | Self::InvalidRate
                | Self::TimeToFirstTokenP95
                | Self::TimePerOutputTokenP95
        )
    }

    /// What kind of number it is.
    #[must_use]
    pub const fn kind(self) -> MetricKind {
        match self {
            Self::ErrorRate
            | Self::Overdue
            | Self::GoneRate
            | Self::RetryRate
            | Self::AnswerErrorRate
            | Self::UnseenRate
            | Self::RefusalRate
            | Self::EmptyRate
            | Self::InvalidRate => MetricKind::Rate,
            Self::LatencyP99 | Self::TimeToFirstTokenP95 | Self::TimePerOutputTokenP95 => MetricKind::Time,
            Self::ConfidenceMean => MetricKind::Score,
            Self::ExternalLow | Self::ExternalHigh => MetricKind::Figure,
        }
    }
}

/// What kind of number a metric is: what may be asked of it, and how it is tested, follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A share of requests.
    Rate,
    /// A percentile of times.
    Time,
    /// A mean of a bounded score, of which more is better.
    Score,
    /// A figure of the user's own.
    Figure,
}

/// A claim a stage must prove; its opposite, proved at any time, ends the run. It is stored as [`stored::Gate`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "stored::Gate", into = "stored::Gate")]
#[non_exhaustive]
pub struct Gate {
    /// Its name in reports.
    pub name: String,
    /// What it rests on.
    pub basis: Basis,
    /// A fixed limit, in the metric's unit.
    pub limit: Option<Limit>,
    /// A comparison with stable's traffic of the same moments.
    pub against: Option<Against>,
    /// Must it pass? An advisory gate is reported and decides nothing.
    pub hard: bool,
    /// What proven harm does.
    pub on_fail: OnFail,
    /// What a value between good and bad does.
    pub on_marginal: OnMarginal,
    /// When it does so, and for how long.
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
}

/// What a gate rests on.
#[derive(Clone, Debug, PartialEq)]
pub enum Basis {
    /// The counters of both versions' requests, which are tested.
    Counters {
        /// What is measured; never an external metric.
        metric: Metric,
        /// The canary requests a pass needs at least, counted in the stage.
        min_samples: u64,
    },
    /// A figure of the user's own, whose readings are counted.
    Figure(Box<Figure>),
}

/// A figure of the user's own, for a gate.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Figure {
    /// Whether lower or higher is better.
    pub better: Better,
    /// Where it is read.
    pub source: Source,
    /// Beside limits: readings that are out of line are bad ones.
    pub anomaly: Option<Anomaly>,
    /// Its source answers, and holds no number.
    pub no_data: Unread,
    /// Its source cannot be read.
    pub on_error: Unread,
}

impl Gate {
    /// What is measured.
    #[must_use]
    pub const fn metric(&self) -> Metric {
        match &self.basis {
            Basis::Counters { metric, .. } => *metric,
            Basis::Figure(figure) => match figure.better {
                Better::Lower => Metric::ExternalLow,
                Better::Higher => Metric::ExternalHigh,
            },
        }
    }

    /// The figure it rests on; `None`: it rests on counters.
    #[must_use]
    pub const fn figure(&self) -> Option<&Figure> {
        match &self.basis {
            Basis::Counters { .. } => None,
            Basis::Figure(figure) => Some(figure),
        }
    }

    /// Where its figure is read; `None`: it rests on counters.
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        self.figure().map(|figure| &figure.source)
    }

    /// Whether readings that are out of line are bad ones.
    #[must_use]
    pub fn anomaly(&self) -> Option<&Anomaly> {
        self.figure()?.anomaly.as_ref()
    }

    /// The canary requests a pass needs at least, counted in the stage; 0 where readings are counted.
    #[must_use]
    pub const fn min_samples(&self) -> u64 {
        match self.basis {
            Basis::Counters { min_samples, .. } => min_samples,
            Basis::Figure(_) => 0,
        }
    }

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
    pub fn has_marginal_range(&self) -> bool {
        self.limit.is_some_and(|limit| (limit.pass - limit.fail).abs() > 0.0)
            || self.against.is_some_and(|against| against.has_marginal_range())
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
