//! What is looked for in an answer: a part of the policy document.

use serde::{Deserialize, Serialize};

use crate::Pointer;

/// How many classes may be named; whatever else an answer says is [`crate::Class::Other`].
pub const MOST_CLASSES: usize = 32;

/// How long a class's name may be, in bytes.
pub const MOST_CLASS_BYTES: usize = 64;

/// How many fields may say that an answer is a failure.
pub const MOST_FAILED_WHEN: usize = 8;

/// How many bytes of one answer are looked at, where the rules do not say.
pub const DEFAULT_MAX_BYTES: u32 = 4 << 20;

/// The most that [`Rules::max_bytes`] may be.
pub const MOST_MAX_BYTES: u32 = 64 << 20;

/// What is looked for in the answers of one rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The shape of an answer, from which tokens, finish reasons and the rest are known.
    #[serde(default)]
    pub format: Format,
    /// Where the score (a confidence, a probability) is: a number, a text that is one, or a list of numbers, of which the
    /// largest counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Pointer>,
    /// Where the predicted class is, and which there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Classes>,
    /// Fields that say the answer is a failure, whatever its status; any of them is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_when: Vec<FailedWhen>,
    /// Was JSON asked for? Then an answer that is none is counted. With a language model's format it is the text of the
    /// answer that must be JSON, else the body.
    #[serde(default, skip_serializing_if = "is_false")]
    pub expects_json: bool,
    /// How many bytes of one answer are looked at; a longer one is [`crate::Unseen::TooLarge`]. It bounds work: memory does not depend on it.
    #[serde(default = "default_max_bytes")]
    pub max_bytes: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            format: Format::default(),
            score: None,
            class: None,
            failed_when: Vec::new(),
            expects_json: false,
            max_bytes: DEFAULT_MAX_BYTES,
        }
    }
}

fn default_max_bytes() -> u32 {
    DEFAULT_MAX_BYTES
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the form serde asks for")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Whose shape an answer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Bodies are not looked at.
    #[default]
    None,
    /// Any JSON, or server-sent events of it: pointers alone.
    Json,
    /// `OpenAI`: chat completions, completions, responses, embeddings; what vLLM, llama.cpp, TGI and Azure answer in their place.
    OpenAi,
    /// Anthropic messages.
    Anthropic,
    /// `KServe` v1 (`predictions`) and the Open Inference Protocol (`outputs`).
    KServe,
    /// Generate endpoints of Triton, of `KServe`, TGI, and llama.cpp's `/completion`.
    Generate,
}

impl Format {
    /// Is it a language model's, with tokens and a reason to stop?
    #[must_use]
    pub fn is_language_model(self) -> bool {
        matches!(self, Self::OpenAi | Self::Anthropic | Self::Generate)
    }
}

/// Where the predicted class is, and which there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classes {
    /// A text, a whole number or a boolean, compared with the names as written; or a list of numbers, of which the place of the
    /// largest is the place of the name.
    pub at: Pointer,
    /// At most [`MOST_CLASSES`], each once.
    pub names: Vec<String>,
}

/// A field that says the answer is a failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedWhen {
    /// The field.
    pub at: Pointer,
    /// What it must be; absent: it is there, and not `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Scalar>,
}

/// A value without parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A number, compared as a double.
    Number(f64),
    /// A text, at most [`MOST_CLASS_BYTES`] bytes.
    Text(String),
}

/// Why rules are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesError {
    /// The field, as written in the document (`class.names[3]`).
    pub field: String,
    /// What is wrong with it, and what mends it.
    pub reason: String,
}

impl std::fmt::Display for RulesError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.field, self.reason)
    }
}

impl std::error::Error for RulesError {}
