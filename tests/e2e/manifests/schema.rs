use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

/// The kinds that Kubernetes itself serves; their schemas are in no custom resource definition.
const BUILT_IN: [(&str, &str); 8] = [
    ("v1", "Namespace"),
    ("v1", "ServiceAccount"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("apps/v1", "Deployment"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
];

/// By `apiVersion` and `kind`.
static DEFINED: LazyLock<BTreeMap<(String, String), Validator>> = LazyLock::new(|| {
    let text = include_str!("../../data/istio-crds.yaml");
    let definitions: Vec<Value> = serde_saphyr::from_multiple(text).expect("the definitions");
    definitions.iter().flat_map(versions).collect()
});

/// What the API server's strict validation would say of a document; nothing of CEL rules.
pub fn faults(document: &Value) -> Vec<String> {
    let text = |field: &str| document[field].as_str().unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if let Some(schema) = DEFINED.get(&(version.to_owned(), kind.to_owned())) {
        schema.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
    } else if BUILT_IN.contains(&(version, kind)) {
        Vec::new()
    } else {
        vec![format!("kind: {kind} of {version} is known to nobody")]
    }
}

fn versions(definition: &Value) -> Vec<((String, String), Validator)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let spec = &definition["spec"];
    let versions = spec["versions"].as_array().expect("versions");
    let compiled = versions.iter().map(|version| {
        let mut schema = version["schema"]["openAPIV3Schema"].clone();
        schema["properties"]["apiVersion"] = json!({"type": "string"});
        schema["properties"]["kind"] = json!({"type": "string"});
        schema["properties"]["metadata"] =
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        close(&mut schema);
        let of =
            (format!("{}/{}", text(&spec["group"]), text(&version["name"])), text(&spec["names"]["kind"]));
        (of, jsonschema::draft7::new(&schema).expect("a schema"))
    });
    compiled.collect()
}

/// Makes a structural schema refuse what it does not name, as `fieldValidation=Strict` does. The parts under `oneOf`
/// and the like only test values, so they name nothing.
fn close(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(close);
    }
    for inner in ["items", "additionalProperties"] {
        fields.get_mut(inner).into_iter().for_each(close);
    }
    let says = |field: &str, value: Value| fields.get(field) == Some(&value);
    let open = says("x-kubernetes-preserve-unknown-fields", json!(true))
        || fields.contains_key("additionalProperties");
    let (object, nullable) = (says("type", json!("object")), says("nullable", json!(true)));
    if object && !open {
        fields.insert("additionalProperties".to_owned(), json!(false));
    }
    if nullable {
        let kind = fields.remove("type").unwrap_or_default();
        fields.insert("type".to_owned(), json!([kind, "null"]));
    }
}
