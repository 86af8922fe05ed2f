//! What is probably not wished of several versions on trial.

use super::FIRST_STAGE_PPM;
use crate::amount::Percent;
use crate::gate::Metric;
use crate::plan::{Plan, Unit};
use crate::problem::Problem;
use crate::typed::Rollout;

pub(super) fn warnings(typed: &Rollout, plan: &Plan) -> Vec<Problem> {
    let mut found = Vec::new();
    if typed.spec.arms.is_empty() {
        if typed.spec.choose.is_some() {
            found.push(Problem::warning(
                "spec.choose",
                "there is nothing to choose between: spec.arms is empty",
                "name further versions in spec.arms, or leave the field out",
            ));
        }
        return found;
    }
    let several = u32::try_from(plan.challengers.len()).unwrap_or(u32::MAX);
    if let Some(first) = plan.stages.iter().position(|stage| stage.weight_ppm > 0)
        && let Some(stage) = plan.stages.get(first)
        && stage.weight_ppm <= FIRST_STAGE_PPM
        && stage.weight_ppm.saturating_mul(several) > FIRST_STAGE_PPM
    {
        found.push(Problem::warning(
            format!("spec.stages[{first}].weight"),
            format!(
                "the first exposed stage is at {} for each of {several} versions, {} together",
                Percent::from_ppm(stage.weight_ppm),
                Percent::from_ppm(stage.weight_ppm.saturating_mul(several))
            ),
            "begin with 5% or less over all of them, so that a bad version meets few users",
        ));
    }
    if let Some(gate) = plan.choose.as_ref().and_then(|choose| choose.by.as_ref())
        && plan.unit == Unit::User
        && gate.metric() != Metric::ErrorRate
    {
        found.push(Problem::warning(
            "spec.choose.by",
            "there will never be a clear winner: assignment is sticky, and how requests of one user go together is \
             counted for errors alone",
            "set `assignment: {unit: request}` to take each request by itself, or choose by error_rate or person",
        ));
    }
    found
}
