mod assigning;
mod compiling;
mod spreading;

use crate::policy::Policy;
use crate::{Arm, Assignment, Cause, Draws, Splitter, Standing};

/// A policy of one rollout; `with` is merged over the defaults, field by field.
pub(super) fn policy(with: serde_json::Value) -> Policy {
    let mut rollout = serde_json::json!({
        "name": "ranker", "epoch": 1, "header": "x-serin-arm", "version_header": "x-serin-version",
        "assignment": {"mode": "sticky", "salt": "ranker/1", "keys": [{"header": "x-user-id"}]},
        "arms": {"stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": 500_000}},
    });
    for (field, value) in with.as_object().expect("an object") {
        rollout[field] = value.clone();
    }
    serde_json::from_value(serde_json::json!({
        "schema": 1, "incarnation": 1, "generation": 1, "rollouts": [rollout],
    }))
    .expect("a policy")
}

pub(super) fn splitter(with: serde_json::Value) -> Splitter {
    Splitter::compile(&policy(with)).expect("a good policy")
}

/// What the only rollout does with a request; `None` when it does not own it.
pub(super) fn assigned(splitter: &Splitter, headers: &[(&str, &[u8])]) -> Option<Assignment> {
    splitter.claim(&headers).map(|claim| claim.assign(&headers, Standing::Live, &mut Draws::seeded(7)))
}

#[track_caller]
pub(super) fn check(with: serde_json::Value, headers: &[(&str, &[u8])], expected: Option<(Arm, Cause)>) {
    let got = assigned(&splitter(with), headers).map(|assignment| (assignment.arm, assignment.cause));
    assert_eq!(got, expected, "{headers:?}");
}
