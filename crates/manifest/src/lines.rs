//! The text as a tree: on which line does a field stand, and what does it hold?

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, de};
use serde_saphyr::Spanned;

/// The tree of a text, and the line of every field by path (`spec.stages[1].weight`).
#[derive(Debug, Default)]
pub(crate) struct Lines {
    root: Option<Node>,
    lines: BTreeMap<String, u64>,
}

/// A part of a text.
#[derive(Debug)]
pub(crate) enum Node {
    Null,
    Flag,
    /// A number, as text.
    Number(String),
    Text(String),
    Sequence(Vec<Spanned<Node>>),
    Mapping(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl Node {
    /// A field of a mapping.
    fn field(&self, field: &str) -> Option<&Self> {
        let Self::Mapping(entries) = self else { return None };
        entries.iter().find(|(name, _)| name.value == field).map(|(_, value)| &value.value)
    }
}

impl Lines {
    /// Finds them; nothing when the text is not even YAML.
    pub(crate) fn of(text: &str) -> Self {
        let mut lines = BTreeMap::new();
        let root = serde_saphyr::from_str_with_options::<Spanned<Node>>(text, crate::read::bounds()).ok();
        if let Some(root) = &root {
            collect(root, &mut String::new(), &mut lines);
        }
        Self { root: root.map(|root| root.value), lines }
    }

    /// The tree; `None` when the text is not even YAML.
    pub(crate) const fn root(&self) -> Option<&Node> {
        self.root.as_ref()
    }

    /// The text that a field of the outermost mapping holds.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        let Some(Node::Mapping(entries)) = &self.root else { return None };
        let (_, value) = entries.iter().find(|(name, _)| name.value == field)?;
        match &value.value {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Does this field of a mapping in the outermost one hold a list without items?
    pub(crate) fn is_empty_list(&self, inside: &str, field: &str) -> bool {
        let list = self.root.as_ref().and_then(|root| root.field(inside)).and_then(|node| node.field(field));
        matches!(list, Some(Node::Sequence(items)) if items.is_empty())
    }

    /// The line of a field, or of the nearest field around it when it is not there itself.
    pub(crate) fn line(&self, field: &str) -> Option<u64> {
        let mut path = field;
        loop {
            if let Some(&line) = self.lines.get(path) {
                return Some(line);
            }
            path = path.get(..path.rfind(['.', '['])?)?;
        }
    }

    /// The path of the innermost field that stands on a line.
    pub(crate) fn field(&self, line: u64) -> Option<&str> {
        self.lines
            .iter()
            .filter(|&(_, &at)| at == line)
            .max_by_key(|(path, _)| path.len())
            .map(|(path, _)| path.as_str())
    }
}

fn collect(node: &Spanned<Node>, path: &mut String, lines: &mut BTreeMap<String, u64>) {
    lines.insert(path.clone(), node.referenced.line());
    let before = path.len();
    match &node.value {
        Node::Null | Node::Flag | Node::Number(_) | Node::Text(_) => {}
        Node::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                collect(item, path, lines);
                path.truncate(before);
            }
        }
        Node::Mapping(entries) => {
            for (key, value) in entries {
                if before > 0 {
                    path.push('.');
                }
                path.push_str(&key.value);
                collect(value, path, lines);
                // A field stands where its name does, not where its value begins.
                lines.insert(path.clone(), key.referenced.line());
                path.truncate(before);
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
                Ok(Node::Flag)
            }
            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Number(value.to_string()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Number(value.to_string()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Number(value.to_string()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Text(text.to_owned()))
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = access.next_element()? {
                    items.push(item);
                }
                Ok(Node::Sequence(items))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                Ok(Node::Mapping(entries))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
