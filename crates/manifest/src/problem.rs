use std::fmt;

use serde::Serialize;

use crate::documents::Document;

/// Something a user should change, or at least know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Must it be changed?
    pub severity: Severity,
    /// The line in the text, from 1, where it is known.
    pub line: Option<u64>,
    /// The field, as a path: `spec.stages[1].weight`; empty for the text as a whole.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// Must it be changed?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It works, and probably not as wished.
    Warning,
    /// It cannot be run.
    Error,
}

impl Problem {
    pub(crate) fn error(
        field: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            line: None,
            field: field.into(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn warning(
        field: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(field, what, remedy) }
    }
}

impl Problem {
    /// As that of one document of a larger text, by the lines of that.
    #[must_use]
    pub fn within(self, document: &Document) -> Self {
        Self { line: self.line.map(|line| line + document.line - 1), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        })?;
        if let Some(line) = self.line {
            write!(f, " (line {line})")?;
        }
        f.write_str(": ")?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// Why a rollout cannot be run: every reason that was found, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// As those of one document of a larger text, by the lines of that.
    #[must_use]
    pub fn within(self, document: &Document) -> Self {
        Self(self.0.into_iter().map(|problem| problem.within(document)).collect())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
