//! Planning a rollout: how many requests, how long, how much harm meanwhile, and when there is too little traffic.

use crate::JudgeError;
use crate::error::{finite, fraction, not_negative, positive};
use crate::power::{Sided, sample_size_no_harm, sample_size_two_proportions};

/// How much more than a single planned look a test needs that may be looked at all the time: at this multiple
/// of the fixed size 9 of 10 simulated rollouts had stopped (1 % against 2 %, 5 % weight: 2550 of 850 requests).
pub const ANYTIME_FACTOR: f64 = 3.0;

/// Requests per minute below which statistical gates are slow enough to say so.
const LOW_TRAFFIC_PER_MINUTE: f64 = 1000.0;

/// What is known before the rollout.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PlanInput {
    /// Requests per second over all arms.
    pub requests_per_second: f64,
    /// Stable's event rate, e.g. 0.01.
    pub base_rate: f64,
    /// The smallest harm that matters, as a ratio of rates, e.g. 1.5.
    pub smallest_harm: f64,
    /// The margin within which no harm is to be proven, e.g. 1.5.
    pub margin: f64,
    /// Chance of a false decision.
    pub alpha: f64,
    /// Chance of finding the smallest harm.
    pub power: f64,
    /// Canary weights of the stages, each in (0, 1).
    pub weights: Vec<f64>,
    /// Design effect of sticky users; 1 for random assignment.
    pub design_effect: f64,
    /// Cost of one canary hour (e.g. of its machines), any currency; 0 if unknown.
    pub cost_per_hour: f64,
}

/// One stage of the plan.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StagePlan {
    /// Canary weight.
    pub weight: f64,
    /// Canary requests to find the smallest harm with one look at the end.
    pub fixed_samples: f64,
    /// Canary requests to plan for when looking all the time.
    pub samples: f64,
    /// Canary requests to prove no harm beyond the margin, looking all the time, if there is none.
    pub samples_no_harm: f64,
    /// Bake time in seconds: the larger of both at this weight.
    pub bake_seconds: f64,
    /// Extra events users see if the smallest harm is there from the start, until it is found.
    pub extra_events: f64,
    /// Cost of the stage.
    pub cost: f64,
}

/// A plan.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Plan {
    /// The stages.
    pub stages: Vec<StagePlan>,
    /// Sum of the bake times, in seconds.
    pub total_seconds: f64,
    /// Sum of the costs.
    pub total_cost: f64,
    /// What to know about this plan, in full sentences.
    pub advice: Vec<String>,
}

/// Plans stages from rates.
///
/// # Errors
/// Numbers outside their ranges; the message names the field.
pub fn plan(input: &PlanInput) -> Result<Plan, JudgeError> {
    positive("requests_per_second", input.requests_per_second)?;
    fraction("base_rate", input.base_rate)?;
    not_negative("cost_per_hour", input.cost_per_hour)?;
    if finite("design_effect", input.design_effect)? < 1.0 {
        let got = input.design_effect;
        return Err(JudgeError::OutOfRange { what: "design_effect", got, rule: "1 or more" });
    }
    if finite("smallest_harm", input.smallest_harm)? <= 1.0 {
        let got = input.smallest_harm;
        return Err(JudgeError::OutOfRange { what: "smallest_harm", got, rule: "above 1" });
    }
    if input.weights.is_empty() {
        return Err(JudgeError::Empty { what: "weights" });
    }
    let harmed = fraction("base_rate x smallest_harm", input.base_rate * input.smallest_harm)?;
    let stages = input.weights.iter().map(|w| stage(input, *w, harmed)).collect::<Result<Vec<_>, _>>()?;
    let total_seconds = stages.iter().map(|s| s.bake_seconds).sum();
    let total_cost = stages.iter().map(|s| s.cost).sum();
    let advice = advice(input, &stages);
    Ok(Plan { stages, total_seconds, total_cost, advice })
}

fn stage(input: &PlanInput, weight: f64, harmed: f64) -> Result<StagePlan, JudgeError> {
    fraction("weight", weight)?;
    let ratio = (1.0 - weight) / weight;
    let (alpha, power) = (input.alpha, input.power);
    let base = input.base_rate;
    let fixed = sample_size_two_proportions(harmed, base, alpha, power, ratio, Sided::One)?;
    let no_harm = sample_size_no_harm(base, input.margin, alpha, power, ratio)?;
    let (fixed, no_harm) = (fixed * input.design_effect, no_harm * input.design_effect);
    let (samples, samples_no_harm) = (fixed * ANYTIME_FACTOR, no_harm * ANYTIME_FACTOR);
    let bake_seconds = samples.max(samples_no_harm) / (input.requests_per_second * weight);
    Ok(StagePlan {
        weight,
        fixed_samples: fixed,
        samples,
        samples_no_harm,
        bake_seconds,
        extra_events: samples * (harmed - base),
        cost: input.cost_per_hour * bake_seconds / 3600.0,
    })
}

fn advice(input: &PlanInput, stages: &[StagePlan]) -> Vec<String> {
    let mut out = vec![format!(
        "These sizes assume a base rate of {} %; at a tenth of it they grow about tenfold.",
        100.0 * input.base_rate
    )];
    if input.requests_per_second * 60.0 < LOW_TRAFFIC_PER_MINUTE {
        out.push(
            "Low traffic (below 1000 requests a minute): raise the first weight, lengthen the stages, accept a \
             wider margin, or send a shadow copy of all traffic first; blue-green with a human decision is the \
             honest fallback."
                .to_owned(),
        );
    }
    if let Some(long) = stages.iter().find(|s| s.bake_seconds > 86_400.0) {
        let hours = long.bake_seconds / 3600.0;
        out.push(format!(
            "The stage at {} % needs {hours:.0} hours: start with a higher weight ({} % would need a day), or \
             accept a larger margin.",
            100.0 * long.weight,
            (100.0 * long.weight * long.bake_seconds / 86_400.0).min(50.0).ceil()
        ));
    }
    if input.design_effect > 1.0 {
        out.push(format!(
            "Sticky users: sizes are multiplied by the design effect {}; random assignment per request avoids it.",
            input.design_effect
        ));
    }
    out.push(
        "Sizes are for one direction (worse). A question in both directions needs about a quarter more. Evidence \
         carries over from stage to stage, so later stages usually end sooner."
            .to_owned(),
    );
    out
}
