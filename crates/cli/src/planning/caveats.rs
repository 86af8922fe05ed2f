//! What the numbers of a plan take for granted, and what to do where traffic is too little.

use anyhow::Result;
use judge::plan::{ANYTIME_FACTOR, PlanInput};
use judge::power::{Sided, sample_size_no_harm, sample_size_two_means, sample_size_two_proportions};

use notation::{count, duration, percent};

use super::{DAY, Options, Question, Stage};

/// What these numbers take for granted, in numbers of their own.
pub fn all(options: &Options, question: &Question, harmed: f64, stages: &[Stage]) -> Result<Vec<String>> {
    let input = &question.input;
    let mut out = Vec::new();
    let Some(first) = stages.first() else { return Ok(out) };
    let k = (1.0 - first.weight) / first.weight;
    let size =
        |p1: f64, p0: f64, sided| sample_size_two_proportions(p1, p0, input.alpha, input.power, k, sided);
    let (one, two) = (size(harmed, input.base_rate, Sided::One)?, size(harmed, input.base_rate, Sided::Two)?);
    let tenth = input.base_rate / 10.0;
    let ratio = harmed / input.base_rate;
    let rarer = size(tenth * ratio, tenth, Sided::One)?;
    out.push(format!(
        "In the first stage one look at the end would take {} canary requests one-sided, {} two-sided; were the base rate \
         {} instead of {}, {}.",
        count(one * input.design_effect),
        count(two * input.design_effect),
        percent(tenth, 3),
        percent(input.base_rate, 3),
        count(rarer * input.design_effect)
    ));
    if let Some(d) = options.effect_size {
        let of = |sided| sample_size_two_means(d, input.alpha, input.power, k, sided);
        let (one, two) = (of(Sided::One)? * input.design_effect, of(Sided::Two)? * input.design_effect);
        let each = input.requests_per_second * first.weight;
        let equal = |sided| sample_size_two_means(d, input.alpha, input.power, 1.0, sided);
        out.push(format!(
            "A mean that moves by {d} standard deviations takes {} canary requests one-sided, {} two-sided, in one look: {} \
             and {} at {}. (In arms of equal size, as guides reckon: {} and {} each.)",
            count(one),
            count(two),
            duration(one / each),
            duration(two / each),
            percent(first.weight, 2),
            count(equal(Sided::One)? * input.design_effect),
            count(equal(Sided::Two)? * input.design_effect)
        ));
    }
    out.push(exposure(input, stages));
    if first.bake_seconds > 3600.0 {
        out.push(remedies(input, first, harmed)?);
    }
    if let Some(budget) = question.budget {
        out.extend(beyond_budget(budget, harmed, stages));
    }
    if input.requests_per_second * 3600.0 < 1000.0 {
        out.push(
            "Below 1000 requests an hour every honest canary takes days: shadow the traffic, or switch blue-green with a \
             person deciding and a quick way back."
                .to_owned(),
        );
    }
    for stage in stages {
        let Some([bake, deadline]) = stage.given_seconds else { continue };
        let weight = percent(stage.weight, 2);
        if deadline < stage.bake_seconds {
            out.push(format!(
                "The file gives the stage at {weight} at most {}, and {} are planned: it will often end undecided; set \
                 deadline: {}.",
                duration(deadline),
                duration(stage.bake_seconds),
                duration(stage.bake_seconds * 1.5)
            ));
        } else if bake > 3.0 * stage.bake_seconds && bake > 600.0 {
            out.push(format!(
                "The stage at {weight} bakes for {}, and its evidence is there after about {}: it can be shorter.",
                duration(bake),
                duration(stage.bake_seconds)
            ));
        }
    }
    Ok(out)
}

/// Whom the stages expose, for as long as they last.
fn exposure(input: &PlanInput, stages: &[Stage]) -> String {
    let each: Vec<String> = stages
        .iter()
        .map(|stage| {
            let per_second = input.requests_per_second * stage.weight;
            format!("{} at {}", count(per_second * DAY), percent(stage.weight, 4))
        })
        .collect();
    format!("For every day that a stage lasts the canary answers this many requests: {}.", each.join(", "))
}

/// Both ways out of a long first stage: wait, or begin higher.
fn remedies(input: &PlanInput, first: &Stage, harmed: f64) -> Result<String> {
    let long = format!("The first stage takes {}.", duration(first.bake_seconds));
    let wider = (first.weight * 5.0).min(0.5);
    if wider <= first.weight {
        return Ok(format!(
            "{long} It can have no more of the traffic: bake that long, look for a larger harm (--harm), or accept a wider \
             margin (--margin)."
        ));
    }
    let k = (1.0 - wider) / wider;
    let (base, alpha, power) = (input.base_rate, input.alpha, input.power);
    let n = sample_size_two_proportions(harmed, base, alpha, power, k, Sided::One)?;
    let samples = n.max(sample_size_no_harm(base, input.margin, alpha, power, k)?) * ANYTIME_FACTOR;
    let time = samples * input.design_effect / (input.requests_per_second * wider);
    Ok(format!(
        "{long} Either bake that long at {}, or begin at {}: {}, with more users exposed.",
        percent(first.weight, 2),
        percent(wider, 2),
        duration(time)
    ))
}

/// Where the plan spends more than the file allows.
fn beyond_budget(budget: manifest::Budget, harmed: f64, stages: &[Stage]) -> Vec<String> {
    let requests: f64 = stages.iter().map(|stage| stage.exposed_requests).sum();
    #[allow(clippy::cast_precision_loss)] // requests and errors below 2^53
    let beyond = |what: &str, planned: f64, allowed: Option<u64>| {
        let allowed = allowed.filter(|allowed| planned > *allowed as f64)?;
        Some(format!(
            "The file's budget allows the canary {allowed} {what} before it bears all traffic, and the plan takes {}: raise \
             it, or begin with fewer or higher stages.",
            count(planned)
        ))
    };
    let requests = beyond("requests", requests, budget.requests);
    // The harm is found in the first stage, or it is not there.
    let errors =
        stages.first().and_then(|first| beyond("errors", first.samples_harm * harmed, budget.errors));
    requests.into_iter().chain(errors).collect()
}
