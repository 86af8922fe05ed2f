//! Conditions of Argo, in the language of expr-lang: which numbers pass?

mod meaning;
mod read;

pub(crate) use meaning::{Meaning, Range, meaning};
pub(crate) use read::read;

#[cfg(test)]
mod tests;
