//! The kind `Rollout` of the API server, made from the types that read it.

use serde_json::{Value, json};

use super::rules;
use super::status::Status;
use super::structural::structural;

/// The group of the kind.
pub const GROUP: &str = "serin.dev";
/// Its version.
pub const VERSION: &str = "v1alpha1";
/// Its name in addresses.
pub const PLURAL: &str = "rollouts";

/// The CustomResourceDefinition `rollouts.serin.dev`.
#[must_use]
pub fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{PLURAL}.{GROUP}")},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": "Rollout",
                "listKind": "RolloutList",
                "plural": PLURAL,
                "singular": "rollout",
                // `ro` is Argo's.
                "shortNames": ["srn"],
                "categories": ["all", "serin"],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns(),
                "schema": {"openAPIV3Schema": schema()},
            }],
        },
    })
}

/// The definition as the file that is installed.
#[must_use]
pub fn text() -> Option<String> {
    let yaml = serde_saphyr::to_string(&definition()).ok()?;
    Some(format!(
        "# The kind Rollout of serin.dev, made from the types that read it: cargo run -p istio --example crd\n{yaml}"
    ))
}

fn schema() -> Value {
    let mut status = structural(&schemars::schema_for!(Status).to_value(), |_, _| {});
    put(&mut status, "/properties/conditions", "x-kubernetes-list-type", json!("map"));
    put(&mut status, "/properties/conditions", "x-kubernetes-list-map-keys", json!(["type"]));
    put(&mut status, "/properties/journal", "type", json!("object"));
    put(&mut status, "/properties/journal", "x-kubernetes-preserve-unknown-fields", json!(true));
    let mut schema = structural(&manifest::schema(), rules::add);
    for standard in ["apiVersion", "kind"] {
        put(&mut schema, "/properties", standard, json!({"type": "string"}));
    }
    // Its name is a label of every counter; more of it the API server does not let us say.
    let metadata = json!({"type": "object", "properties": {"name": {"type": "string", "maxLength": 63}}});
    put(&mut schema, "/properties", "metadata", metadata);
    put(&mut schema, "/properties", "status", status);
    put(&mut schema, "", "required", json!(["spec"]));
    schema
}

fn put(schema: &mut Value, at: &str, key: &str, value: Value) {
    if let Some(fields) = schema.pointer_mut(at).and_then(Value::as_object_mut) {
        fields.insert(key.to_owned(), value);
    }
}

fn columns() -> Value {
    let column = |name: &str, path: &str, kind: &str, priority: u8| json!({"name": name, "type": kind, "jsonPath": path, "priority": priority});
    json!([
        column("Phase", ".status.phase", "string", 0),
        column("Step", ".status.step", "string", 0),
        column("Weight", ".status.weight", "string", 0),
        column("Actual", ".status.actualWeight", "string", 0),
        column("Verdict", ".status.verdict", "string", 0),
        column("Accepted", ".status.conditions[?(@.type==\"Accepted\")].status", "string", 1),
        column("Canary", ".status.canary", "string", 1),
        column("Message", ".status.message", "string", 1),
        column("Age", ".metadata.creationTimestamp", "date", 0),
    ])
}
