//! Documents that several stories apply.

/// A rollout of `ranker` from v1 to v2 whose stages are left by a person alone: what is tested is the way, not the evidence.
/// `more`: further lines of its `spec`.
#[must_use]
pub fn stages_by_hand(weights: &[&str], more: &str) -> String {
    let stages: String = weights
        .iter()
        .map(|weight| format!("    - {{weight: {weight}, bake: 1h, deadline: 2h}}\n"))
        .collect();
    format!(
        "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {{name: ranker}}
spec:
  stable: {{version: v1}}
  canary: {{version: v2}}
{more}  stages:
{stages}"
    )
}
