//! What the documents of one answer said, taken together.

use crate::compile::{Plan, Role};
use crate::document::Document;
use crate::format::{EventType, Facts};
use crate::observed::{Class, Finish, Observed, Score};
use crate::rules::Format;

/// The last document that said something counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub documents: u64,
    pub known: bool,
    pub content: bool,
    pub tool: bool,
    pub refusal: bool,
    pub error: bool,
    pub end: bool,
    pub needs_end: bool,
    pub many_choices: bool,
    /// A document was cut off, or none at all.
    pub invalid: bool,
    pub not_json: bool,
    pub not_strict: bool,
    pub failed: bool,
    pub tokens: Tokens,
    pub finish: Option<Finish>,
    pub score: Option<Score>,
    pub class: Option<Class>,
}

/// What is known of tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tokens {
    /// Events that brought some.
    events: u64,
    pub first_ms: Option<u64>,
    pub last_ms: Option<u64>,
    /// By the model's own account.
    prompt: Option<u64>,
    answer: Option<u64>,
    /// Of the prompt, what was written to a cache and read from it, where that is counted apart.
    cached: [Option<u64>; 2],
}

impl Seen {
    /// One more document.
    pub fn take(&mut self, plan: &Plan, document: &Document, is_strict: bool, now_ms: u64) {
        let mut facts = document.facts;
        facts.settle();
        self.documents += 1;
        self.known |= facts.is_known || facts.is_error || plan.format == Format::Json;
        self.content |= facts.has_content;
        self.tool |= facts.has_tool;
        self.refusal |= facts.has_refusal;
        self.error |= facts.is_error || facts.event == EventType::Error;
        self.end |= facts.is_end || facts.event == EventType::End;
        self.needs_end |= facts.needs_end;
        self.many_choices |= facts.has_many_choices;
        self.not_strict |= !is_strict;
        self.tokens.take(&facts, now_ms);
        self.finish = facts.finish.or(self.finish);
        let says_failed = |at: usize| document.failed & (1 << at) != 0;
        let mut wanted = plan.wanted.iter().enumerate();
        self.failed |= wanted.any(|(at, wanted)| matches!(wanted.role, Role::Failed(_)) && says_failed(at));
        self.score = document.score.or(self.score);
        self.class = document.class.or(self.class);
    }

    /// The Responses API says `completed` of a call as well.
    pub fn finish_of_calls(&self, format: Format) -> Option<Finish> {
        match self.finish {
            Some(Finish::Stop) if format == Format::OpenAi && self.tool => Some(Finish::ToolCalls),
            finish => finish,
        }
    }
}

impl Tokens {
    fn take(&mut self, facts: &Facts, now_ms: u64) {
        if facts.brings_tokens() {
            self.events += 1;
            self.first_ms = self.first_ms.or(Some(now_ms));
            self.last_ms = Some(now_ms);
        }
        self.prompt = facts.tokens_in.or(self.prompt);
        self.answer = facts.tokens_out.or(self.answer);
        for (mine, said) in self.cached.iter_mut().zip(facts.tokens_cached) {
            *mine = said.or(*mine);
        }
    }

    pub fn all_of_prompt(&self) -> Option<u64> {
        let cached = self.cached.iter().flatten();
        self.prompt.map(|tokens| cached.fold(tokens, |sum, &more| sum.saturating_add(more)))
    }

    /// The model's own account of its answer's tokens, or the events that brought some: where it says nothing, said nothing at the end,
    /// or said zero of a stream that brought some.
    pub fn tell(&self, observed: &mut Observed, has_ended: bool) {
        let said = self.answer.filter(|&said| has_ended && (said > 0 || self.events == 0));
        observed.is_counted = observed.is_streamed && said.is_none() && self.events > 0;
        observed.tokens_out = if observed.is_counted { Some(self.events) } else { said };
    }
}
