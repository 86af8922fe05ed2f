use serde::{Deserialize, Serialize};
use spec::{Guardrail, Limit};

use super::limited::Limited;
use super::measure::estimate;
use super::words::value;
use crate::{Answer, Counts, Verdict};

/// The evidence of one guardrail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardrailEvidence {
    test: Option<Limited>,
    /// Everything it saw, for display.
    seen: Counts,
    error: Option<String>,
}

impl GuardrailEvidence {
    pub(super) fn new(guardrail: &Guardrail) -> Self {
        let limit = Limit::of(guardrail.limit);
        match Limited::new(guardrail.metric, limit, 300) {
            Ok(test) => Self { test: Some(test), seen: Counts::default(), error: None },
            Err(error) => Self { test: None, seen: Counts::default(), error: Some(error.to_string()) },
        }
    }

    pub(super) fn observe(&mut self, canary: &Counts) {
        self.seen.add(canary);
        if let Some(test) = &mut self.test
            && let Err(error) = test.observe(canary, false)
        {
            self.error = Some(error.to_string());
        }
    }

    pub(super) fn log_e(&self) -> f64 {
        self.test.as_ref().map_or(0.0, |test| test.log_e().0)
    }

    pub(super) fn verdict(&self, guardrail: &Guardrail, broken: bool) -> Verdict {
        let metric = guardrail.metric;
        let (seen, n_canary) = estimate(metric, &self.seen);
        let shown = seen.map_or_else(|| "unknown".to_owned(), |seen| value(metric, seen));
        let limit = value(metric, guardrail.limit);
        let side = if metric.larger_is_worse() { "above" } else { "below" };
        let (answer, why) = if let Some(error) = &self.error {
            (Answer::Error, format!("could not be evaluated: {error}"))
        } else if broken {
            let why =
                format!("{} is proven {side} {limit}: {shown} of {n_canary} canary requests", metric.name());
            (Answer::Fail, why)
        } else {
            let why = format!(
                "{} is {shown} of {n_canary} canary requests; not proven {side} {limit}",
                metric.name()
            );
            (if n_canary == 0 { Answer::Insufficient } else { Answer::Pass }, why)
        };
        Verdict {
            name: guardrail.name.clone(),
            answer,
            estimate: seen,
            bound: Some(guardrail.limit),
            n_canary,
            n_control: 0,
            harm: super::words::e_value(self.log_e()),
            proof: 1.0,
            hard: true,
            why,
        }
    }
}
