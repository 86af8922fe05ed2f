//! Whether there will be readings to compare with in time.

use crate::amount::Span;
use crate::gate::Gate;
use crate::plan::{Plan, Stage};
use crate::problem::Problem;

pub(super) fn warnings(at: &str, plan: &Plan, gate: &Gate) -> Option<Problem> {
    let anomaly = gate.anomaly().filter(|anomaly| anomaly.history.is_none() && gate.hard)?;
    let readings = anomaly.min_readings.saturating_add(gate.consecutive);
    let takes_ms = gate.start_after_ms.saturating_add(gate.every_ms.saturating_mul(readings.into()));
    let asked = |stage: &&Stage| {
        let named = |&index: &usize| plan.gates.get(index).is_some_and(|known| known.name == gate.name);
        stage.measures() && stage.gates.iter().any(named)
    };
    let first = plan.stages.iter().find(asked)?;
    (takes_ms > first.deadline_ms).then(|| {
        Problem::warning(
            format!("{at}.anomaly"),
            format!(
                "gate {} wants {readings} readings before its first stage ends, which takes {}; the stage's deadline is {}",
                gate.name,
                Span::from_ms(takes_ms),
                Span::from_ms(first.deadline_ms)
            ),
            "shorten `every`, set `history` where the source is Prometheus, or a later deadline",
        )
    })
}
