//! What was seen of one answer.

/// What one answer said. Whatever was not seen whole is absent rather than guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Observed {
    /// The score, or why it is none; absent: no score was asked for, or the field was not there.
    pub score: Option<Score>,
    /// The class; absent: none was asked for, or the field was not there.
    pub class: Option<Class>,
    /// A field said that the answer is a failure, or it is the format's own error.
    pub failed: bool,
    /// Tokens of the prompt, by the answer's own account.
    pub tokens_in: Option<u64>,
    /// Tokens of the answer, by its own account; else, of a stream, the events that brought some.
    pub tokens_out: Option<u64>,
    /// `tokens_out` is counted events, not the model's account.
    pub is_counted: bool,
    /// Was it a stream of server-sent events?
    pub is_streamed: bool,
    /// When the first event came that brought content, reasoning or part of a tool call, in milliseconds since the request began.
    /// Of streams alone: what comes whole has no first token.
    pub first_token_ms: Option<u64>,
    /// And the last one.
    pub last_token_ms: Option<u64>,
    /// Why the model stopped.
    pub finish: Option<Finish>,
    /// It ended as it should, with neither content nor a tool call. Reasoning alone is empty.
    pub is_empty: bool,
    /// The model refused, and said so in the field for it.
    pub is_refusal: bool,
    /// It ended before it was whole, or with an error event.
    pub is_broken: bool,
    /// JSON was asked for, and what came whole was none.
    pub is_invalid_json: bool,
    /// Why something was not seen; the rest is then what had been seen by then.
    pub unseen: Option<Unseen>,
}

/// A score as answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Score {
    /// A finite number.
    Value(f64),
    /// No number.
    Fault(Fault),
}

/// Why a score is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `NaN`, as Python writes it, bare or as a text.
    Nan,
    /// `Infinity` or `-Infinity`.
    Infinite,
    /// A number that no double holds (`1e999`), or one of more than 96 characters.
    OutOfRange,
    /// `null`, which is what many encoders make of NaN; or anything else that is no number.
    NotANumber,
}

/// A class as answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The place of its name in the rules.
    Named(u8),
    /// None of the names.
    Other,
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It was done.
    Stop,
    /// Its tokens were used up.
    Length,
    /// A filter, or its own refusal, cut it off.
    ContentFilter,
    /// It wants a tool called.
    ToolCalls,
    /// Anything else.
    Other,
}

/// Why an answer was not seen, or not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// It has a `content-encoding`.
    Compressed,
    /// It is longer than the rules allow, or deeper than 128 levels.
    TooLarge,
    /// Whoever handed it over stopped before its end.
    Truncated,
    /// It is no JSON and no stream of it, or not of the format.
    OtherType,
}
