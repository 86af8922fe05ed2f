mod ending;
mod fake;
mod keeping;
mod server;
mod told;

use serde_json::{Value, json};

use super::{definition, text};

/// Installed is what the types say.
#[test]
fn the_installed_file_is_what_the_types_say() {
    let installed = include_str!("../../../chart/crds/rollouts.yaml");
    let made = text().expect("YAML");
    assert!(
        installed == made,
        "istio/chart/crds/rollouts.yaml is not what the types say: cargo run -p istio --example crd > \
         istio/chart/crds/rollouts.yaml"
    );
}

/// `kubectl apply` keeps what was applied in an annotation, and all annotations together may have 262,144 bytes.
#[test]
fn it_fits_into_an_annotation() {
    let bytes = definition().to_string().len();
    assert!(bytes < 240_000, "{bytes} bytes");
}

/// What a structural schema may hold, as the API server says it.
fn check_structural(at: &str, schema: &Value, found: &mut Vec<String>) {
    let Some(fields) = schema.as_object() else {
        found.push(format!("{at} is no schema"));
        return;
    };
    for word in ["$ref", "anyOf", "oneOf", "allOf", "not", "const", "$defs", "title"] {
        if fields.contains_key(word) {
            found.push(format!("{at} has {word}"));
        }
    }
    let open = ["x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"];
    let is_open = open.iter().any(|word| fields.get(*word) == Some(&json!(true)));
    if !is_open && !fields.get("type").is_some_and(Value::is_string) {
        found.push(format!("{at} has no type"));
    }
    for (name, inner) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
        check_structural(&format!("{at}.{name}"), inner, found);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get(inner) {
            check_structural(&format!("{at}[]"), inner, found);
        }
    }
}

#[test]
fn the_schema_is_structural() {
    let mut found = Vec::new();
    let definition = definition();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    check_structural("", schema, &mut found);
    assert_eq!(found, [""; 0]);
}
