//! What is said of shares that follow the evidence.

use std::fmt::Write as _;

use crate::words;
use manifest::Plan;
use manifest::{Percent, Span};

/// Between what the shares of a stage move.
pub(crate) fn stage(text: &mut String, plan: &Plan, index: usize) -> std::fmt::Result {
    let weight_ppm = plan.stages.get(index).map_or(0, |stage| stage.weight_ppm);
    let Some(range) = plan.ways(index).first().and_then(|way| way.share_range(index, weight_ppm)) else {
        return Ok(());
    };
    let percent = Percent::from_ppm;
    let (floor, most) = (percent(range.floor_ppm), percent(range.most_ppm()));
    match range.versions {
        1 => writeln!(text, "  From there its share follows the evidence, between {floor} and {most}."),
        _ => writeln!(
            text,
            "  From there the shares follow the evidence: each between {floor} and {most}, all together up to {}.",
            percent(range.ceiling_ppm)
        ),
    }
}

/// What moves them, and what does not.
pub(crate) fn whole(text: &mut String, plan: &Plan) -> std::fmt::Result {
    let Some(bandit) = &plan.bandit else { return Ok(()) };
    let side = if bandit.by.larger_is_worse() { "lowest" } else { "highest" };
    writeln!(
        text,
        "Shares move every {} at most, in proportion to the probability that of all versions, {} included, {} is the \
         {side}; one rises to no more than twice itself at a time and falls at once. That ends no stage and passes no \
         gate. They rise only while counts arrive, a quorum follows and nothing holds the weight, and stop moving when \
         a person pauses or sets the weight.",
        Span::from_ms(bandit.every_ms),
        plan.stable,
        words(bandit.by)
    )
}
