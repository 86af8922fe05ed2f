//! What is said of several versions on trial.

use crate::{share, words};
use manifest::Choose;
use manifest::Plan;

/// "v2", or "v2 (canary), v3 (b) or v4 (c)".
pub(crate) fn candidates(plan: &Plan) -> String {
    let all: Vec<_> = plan.challengers.iter().map(|one| format!("{} ({})", one.version, one.arm)).collect();
    match all.split_last() {
        None => plan.canary.clone(),
        Some((last, before)) => format!("{} or {last}", before.join(", ")),
    }
}

/// Who gets a stage's weight.
pub(crate) fn whose(plan: &Plan, stage: usize) -> &'static str {
    match &plan.choose {
        None => "",
        Some(choose) if stage <= choose.after => " to each of them",
        Some(_) => " to the chosen one",
    }
}

/// How one of them is chosen.
pub(crate) fn choice(choose: &Choose) -> String {
    match &choose.by {
        None => "Then a person chooses one of those that passed (promote --arm); the others are left out."
            .to_owned(),
        Some(gate) => {
            let side = if gate.metric().larger_is_worse() { "lowest" } else { "highest" };
            format!(
                "Then the one for which it is proven that {} is the {side} is chosen (a wrong one in at most {} of \
                 rollouts) and the others are left out; without a clear winner at the deadline a person is asked.",
                words(gate.metric()),
                share(choose.alpha)
            )
        }
    }
}

/// How many there are, as a factor.
#[allow(clippy::cast_precision_loss)] // a handful
pub(crate) fn several(plan: &Plan) -> f64 {
    plan.challengers.len().max(1) as f64
}
