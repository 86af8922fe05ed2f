//! How many counters can a rollout reach in one sidecar? They are permanent there, so it is asked beforehand.

use std::fmt;

use split::policy::Assignment;

use crate::plan::Plan;

/// A rollout of one version that can reach more is refused.
pub(crate) const LIMIT: u32 = 2_000;
/// A further arm may have so many more: all its bins, outcomes and scores.
const LIMIT_PER_ARM: u32 = 500;
/// A rollout that can reach more is warned of. (Reached are far fewer: bins come into being on first use, and one
/// model's answer times use some fifty of them.)
pub(crate) const AIM: u32 = 1_600;

/// Latency bins, confidence points and invalid ones, groups, slots of epochs, ages and what may have become of a request by
/// then: as crate `tally` has them.
const LATENCY: u32 = 310;
const CONFIDENCE: u32 = 64 + 1;
const GROUPS: u32 = 100 * 2;
const RETRIED: u32 = 1;
const SLOTS: u32 = 4;
/// Before the first age, nobody has waited long and left.
const AGES: u32 = 4 * 4 - 1;
/// What an answer was, why it ended, points of numbers of tokens, and bins of their times, of which every second is used.
const ANSWERS: u32 = 11;
const FINISH: u32 = 5;
const TOKENS: u32 = 77;
const TIMES: u32 = 155;
/// Of the classes, so many come up in one rollout: an HTTP service has no gRPC errors, a model without a limit no 429.
/// A worst case that cannot be reached would refuse what works.
const CLASSES: u32 = 4;

/// The counters a rollout can reach in one sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    /// Assigned and finished requests, by cause and class.
    pub outcomes: u32,
    /// Answer times.
    pub latency: u32,
    /// The model's confidence.
    pub confidence: u32,
    /// Stable's outcomes per group of users.
    pub groups: u32,
    /// What the bodies of answers say.
    pub answers: u32,
}

impl Series {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.outcomes + self.latency + self.confidence + self.groups + self.answers
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} outcomes, {} answer times", self.outcomes, self.latency)?;
        if self.confidence > 0 {
            write!(f, ", {} confidence", self.confidence)?;
        }
        if self.groups > 0 {
            write!(f, ", {} groups", self.groups)?;
        }
        if self.answers > 0 {
            write!(f, ", {} answers", self.answers)?;
        }
        Ok(())
    }
}

/// More than this many are refused.
pub(crate) fn limit(plan: &Plan) -> u32 {
    LIMIT + LIMIT_PER_ARM * others(plan) + answers(plan)
}

fn others(plan: &Plan) -> u32 {
    u32::try_from(plan.challengers.len().saturating_sub(1)).unwrap_or(u32::MAX)
}

/// Stable and canary, stable once more under the new version after the hand-back, the baseline, and further arms.
fn arms(plan: &Plan) -> u32 {
    3 + u32::from(plan.baseline) + others(plan)
}

/// What bodies say is asked for by name, so it has a budget of its own.
fn answers(plan: &Plan) -> u32 {
    let Some(answer) = &plan.traffic.answer else { return 0 };
    let classes = answer.read.class.as_ref().map_or(0, |class| class.names.len() + 1);
    let tokens = if answer.read.format.is_language_model() { FINISH + 2 * TOKENS + 2 * TIMES } else { 0 };
    arms(plan) * (ANSWERS + tokens + u32::try_from(classes).unwrap_or(u32::MAX))
}

/// Counts them.
#[must_use]
pub fn series(plan: &Plan) -> Series {
    let arms = arms(plan);
    // By weight and by fallback always; the rest as far as the plan can cause it.
    let sticky = matches!(plan.traffic.assignment, Assignment::Sticky { .. });
    let causes = 2
        + u32::from(sticky)
        + u32::from(!plan.traffic.cohorts.is_empty())
        + u32::from(!plan.traffic.overrides.is_empty());
    Series {
        // By weight, in every slot; late ones in one more; ages of all but the baseline.
        outcomes: arms * ((causes - 1) * (1 + CLASSES) + SLOTS * (1 + CLASSES) + CLASSES + RETRIED)
            + (arms - u32::from(plan.baseline)) * SLOTS * AGES,
        latency: arms * LATENCY,
        confidence: if plan.traffic.confidence.is_some() { arms * CONFIDENCE } else { 0 },
        groups: if plan.traffic.count_groups { 2 * GROUPS } else { 0 },
        answers: answers(plan),
    }
}
