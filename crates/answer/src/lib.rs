//! What does a model's answer say, read as it passes by?
//!
//! The filter hands over each chunk of a response as it comes; [`Reader`] looks at it once, keeps a fixed few hundred bytes
//! whatever the answer's length, and says at the end what was seen: a score, a class, tokens, why the model stopped.
//! Nothing is delayed or changed, and no body makes it panic.
//!
//! ```text
//! Rules (in the policy) --compile--> Compiled --Reader::new, once a response--> chunk, chunk, … --end--> Observed
//! ```

mod compile;
mod document;
mod format;
mod json;
mod key;
mod observed;
mod pointer;
mod reader;
mod rules;
mod seen;
mod sse;
mod utf8;

pub use compile::Compiled;
pub use observed::{Class, Fault, Finish, Observed, Score, Unseen};
pub use pointer::{MOST_POINTER_BYTES, MOST_SEGMENT_BYTES, MOST_SEGMENTS, Pointer};
pub use reader::Reader;
pub use rules::{
    Classes, DEFAULT_MAX_BYTES, FailedWhen, Format, MOST_CLASS_BYTES, MOST_CLASSES, MOST_FAILED_WHEN,
    MOST_MAX_BYTES, Rules, RulesError, Scalar,
};

#[cfg(test)]
mod tests;
