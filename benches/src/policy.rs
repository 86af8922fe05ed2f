use serde_json::{Value, json};

/// A policy of one rollout, 5 % canary, sticky by a header; `with` is put over the defaults, field by field.
#[must_use]
pub fn policy(with: Value) -> Value {
    let mut rollout = json!({
        "name": "ranker", "epoch": 1, "header": "x-serin-arm", "version_header": "x-serin-version",
        "assignment": {"mode": "sticky", "salt": "ranker/1", "keys": [{"header": "x-user-id"}]},
        "arms": {"stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": 50_000}},
    });
    if let (Some(rollout), Value::Object(with)) = (rollout.as_object_mut(), with) {
        rollout.extend(with);
    }
    json!({"schema": 1, "incarnation": 1, "generation": 1, "rollouts": [rollout]})
}
