//! A place in a document: what stands there, if anything, and how it is called in a report.

use crate::tree::{Node, Value};

/// A document that was given.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// Its number, in the order in which they were given.
    pub(crate) number: usize,
    /// The file it stands in.
    pub(crate) file: String,
    /// Lines of the file before it.
    pub(crate) before: u64,
    /// The path to it within its text, such as `items[0]`; mostly empty.
    pub(crate) within: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) root: Node,
}

impl Document {
    pub(crate) fn place(&self) -> Place<'_> {
        Place { document: self, node: Some(&self.root), path: self.within.clone(), line: self.root.line }
    }

    /// How it is called in a report.
    pub(crate) fn subject(&self) -> String {
        format!("{} {}", self.kind, self.name).trim().to_owned()
    }
}

/// A place in a document, whether or not anything stands there.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) document: &'a Document,
    node: Option<&'a Node>,
    pub(crate) path: String,
    /// Of the document; of what is not there, that of what it would stand in.
    line: u64,
}

impl<'a> Place<'a> {
    /// A field in it.
    pub(crate) fn at(&self, field: &str) -> Self {
        let node = self.node.and_then(|node| node.field(field));
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            document: self.document,
            node,
            path: format!("{}{dot}{field}", self.path),
            line: node.map_or(self.line, |node| node.line),
        }
    }

    /// A field of fields in it, such as `spec.strategy.canary`.
    pub(crate) fn down(&self, fields: &str) -> Self {
        fields.split('.').fold(self.clone(), |place, field| place.at(field))
    }

    /// Does something stand here? Nothing (`null`) is not there either.
    pub(crate) fn is_there(&self) -> bool {
        self.node.is_some_and(|node| node.value != Value::Null)
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node.map(|node| &node.value), Some(Value::List(_)))
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.node.map(|node| &node.value), Some(Value::Map(_)))
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> Vec<Self> {
        let Some(Value::List(items)) = self.node.map(|node| &node.value) else { return Vec::new() };
        let item = |(index, node): (usize, &'a Node)| Self {
            document: self.document,
            node: Some(node),
            path: format!("{}[{index}]", self.path),
            line: node.line,
        };
        items.iter().enumerate().map(item).collect()
    }

    /// The fields of a mapping, with their names.
    pub(crate) fn fields(&self) -> Vec<(String, Self)> {
        let Some(Value::Map(fields)) = self.node.map(|node| &node.value) else { return Vec::new() };
        fields.iter().map(|(name, _)| (name.clone(), self.at(name))).collect()
    }

    /// A text; numbers and flags as they are written.
    pub(crate) fn text(&self) -> Option<String> {
        match self.node.map(|node| &node.value)? {
            Value::Text(text) | Value::Number(text) => Some(text.clone()),
            Value::Flag(flag) => Some(flag.to_string()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// A number, also one that is written as a text.
    pub(crate) fn number(&self) -> Option<f64> {
        self.text()?.trim().parse().ok().filter(|number: &f64| number.is_finite())
    }

    pub(crate) fn flag(&self) -> Option<bool> {
        match self.text()?.as_str() {
            "true" | "True" | "TRUE" | "yes" | "on" => Some(true),
            "false" | "False" | "FALSE" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    /// The line of the file.
    pub(crate) fn line(&self) -> u64 {
        self.document.before + self.line
    }
}
