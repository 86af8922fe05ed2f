//! UTF-8, from bytes that come in any pieces.

/// Whether text is UTF-8, byte by byte.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Utf8 {
    /// How many bytes of a character are still to come, and between which bounds the next is.
    missing: u8,
    low: u8,
    high: u8,
    is_broken: bool,
}

impl Utf8 {
    /// Is this byte plain text, neither the end, nor an escape, nor a control?
    pub fn takes(&mut self, byte: u8) -> bool {
        if self.missing == 0 && byte < 0x80 {
            return byte >= 0x20 && byte != b'"' && byte != b'\\';
        }
        if self.missing > 0 {
            if (self.low..=self.high).contains(&byte) {
                self.missing -= 1;
                (self.low, self.high) = (0x80, 0xBF);
                return true;
            }
            self.missing = 0;
            self.is_broken = true;
            if byte < 0x80 {
                return self.takes(byte);
            }
        }
        (self.missing, self.low, self.high) = match byte {
            0xC2..=0xDF => (1, 0x80, 0xBF),
            0xE0 => (2, 0xA0, 0xBF),
            0xED => (2, 0x80, 0x9F),
            0xE1..=0xEF => (2, 0x80, 0xBF),
            0xF0 => (3, 0x90, 0xBF),
            0xF1..=0xF3 => (3, 0x80, 0xBF),
            0xF4 => (3, 0x80, 0x8F),
            _ => {
                self.is_broken = true;
                (0, 0, 0)
            }
        };
        true
    }

    /// Was all of it UTF-8, and is its last character whole?
    pub fn is_valid(self) -> bool {
        self.missing == 0 && !self.is_broken
    }
}
