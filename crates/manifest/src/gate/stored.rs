//! The form in which a gate is stored: flat, as stores of every release hold it.

use serde::{Deserialize, Serialize};

use super::{Against, Basis, Better, Figure, Limit, Marginal, Metric, OnFail, OnMarginal, Unread};
use crate::anomaly::Anomaly;
use crate::source::Source;

/// [`super::Gate`] with the fields of both kinds beside each other; those of the other kind have their defaults.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    name: String,
    metric: Metric,
    source: Option<Source>,
    limit: Option<Limit>,
    against: Option<Against>,
    #[serde(default)]
    anomaly: Option<Anomaly>,
    min_samples: u64,
    hard: bool,
    on_fail: OnFail,
    on_marginal: OnMarginal,
    #[serde(default)]
    marginal: Marginal,
    start_after_ms: u64,
    min_window_ms: u64,
    consecutive: u32,
    every_ms: u64,
    failure_limit: Option<u32>,
    #[serde(default)]
    no_data: Unread,
    #[serde(default)]
    on_error: Unread,
}

impl TryFrom<Gate> for super::Gate {
    type Error = String;

    fn try_from(stored: Gate) -> Result<Self, String> {
        let Gate {
            name,
            metric,
            source,
            limit,
            against,
            anomaly,
            min_samples,
            hard,
            on_fail,
            on_marginal,
            marginal,
            start_after_ms,
            min_window_ms,
            consecutive,
            every_ms,
            failure_limit,
            no_data,
            on_error,
        } = stored;
        let basis = match (metric, source) {
            (Metric::ExternalLow | Metric::ExternalHigh, Some(source)) => {
                let better = if metric.larger_is_worse() { Better::Lower } else { Better::Higher };
                Basis::Figure(Box::new(Figure { better, source, anomaly, no_data, on_error }))
            }
            (Metric::ExternalLow | Metric::ExternalHigh, None) => {
                return Err(format!("gate {name}: it rests on readings, and `source` is missing"));
            }
            (metric, None) => Basis::Counters { metric, min_samples },
            (metric, Some(_)) => {
                return Err(format!("gate {name}: {} is counted, and has a `source`", metric.name()));
            }
        };
        Ok(Self {
            name,
            basis,
            limit,
            against,
            hard,
            on_fail,
            on_marginal,
            marginal,
            start_after_ms,
            min_window_ms,
            consecutive,
            every_ms,
            failure_limit,
        })
    }
}

impl From<super::Gate> for Gate {
    fn from(gate: super::Gate) -> Self {
        let (metric, min_samples) = (gate.metric(), gate.min_samples());
        let (source, anomaly, no_data, on_error) = match gate.basis {
            Basis::Counters { .. } => (None, None, Unread::default(), Unread::default()),
            Basis::Figure(figure) => {
                let Figure { source, anomaly, no_data, on_error, better: _ } = *figure;
                (Some(source), anomaly, no_data, on_error)
            }
        };
        Self {
            name: gate.name,
            metric,
            source,
            limit: gate.limit,
            against: gate.against,
            anomaly,
            min_samples,
            hard: gate.hard,
            on_fail: gate.on_fail,
            on_marginal: gate.on_marginal,
            marginal: gate.marginal,
            start_after_ms: gate.start_after_ms,
            min_window_ms: gate.min_window_ms,
            consecutive: gate.consecutive,
            every_ms: gate.every_ms,
            failure_limit: gate.failure_limit,
            no_data,
            on_error,
        }
    }
}
