//! What is counted of an answer's body?

use std::cell::RefCell;

use answer::{Observed, Score, Unseen};
use split::Confidence;

use crate::{What, latency_bin, scored, token_point};

/// What an answer's body said, as far as it was looked into. An answer is of the first of these that fits, so each is counted
/// once and their sum is all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnswerClass {
    /// Not looked into: it was compressed.
    Compressed,
    /// Not looked into to its end: it was larger than the policy permits.
    TooLarge,
    /// Not looked into: of another type than the policy's format has.
    OtherType,
    /// Not looked into to its end: the proxy did not hand all of it over.
    Truncated,
    /// Not looked into: as many answers were being read as the policy permits at once.
    Crowded,
    /// It ended before what the policy asks for was complete.
    Broken,
    /// JSON was asked for, and it is none.
    InvalidJson,
    /// It says that it failed.
    Failed,
    /// A language model refused to answer.
    Refusal,
    /// It holds nothing.
    Empty,
    /// None of these.
    Ok,
}

impl AnswerClass {
    /// Every class, in the order in which they are tried.
    pub const ALL: [Self; 11] = [
        Self::Compressed,
        Self::TooLarge,
        Self::OtherType,
        Self::Truncated,
        Self::Crowded,
        Self::Broken,
        Self::InvalidJson,
        Self::Failed,
        Self::Refusal,
        Self::Empty,
        Self::Ok,
    ];

    /// The class as it stands in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compressed => "unseen_compressed",
            Self::TooLarge => "unseen_too_large",
            Self::OtherType => "unseen_other_type",
            Self::Truncated => "unseen_truncated",
            Self::Crowded => "unseen_crowded",
            Self::Broken => "broken",
            Self::InvalidJson => "invalid_json",
            Self::Failed => "failed",
            Self::Refusal => "refusal",
            Self::Empty => "empty",
            Self::Ok => "ok",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }

    /// Is nothing known of what it said?
    #[must_use]
    pub const fn is_unseen(self) -> bool {
        matches!(self, Self::Compressed | Self::TooLarge | Self::OtherType | Self::Truncated | Self::Crowded)
    }

    /// The class of an answer that was read.
    #[must_use]
    pub const fn of(seen: &Observed) -> Self {
        match seen.unseen {
            Some(Unseen::Compressed) => Self::Compressed,
            Some(Unseen::TooLarge) => Self::TooLarge,
            Some(Unseen::OtherType) => Self::OtherType,
            Some(Unseen::Truncated) => Self::Truncated,
            None if seen.is_broken => Self::Broken,
            None if seen.is_invalid_json => Self::InvalidJson,
            None if seen.failed => Self::Failed,
            None if seen.is_refusal => Self::Refusal,
            None if seen.is_empty => Self::Empty,
            None => Self::Ok,
        }
    }
}

/// What a prediction is counted as that is none of the policy's list, whose places are below it.
pub const OTHER_PREDICTION: u8 = 32;

/// Why a language model's answer ended, as it stands in labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finish {
    /// It was done.
    Stop,
    /// Its tokens were used up.
    Length,
    /// A filter cut it off.
    ContentFilter,
    /// It wants a tool called.
    ToolCalls,
    /// Anything else.
    Other,
}

impl Finish {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Stop, Self::Length, Self::ContentFilter, Self::ToolCalls, Self::Other];

    /// The reason as it stands in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::ToolCalls => "tool_calls",
            Self::Other => "other",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

impl From<answer::Finish> for Finish {
    fn from(reason: answer::Finish) -> Self {
        match reason {
            answer::Finish::Stop => Self::Stop,
            answer::Finish::Length => Self::Length,
            answer::Finish::ContentFilter => Self::ContentFilter,
            answer::Finish::ToolCalls => Self::ToolCalls,
            answer::Finish::Other => Self::Other,
        }
    }
}

/// One answer of a request that the weights in force decided, read to its end.
#[derive(Clone, Copy, Debug)]
pub struct AnswerReading<'r> {
    /// What was seen of it; `None`: too many were being read at once.
    pub observed: Option<Observed>,
    /// Where confidence is read.
    pub confidence: Option<&'r Confidence>,
}

impl AnswerReading<'_> {
    /// The counters that rise by one. `draw` gives the random bits by which values between two points are rounded.
    pub fn counted(self, draw: impl FnMut() -> u64) -> impl Iterator<Item = What> {
        let seen = self.observed;
        let class = seen.map_or(AnswerClass::Crowded, |seen| AnswerClass::of(&seen));
        let draw = RefCell::new(draw);
        let draw = || draw.borrow_mut()();
        // What was seen of an answer that was not seen whole is no sample of answers.
        let whole = seen.filter(|_| !class.is_unseen());
        let score = whole.and_then(|seen| seen.score).and_then(|score| {
            let rules = self.confidence.filter(|rules| rules.from_header.is_none())?;
            let value = if let Score::Value(value) = score { Some(value) } else { None };
            scored(rules, value, true, draw())
        });
        let tokens = |n: Option<u64>| n.map(|n| token_point(n, draw()));
        let input = whole.and_then(|seen| tokens(seen.tokens_in));
        let output = whole.and_then(|seen| tokens(seen.tokens_out));
        [
            Some(What::Answer(class)),
            score,
            whole.and_then(|seen| seen.class).map(|class| What::Predicted(place(class))),
            whole.and_then(|seen| seen.finish).map(|reason| What::Finish(reason.into())),
            input.map(What::InputTokens),
            output.map(What::OutputTokens),
            whole
                .and_then(|seen| seen.first_token_ms)
                .map(|ms| What::FirstToken(coarse_bin(ms.saturating_mul(MS)))),
            whole.and_then(|seen| token_time_ns(&seen)).map(|ns| What::TokenTime(coarse_bin(ns))),
        ]
        .into_iter()
        .flatten()
    }
}

const MS: u64 = 1_000_000;

fn place(class: answer::Class) -> u8 {
    match class {
        answer::Class::Named(place) => place.min(OTHER_PREDICTION),
        answer::Class::Other => OTHER_PREDICTION,
    }
}

/// The time per token after the first; `None`: it was no stream, or of one token.
fn token_time_ns(seen: &Observed) -> Option<u64> {
    let took_ms = seen.last_token_ms?.checked_sub(seen.first_token_ms?)?;
    let more = seen.tokens_out?.checked_sub(1).filter(|more| *more > 0)?;
    Some(took_ms.saturating_mul(MS) / more)
}

/// Every second bin of answer times: they lie 9 % apart, and a proxy keeps half as many counters.
#[must_use]
pub fn coarse_bin(ns: u64) -> u16 {
    latency_bin(ns) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Confidence {
        Confidence {
            from_header: None,
            header: String::new(),
            source_header: String::new(),
            min: 0.0,
            max: 63.0,
        }
    }

    #[track_caller]
    fn check(observed: Option<Observed>, expected: &[What]) {
        let rules = rules();
        let reading = AnswerReading { observed, confidence: Some(&rules) };
        assert_eq!(reading.counted(|| u64::MAX).collect::<Vec<_>>(), expected, "{observed:?}");
    }

    #[test]
    fn an_answer_is_counted_once_and_by_what_is_worst_of_it() {
        let all = Observed {
            failed: true,
            is_empty: true,
            is_refusal: true,
            is_broken: true,
            is_invalid_json: true,
            ..Observed::default()
        };
        let class = |seen: Observed| AnswerClass::of(&seen);
        assert_eq!(class(all), AnswerClass::Broken);
        assert_eq!(class(Observed { is_broken: false, ..all }), AnswerClass::InvalidJson);
        let said = Observed { is_broken: false, is_invalid_json: false, ..all };
        assert_eq!(class(said), AnswerClass::Failed);
        assert_eq!(class(Observed { failed: false, ..said }), AnswerClass::Refusal);
        assert_eq!(class(Observed { failed: false, is_refusal: false, ..said }), AnswerClass::Empty);
        check(Some(Observed::default()), &[What::Answer(AnswerClass::Ok)]);
        check(None, &[What::Answer(AnswerClass::Crowded)]);
        for (unseen, class) in [
            (Unseen::Compressed, AnswerClass::Compressed),
            (Unseen::TooLarge, AnswerClass::TooLarge),
            (Unseen::OtherType, AnswerClass::OtherType),
            (Unseen::Truncated, AnswerClass::Truncated),
        ] {
            // What had been seen by then is no sample of answers.
            let seen = Observed { unseen: Some(unseen), tokens_out: Some(3), ..all };
            check(Some(seen), &[What::Answer(class)]);
            assert!(class.is_unseen());
        }
    }

    #[test]
    fn what_it_says_is_counted_each_by_itself() {
        let seen = Observed {
            score: Some(Score::Value(32.0)),
            class: Some(answer::Class::Named(2)),
            tokens_in: Some(7),
            tokens_out: Some(5),
            first_token_ms: Some(100),
            last_token_ms: Some(140),
            finish: Some(answer::Finish::Length),
            ..Observed::default()
        };
        let expected = [
            What::Answer(AnswerClass::Ok),
            What::Confidence(32),
            What::Predicted(2),
            What::Finish(Finish::Length),
            What::InputTokens(7),
            What::OutputTokens(5),
            What::FirstToken(latency_bin(100 * MS) | 1),
            What::TokenTime(latency_bin(10 * MS) | 1),
        ];
        check(Some(seen), &expected);
        // Of one token no time lies between two.
        let one = Observed { tokens_out: Some(1), ..seen };
        assert_eq!(token_time_ns(&one), None);
        assert_eq!(
            token_time_ns(&Observed { last_token_ms: Some(90), ..seen }),
            None,
            "a clock that went back"
        );
        let other = Observed {
            class: Some(answer::Class::Other),
            score: Some(Score::Fault(answer::Fault::Nan)),
            ..Observed::default()
        };
        check(
            Some(other),
            &[What::Answer(AnswerClass::Ok), What::ConfidenceInvalid, What::Predicted(OTHER_PREDICTION)],
        );
    }

    #[test]
    fn a_score_beside_a_confidence_in_a_header_is_counted_in_neither() {
        let header = Confidence { from_header: Some("x".to_owned()), ..rules() };
        let seen = Observed { score: Some(Score::Value(1.0)), ..Observed::default() };
        for confidence in [Some(&header), None] {
            let reading = AnswerReading { observed: Some(seen), confidence };
            let counted: Vec<What> = reading.counted(|| panic!("nothing is rounded")).collect();
            assert_eq!(counted, [What::Answer(AnswerClass::Ok)]);
        }
    }
}
