//! What became of every field, and what is to be said of the gates.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::place::{Document, Place};

/// What became of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// It means something in Serin that Serin has no place for, or it means nothing at all.
    Lost,
    /// It is there, and not quite the same.
    Approximated,
    /// It is there.
    Carried,
    /// It says nothing of how traffic goes over.
    Ignored,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Lost => "lost",
            Self::Approximated => "approximated",
            Self::Carried => "carried",
            Self::Ignored => "ignored",
        })
    }
}

/// What became of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// What became of it.
    pub fate: Fate,
    /// The file it stands in.
    pub file: String,
    /// Its line, from 1.
    pub line: u64,
    /// What it belongs to, such as `Canary podinfo`.
    pub subject: String,
    /// Its path, such as `spec.analysis.threshold`.
    pub field: String,
    /// What it became, how it differs, or why it is lost.
    pub what: String,
    /// What a person does about it; empty: nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Weight {
    /// It does not do what it says.
    Error,
    /// It may not do what is meant.
    Warning,
}

/// What is wrong with a gate or a step where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad it is.
    pub severity: Weight,
    /// The rule, such as `never-fails`.
    pub rule: &'static str,
    /// The file it stands in.
    pub file: String,
    /// Its line, from 1.
    pub line: u64,
    /// What it belongs to.
    pub subject: String,
    /// Its path.
    pub field: String,
    /// What is wrong.
    pub what: String,
    /// What mends it where it is.
    pub remedy: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<13}{}:{}: {}", self.fate, self.file, self.line, name(&self.subject, &self.field))?;
        write!(f, ": {}", self.what)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Weight::Error => "error",
            Weight::Warning => "warning",
        };
        let Self { rule, file, line, what, remedy, .. } = self;
        write!(f, "{severity} [{rule}] {file}:{line}: {}: {what}; {remedy}", name(&self.subject, &self.field))
    }
}

fn name(subject: &str, field: &str) -> String {
    match (subject.is_empty(), field.is_empty()) {
        (true, _) => field.to_owned(),
        (false, true) => subject.to_owned(),
        (false, false) => format!("{subject}: {field}"),
    }
}

/// Collects what is said.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) notes: Vec<Note>,
    pub(crate) findings: Vec<Finding>,
    /// What was noted, so that it is noted once.
    noted: BTreeSet<(usize, String, Fate, String)>,
    /// Fields that something was said of, by their document's number; each stands for all below it.
    said: BTreeSet<(usize, String)>,
}

impl Ledger {
    fn note(&mut self, fate: Fate, at: &Place<'_>, what: String, remedy: &str) {
        self.said.insert((at.document.number, at.path.clone()));
        let note = Note {
            fate,
            file: at.document.file.clone(),
            line: at.line(),
            subject: at.document.subject(),
            field: at.path.clone(),
            what,
            remedy: remedy.to_owned(),
        };
        // A template that two steps name is read twice.
        if self.noted.insert((at.document.number, note.field.clone(), fate, note.what.clone())) {
            self.notes.push(note);
        }
    }

    /// It is there. Nothing is said of what does not stand there.
    pub(crate) fn carried(&mut self, at: &Place<'_>, what: impl Into<String>) {
        if at.is_there() {
            self.note(Fate::Carried, at, what.into(), "");
        }
    }

    /// It is there, and not quite the same; also what is not written and has a default.
    pub(crate) fn approximated(&mut self, at: &Place<'_>, what: impl Into<String>, remedy: &str) {
        self.note(Fate::Approximated, at, what.into(), remedy);
    }

    pub(crate) fn lost(&mut self, at: &Place<'_>, what: impl Into<String>, remedy: &str) {
        self.note(Fate::Lost, at, what.into(), remedy);
    }

    /// It says nothing of how traffic goes over. Nothing is said of what does not stand there.
    pub(crate) fn ignored(&mut self, at: &Place<'_>, what: &str) {
        if at.is_there() {
            self.note(Fate::Ignored, at, what.to_owned(), "");
        }
    }

    /// Was something said of this very place?
    pub(crate) fn is_said(&self, at: &Place<'_>) -> bool {
        self.said.contains(&(at.document.number, at.path.clone()))
    }

    pub(crate) fn ignored_all(&mut self, at: &Place<'_>, fields: &[&str], what: &str) {
        for field in fields {
            self.ignored(&at.at(field), what);
        }
    }

    fn find(&mut self, severity: Weight, rule: &'static str, at: &Place<'_>, what: String, remedy: &str) {
        let finding = Finding {
            severity,
            rule,
            file: at.document.file.clone(),
            line: at.line(),
            subject: at.document.subject(),
            field: at.path.clone(),
            what,
            remedy: remedy.to_owned(),
        };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    pub(crate) fn error(
        &mut self,
        rule: &'static str,
        at: &Place<'_>,
        what: impl Into<String>,
        remedy: &str,
    ) {
        self.find(Weight::Error, rule, at, what.into(), remedy);
    }

    pub(crate) fn warning(
        &mut self,
        rule: &'static str,
        at: &Place<'_>,
        what: impl Into<String>,
        remedy: &str,
    ) {
        self.find(Weight::Warning, rule, at, what.into(), remedy);
    }

    /// Everything of a document that nothing was said of: a field that its kind does not have.
    pub(crate) fn sweep(&mut self, document: &Document, tool: &str) {
        self.sweep_at(&document.place(), tool);
    }

    fn sweep_at(&mut self, at: &Place<'_>, tool: &str) {
        if self.said.contains(&(at.document.number, at.path.clone())) {
            return;
        }
        let below: Vec<Place<'_>> =
            if at.is_list() { at.items() } else { at.fields().into_iter().map(|(_, field)| field).collect() };
        // What nothing at all was said of below is one thing.
        let known = below.iter().any(|below| self.says_below(below));
        if !below.is_empty() && (known || at.path == at.document.within) {
            below.iter().for_each(|below| self.sweep_at(below, tool));
        } else if at.is_there() && at.path != at.document.within && (at.text().is_some() || !below.is_empty())
        {
            let what = format!("{tool} has no such field here, or not in this form");
            self.lost(
                at,
                what.clone(),
                "check its spelling and its place; leave it out if nothing was meant",
            );
            self.warning("unknown-field", at, what, "check its spelling and its place");
        }
    }

    /// Was something said of this place, or of one below it?
    pub(crate) fn says_below(&self, at: &Place<'_>) -> bool {
        let number = at.document.number;
        let from = (number, at.path.clone());
        let below = |path: &str| {
            path.strip_prefix(&at.path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        // Paths sort by their beginning, with others such as `name-x` between `name` and `name.x`.
        self.said
            .range(from..)
            .take_while(|(known, path)| *known == number && path.starts_with(&at.path))
            .any(|(_, path)| below(path))
    }
}
