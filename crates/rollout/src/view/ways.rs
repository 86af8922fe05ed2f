//! What a person can do about a run now, and what it would do.

use manifest::Percent;
use serde::{Deserialize, Serialize};

use crate::{HandBackProgress, Pause, Phase, State, WarmingUp};

/// One thing that a person can do, for the eye.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ActionView {
    /// The verb, as in `POST /v1/rollouts/{name}/{verb}` and on the command line.
    pub verb: String,
    /// It wants an arm to be named.
    pub arm: bool,
    /// It needs a reason.
    pub reason: bool,
    /// What it does, in one clause.
    pub does: String,
}

impl State {
    /// What a person can do now, the mildest first. Of a member of a fleet nothing: people act on the fleet.
    #[must_use]
    pub fn ways(&self) -> Vec<ActionView> {
        if self.plan.member.is_some() {
            return Vec::new();
        }
        let way = |verb: &str, reason: bool, does: &str| ActionView {
            verb: verb.to_owned(),
            arm: false,
            reason,
            does: does.to_owned(),
        };
        let abort = way("abort", false, "sends everything back to stable, now");
        match &self.phase {
            Phase::Pending { started_by: None } | Phase::Succeeded => Vec::new(),
            Phase::Pending { started_by: Some(_) } => {
                let failed = matches!(self.warming, Some(WarmingUp::Failed { .. }));
                let warm = failed.then(|| way("resume", false, "warms the canary again"));
                warm.into_iter().chain([way("abort", false, "ends it; nobody has been exposed")]).collect()
            }
            Phase::Progressing | Phase::Promoting => vec![self.onwards(), abort],
            Phase::Paused(Pause::Approval) => {
                let next = self.next_in_words();
                let lacks = self.lacks_for_yes();
                let does = if lacks.is_empty() {
                    format!("says yes: {next}")
                } else {
                    format!("goes past what is missing: {next}")
                };
                vec![way("approve", !lacks.is_empty(), &does), abort]
            }
            Phase::Paused(Pause::Choice) => vec![self.onwards(), abort],
            Phase::Paused(_) => {
                vec![
                    way("resume", false, "measures this stage again, and goes on by proof"),
                    self.onwards(),
                    abort,
                ]
            }
            Phase::HandBack(HandBackProgress::Asked { failed, .. }) => {
                let again = failed.as_ref().map(|_| way("resume", false, "calls the hand-back hook again"));
                let does =
                    format!("says that stable serves {} by now: its weight goes back to 0", self.plan.canary);
                let confirm = way("promote", !self.hand_back_doubts().is_empty(), &does);
                again.into_iter().chain([confirm, abort]).collect()
            }
            Phase::HandBack(HandBackProgress::Lowering { .. }) => vec![abort],
            Phase::RolledBack if self.ramp().is_some() => {
                vec![way("abort", false, "goes back at once, not step by step")]
            }
            Phase::RolledBack => vec![way("retry", true, "runs it once more from the first stage")],
        }
    }

    /// To the next stage, past whatever holds it.
    fn onwards(&self) -> ActionView {
        let (choice, held) = (self.must_choose(), self.held_back());
        let next = self.next_in_words();
        let does = if choice {
            format!("chooses one of {}: {next}", self.names_in())
        } else if held.is_empty() {
            format!("does not wait: {next}")
        } else {
            format!("goes past what is not proven or missing, on record: {next}")
        };
        ActionView { verb: "promote".to_owned(), arm: choice, reason: !held.is_empty(), does }
    }

    fn next_in_words(&self) -> String {
        match self.next_stage().and_then(|next| self.plan.stages.get(next)) {
            Some(next) if next.shadow_ppm > 0 => {
                format!("on to a shadow of {}", Percent::from_ppm(next.shadow_ppm))
            }
            Some(next) => format!("on to {}", Percent::from_ppm(next.weight_ppm)),
            None => "on to the hand-back".to_owned(),
        }
    }
}
