//! What the bodies of answers said, as the API shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::baseline::{MomentsView, bins, none};
use crate::Answers;

/// What the bodies of answers said; see [`Answers`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AnswersView {
    /// Answers of which nothing is known.
    #[serde(skip_serializing_if = "none")]
    pub unseen: u64,
    /// Answers that were looked into.
    #[serde(skip_serializing_if = "none")]
    pub seen: u64,
    /// Of the seen, those that failed, broke off, or are no JSON.
    #[serde(skip_serializing_if = "none")]
    pub errors: u64,
    /// Of these, those that are no JSON.
    #[serde(skip_serializing_if = "none")]
    pub invalid: u64,
    /// Of the seen, refusals.
    #[serde(skip_serializing_if = "none")]
    pub refusals: u64,
    /// Of the seen, empty ones.
    #[serde(skip_serializing_if = "none")]
    pub empty: u64,
    /// Numbers of input tokens.
    pub input_tokens: MomentsView,
    /// Numbers of output tokens.
    pub output_tokens: MomentsView,
    /// How many times to the first token fell in each bin of answer times that has any.
    #[serde(deserialize_with = "bins", skip_serializing_if = "BTreeMap::is_empty")]
    pub first_token: BTreeMap<u16, u64>,
    /// And how many times per token after it.
    #[serde(deserialize_with = "bins", skip_serializing_if = "BTreeMap::is_empty")]
    pub token_time: BTreeMap<u16, u64>,
    /// How many scores fell on each of the 64 points of their range.
    #[serde(deserialize_with = "bins", skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<u16, u64>,
    /// How many answers predicted each class, by its place in the list; 32: none of it.
    #[serde(deserialize_with = "bins", skip_serializing_if = "BTreeMap::is_empty")]
    pub predicted: BTreeMap<u16, u64>,
    /// Why answers of language models ended.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub finish: BTreeMap<String, u64>,
}

impl From<Answers> for AnswersView {
    fn from(known: Answers) -> Self {
        let Answers {
            unseen,
            seen,
            errors,
            invalid,
            refusals,
            empty,
            input_tokens,
            output_tokens,
            first_token,
            token_time,
            scores,
            predicted,
            finish,
        } = known;
        Self {
            unseen,
            seen,
            errors,
            invalid,
            refusals,
            empty,
            input_tokens: input_tokens.into(),
            output_tokens: output_tokens.into(),
            first_token: first_token.0,
            token_time: token_time.0,
            scores: scores.0,
            predicted: predicted.into_iter().map(|(place, n)| (place.into(), n)).collect(),
            finish,
        }
    }
}
