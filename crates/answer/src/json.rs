//! JSON, token by token, from bytes that come in any pieces.
//!
//! It holds a few bytes of state and no text: texts and numbers are handed on in pieces as they come, so a number of ten
//! megabytes costs no memory here. It takes what Python's `json` writes beside the standard (`NaN`, `Infinity`, `-Infinity`) and
//! text that is no UTF-8, and says so by [`Tokenizer::is_strict`].

use crate::utf8::Utf8;

/// How many containers may be open at once.
pub(crate) const MOST_DEPTH: u8 = 128;

/// What begins and ends in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    Key,
    Text,
    Number,
    /// `NaN`; not JSON.
    Nan,
    /// `Infinity` or `-Infinity`; not JSON. It begins as a number where it has a sign.
    Infinite,
    True,
    False,
    Null,
}

/// Who hears of a document.
pub(crate) trait Events {
    /// Something begins. A value in an object comes after its key's end.
    fn begin(&mut self, kind: Kind);
    /// A part of the key, text or number that began last, with escapes resolved.
    fn piece(&mut self, bytes: &[u8]);
    /// And ends.
    fn end(&mut self, kind: Kind);
}

/// Nobody: what counts is whether it is JSON.
pub(crate) struct Unheard;

impl Events for Unheard {
    fn begin(&mut self, _kind: Kind) {}
    fn piece(&mut self, _bytes: &[u8]) {}
    fn end(&mut self, _kind: Kind) {}
}

/// Why reading ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is no JSON.
    Invalid,
    /// More than [`MOST_DEPTH`] containers are open.
    TooDeep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value must come.
    Value,
    /// A value, or the end of the list.
    FirstElement,
    /// A key, or the end of the object.
    FirstKey,
    Key,
    Colon,
    /// A comma, or the end of the container.
    After,
    Text,
    Escape,
    Unicode,
    Number(Digits),
    Literal,
    /// The document is whole; white space may follow.
    Done,
}

/// Where in a number we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digits {
    Start,
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

impl Digits {
    /// The next place by this byte; none: the number ends before it, or is none.
    fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Start, b'-') => Self::Minus,
            (Self::Start | Self::Minus, b'0') => Self::Zero,
            (Self::Start | Self::Minus | Self::Whole, b'0'..=b'9') => Self::Whole,
            (Self::Zero | Self::Whole, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::Sign,
            (Self::Exponent | Self::Sign | Self::Power, b'0'..=b'9') => Self::Power,
            _ => return None,
        })
    }

    fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Power)
    }
}

/// Reads one document.
#[derive(Clone, Debug)]
pub(crate) struct Tokenizer {
    state: State,
    depth: u8,
    /// One bit a container, the innermost lowest: is it an object?
    objects: u128,
    is_key: bool,
    is_strict: bool,
    utf8: Utf8,
    /// Hexadecimal digits of an escape so far, and how many.
    unicode: u16,
    hex_digits: u8,
    /// The first half of a pair, if the second is still to come.
    high: Option<u16>,
    /// What is left of `true`, `NaN` and the like, and what it will have been.
    literal: &'static [u8],
    literal_kind: Kind,
}

impl Default for Tokenizer {
    fn default() -> Self {
        Self {
            state: State::Value,
            depth: 0,
            objects: 0,
            is_key: false,
            is_strict: true,
            utf8: Utf8::default(),
            unicode: 0,
            hex_digits: 0,
            high: None,
            literal: &[],
            literal_kind: Kind::Null,
        }
    }
}

type Rest<'bytes> = Result<&'bytes [u8], Trouble>;

impl Tokenizer {
    /// Has anything of a document come?
    pub fn has_begun(&self) -> bool {
        self.state != State::Value || self.depth != 0
    }

    /// Is the document whole? A number without anything after it is only at its [end](Self::finish).
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Was all so far JSON by the standard?
    pub fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Reads on.
    pub fn feed(&mut self, bytes: &[u8], events: &mut impl Events) -> Result<(), Trouble> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            rest = match self.state {
                State::Text => self.text(rest, events)?,
                State::Number(digits) => self.number(digits, rest, events)?,
                State::Escape => self.escape(byte, after, events)?,
                State::Unicode => self.unicode(byte, after, events)?,
                State::Literal => self.literal(byte, after, events)?,
                _ if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') => after,
                _ => self.structure(byte, rest, after, events)?,
            };
        }
        Ok(())
    }

    /// Nothing follows: ends a number that stands alone. The document is whole if [`Self::is_done`] then.
    pub fn finish(&mut self, events: &mut impl Events) {
        if let State::Number(digits) = self.state
            && self.depth == 0
            && digits.may_end()
        {
            self.value_ends(Kind::Number, events);
        }
    }

    fn in_object(&self) -> bool {
        self.depth > 0 && self.objects & 1 == 1
    }

    fn structure<'bytes>(
        &mut self,
        byte: u8,
        rest: &'bytes [u8],
        after: &'bytes [u8],
        events: &mut impl Events,
    ) -> Rest<'bytes> {
        match (self.state, byte) {
            (State::FirstElement, b']') => self.close(Kind::Array, events),
            (State::FirstKey, b'}') => self.close(Kind::Object, events),
            (State::FirstKey | State::Key, b'"') => self.text_begins(true, events),
            (State::Colon, b':') => self.state = State::Value,
            (State::After, b',') => {
                self.state = if self.in_object() { State::Key } else { State::Value };
            }
            (State::After, b'}') if self.in_object() => self.close(Kind::Object, events),
            (State::After, b']') if !self.in_object() => self.close(Kind::Array, events),
            (State::Value | State::FirstElement, _) => return self.value(byte, rest, after, events),
            _ => return Err(Trouble::Invalid),
        }
        Ok(after)
    }

    fn value<'bytes>(
        &mut self,
        byte: u8,
        rest: &'bytes [u8],
        after: &'bytes [u8],
        events: &mut impl Events,
    ) -> Rest<'bytes> {
        match byte {
            b'"' => self.text_begins(false, events),
            b'{' => self.open(Kind::Object, events)?,
            b'[' => self.open(Kind::Array, events)?,
            b'-' | b'0'..=b'9' => {
                events.begin(Kind::Number);
                self.state = State::Number(Digits::Start);
                return Ok(rest);
            }
            b't' => self.literal_begins(b"rue", Kind::True, events),
            b'f' => self.literal_begins(b"alse", Kind::False, events),
            b'n' => self.literal_begins(b"ull", Kind::Null, events),
            b'N' => self.literal_begins(b"aN", Kind::Nan, events),
            b'I' => self.literal_begins(b"nfinity", Kind::Infinite, events),
            _ => return Err(Trouble::Invalid),
        }
        Ok(after)
    }

    fn open(&mut self, kind: Kind, events: &mut impl Events) -> Result<(), Trouble> {
        if self.depth >= MOST_DEPTH {
            return Err(Trouble::TooDeep);
        }
        events.begin(kind);
        let is_object = kind == Kind::Object;
        self.depth += 1;
        self.objects = (self.objects << 1) | u128::from(is_object);
        self.state = if is_object { State::FirstKey } else { State::FirstElement };
        Ok(())
    }

    fn close(&mut self, kind: Kind, events: &mut impl Events) {
        self.depth = self.depth.saturating_sub(1);
        self.objects >>= 1;
        self.value_ends(kind, events);
    }

    fn value_ends(&mut self, kind: Kind, events: &mut impl Events) {
        self.state = if self.depth == 0 { State::Done } else { State::After };
        events.end(kind);
    }

    fn literal_begins(&mut self, rest: &'static [u8], kind: Kind, events: &mut impl Events) {
        events.begin(kind);
        self.state = State::Literal;
        self.literal = rest;
        self.literal_kind = kind;
    }

    fn literal<'bytes>(&mut self, byte: u8, after: &'bytes [u8], events: &mut impl Events) -> Rest<'bytes> {
        match self.literal.split_first() {
            Some((&expected, left)) if expected == byte => {
                self.literal = left;
                if left.is_empty() {
                    self.is_strict &= !matches!(self.literal_kind, Kind::Nan | Kind::Infinite);
                    self.value_ends(self.literal_kind, events);
                }
                Ok(after)
            }
            _ => Err(Trouble::Invalid),
        }
    }

    fn number<'bytes>(
        &mut self,
        mut digits: Digits,
        bytes: &'bytes [u8],
        events: &mut impl Events,
    ) -> Rest<'bytes> {
        let mut length = 0;
        let mut stopped = None;
        for &byte in bytes {
            let Some(next) = digits.next(byte) else {
                stopped = Some(byte);
                break;
            };
            digits = next;
            length += 1;
        }
        let (number, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        events.piece(number);
        self.state = State::Number(digits);
        match stopped {
            None => {}
            Some(b'I') if digits == Digits::Minus => {
                self.state = State::Literal;
                self.literal = b"Infinity";
                self.literal_kind = Kind::Infinite;
            }
            Some(_) if digits.may_end() => self.value_ends(Kind::Number, events),
            Some(_) => return Err(Trouble::Invalid),
        }
        Ok(rest)
    }

    fn text_begins(&mut self, is_key: bool, events: &mut impl Events) {
        self.is_key = is_key;
        self.state = State::Text;
        events.begin(if is_key { Kind::Key } else { Kind::Text });
    }

    fn text<'bytes>(&mut self, bytes: &'bytes [u8], events: &mut impl Events) -> Rest<'bytes> {
        let length = self.utf8.run(bytes);
        let (run, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        if !run.is_empty() {
            self.lone_half(events);
            events.piece(run);
        }
        let Some((&byte, after)) = rest.split_first() else { return Ok(rest) };
        match byte {
            b'"' => {
                self.lone_half(events);
                self.is_strict &= self.utf8.is_valid();
                self.utf8 = Utf8::default();
                if self.is_key {
                    self.state = State::Colon;
                    events.end(Kind::Key);
                } else {
                    self.value_ends(Kind::Text, events);
                }
            }
            b'\\' => self.state = State::Escape,
            _ => return Err(Trouble::Invalid),
        }
        Ok(after)
    }

    fn escape<'bytes>(&mut self, byte: u8, after: &'bytes [u8], events: &mut impl Events) -> Rest<'bytes> {
        let meant: &[u8] = match byte {
            b'"' => b"\"",
            b'\\' => b"\\",
            b'/' => b"/",
            b'b' => b"\x08",
            b'f' => b"\x0c",
            b'n' => b"\n",
            b'r' => b"\r",
            b't' => b"\t",
            b'u' => {
                self.state = State::Unicode;
                self.unicode = 0;
                self.hex_digits = 0;
                return Ok(after);
            }
            _ => return Err(Trouble::Invalid),
        };
        self.lone_half(events);
        self.state = State::Text;
        events.piece(meant);
        Ok(after)
    }

    fn unicode<'bytes>(&mut self, byte: u8, after: &'bytes [u8], events: &mut impl Events) -> Rest<'bytes> {
        let digit = char::from(byte).to_digit(16).ok_or(Trouble::Invalid)?;
        self.unicode = (self.unicode << 4) | u16::try_from(digit).unwrap_or(0);
        self.hex_digits += 1;
        if self.hex_digits < 4 {
            return Ok(after);
        }
        self.state = State::Text;
        let unit = self.unicode;
        let character = match (self.high.take(), unit) {
            (Some(high), 0xDC00..=0xDFFF) => {
                let code = 0x1_0000 + ((u32::from(high) & 0x3FF) << 10) + (u32::from(unit) & 0x3FF);
                char::from_u32(code)
            }
            (half, _) => {
                if half.is_some() {
                    piece_of(char::REPLACEMENT_CHARACTER, events);
                }
                if matches!(unit, 0xD800..=0xDBFF) {
                    self.high = Some(unit);
                    return Ok(after);
                }
                char::from_u32(u32::from(unit))
            }
        };
        piece_of(character.unwrap_or(char::REPLACEMENT_CHARACTER), events);
        Ok(after)
    }

    /// The first half of a pair that no second follows stands for nothing.
    fn lone_half(&mut self, events: &mut impl Events) {
        if self.high.take().is_some() {
            piece_of(char::REPLACEMENT_CHARACTER, events);
        }
    }
}

fn piece_of(character: char, events: &mut impl Events) {
    events.piece(character.encode_utf8(&mut [0; 4]).as_bytes());
}
