//! What is probably not wished of shares that follow the evidence.

use super::{duration, slowest};
use crate::amount::{Percent, Span};
use crate::plan::{Plan, Stage};
use crate::problem::Problem;

/// A floor this many times below a stage's weight makes a stage long for whoever falls to it.
const FAR_BELOW: u32 = 5;

/// The stages in which shares move, each with the range.
fn moving(plan: &Plan) -> impl Iterator<Item = (usize, &Stage, crate::ShareRange)> {
    let stages = plan.stages.iter().enumerate();
    stages.filter_map(|(index, stage)| {
        let ways = plan.ways(index);
        Some((index, stage, ways.first()?.share_range(index, stage.weight_ppm)?))
    })
}

pub(super) fn warnings(plan: &Plan) -> Vec<Problem> {
    let mut found = Vec::new();
    let Some(bandit) = &plan.bandit else { return found };
    let percent = Percent::from_ppm;
    for (index, stage, range) in moving(plan) {
        let (at, weight) = (index + 1, percent(stage.weight_ppm));
        if range.most_ppm() <= stage.weight_ppm {
            found.push(Problem::warning(
                "spec.bandit.ceiling",
                format!("no share can rise above the {weight} of stage {at}, so there they only fall"),
                "raise the ceiling, lower the stage's weight, or begin in a later stage with `from`",
            ));
        } else if range.floor_ppm.saturating_mul(FAR_BELOW) <= stage.weight_ppm {
            found.push(Problem::warning(
                "spec.bandit.floor",
                format!(
                    "a version that falls from the {weight} of stage {at} to the floor ({}) takes {} times as long to \
                     prove that it does no harm",
                    percent(range.floor_ppm),
                    stage.weight_ppm / range.floor_ppm.max(1)
                ),
                "raise the floor, or the stage's deadline",
            ));
        }
        if bandit.every_ms.saturating_mul(2) > stage.deadline_ms {
            found.push(Problem::warning(
                "spec.bandit.every",
                format!(
                    "stage {at} is over after {} at the latest, before shares have moved twice",
                    Span::from_ms(stage.deadline_ms)
                ),
                "move them more often (30s or more), or begin in a later stage with `from`",
            ));
        }
    }
    found
}

/// Stages that reach their deadline with a version at the floor.
#[allow(clippy::cast_precision_loss)] // a time below a year
pub(super) fn too_little_traffic(plan: &Plan, per_second: f64) -> Option<Problem> {
    moving(plan).find_map(|(index, stage, range)| {
        let (gate, wanted) = slowest(plan, stage)?;
        let at = |ppm: u32| wanted / (per_second * f64::from(ppm) / f64::from(split::MILLION));
        let (seconds, deadline_s) = (at(range.floor_ppm), stage.deadline_ms as f64 / 1e3);
        // Without a bandit it is said already.
        let late = seconds > deadline_s && at(stage.weight_ppm) <= deadline_s;
        late.then(|| {
            Problem::warning(
                "spec.bandit.floor",
                format!(
                    "at the floor ({}) gate {gate} wants {} at {per_second} requests per second, and the deadline of \
                     stage {} is {}",
                    Percent::from_ppm(range.floor_ppm),
                    duration(seconds.min(366.0 * 86_400.0)),
                    index + 1,
                    Span::from_ms(stage.deadline_ms)
                ),
                "raise the floor or set a later deadline",
            )
        })
    })
}
