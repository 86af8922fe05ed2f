//! Follows one answer, chunk by chunk.

use crate::compile::{Compiled, Plan};
use crate::document::{Document, Hearing, Inner};
use crate::format::EventType;
use crate::json::{Tokenizer, Trouble};
use crate::observed::{Observed, Unseen};
use crate::rules::Format;
use crate::seen::Seen;
use crate::sse::{EventStream, Listener};

/// What ends a stream of `OpenAI`'s.
const DONE: &[u8] = b"[DONE]";

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One answer being read. It holds nothing of the answer but a fixed size of what was learnt.
#[derive(Debug)]
pub struct Reader {
    rules: Compiled,
    body: Body,
    unseen: Option<Unseen>,
    /// How many more bytes are looked at.
    left: u64,
    mark: usize,
    events: EventStream,
    answer: Answer,
}

/// How the body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// The first byte tells.
    Unknown,
    Json,
    Events,
}

/// What was learnt, and the document that is being read.
#[derive(Debug, Default)]
struct Answer {
    now_ms: u64,
    is_streamed: bool,
    tokenizer: Tokenizer,
    document: Document,
    inner: Option<Inner>,
    /// This document is no JSON, or too deep.
    trouble: Option<Trouble>,
    /// How much of `[DONE]` the event's data are so far; none: they are something else.
    done: Option<usize>,
    name: EventType,
    seen: Seen,
}

/// One chunk on its way: what is learnt, by which plan.
struct Learning<'reader> {
    plan: &'reader Plan,
    answer: &'reader mut Answer,
}

impl Reader {
    /// Begins to read an answer with these headers. Without a type, or as `text/plain`, the first byte tells what it is.
    #[must_use]
    pub fn new(rules: &Compiled, content_type: Option<&[u8]>, content_encoding: Option<&[u8]>) -> Self {
        let plan = &rules.0;
        let is_plain = content_encoding.is_none_or(|encoding| {
            let encoding = encoding.trim_ascii();
            encoding.is_empty() || encoding.eq_ignore_ascii_case(b"identity")
        });
        let body = body(content_type);
        let unseen = if is_plain { body.err() } else { Some(Unseen::Compressed) };
        let body = body.unwrap_or(Body::Unknown);
        let inner = (plan.expects_json && plan.format.is_language_model()).then(Inner::default);
        let mut answer = Answer { inner, done: Some(0), ..Answer::default() };
        answer.is_streamed = body == Body::Events;
        let events = EventStream::default();
        Self { rules: rules.clone(), body, unseen, left: plan.max_bytes, mark: 0, events, answer }
    }

    /// Is there nothing more to be learnt from this answer? Then its chunks need not be handed over.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let is_no_json = self.body == Body::Json && self.answer.trouble.is_some();
        self.unseen.is_some() || is_no_json || !self.rules.reads_bodies()
    }

    /// Reads the next bytes, which came this many milliseconds after the request began.
    pub fn chunk(&mut self, bytes: &[u8], at_ms: u64) {
        if self.is_done() {
            return;
        }
        self.answer.now_ms = at_ms;
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let (looked_at, beyond) = bytes.split_at_checked(most).unwrap_or((bytes, &[]));
        self.left = self.left.saturating_sub(looked_at.len() as u64);
        self.read(looked_at);
        if !beyond.is_empty() {
            self.unseen = self.unseen.or(Some(Unseen::TooLarge));
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        while let (Some((&byte, after)), Some(&mark)) = (bytes.split_first(), BYTE_ORDER_MARK.get(self.mark))
        {
            if byte != mark {
                self.mark = BYTE_ORDER_MARK.len();
                break;
            }
            self.mark += 1;
            bytes = after;
        }
        if self.body == Body::Unknown {
            bytes = bytes.trim_ascii_start();
            let Some(first) = bytes.first() else { return };
            // The names of fields, and comments, begin as no JSON does.
            let is_stream = matches!(first, b'd' | b'e' | b'i' | b'r' | b':');
            self.body = if is_stream { Body::Events } else { Body::Json };
            self.answer.is_streamed = is_stream;
        }
        let Self { rules, body, unseen, events, answer, .. } = self;
        let mut learning = Learning { plan: &rules.0, answer };
        match body {
            Body::Unknown => {}
            Body::Json => learning.json(bytes),
            Body::Events => events.feed(bytes, &mut learning),
        }
        if answer.trouble == Some(Trouble::TooDeep) {
            *unseen = Some(Unseen::TooLarge);
        }
    }

    /// What was seen. `complete` says that the server ended the answer, in whatever way, and all of it was handed over; it is
    /// false where the client left before, of which nothing follows about the model.
    #[must_use]
    pub fn end(mut self, complete: bool) -> Observed {
        if !self.rules.reads_bodies() {
            return Observed::default();
        }
        if self.unseen.is_none() {
            let Self { rules, body, unseen, events, answer, .. } = &mut self;
            let mut learning = Learning { plan: &rules.0, answer };
            if *body == Body::Events {
                events.finish(&mut learning);
            } else {
                learning.whole();
            }
            if answer.trouble == Some(Trouble::TooDeep) {
                *unseen = Some(Unseen::TooLarge);
            }
        }
        let Self { rules, answer, unseen, .. } = self;
        answer.conclude(&rules.0, unseen, complete)
    }
}

/// How a body of this type is read.
fn body(content_type: Option<&[u8]>) -> Result<Body, Unseen> {
    let Some(content_type) = content_type else { return Ok(Body::Unknown) };
    let kind = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let is = |name: &[u8]| kind.eq_ignore_ascii_case(name);
    let suffix = kind.len().checked_sub(5).and_then(|start| kind.get(start..));
    if is(b"text/event-stream") {
        Ok(Body::Events)
    } else if is(b"application/json")
        || is(b"text/json")
        || is(b"text/plain")
        || kind.is_empty()
        || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json"))
    {
        Ok(Body::Unknown)
    } else {
        Err(Unseen::OtherType)
    }
}

impl Learning<'_> {
    fn json(&mut self, bytes: &[u8]) {
        let answer = &mut *self.answer;
        if answer.trouble.is_some() {
            return;
        }
        let (document, inner) = (&mut answer.document, answer.inner.as_mut());
        let mut hearing = Hearing { plan: self.plan, document, inner, is_streamed: answer.is_streamed };
        answer.trouble = answer.tokenizer.feed(bytes, &mut hearing).err();
    }

    /// A document is over: what it said counts, if it is whole.
    fn whole(&mut self) {
        let answer = &mut *self.answer;
        let (document, inner) = (&mut answer.document, answer.inner.as_mut());
        let mut hearing = Hearing { plan: self.plan, document, inner, is_streamed: answer.is_streamed };
        answer.tokenizer.finish(&mut hearing);
        if answer.trouble.is_none() && answer.tokenizer.is_done() {
            answer.seen.take(self.plan, &answer.document, answer.tokenizer.is_strict(), answer.now_ms);
        } else if answer.trouble.is_some() || answer.is_streamed && answer.tokenizer.has_begun() {
            answer.seen.invalid = true;
            answer.seen.not_json |= answer.trouble.is_some();
        }
    }
}

impl Listener for Learning<'_> {
    fn name(&mut self, name: &[u8]) {
        self.answer.name = EventType::of(self.plan.format, name);
        self.answer.document.facts.event = self.answer.name;
    }

    fn data(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let (Some(so_far), Some((&byte, after))) = (self.answer.done, rest.split_first()) {
            match DONE.get(so_far) {
                Some(&expected) if expected == byte => self.answer.done = Some(so_far + 1),
                None if byte.is_ascii_whitespace() => {}
                Some(_) if so_far == 0 && byte == b' ' => {}
                _ => {
                    self.answer.done = None;
                    self.json(DONE.get(..so_far).unwrap_or_default());
                    break;
                }
            }
            rest = after;
        }
        self.json(rest);
    }

    fn error(&mut self) {
        self.answer.seen.error = true;
    }

    fn dispatch(&mut self) {
        match self.answer.done {
            Some(so_far) if so_far == DONE.len() => self.answer.seen.end = true,
            so_far => {
                self.json(so_far.and_then(|so_far| DONE.get(..so_far)).unwrap_or_default());
                self.whole();
            }
        }
        let answer = &mut *self.answer;
        answer.seen.error |= answer.name == EventType::Error;
        if answer.tokenizer.has_begun() || answer.trouble == Some(Trouble::Invalid) {
            answer.document = Document::default();
            answer.tokenizer = Tokenizer::default();
        }
        if answer.trouble == Some(Trouble::Invalid) {
            answer.trouble = None;
        }
        answer.document.facts.event = EventType::Untyped;
        answer.name = EventType::Untyped;
        answer.done = Some(0);
    }
}

impl Answer {
    fn conclude(self, plan: &Plan, unseen: Option<Unseen>, complete: bool) -> Observed {
        let Self { is_streamed, seen, tokenizer, inner, trouble, .. } = self;
        let mut observed = Observed { is_streamed, unseen, ..Observed::default() };
        if is_streamed {
            (observed.first_token_ms, observed.last_token_ms) = (seen.tokens.first_ms, seen.tokens.last_ms);
            observed.tokens_in = seen.tokens.all_of_prompt();
        }
        if unseen.is_some() {
            return observed;
        }
        let is_model = plan.format.is_language_model();
        let has_ended = if is_streamed {
            let says_so = match plan.format {
                Format::OpenAi | Format::Anthropic => true,
                Format::Generate => seen.needs_end,
                Format::None | Format::Json | Format::KServe => false,
            };
            seen.end || seen.finish.is_some() || !says_so && complete
        } else {
            trouble.is_none() && (tokenizer.is_done() || complete && !tokenizer.has_begun())
        };
        if trouble.is_some() || is_streamed && seen.documents == 0 && seen.not_json {
            observed.is_invalid_json = plan.expects_json;
            observed.unseen = (!plan.expects_json).then_some(Unseen::OtherType);
            return observed;
        }
        if !has_ended && !complete {
            observed.unseen = Some(Unseen::Truncated);
        } else if seen.documents > 0 && !seen.known {
            observed.unseen = Some(Unseen::OtherType);
        }
        observed.is_broken = is_streamed && (seen.error || seen.invalid)
            || !has_ended && complete && observed.unseen.is_none();
        observed.failed = seen.failed || !is_streamed && seen.error;
        (observed.score, observed.class) = (seen.score, seen.class);
        observed.finish = seen.finish_of_calls(plan.format);
        observed.is_refusal = seen.refusal;
        observed.tokens_in = seen.tokens.all_of_prompt();
        seen.tokens.tell(&mut observed, has_ended);
        if observed.is_broken || observed.unseen.is_some() || observed.failed && !seen.failed {
            return observed;
        }
        let is_answered = seen.content || seen.tool || seen.refusal;
        observed.is_empty = match plan.format {
            Format::None | Format::Json => seen.documents == 0,
            _ => !is_answered,
        };
        observed.is_invalid_json = plan.expects_json
            && if is_model {
                let is_judged = seen.content && !seen.tool && !seen.refusal && !seen.many_choices;
                is_judged && inner.is_some_and(|inner| !inner.is_json())
            } else {
                seen.documents == 0 || seen.not_strict
            };
        observed
    }
}
