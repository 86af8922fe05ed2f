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
    /// How many bytes at the start are plain text. Most text is ASCII: eight bytes at once, then one by one what has something else.
    pub fn run(&mut self, bytes: &[u8]) -> usize {
        let mut length = 0;
        while let Some(rest) = bytes.get(length..).filter(|rest| !rest.is_empty()) {
            if self.missing == 0 {
                let (words, _) = rest.as_chunks();
                let plain = words.iter().take_while(|word| is_plain(u64::from_le_bytes(**word))).count() * 8;
                if plain > 0 {
                    length += plain;
                    continue;
                }
            }
            let few = rest.get(..8).unwrap_or(rest);
            match few.iter().position(|&byte| !self.takes(byte)) {
                Some(at) => return length + at,
                None => length += few.len(),
            }
        }
        length
    }

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

/// Are all eight bytes ASCII, and none of them a control, a quotation mark or a backslash?
fn is_plain(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 0xFF;
    const HIGH: u64 = ONES << 7;
    // A byte below `n` borrows from its highest bit; those of 0x80 and more are found by that bit itself.
    let has_below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word;
    let has = |byte: u64| has_below(word ^ (ONES * byte), 1);
    (has_below(word, 0x20) | has(0x22) | has(0x5C) | word) & HIGH == 0
}
