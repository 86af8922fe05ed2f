//! From text to a rollout as typed.

use crate::lines::Lines;
use crate::problem::{Problem, Problems};
use crate::typed::Rollout;
use crate::{Plan, compile, lint, shape};

/// A rollout that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// As typed.
    pub typed: Rollout,
    /// As meant.
    pub plan: Plan,
    /// What is allowed and probably not wished.
    pub warnings: Vec<Problem>,
}

/// Reads a rollout from YAML (or JSON, which is YAML), checks it, and warns.
///
/// # Errors
/// Every problem that keeps it from being run, each with its line, its field and its remedy.
pub fn load(text: &str) -> Result<Loaded, Problems> {
    let lines = Lines::of(text);
    let typed = parse(text, &lines)?;
    let located = |mut problems: Vec<Problem>| {
        for problem in &mut problems {
            problem.line = lines.line(&problem.field);
        }
        problems.sort_by_key(|problem| problem.line);
        problems
    };
    let plan = compile(&typed).map_err(|problems| Problems(located(problems.0)))?;
    let warnings = located(lint::warnings(&typed, &plan));
    Ok(Loaded { typed, plan, warnings })
}

/// Reads the form alone.
pub(crate) fn parse(text: &str, lines: &Lines) -> Result<Rollout, Problems> {
    if text.trim().is_empty() {
        let remedy = "write a rollout: apiVersion, kind, metadata and spec";
        return Err(Problems(vec![Problem::error("", "the text is empty", remedy)]));
    }
    serde_saphyr::from_str(text).map_err(|error| {
        // The reader stops at the first thing it cannot take; the schema knows of all the others too.
        let mut problems = lines.root().map(shape::problems).unwrap_or_default();
        for problem in &mut problems {
            problem.line = lines.line(&problem.field);
        }
        problems.sort_by_key(|problem| problem.line);
        if !problems.is_empty() {
            return Problems(problems);
        }
        let line = error.location().map(|location| location.line());
        let field = line.and_then(|line| lines.field(line)).unwrap_or_default().to_owned();
        let what = error.without_snippet().to_string();
        let remedy = "compare with `serin explain --schema`";
        Problems(vec![Problem { line, ..Problem::error(field, what, remedy) }])
    })
}
