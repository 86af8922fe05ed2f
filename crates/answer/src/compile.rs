//! Rules that are fit to be followed.

use std::sync::Arc;

use crate::pointer::Segment;
use crate::rules::{
    FailedWhen, Format, MOST_CLASS_BYTES, MOST_CLASSES, MOST_FAILED_WHEN, MOST_MAX_BYTES, Rules, RulesError,
    Scalar,
};
use crate::{Classes, Pointer};

/// How many pointers are followed at once: the score's, the class's, and those of failures.
pub(crate) const MOST_POINTERS: usize = 2 + MOST_FAILED_WHEN;

/// [`Rules`], checked, and shared by the readers of all responses; a copy costs a count.
#[derive(Clone, Debug)]
pub struct Compiled(pub(crate) Arc<Plan>);

#[derive(Debug)]
pub(crate) struct Plan {
    pub format: Format,
    pub wanted: Vec<Wanted>,
    pub expects_json: bool,
    pub max_bytes: u64,
}

/// A value that a pointer leads to.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub path: Vec<Segment>,
    pub role: Role,
}

#[derive(Debug)]
pub(crate) enum Role {
    Score,
    Class(Vec<String>),
    /// The place of its bit among failures, and what the value must be.
    Failed(Option<Scalar>),
}

impl Compiled {
    /// Checks rules and makes them fit to be followed.
    ///
    /// # Errors
    /// The field that is out of its bounds.
    pub fn compile(rules: &Rules) -> Result<Self, RulesError> {
        let mut wanted = Vec::new();
        let path = |pointer: &Pointer| pointer.segments().to_vec();
        if let Some(score) = &rules.score {
            wanted.push(Wanted { path: path(score), role: Role::Score });
        }
        if let Some(classes) = &rules.class {
            check_classes(classes)?;
            wanted.push(Wanted { path: path(&classes.at), role: Role::Class(classes.names.clone()) });
        }
        if rules.failed_when.len() > MOST_FAILED_WHEN {
            return refuse("failed_when", format!("at most {MOST_FAILED_WHEN} fields"));
        }
        for (at, FailedWhen { at: pointer, equals }) in rules.failed_when.iter().enumerate() {
            match equals {
                Some(Scalar::Text(text)) if text.len() > MOST_CLASS_BYTES => {
                    return refuse(
                        &format!("failed_when[{at}].equals"),
                        format!("at most {MOST_CLASS_BYTES} bytes"),
                    );
                }
                Some(Scalar::Number(number)) if !number.is_finite() => {
                    return refuse(&format!("failed_when[{at}].equals"), "a finite number".to_owned());
                }
                _ => {}
            }
            wanted.push(Wanted { path: path(pointer), role: Role::Failed(equals.clone()) });
        }
        if rules.max_bytes == 0 || rules.max_bytes > MOST_MAX_BYTES {
            return refuse("max_bytes", format!("between 1 and {MOST_MAX_BYTES}"));
        }
        if rules.format == Format::None && (!wanted.is_empty() || rules.expects_json) {
            let reason = "bodies are not looked at with `none`; say `json`, or the model server's own format";
            return refuse("format", reason.to_owned());
        }
        let (format, expects_json) = (rules.format, rules.expects_json);
        Ok(Self(Arc::new(Plan { format, wanted, expects_json, max_bytes: u64::from(rules.max_bytes) })))
    }

    /// Is there anything to be read? If not, no reader is needed and no body need be handed over.
    #[must_use]
    pub fn reads_bodies(&self) -> bool {
        self.0.format != Format::None
    }
}

fn check_classes(classes: &Classes) -> Result<(), RulesError> {
    let names = &classes.names;
    if names.is_empty() || names.len() > MOST_CLASSES {
        return refuse(
            "class.names",
            format!("between 1 and {MOST_CLASSES} names; what has none is `other`"),
        );
    }
    for (at, name) in names.iter().enumerate() {
        let field = format!("class.names[{at}]");
        if name.is_empty() || name.len() > MOST_CLASS_BYTES {
            return refuse(&field, format!("between 1 and {MOST_CLASS_BYTES} bytes"));
        }
        if names.iter().take(at).any(|earlier| earlier == name) {
            return refuse(&field, "each name once".to_owned());
        }
    }
    Ok(())
}

fn refuse<T>(field: &str, reason: String) -> Result<T, RulesError> {
    Err(RulesError { field: field.to_owned(), reason })
}
