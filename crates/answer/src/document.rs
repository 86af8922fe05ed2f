//! Follows one document: where in it we are, and what of it is wanted.

use crate::compile::{MOST_POINTERS, Plan, Role, Wanted};
use crate::format::{self, EventType, Facts, Leaf, Part};
use crate::json::{Events, Kind, Tokenizer, Unheard};
use crate::key::Key;
use crate::observed::{Class, Fault, Score};
use crate::pointer::{MOST_SEGMENT_BYTES, MOST_SEGMENTS};
use crate::rules::Scalar;

/// Of a key or a value that many bytes are kept.
const KEPT: usize = MOST_SEGMENT_BYTES;

/// What is known of the document that is being read. Of a fixed size, whatever the document's.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub facts: Facts,
    pub score: Option<Score>,
    pub class: Option<Class>,
    /// A bit for each of the wanted that says the answer failed.
    pub failed: u16,
    depth: usize,
    keys: [Key; MOST_SEGMENTS],
    /// At each depth, whether it is a list, and which element we are at.
    lists: u32,
    elements: [u32; MOST_SEGMENTS],
    /// How many parts of each wanted path lead to where we are.
    matched: [u8; MOST_POINTERS],
    kept: [u8; KEPT],
    length: usize,
    is_cut: bool,
    part: Part,
    /// The largest in the lists of the score and of the class.
    best_score: f64,
    best_class: f64,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            facts: Facts::default(),
            score: None,
            class: None,
            failed: 0,
            depth: 0,
            keys: [Key::Unknown; MOST_SEGMENTS],
            lists: 0,
            elements: [0; MOST_SEGMENTS],
            matched: [0; MOST_POINTERS],
            kept: [0; KEPT],
            length: 0,
            is_cut: false,
            part: Part::Nothing,
            best_score: f64::NEG_INFINITY,
            best_class: f64::NEG_INFINITY,
        }
    }
}

/// The text of an answer, which is to be JSON itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inner {
    tokenizer: Tokenizer,
    is_bad: bool,
}

impl Inner {
    fn feed(&mut self, bytes: &[u8]) {
        self.is_bad = self.is_bad || self.tokenizer.feed(bytes, &mut Unheard).is_err();
    }

    pub fn is_json(&self) -> bool {
        let mut tokenizer = self.tokenizer.clone();
        tokenizer.finish(&mut Unheard);
        !self.is_bad && tokenizer.is_done() && tokenizer.is_strict()
    }
}

/// Hears a document on behalf of the plan.
pub(crate) struct Hearing<'reader> {
    pub plan: &'reader Plan,
    pub document: &'reader mut Document,
    pub inner: Option<&'reader mut Inner>,
    pub is_streamed: bool,
}

impl Document {
    fn path(&self) -> &[Key] {
        // Below what is kept of a path nothing is asked for.
        self.keys.get(..self.depth).unwrap_or_default()
    }

    fn is_list(&self, depth: usize) -> bool {
        depth > 0 && depth <= MOST_SEGMENTS && self.lists & (1 << (depth - 1)) != 0
    }

    fn text(&self) -> &[u8] {
        self.kept.get(..self.length).unwrap_or_default()
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.kept.get_mut(self.length..).unwrap_or_default();
        let taken = room.len().min(bytes.len());
        for (place, &byte) in room.iter_mut().zip(bytes) {
            *place = byte;
        }
        self.length += taken;
        self.is_cut |= taken < bytes.len();
    }

    /// The last part of the path is known; which wanted paths does it go on with?
    fn step(&mut self, plan: &Plan, key: Key, element: Option<u32>) {
        let Some(last) = self.depth.checked_sub(1) else { return };
        let Some(place) = self.keys.get_mut(last) else { return };
        *place = key;
        let name = if self.is_cut { None } else { self.kept.get(..self.length) };
        let mut forget = 0_u32;
        for (at, (wanted, matched)) in plan.wanted.iter().zip(&mut self.matched).enumerate() {
            let so_far = usize::from(*matched).min(last);
            let fits = so_far == last
                && wanted.path.get(last).is_some_and(|segment| match element {
                    Some(element) => segment.index == Some(element),
                    None => name == Some(&*segment.key),
                });
            *matched = u8::try_from(so_far + usize::from(fits)).unwrap_or(u8::MAX);
            if fits {
                forget |= 1 << at;
            }
        }
        // A member that comes twice counts as the last one, as in most parsers.
        if forget != 0 {
            for (at, wanted) in plan.wanted.iter().enumerate() {
                if forget & (1 << at) != 0 {
                    match wanted.role {
                        Role::Score => self.score = None,
                        Role::Class(_) => self.class = None,
                        Role::Failed(_) => self.failed &= !(1 << at),
                    }
                }
            }
        }
    }

    /// A value begins: in a list this is the next element.
    fn value_begins(&mut self, plan: &Plan) {
        if !self.is_list(self.depth) {
            return;
        }
        let Some(element) = self.elements.get_mut(self.depth.saturating_sub(1)) else { return };
        *element = element.wrapping_add(1);
        let element = *element;
        self.length = 0;
        self.step(plan, Key::At, Some(element));
    }

    /// Does this wanted path lead here?
    fn is_at(&self, at: usize, wanted: &Wanted) -> bool {
        let length = wanted.path.len();
        self.depth == length && self.matched.get(at).is_some_and(|&matched| usize::from(matched) == length)
    }

    /// Are we at an element of the list it leads to?
    fn is_in(&self, at: usize, wanted: &Wanted) -> bool {
        let length = wanted.path.len();
        self.depth == length + 1
            && self.is_list(self.depth)
            && self.matched.get(at).is_some_and(|&matched| usize::from(matched) == length)
    }

    fn container_begins(&mut self, plan: &Plan, kind: Kind) {
        for (at, wanted) in plan.wanted.iter().enumerate() {
            if !self.is_at(at, wanted) {
                continue;
            }
            match &wanted.role {
                Role::Score => {
                    self.score = Some(Score::Fault(Fault::NotANumber));
                    self.best_score = f64::NEG_INFINITY;
                }
                Role::Class(_) => {
                    self.class = Some(Class::Other);
                    self.best_class = f64::NEG_INFINITY;
                }
                Role::Failed(None) => self.failed |= 1 << at,
                Role::Failed(Some(_)) => {}
            }
        }
        self.depth += 1;
        if self.depth <= MOST_SEGMENTS {
            let bit = 1 << (self.depth - 1);
            self.lists = if kind == Kind::Array { self.lists | bit } else { self.lists & !bit };
            if let Some(element) = self.elements.get_mut(self.depth - 1) {
                *element = u32::MAX;
            }
        }
    }

    fn wanted_value(&mut self, plan: &Plan, kind: Kind) {
        for (at, wanted) in plan.wanted.iter().enumerate() {
            let (is_at, is_in) = (self.is_at(at, wanted), self.is_in(at, wanted));
            if !is_at && !is_in {
                continue;
            }
            match &wanted.role {
                Role::Score => {
                    let score = self.number(kind);
                    if is_at {
                        self.score = Some(score);
                    } else {
                        self.scored(score);
                    }
                }
                Role::Class(names) if is_at => {
                    let text = self.text();
                    let text = text.strip_suffix(b".0").filter(|_| kind == Kind::Number).unwrap_or(text);
                    let place = names.iter().position(|name| !self.is_cut && name.as_bytes() == text);
                    self.class = Some(class(place));
                }
                Role::Class(names) => {
                    if let Score::Value(value) = self.number(kind)
                        && value > self.best_class
                    {
                        self.best_class = value;
                        let element = self.elements.get(self.depth.saturating_sub(1)).copied();
                        let place = element.and_then(|element| usize::try_from(element).ok());
                        self.class = Some(class(place.filter(|&place| place < names.len())));
                    }
                }
                Role::Failed(equals) => {
                    if is_at && self.equals(kind, equals.as_ref()) {
                        self.failed |= 1 << at;
                    }
                }
            }
        }
    }

    /// One more number of a list: the largest counts, and one fault is the list's.
    fn scored(&mut self, score: Score) {
        match score {
            _ if self.best_score.is_nan() => {}
            Score::Value(value) if value > self.best_score => {
                self.best_score = value;
                self.score = Some(score);
            }
            Score::Value(_) => {}
            Score::Fault(_) => {
                self.best_score = f64::NAN;
                self.score = Some(score);
            }
        }
    }

    fn number(&self, kind: Kind) -> Score {
        match kind {
            Kind::Nan => Score::Fault(Fault::Nan),
            Kind::Infinite => Score::Fault(Fault::Infinite),
            Kind::Number if self.is_cut => Score::Fault(Fault::OutOfRange),
            Kind::Number | Kind::Text if !self.is_cut => {
                match std::str::from_utf8(self.text()).map(str::parse) {
                    Ok(Ok(value)) => number(value, self.text()),
                    _ => Score::Fault(Fault::NotANumber),
                }
            }
            _ => Score::Fault(Fault::NotANumber),
        }
    }

    fn equals(&self, kind: Kind, wanted: Option<&Scalar>) -> bool {
        match wanted {
            None => kind != Kind::Null,
            Some(Scalar::Bool(flag)) => kind == if *flag { Kind::True } else { Kind::False },
            Some(Scalar::Text(text)) => kind == Kind::Text && !self.is_cut && self.text() == text.as_bytes(),
            Some(Scalar::Number(number)) => {
                kind == Kind::Number && self.number(kind) == Score::Value(*number)
            }
        }
    }
}

fn class(place: Option<usize>) -> Class {
    place.and_then(|place| u8::try_from(place).ok()).map_or(Class::Other, Class::Named)
}

fn number(value: f64, text: &[u8]) -> Score {
    if value.is_finite() {
        Score::Value(value)
    } else if value.is_nan() {
        Score::Fault(Fault::Nan)
    } else if text.iter().any(u8::is_ascii_digit) {
        Score::Fault(Fault::OutOfRange)
    } else {
        Score::Fault(Fault::Infinite)
    }
}

impl Hearing<'_> {
    fn part(&self) -> Part {
        match self.document.part {
            Part::ByType => match self.document.facts.event {
                EventType::Delta(part) => part,
                _ => Part::Nothing,
            },
            part => part,
        }
    }
}

impl Events for Hearing<'_> {
    fn begin(&mut self, kind: Kind) {
        let (plan, document) = (self.plan, &mut *self.document);
        if kind != Kind::Key {
            document.value_begins(plan);
        }
        document.length = 0;
        document.is_cut = false;
        match kind {
            Kind::Object | Kind::Array => {
                let mut facts = document.facts;
                format::container(plan.format, document.path(), kind == Kind::Object, &mut facts);
                document.facts = facts;
                document.container_begins(plan, kind);
            }
            Kind::Text => {
                document.part = format::part_of_text(plan.format, document.path(), self.is_streamed);
            }
            _ => document.part = Part::Nothing,
        }
    }

    fn piece(&mut self, bytes: &[u8]) {
        self.document.keep(bytes);
        if self.document.part != Part::Nothing
            && self.part() == Part::Content
            && let Some(inner) = &mut self.inner
        {
            inner.feed(bytes);
        }
    }

    fn end(&mut self, kind: Kind) {
        let (plan, document) = (self.plan, &mut *self.document);
        match kind {
            Kind::Object | Kind::Array => document.depth = document.depth.saturating_sub(1),
            Kind::Key => {
                let key = if document.is_cut { Key::Unknown } else { Key::of(document.text()) };
                document.step(plan, key, None);
                if !document.facts.is_known {
                    document.facts.is_known = format::knows(plan.format, document.path());
                }
            }
            _ => {
                let text: &[u8] = match kind {
                    Kind::True => b"true",
                    Kind::False => b"false",
                    _ => &[],
                };
                document.keep(text);
                let mut facts = document.facts;
                if document.length > 0 {
                    facts.has(document.part);
                }
                // A text that was cut is none that a format asks for.
                let text = if document.is_cut { b"\0" } else { document.text() };
                let leaf = Leaf { text, is_text: kind == Kind::Text, is_null: kind == Kind::Null };
                format::leaf(plan.format, document.path(), &leaf, &mut facts);
                document.facts = facts;
                document.wanted_value(plan, kind);
                document.part = Part::Nothing;
            }
        }
    }
}
