//! From the JSON Schema of a type to what the API server takes: a structural schema (no `$ref`, no `anyOf`, every field typed).

use serde_json::{Map, Value, json};

use super::rules;

/// The most objects of a list, and the most entries of a map: the API server reckons the cost of rules by them, and no rollout
/// comes near.
const MOST_OBJECTS: u64 = 64;

/// The most texts of a list, such as proxies by name.
const MOST_TEXTS: u64 = 4096;

/// Names and versions are labels of counters; the API server reckons the cost of comparing them by their length.
const MOST_LETTERS: u64 = 253;

/// The structural form of a schema that `schemars` made, with the rules of its definitions.
///
/// What JSON leaves open and YAML blurs stays open: a number that is written like a text (`after: 2`), a version that is one
/// (`version: 7`), and `level: off`, which kubectl reads as `false`.
pub fn structural(schema: &Value, add_rules: AddRules) -> Value {
    let none = Map::new();
    let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&none);
    let mut made = of(schema, &Defs { definitions, add_rules });
    if let Some(fields) = made.as_object_mut() {
        fields.remove("title");
    }
    made
}

/// Adds the rules of a definition, by its name, to its structural schema.
type AddRules = fn(&str, &mut Value);

struct Defs<'a> {
    definitions: &'a Map<String, Value>,
    add_rules: AddRules,
}

fn of(schema: &Value, defs: &Defs<'_>) -> Value {
    let Some(written) = schema.as_object() else {
        return json!({"x-kubernetes-preserve-unknown-fields": true});
    };
    if let Some(name) = written.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
        let mut made = defs.definitions.get(name).map_or(Value::Null, |found| of(found, defs));
        (defs.add_rules)(name, &mut made);
        return described(made, written);
    }
    if let Some(choices) = written.get("anyOf").and_then(Value::as_array) {
        let not_null = choices.iter().find(|choice| choice.get("type") != Some(&json!("null")));
        return described(not_null.map_or(Value::Null, |choice| of(choice, defs)), written);
    }
    if let Some(choices) = written.get("oneOf").and_then(Value::as_array) {
        return described(one_of(choices, defs), written);
    }
    let mut made = Map::new();
    for (key, value) in written {
        let kept = match key.as_str() {
            "type" => Some(not_null(value)),
            "properties" => Some(properties(value, defs)),
            "items" => Some(of(value, defs)),
            "additionalProperties" if value.is_object() => Some(of(value, defs)),
            "format" => value.as_str().filter(|format| *format == "double").map(|_| value.clone()),
            "const" => {
                made.insert("enum".to_owned(), json!([value]));
                None
            }
            "$defs" | "$schema" | "additionalProperties" => None,
            _ => Some(value.clone()),
        };
        if let Some(kept) = kept {
            made.insert(key.clone(), kept);
        }
    }
    match made.get("type").and_then(Value::as_str) {
        Some("array") => {
            let objects = made.get("items").is_some_and(|item| item.get("properties").is_some());
            made.entry("maxItems").or_insert(if objects { MOST_OBJECTS } else { MOST_TEXTS }.into());
        }
        Some("object") if made.contains_key("additionalProperties") => {
            made.insert("maxProperties".to_owned(), MOST_OBJECTS.into());
        }
        Some("integer") => {
            made.insert("format".to_owned(), "int64".into());
        }
        // Without its quotes it is a number to whoever reads YAML.
        Some("string") if is_number_too(&made) => {
            made.remove("type");
            made.insert("x-kubernetes-int-or-string".to_owned(), true.into());
        }
        _ => {}
    }
    Value::Object(made)
}

fn is_number_too(text: &Map<String, Value>) -> bool {
    text.get("pattern").and_then(Value::as_str).is_some_and(|pattern| pattern.ends_with("|[1-9][0-9]*)$"))
}

fn properties(written: &Value, defs: &Defs<'_>) -> Value {
    let fields = written.as_object().into_iter().flatten().map(|(name, schema)| {
        let mut made = of(schema, defs);
        if matches!(name.as_str(), "name" | "version")
            && let Some(fields) = made.as_object_mut()
            && fields.get("type") == Some(&json!("string"))
        {
            fields.insert("maxLength".to_owned(), MOST_LETTERS.into());
            if name == "version" {
                fields.remove("type");
                fields.insert("x-kubernetes-int-or-string".to_owned(), true.into());
            }
        }
        (name.clone(), made)
    });
    Value::Object(fields.collect())
}

/// Words of which one is written, or objects of which one is.
fn one_of(choices: &[Value], defs: &Defs<'_>) -> Value {
    let words: Vec<&Value> = choices.iter().filter_map(|choice| choice.get("const")).collect();
    if words.len() == choices.len() {
        return json!({"type": "string", "enum": words, "description": meanings(choices)});
    }
    let mut fields = Map::new();
    for choice in choices {
        for (name, schema) in choice.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let mut made = of(schema, defs);
            if let (Some(made), Some(meaning)) = (made.as_object_mut(), choice.get("description")) {
                made.entry("description").or_insert(meaning.clone());
            }
            fields.insert(name.clone(), made);
        }
    }
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    let rule = rules::exactly_one(&names, "");
    json!({"type": "object", "properties": fields, "x-kubernetes-validations": [rule]})
}

/// What each of some words means, for `kubectl explain`.
fn meanings(choices: &[Value]) -> String {
    let text =
        |choice: &Value, key: &str| choice.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let each =
        choices.iter().map(|choice| format!("{}: {}", text(choice, "const"), text(choice, "description")));
    each.collect::<Vec<_>>().join(" ")
}

/// A field's own description before its type's; what a word of several means stays behind it.
fn described(mut made: Value, written: &Map<String, Value>) -> Value {
    let Some(fields) = made.as_object_mut() else { return made };
    if let Some(Value::String(text)) = written.get("description") {
        let meanings = fields
            .get("enum")
            .and(fields.get("description"))
            .and_then(Value::as_str)
            .map(|meanings| format!("{text}\n{meanings}"));
        fields.insert("description".to_owned(), meanings.unwrap_or_else(|| text.clone()).into());
    }
    made
}

fn not_null(kind: &Value) -> Value {
    let kinds = kind.as_array().and_then(|kinds| kinds.iter().find(|kind| **kind != json!("null")));
    kinds.unwrap_or(kind).clone()
}
