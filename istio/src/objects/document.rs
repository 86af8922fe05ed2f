//! What an object says, as the document that a person would apply on a laptop.

use std::io;

use api::{OBJECT_ANNOTATION, ObjectView};
use kube::api::DynamicObject;
use serde::Serialize as _;
use serde_json::{Value, json};

/// A document, and the object it was made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// JSON that `manifest` reads.
    pub text: String,
    /// What is kept with it.
    pub object: ObjectView,
}

/// The document of an object. Of its metadata nothing but the name is carried over: labels and annotations of other tools change
/// no rollout.
pub fn document(object: &DynamicObject) -> Option<Document> {
    let metadata = &object.metadata;
    let name = metadata.name.clone()?;
    let spec = as_typed(object.data.get("spec")?.clone());
    let digest = ring::digest::digest(&ring::digest::SHA256, written(&spec)?.as_bytes());
    let digest = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let object = ObjectView {
        namespace: metadata.namespace.clone()?,
        name: name.clone(),
        uid: metadata.uid.clone()?,
        digest,
    };
    let document = json!({
        "apiVersion": manifest::typed::API_VERSION,
        "kind": manifest::typed::KIND,
        "metadata": {
            "name": name,
            "namespace": object.namespace,
            "annotations": {OBJECT_ANNOTATION: object.annotation()},
        },
        "spec": spec,
    });
    Some(Document { text: written(&document)?, object })
}

/// What kubectl made of YAML, as it was typed: it reads `off` as false.
fn as_typed(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| {
                let value = match (name.as_str(), &value) {
                    ("level", Value::Bool(false)) => "off".into(),
                    // The types that read it know texts alone there.
                    ("version" | "after", Value::Number(number)) => number.to_string().into(),
                    _ => as_typed(value),
                };
                (name, value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(as_typed).collect()),
        other => other,
    }
}

/// JSON whose numbers have no exponents: amounts are read as a person writes them.
fn written(value: &Value) -> Option<String> {
    struct Plain;
    impl serde_json::ser::Formatter for Plain {
        fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
            write!(writer, "{value}")
        }
    }
    let mut text = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, Plain)).ok()?;
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(spec: &Value, more: &Value) -> Document {
        let mut object = json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "Rollout",
            "metadata": {
                "name": "ranker", "namespace": "models", "uid": "0b1c", "generation": 3, "resourceVersion": "7",
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            },
            "spec": spec,
        });
        if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
            object.extend(more.clone());
        }
        document(&serde_json::from_value(object).expect("an object")).expect("a document")
    }

    #[test]
    fn it_is_what_a_person_would_apply() {
        let spec = json!({
            "stable": {"version": 7}, "canary": {"version": "8"}, "preset": "default",
            "confidence": {"fromHeader": "x-c", "range": {"min": 0.00001, "max": 1}},
            "gates": [{"name": "errors", "level": false}, {"name": "c", "metric": "confidence_mean", "min": 0.00002}],
        });
        let made = made(&spec, &json!({}));
        let read = manifest::load(&made.text).unwrap_or_else(|problems| panic!("{problems}\n{}", made.text));
        assert_eq!(read.typed.spec.stable.version, "7");
        assert_eq!(read.typed.metadata.annotations.len(), 1, "{:?}", read.typed.metadata);
        assert_eq!(ObjectView::of_text(&made.text), Some(made.object));
    }

    /// By it a restart tells what was applied already.
    #[test]
    fn the_digest_is_of_the_specification_alone() {
        let spec = json!({"stable": {"version": "v1"}, "canary": {"version": "v2"}});
        let first = made(&spec, &json!({}));
        let later = made(&spec, &json!({"status": {"phase": "Paused"}}));
        assert_eq!(first, later);
        let changed = made(&json!({"stable": {"version": "v1"}, "canary": {"version": "v3"}}), &json!({}));
        assert_ne!(first.object.digest, changed.object.digest);
        assert_eq!(first.object.digest.len(), 16);
    }
}
