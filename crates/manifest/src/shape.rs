//! What is wrong with the form of a text: everything at once, by the schema.

use serde_json::{Map, Value};

use crate::amount::{Margin, Percent, Quantity, Span};
use crate::fleet::{After, HowMany};
use crate::lines::Node;
use crate::problem::Problem;
use crate::watch::Lasts;

/// Every place where the text is not of the schema's form.
pub(crate) fn problems(root: &Node, schema: &Value) -> Vec<Problem> {
    let mut shape = Shape { defs: schema.get("$defs").and_then(Value::as_object), problems: Vec::new() };
    shape.walk(root, schema, "");
    shape.problems
}

struct Shape<'a> {
    defs: Option<&'a Map<String, Value>>,
    problems: Vec<Problem>,
}

impl<'a> Shape<'a> {
    fn refuse(&mut self, path: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem::error(path, what, remedy));
    }

    fn walk(&mut self, node: &Node, schema: &'a Value, path: &str) {
        if let Some(name) =
            schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next())
        {
            if let Some(wrong) = amount(name, node) {
                return self.refuse(path, wrong, "write it in one of these ways");
            }
            return match self.defs.and_then(|defs| defs.get(name)) {
                Some(schema) if !AMOUNTS.contains(&name) => self.walk(node, schema, path),
                _ => {}
            };
        }
        if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
            // Only optional fields have it: the type, or null.
            let real = any.iter().find(|one| one.get("type").and_then(Value::as_str) != Some("null"));
            return match (node, real) {
                (Node::Null, _) | (_, None) => {}
                (node, Some(real)) => self.walk(node, real, path),
            };
        }
        if let Some(one_of) = schema.get("oneOf").and_then(Value::as_array) {
            return self.choice(node, one_of, path);
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            return self.word(node, &words.iter().filter_map(Value::as_str).collect::<Vec<_>>(), path);
        }
        let types: Vec<&str> = match schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => return,
        };
        let fits = types.iter().any(|wanted| match node {
            Node::Null => *wanted == "null",
            Node::Flag => *wanted == "boolean",
            Node::Number(number) => {
                *wanted == "number"
                    || (*wanted == "integer" && number.bytes().all(|byte| byte.is_ascii_digit()))
            }
            Node::Text(_) => *wanted == "string",
            Node::Sequence(_) => *wanted == "array",
            Node::Mapping(_) => *wanted == "object",
        });
        if !fits {
            let wanted = types.first().copied().unwrap_or_default();
            return self.refuse(
                path,
                format!("{} stands here", kind(node)),
                format!("write {}", article(wanted)),
            );
        }
        match node {
            Node::Mapping(entries) => self.mapping(entries, schema, path),
            Node::Sequence(items) => {
                if let Some(schema) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.walk(&item.value, schema, &format!("{path}[{index}]"));
                    }
                }
            }
            _ => {}
        }
    }

    fn mapping(
        &mut self,
        entries: &[(serde_saphyr::Spanned<String>, serde_saphyr::Spanned<Node>)],
        schema: &'a Value,
        path: &str,
    ) {
        let known = schema.get("properties").and_then(Value::as_object);
        let place = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        for (name, value) in entries {
            let name = name.value.as_str();
            if let Some(schema) = known.and_then(|known| known.get(name)) {
                self.walk(&value.value, schema, &place(name));
            } else if let Some(schema) =
                schema.get("additionalProperties").filter(|schema| schema.is_object())
            {
                self.walk(&value.value, schema, &place(name));
            } else {
                let names: Vec<&str> =
                    known.iter().flat_map(|known| known.keys()).map(String::as_str).collect();
                let remedy = match nearest(name, &names) {
                    Some(near) => format!("write `{near}`, if that is meant"),
                    None => format!("use one of {}", names.join(", ")),
                };
                self.refuse(&place(name), "there is no such field", remedy);
            }
        }
        for wanted in
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            if !entries.iter().any(|(name, _)| name.value == wanted) {
                self.refuse(path, format!("`{wanted}` is missing"), format!("add `{wanted}`"));
            }
        }
    }

    /// An enum: words with a description each, or mappings with one field each.
    fn choice(&mut self, node: &Node, one_of: &'a [Value], path: &str) {
        let words: Vec<&str> = one_of
            .iter()
            .flat_map(|one| {
                let several = one.get("enum").and_then(Value::as_array).into_iter().flatten();
                one.get("const").into_iter().chain(several)
            })
            .filter_map(Value::as_str)
            .collect();
        if !words.is_empty() {
            return self.word(node, &words, path);
        }
        let names = || one_of.iter().filter_map(|one| one.get("properties")?.as_object()?.keys().next());
        let known: Vec<&str> = names().map(String::as_str).collect();
        let Node::Mapping(entries) = node else {
            let remedy = format!("write one of {}", known.join(", "));
            return self.refuse(path, format!("{} stands here", kind(node)), remedy);
        };
        let named = entries.first().filter(|_| entries.len() == 1).map(|(name, _)| name.value.as_str());
        let chosen = named
            .and_then(|name| one_of.iter().find(|one| one.pointer(&format!("/properties/{name}")).is_some()));
        match chosen {
            Some(schema) => self.mapping(entries, schema, path),
            None => self.refuse(
                path,
                "it is not exactly one of these fields",
                format!("write one of {}", known.join(", ")),
            ),
        }
    }

    fn word(&mut self, node: &Node, words: &[&str], path: &str) {
        let remedy = format!("use one of {}", words.join(", "));
        match node {
            Node::Text(text) if words.contains(&text.as_str()) => {}
            Node::Text(text) => self.refuse(path, format!("{text:?} is not known here"), remedy),
            node => self.refuse(path, format!("{} stands here", kind(node)), remedy),
        }
    }
}

const AMOUNTS: [&str; 7] = ["Percent", "Span", "Margin", "Quantity", "HowMany", "After", "Lasts"];

/// What keeps a value from being an amount.
fn amount(name: &str, node: &Node) -> Option<String> {
    let text = match node {
        Node::Text(text) | Node::Number(text) => text.trim(),
        _ if AMOUNTS.contains(&name) => {
            return Some(format!("{} stands where an amount belongs", kind(node)));
        }
        _ => return None,
    };
    match name {
        "Percent" => text.parse::<Percent>().err(),
        "Span" => text.parse::<Span>().err(),
        "Lasts" => text.parse::<Lasts>().err(),
        "Margin" => text.parse::<Margin>().err(),
        "Quantity" => text.parse::<Quantity>().err(),
        "HowMany" => text.parse::<HowMany>().err(),
        "After" => text.parse::<After>().err(),
        _ => None,
    }
    .map(|error| error.to_string())
}

fn kind(node: &Node) -> String {
    match node {
        Node::Null => "nothing".to_owned(),
        Node::Flag => "true or false".to_owned(),
        Node::Number(number) => format!("the number {number}"),
        Node::Text(text) => format!("the text {text:?}"),
        Node::Sequence(_) => "a list".to_owned(),
        Node::Mapping(_) => "a mapping".to_owned(),
    }
}

fn article(wanted: &str) -> String {
    match wanted {
        "object" => "a mapping, that is fields with values".to_owned(),
        "array" => "a list".to_owned(),
        "boolean" => "true or false".to_owned(),
        "integer" => "a whole number".to_owned(),
        "string" => "a text; put it in quotes if it looks like a number".to_owned(),
        other => format!("a {other}"),
    }
}

/// The known name a misspelt one is nearest to, if it is near at all.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |name: &str| {
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    let name = plain(name);
    let (near, distance) = known
        .iter()
        .map(|known| (*known, distance(&name, &plain(known))))
        .min_by_key(|(_, distance)| *distance)?;
    (distance <= 1 + name.len() / 4).then_some(near)
}

/// Levenshtein's distance: the fewest letters to put in, take out or change.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.bytes().enumerate() {
        let mut last = i + 1;
        let mut next = vec![last];
        for (other, pair) in b.bytes().zip(row.windows(2)) {
            if let [above_left, above] = pair {
                last = (above_left + usize::from(letter != other)).min(above + 1).min(last + 1);
                next.push(last);
            }
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
