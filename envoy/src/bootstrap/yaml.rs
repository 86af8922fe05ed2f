use std::fmt::Write as _;

use serde_json::Value;

/// Block YAML in which every string that could be taken for something else is quoted.
///
/// A bootstrap holds maps, lists, strings, whole numbers and booleans; JSON strings are YAML strings, so quoting is
/// JSON's.
pub(super) fn render(value: &Value) -> String {
    let mut out = String::new();
    block(&mut out, value, 0);
    out
}

fn block(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (index, (key, value)) in ordered(fields).into_iter().enumerate() {
                if index > 0 {
                    indent(out, depth);
                }
                out.push_str(&scalar_text(key));
                out.push(':');
                below(out, value, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    indent(out, depth);
                }
                out.push_str("- ");
                block(out, item, depth + 1);
            }
        }
        leaf => {
            let _ = writeln!(out, "{}", leaf_text(leaf));
        }
    }
}

/// A value after its key: on the same line, or as a block of its own.
fn below(out: &mut String, value: &Value, depth: usize) {
    let is_block = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty() && !items.iter().all(Value::is_number),
        _ => false,
    };
    if is_block {
        out.push('\n');
        indent(out, depth + 1);
        block(out, value, depth + 1);
    } else {
        let _ = writeln!(out, " {}", leaf_text(value));
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// What says which thing this is comes first, the rest in order of the alphabet.
fn ordered(fields: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_by_key(|(key, _)| (!matches!(key.as_str(), "name" | "tag_name" | "@type" | "node"), *key));
    fields
}

fn leaf_text(value: &Value) -> String {
    match value {
        Value::String(text) => scalar_text(text),
        other => other.to_string(),
    }
}

/// Plain where nobody could misread it, else quoted.
fn scalar_text(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))
        && !["true", "false", "yes", "no", "on", "off", "null", "y", "n", "inf", "nan"]
            .contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}
