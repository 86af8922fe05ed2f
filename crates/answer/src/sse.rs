//! Server-sent events, from bytes that come in any pieces: LF, CR and CRLF, comments, data over several lines.
//!
//! Data are handed on as they come, so a line may be as long as it likes.

/// Who hears of events.
pub(crate) trait Listener {
    /// The event's name; before or after its data, as the stream has it.
    fn name(&mut self, name: &[u8]);
    /// A part of the event's data. Lines are joined by a line feed.
    fn data(&mut self, bytes: &[u8]);
    /// A line begins with `error:`, as early servers of llama.cpp say that they failed.
    fn error(&mut self);
    /// A blank line: the event is whole.
    fn dispatch(&mut self);
}

/// How much of a field's name, or of an event's, is kept; longer ones are none that anybody asks for.
const KEPT: usize = 48;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing of the line has come.
    Start,
    Field,
    /// After the colon, where one space is skipped.
    Colon,
    Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    Other,
}

/// Reads a stream of events.
#[derive(Clone, Debug)]
pub(crate) struct EventStream {
    place: Place,
    field: Field,
    after_cr: bool,
    has_data: bool,
    kept: [u8; KEPT],
    length: usize,
}

impl Default for EventStream {
    fn default() -> Self {
        Self {
            place: Place::Start,
            field: Field::Other,
            after_cr: false,
            has_data: false,
            kept: [0; KEPT],
            length: 0,
        }
    }
}

impl EventStream {
    /// Reads on.
    pub fn feed(&mut self, bytes: &[u8], listener: &mut impl Listener) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                rest = after;
                continue;
            }
            if byte == b'\n' || byte == b'\r' {
                self.after_cr = byte == b'\r';
                self.line_ends(listener);
                rest = after;
                continue;
            }
            rest = match self.place {
                Place::Value => self.value(rest, listener),
                Place::Colon => {
                    self.place = Place::Value;
                    if byte == b' ' { after } else { rest }
                }
                Place::Start | Place::Field => {
                    self.place = Place::Field;
                    if byte == b':' {
                        self.field_ends(listener);
                        self.place = Place::Colon;
                    } else {
                        self.keep(&[byte]);
                    }
                    after
                }
            };
        }
    }

    /// The stream is over: an event without its blank line counts, since many a server leaves out the last one.
    pub fn finish(&mut self, listener: &mut impl Listener) {
        if self.place != Place::Start {
            self.line_ends(listener);
        }
        if std::mem::take(&mut self.has_data) {
            listener.dispatch();
        }
    }

    fn value<'bytes>(&mut self, bytes: &'bytes [u8], listener: &mut impl Listener) -> &'bytes [u8] {
        let length = bytes.iter().position(|&byte| byte == b'\n' || byte == b'\r').unwrap_or(bytes.len());
        let (value, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        match self.field {
            Field::Data => listener.data(value),
            Field::Event => self.keep(value),
            Field::Other => {}
        }
        rest
    }

    fn field_ends(&mut self, listener: &mut impl Listener) {
        let name = self.kept.get(..self.length).unwrap_or_default();
        self.field = match name {
            b"data" => {
                if self.has_data {
                    listener.data(b"\n");
                }
                self.has_data = true;
                Field::Data
            }
            b"event" => Field::Event,
            b"error" => {
                listener.error();
                Field::Other
            }
            _ => Field::Other,
        };
        self.length = 0;
    }

    fn line_ends(&mut self, listener: &mut impl Listener) {
        match self.place {
            Place::Start => {
                self.has_data = false;
                listener.dispatch();
            }
            // A field without a colon has an empty value.
            Place::Field => self.field_ends(listener),
            Place::Colon | Place::Value => {}
        }
        if self.field == Field::Event && self.place != Place::Start {
            listener.name(self.kept.get(..self.length).unwrap_or_default());
        }
        self.field = Field::Other;
        self.length = 0;
        self.place = Place::Start;
    }

    /// Keeps a part of a name; one that is too long is kept as nothing that is asked for.
    fn keep(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match self.kept.get_mut(self.length) {
                Some(place) => {
                    *place = byte;
                    self.length += 1;
                }
                None => {
                    self.kept = [0; KEPT];
                    return;
                }
            }
        }
    }
}
