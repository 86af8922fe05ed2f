//! Why a computation was refused. A refused update leaves the state as it was.

use std::fmt;

/// A reason not to compute; each names the argument and what would be accepted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum JudgeError {
    /// A sample or list has no element.
    Empty {
        /// The argument.
        what: &'static str,
    },
    /// A sample has fewer elements than the method needs.
    TooFew {
        /// The argument.
        what: &'static str,
        /// Elements given.
        got: u64,
        /// Elements needed.
        need: u64,
    },
    /// More data than an exact method can handle.
    TooLarge {
        /// The argument.
        what: &'static str,
        /// The size given.
        got: f64,
        /// The largest size accepted.
        limit: f64,
    },
    /// A NaN or an infinity where a number is needed.
    NotFinite {
        /// The argument.
        what: &'static str,
        /// Position in the list; 0 for a single number.
        index: usize,
    },
    /// A finite number outside the permitted range.
    OutOfRange {
        /// The argument.
        what: &'static str,
        /// The number given.
        got: f64,
        /// The range, in words.
        rule: &'static str,
    },
    /// More events than trials in one arm.
    EventsExceedTrials {
        /// `canary` or `stable`.
        arm: &'static str,
        /// Events given.
        events: u64,
        /// Trials given.
        trials: u64,
    },
    /// All values are equal, so the method has no scale to measure by.
    Constant {
        /// The argument.
        what: &'static str,
    },
    /// Two things that must have the same shape or the same configuration do not.
    Mismatch {
        /// The arguments.
        what: &'static str,
    },
}

impl fmt::Display for JudgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { what } => write!(f, "{what} is empty; give at least one value"),
            Self::TooFew { what, got, need } => {
                write!(f, "{what} has {got} values; at least {need} are needed")
            }
            Self::TooLarge { what, got, limit } => {
                write!(f, "{what} is {got}; at most {limit} is supported")
            }
            Self::NotFinite { what, index } => {
                write!(f, "{what}[{index}] is NaN or infinite; remove or replace it first")
            }
            Self::OutOfRange { what, got, rule } => write!(f, "{what} is {got}; it must be {rule}"),
            Self::EventsExceedTrials { arm, events, trials } => write!(
                f,
                "{arm} reports {events} events among {trials} requests; events cannot exceed requests"
            ),
            Self::Constant { what } => write!(f, "{what} has no spread: every value is the same"),
            Self::Mismatch { what } => write!(f, "{what} do not match in shape or configuration"),
        }
    }
}

impl std::error::Error for JudgeError {}

/// `value` if it is finite, else [`JudgeError::NotFinite`].
pub(crate) fn finite(what: &'static str, value: f64) -> Result<f64, JudgeError> {
    if value.is_finite() { Ok(value) } else { Err(JudgeError::NotFinite { what, index: 0 }) }
}

/// `value` if it is finite and greater than 0.
pub(crate) fn positive(what: &'static str, value: f64) -> Result<f64, JudgeError> {
    if finite(what, value)? > 0.0 {
        Ok(value)
    } else {
        Err(JudgeError::OutOfRange { what, got: value, rule: "greater than 0" })
    }
}

/// `value` if it is finite and at least 0.
pub(crate) fn not_negative(what: &'static str, value: f64) -> Result<f64, JudgeError> {
    if finite(what, value)? >= 0.0 {
        Ok(value)
    } else {
        Err(JudgeError::OutOfRange { what, got: value, rule: "0 or more" })
    }
}

/// `value` if it lies strictly between 0 and 1.
pub(crate) fn fraction(what: &'static str, value: f64) -> Result<f64, JudgeError> {
    if finite(what, value)? > 0.0 && value < 1.0 {
        Ok(value)
    } else {
        Err(JudgeError::OutOfRange { what, got: value, rule: "strictly between 0 and 1" })
    }
}

/// `values` if there is at least one and all are finite.
pub(crate) fn sample<'a>(what: &'static str, values: &'a [f64]) -> Result<&'a [f64], JudgeError> {
    if values.is_empty() {
        return Err(JudgeError::Empty { what });
    }
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(JudgeError::NotFinite { what, index }),
        None => Ok(values),
    }
}

/// `values` if there are at least `need` and all are finite.
pub(crate) fn sample_of<'a>(
    what: &'static str,
    values: &'a [f64],
    need: usize,
) -> Result<&'a [f64], JudgeError> {
    let values = sample(what, values)?;
    if values.len() < need {
        return Err(JudgeError::TooFew { what, got: values.len() as u64, need: need as u64 });
    }
    Ok(values)
}
