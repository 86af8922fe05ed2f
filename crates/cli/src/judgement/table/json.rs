//! Rows from one JSON object per line.

use std::borrow::Cow;

use anyhow::{Result, anyhow};
use serde_json::Value;

use super::{Row, Table};

pub fn table(file: &str, text: &str) -> Result<Table> {
    let mut names: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = at as u64 + 1;
        let object: serde_json::Map<String, Value> = serde_json::from_str(line)
            .or_else(|error| serde_json::from_str(&strict(line)).map_err(|_| error))
            .map_err(|error| anyhow!("{file}:{number}: {error}; write one whole JSON object per line"))?;
        let mut cells: Vec<Box<str>> = vec!["".into(); names.len()];
        for (name, value) in object {
            let cell = match value {
                Value::Null => "".into(),
                Value::String(text) => text.trim().into(),
                other => other.to_string().into(),
            };
            match names.iter().position(|known| *known == name) {
                Some(place) => {
                    if let Some(slot) = cells.get_mut(place) {
                        *slot = cell;
                    }
                }
                None => {
                    names.push(name);
                    cells.push(cell);
                }
            }
        }
        rows.push(Row { line: number, cells });
    }
    Ok(Table::new(file, names, rows, None))
}

/// The line in JSON's own words where a program wrote `NaN`, `Infinity` or `-Infinity` bare, as Python does.
fn strict(line: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let (mut rest, mut quoted) = (line, false);
    while let Some(next) = rest.chars().next() {
        if !quoted {
            let bare = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| rest.starts_with(word));
            if let Some(word) = bare {
                out += &format!("\"{word}\"");
                rest = rest.strip_prefix(word).unwrap_or("");
                continue;
            }
        }
        // A character after a backslash ends no string.
        let length = if quoted && next == '\\' {
            1 + rest.chars().nth(1).map_or(0, char::len_utf8)
        } else {
            next.len_utf8()
        };
        quoted ^= next == '"';
        let (taken, left) = rest.split_at(length);
        out += taken;
        rest = left;
    }
    Cow::Owned(out)
}
