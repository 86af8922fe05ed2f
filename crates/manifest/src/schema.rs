/// The JSON Schema of a rollout, for editors and for the Kubernetes resource: generated from the types that read it.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(crate::typed::Rollout).to_value()
}

/// The JSON Schema of a trigger.
#[must_use]
pub fn trigger_schema() -> serde_json::Value {
    schemars::schema_for!(crate::typed::Trigger).to_value()
}
