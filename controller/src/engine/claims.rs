//! Which requests are whose: rollouts may claim the same ones, and the first in the policy gets them.

use api::ClaimedBy;
use manifest::Plan;
use split::Overlap;

use super::Engine;
use super::fleets::applied_as;

impl Engine {
    /// Rollouts before this one in the policy that take its requests.
    pub(super) fn claimed_by(&self, plan: &Plan) -> Vec<ClaimedBy> {
        let before = self.in_policy().filter(|other| other.name < plan.name);
        before.filter_map(|other| taken(other, plan)).collect()
    }

    /// What a person who applies these plans should know: whose requests are theirs as well.
    pub(super) fn claims(&self, name: &str, plans: &[Plan]) -> Vec<String> {
        let mut said = Vec::new();
        for plan in plans {
            for other in self.in_policy().filter(|other| applied_as(other) != name) {
                let (first, second) = if other.name < plan.name { (other, plan) } else { (plan, other) };
                let Some(ClaimedBy { name: owner, all }) = taken(first, second) else { continue };
                let (part, loser) = (if all { "all" } else { "some" }, &second.name);
                let over = if owner == other.name {
                    format!(", or delete {owner} when it is over")
                } else {
                    String::new()
                };
                said.push(format!(
                    "warning: spec.match: {owner} takes {part} of the requests of {loser}: rollouts come in the order of their \
                     names, and the first that matches gets a request; narrow the match of one of them{over}"
                ));
            }
        }
        said
    }

    /// The rollouts that proxies know, in the order of the policy.
    fn in_policy(&self) -> impl Iterator<Item = &Plan> {
        let known = self.runs.values().filter(|run| run.state.publication.is_some());
        known.map(|run| &*run.state.plan)
    }
}

/// What the first takes of the second.
fn taken(first: &Plan, second: &Plan) -> Option<ClaimedBy> {
    let how = first.takes_of(second);
    (how != Overlap::Nothing).then(|| ClaimedBy { name: first.name.clone(), all: how == Overlap::All })
}

/// What is said of a run whose requests others take.
pub(super) fn words(claimed_by: &[ClaimedBy]) -> Option<String> {
    let named = |all: bool| {
        let those: Vec<&str> =
            claimed_by.iter().filter(|by| by.all == all).map(|by| by.name.as_str()).collect();
        (!those.is_empty()).then(|| those.join(", "))
    };
    match (named(true), named(false)) {
        (Some(owner), _) => Some(format!(
            "another rollout owns its requests: {owner}, which comes before it and takes all of them"
        )),
        (None, Some(owner)) => {
            Some(format!("another rollout owns some of its requests: {owner}, which comes before it"))
        }
        (None, None) => None,
    }
}
