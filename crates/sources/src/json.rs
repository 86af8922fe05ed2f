//! JSON as programs write it: Python's `json` writes NaN and the infinities bare.

use serde::de::DeserializeOwned;

/// Reads JSON. A bare `NaN`, `Infinity` or `-Infinity` is read as a text of that name, wherever it stands.
///
/// # Errors
/// When it is no JSON for any other reason.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes).or_else(|error| serde_json::from_slice(&strict(bytes)).map_err(|_| error))
}

fn strict(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let (mut rest, mut quoted) = (bytes, false);
    while let Some((&next, after)) = rest.split_first() {
        let bare = [&b"NaN"[..], b"-Infinity", b"Infinity"]
            .into_iter()
            .find(|word| !quoted && rest.starts_with(word));
        if let Some(word) = bare {
            out.push(b'"');
            out.extend_from_slice(word);
            out.push(b'"');
            rest = rest.strip_prefix(word).unwrap_or(&[]);
            continue;
        }
        out.push(next);
        rest = after;
        // A byte after a backslash ends no string.
        if quoted && next == b'\\' {
            out.extend(rest.first());
            rest = rest.get(1..).unwrap_or(&[]);
        }
        quoted ^= next == b'"';
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_python_writes_is_read() {
        for (text, expected) in [
            (
                r#"{"a": NaN, "b": [1, -Infinity, Infinity]}"#,
                json!({"a": "NaN", "b": [1, "-Infinity", "Infinity"]}),
            ),
            (r#"{"a": "NaN \" NaN \\", "b": NaN}"#, json!({"a": "NaN \" NaN \\", "b": "NaN"})),
            (r#"{"NaN": 1}"#, json!({"NaN": 1})),
        ] {
            assert_eq!(read::<Value>(text.as_bytes()).expect(text), expected);
        }
        for wrong in ["", "NaNs", "{\"a\": nan}", "{\"a\": \"NaN}", "{NaN"] {
            assert!(read::<Value>(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
