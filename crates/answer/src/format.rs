//! What the members of an answer mean, format by format.
//!
//! The shapes are those of the public references, and of what servers were seen to send beside them: vLLM's usage chunk without
//! choices, Azure's first chunk of filter results, llama.cpp's timings, TGI's special tokens.

use crate::key::Key;
use crate::observed::Finish;
use crate::rules::Format;

/// What a text or a list is a part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Part {
    /// Nothing that a user reads.
    #[default]
    Nothing,
    /// What was asked for.
    Content,
    /// The same again, whole, at the end of a stream.
    Again,
    /// What the model thinks before it answers.
    Reasoning,
    /// A call of a tool.
    Tool,
    /// Why it does not answer.
    Refusal,
    /// By the event's type: one of the above (`delta` of the Responses API).
    ByType,
}

/// What an event says it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EventType {
    /// It says nothing.
    #[default]
    Untyped,
    /// A part of something.
    Delta(Part),
    /// The answer is whole.
    End,
    /// There will be no answer.
    Error,
    /// Anything else.
    Other,
}

impl EventType {
    pub fn of(format: Format, name: &[u8]) -> Self {
        match (format, name) {
            (_, b"error") | (Format::OpenAi, b"response.failed") => Self::Error,
            (Format::Anthropic, b"message_stop")
            | (Format::OpenAi, b"response.completed" | b"response.incomplete") => Self::End,
            (Format::Anthropic, b"content_block_start" | b"content_block_delta") => {
                Self::Delta(Part::Nothing)
            }
            (Format::OpenAi, _) => openai_delta(name),
            _ => Self::Other,
        }
    }
}

fn openai_delta(name: &[u8]) -> EventType {
    let Some(what) = name.strip_prefix(b"response.").and_then(|rest| rest.strip_suffix(b".delta")) else {
        return EventType::Other;
    };
    EventType::Delta(match what {
        b"output_text" | b"audio" | b"audio.transcript" => Part::Content,
        b"refusal" => Part::Refusal,
        _ if what.starts_with(b"reasoning") => Part::Reasoning,
        _ => Part::Tool,
    })
}

/// What one document (a whole answer, or one event of a stream) says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub event: EventType,
    pub has_content: bool,
    pub has_reasoning: bool,
    pub has_tool: bool,
    pub has_refusal: bool,
    /// A part that the event's type will name.
    pub has_delta: bool,
    /// It has members of its format.
    pub is_known: bool,
    pub is_error: bool,
    pub is_end: bool,
    /// A stream of such documents ends by saying so.
    pub needs_end: bool,
    pub has_many_choices: bool,
    pub finish: Option<Finish>,
    pub tokens_in: Option<u64>,
    pub tokens_out: Option<u64>,
    pub tokens_cached: [Option<u64>; 2],
}

impl Facts {
    /// Something that is not empty was there.
    pub fn has(&mut self, part: Part) {
        match part {
            Part::Nothing => {}
            Part::Content | Part::Again => self.has_content = true,
            Part::Reasoning => self.has_reasoning = true,
            Part::Tool => self.has_tool = true,
            Part::Refusal => self.has_refusal = true,
            Part::ByType => self.has_delta = true,
        }
    }

    /// The document is whole: its type is known by now, wherever it stands.
    pub fn settle(&mut self) {
        if let (true, EventType::Delta(part)) = (self.has_delta, self.event) {
            self.has(part);
        }
    }

    /// Does this event bring tokens?
    pub fn brings_tokens(&self) -> bool {
        let has_any = self.has_content || self.has_reasoning || self.has_tool || self.has_refusal;
        has_any && matches!(self.event, EventType::Untyped | EventType::Delta(_))
    }
}

/// The terminal events of the Responses API, and the start of a message, hold the whole answer one level below.
fn inner(path: &[Key]) -> &[Key] {
    match path {
        [Key::Response | Key::Message, rest @ ..] => rest,
        path => path,
    }
}

/// Does the format have this member?
pub(crate) fn knows(format: Format, path: &[Key]) -> bool {
    let [.., last] = path else { return false };
    match format {
        Format::None | Format::Json => true,
        Format::OpenAi => {
            matches!(path, [Key::Choices | Key::Output | Key::Data | Key::Response | Key::Type | Key::Error])
        }
        Format::Anthropic => matches!(path, [Key::Content | Key::Type | Key::Error]),
        Format::KServe => matches!(path, [Key::Predictions | Key::Outputs | Key::Error]),
        Format::Generate => {
            path.len() <= 2
                && matches!(
                    last,
                    Key::TextOutput | Key::GeneratedText | Key::Token | Key::Content | Key::Text | Key::Error
                )
        }
    }
}

/// What the text at this place is a part of.
pub(crate) fn part_of_text(format: Format, path: &[Key], is_streamed: bool) -> Part {
    match format {
        Format::OpenAi => match inner(path) {
            [Key::Choices, Key::At, Key::Message | Key::Delta, rest @ ..] => match rest {
                [Key::Content] | [Key::Content, Key::At, Key::Text] => Part::Content,
                [Key::ReasoningContent | Key::Reasoning, ..] => Part::Reasoning,
                [Key::Refusal] => Part::Refusal,
                _ => Part::Nothing,
            },
            [Key::Choices, Key::At, Key::Text] | [Key::Data, Key::At, Key::Embedding] => Part::Content,
            [Key::Output, Key::At, Key::Content, Key::At, Key::Text] => whole(is_streamed),
            [Key::Output, Key::At, Key::Content, Key::At, Key::Refusal] => Part::Refusal,
            [Key::Delta] => Part::ByType,
            _ => Part::Nothing,
        },
        Format::Anthropic => match path {
            [Key::Content, Key::At, Key::Text] | [Key::Delta | Key::ContentBlock, Key::Text] => Part::Content,
            [Key::Content, Key::At, Key::Thinking] | [Key::Delta | Key::ContentBlock, Key::Thinking] => {
                Part::Reasoning
            }
            [Key::Delta, Key::PartialJson] => Part::Tool,
            _ => Part::Nothing,
        },
        Format::Generate => match path {
            [Key::TextOutput | Key::Content | Key::Text]
            | [Key::TextOutput | Key::Text, Key::At]
            | [Key::Token, Key::Text] => Part::Content,
            [Key::GeneratedText] | [Key::At, Key::GeneratedText] => whole(is_streamed),
            _ => Part::Nothing,
        },
        Format::None | Format::Json | Format::KServe => Part::Nothing,
    }
}

fn whole(is_streamed: bool) -> Part {
    if is_streamed { Part::Again } else { Part::Content }
}

/// A list or an object begins here.
pub(crate) fn container(format: Format, path: &[Key], is_object: bool, facts: &mut Facts) {
    match (format, inner(path)) {
        (_, [Key::Error]) => facts.is_error = true,
        (Format::OpenAi, [Key::Choices, Key::At, Key::Message | Key::Delta, rest @ ..]) => match rest {
            [Key::ToolCalls, Key::At] | [Key::FunctionCall] => facts.has(Part::Tool),
            [Key::Audio] => facts.has(Part::Content),
            _ => {}
        },
        (Format::OpenAi, [Key::Data, Key::At])
        | (Format::KServe, [Key::Predictions | Key::Outputs, Key::At]) => facts.has(Part::Content),
        (Format::KServe, [Key::Predictions]) if is_object => facts.has(Part::Content),
        (Format::Generate, [Key::Token]) => facts.needs_end = true,
        (Format::Generate, [Key::Details]) => facts.is_end = true,
        _ => {}
    }
}

/// What stands at a place: its text as far as it is kept, and whether it is a text.
pub(crate) struct Leaf<'text> {
    pub text: &'text [u8],
    pub is_text: bool,
    pub is_null: bool,
}

impl Leaf<'_> {
    /// A count; whole numbers alone, which may be written `12.0`.
    fn count(&self) -> Option<u64> {
        let text = std::str::from_utf8(self.text).ok().filter(|_| !self.is_text && !self.is_null)?;
        text.strip_suffix(".0").unwrap_or(text).parse().ok()
    }
}

/// A value without parts is whole.
pub(crate) fn leaf(format: Format, path: &[Key], leaf: &Leaf<'_>, facts: &mut Facts) {
    if let [Key::Error] = inner(path)
        && !leaf.is_null
        && format != Format::Json
    {
        facts.is_error = true;
    }
    match format {
        Format::OpenAi => openai(inner(path), leaf, facts),
        Format::Anthropic => anthropic(path, leaf, facts),
        Format::Generate => generate(path, leaf, facts),
        Format::KServe => {
            if let [Key::Predictions | Key::Outputs, Key::At] = path {
                facts.has(Part::Content);
            }
        }
        Format::None | Format::Json => {}
    }
}

fn openai(path: &[Key], leaf: &Leaf<'_>, facts: &mut Facts) {
    match path {
        [Key::Type] => facts.event = EventType::of(Format::OpenAi, leaf.text),
        [Key::Object] if leaf.text == b"error" => facts.is_error = true,
        [Key::Choices, Key::At, Key::FinishReason] => {
            facts.is_error |= leaf.text == b"error";
            set(&mut facts.finish, finish(leaf));
        }
        [Key::Choices, Key::At, Key::Index] => facts.has_many_choices |= leaf.text != b"0",
        [Key::Output, Key::At, Key::Type] if leaf.text.ends_with(b"_call") => facts.has(Part::Tool),
        [Key::Status] => match leaf.text {
            b"failed" => facts.is_error = true,
            b"completed" => facts.finish = facts.finish.or(Some(Finish::Stop)),
            _ => {}
        },
        [Key::IncompleteDetails, Key::Reason] => set(&mut facts.finish, finish(leaf)),
        [Key::Usage, key] | [Key::XGroq, Key::Usage, key] => match key {
            Key::PromptTokens | Key::InputTokens => set(&mut facts.tokens_in, leaf.count()),
            Key::CompletionTokens | Key::OutputTokens => set(&mut facts.tokens_out, leaf.count()),
            _ => {}
        },
        [Key::Timings, Key::PromptTokensTimed] => facts.tokens_in = facts.tokens_in.or(leaf.count()),
        [Key::Timings, Key::PredictedTokens] => facts.tokens_out = facts.tokens_out.or(leaf.count()),
        _ => {}
    }
}

fn anthropic(path: &[Key], leaf: &Leaf<'_>, facts: &mut Facts) {
    match path {
        [Key::Type] => facts.event = EventType::of(Format::Anthropic, leaf.text),
        [Key::Content, Key::At, Key::Type] | [Key::ContentBlock, Key::Type]
            if leaf.text.ends_with(b"tool_use") =>
        {
            facts.has(Part::Tool);
        }
        [Key::StopReason] | [Key::Delta, Key::StopReason] => {
            set(&mut facts.finish, finish(leaf));
            facts.has_refusal |= leaf.text == b"refusal";
        }
        [Key::Usage, key] | [Key::Message, Key::Usage, key] => match key {
            Key::InputTokens => set(&mut facts.tokens_in, leaf.count()),
            Key::OutputTokens => set(&mut facts.tokens_out, leaf.count()),
            Key::CacheCreation => set(&mut facts.tokens_cached[0], leaf.count()),
            Key::CacheRead => set(&mut facts.tokens_cached[1], leaf.count()),
            _ => {}
        },
        _ => {}
    }
}

fn generate(path: &[Key], leaf: &Leaf<'_>, facts: &mut Facts) {
    match path {
        [Key::GeneratedText] if leaf.is_text => facts.is_end = true,
        [Key::Details, Key::FinishReason] | [Key::At, Key::Details, Key::FinishReason] => {
            set(&mut facts.finish, finish(leaf));
        }
        [Key::Details, Key::GeneratedTokens] | [Key::At, Key::Details, Key::GeneratedTokens] => {
            set(&mut facts.tokens_out, leaf.count());
        }
        [Key::Details, Key::InputLength] | [Key::At, Key::Details, Key::InputLength] => {
            set(&mut facts.tokens_in, leaf.count());
        }
        [Key::Stop] if matches!(leaf.text, b"true" | b"false") => {
            facts.needs_end = true;
            if leaf.text == b"true" {
                facts.is_end = true;
                facts.finish = facts.finish.or(Some(Finish::Stop));
            }
        }
        [Key::StopType] if leaf.text != b"none" => set(&mut facts.finish, finish(leaf)),
        [Key::StoppedLimit] if leaf.text == b"true" => facts.finish = Some(Finish::Length),
        [Key::TokensPredicted] => set(&mut facts.tokens_out, leaf.count()),
        [Key::TokensEvaluated] => set(&mut facts.tokens_in, leaf.count()),
        _ => {}
    }
}

fn set<T>(place: &mut Option<T>, said: Option<T>) {
    if said.is_some() {
        *place = said;
    }
}

fn finish(leaf: &Leaf<'_>) -> Option<Finish> {
    if !leaf.is_text || leaf.text.is_empty() {
        return None;
    }
    Some(match leaf.text {
        b"stop" | b"end_turn" | b"stop_sequence" | b"eos_token" | b"eos" | b"word" => Finish::Stop,
        b"length" | b"max_tokens" | b"max_output_tokens" | b"limit" | b"model_context_window_exceeded" => {
            Finish::Length
        }
        b"content_filter" | b"refusal" => Finish::ContentFilter,
        b"tool_calls" | b"function_call" | b"tool_use" => Finish::ToolCalls,
        _ => Finish::Other,
    })
}
