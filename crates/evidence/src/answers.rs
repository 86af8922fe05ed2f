//! What the bodies of answers said, between two looks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tally::{AnswerClass, What, tokens_at};

use crate::{Bins, Moments};

/// What one arm's answers said, of those that were looked into.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answers {
    /// Answers of which nothing is known: compressed, too large, of another type, or too many at once.
    #[serde(skip_serializing_if = "none")]
    pub unseen: u64,
    /// Answers that were looked into, whatever they said.
    #[serde(skip_serializing_if = "none")]
    pub seen: u64,
    /// Of the seen, those that say that they failed, that broke off, or that are no JSON where JSON was asked for.
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
    #[serde(skip_serializing_if = "Moments::is_empty")]
    pub input_tokens: Moments,
    /// Numbers of output tokens.
    #[serde(skip_serializing_if = "Moments::is_empty")]
    pub output_tokens: Moments,
    /// Times to the first token, in bins of answer times.
    #[serde(skip_serializing_if = "Bins::is_empty")]
    pub first_token: Bins,
    /// Times per token after the first, in bins of answer times.
    #[serde(skip_serializing_if = "Bins::is_empty")]
    pub token_time: Bins,
    /// How many answers had a score of each of the 64 points of its range.
    #[serde(skip_serializing_if = "Bins::is_empty")]
    pub scores: Bins,
    /// How many answers predicted each class of the policy's list, by its place there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub predicted: BTreeMap<u8, u64>,
    /// Why answers of language models ended, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub finish: BTreeMap<String, u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
const fn none(number: &u64) -> bool {
    *number == 0
}

impl Answers {
    /// Is nothing known of any answer?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts what a counter of the filter's says; others are not its own.
    pub fn count(&mut self, what: What, by: u64) {
        match what {
            What::Answer(class) => self.class(class, by),
            What::Predicted(place) => *self.predicted.entry(place).or_default() += by,
            What::Finish(reason) => *self.finish.entry(reason.as_str().to_owned()).or_default() += by,
            What::InputTokens(point) => self.input_tokens.add(tokens_at(point), by),
            What::OutputTokens(point) => self.output_tokens.add(tokens_at(point), by),
            What::FirstToken(bin) => *self.first_token.0.entry(bin).or_default() += by,
            What::TokenTime(bin) => *self.token_time.0.entry(bin).or_default() += by,
            _ => {}
        }
    }

    fn class(&mut self, class: AnswerClass, by: u64) {
        if class.is_unseen() {
            self.unseen += by;
            return;
        }
        self.seen += by;
        match class {
            AnswerClass::Broken | AnswerClass::Failed => self.errors += by,
            AnswerClass::InvalidJson => {
                self.errors += by;
                self.invalid += by;
            }
            AnswerClass::Refusal => self.refusals += by,
            AnswerClass::Empty => self.empty += by,
            _ => {}
        }
    }

    /// Keeps sums alone.
    pub(crate) fn forget_distributions(&mut self) {
        self.first_token = Bins::default();
        self.token_time = Bins::default();
        self.scores = Bins::default();
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.unseen += other.unseen;
        self.seen += other.seen;
        self.errors += other.errors;
        self.invalid += other.invalid;
        self.refusals += other.refusals;
        self.empty += other.empty;
        self.input_tokens.merge(other.input_tokens);
        self.output_tokens.merge(other.output_tokens);
        self.first_token.add(&other.first_token);
        self.token_time.add(&other.token_time);
        self.scores.add(&other.scores);
        for (place, n) in &other.predicted {
            *self.predicted.entry(*place).or_default() += n;
        }
        for (reason, n) in &other.finish {
            *self.finish.entry(reason.clone()).or_default() += n;
        }
    }
}
