//! Follows one answer, chunk by chunk.

use crate::compile::Compiled;
use crate::observed::{Observed, Unseen};

/// One answer being read. It holds nothing of the answer but a fixed few hundred bytes.
#[derive(Debug)]
pub struct Reader {
    rules: Compiled,
    unseen: Option<Unseen>,
    bytes: u64,
}

impl Reader {
    /// Begins to read an answer with these headers.
    #[must_use]
    pub fn new(rules: &Compiled, content_type: Option<&[u8]>, content_encoding: Option<&[u8]>) -> Self {
        let _ = content_type;
        let is_plain = content_encoding.is_none_or(|encoding| encoding.eq_ignore_ascii_case(b"identity"));
        Self { rules: rules.clone(), unseen: (!is_plain).then_some(Unseen::Compressed), bytes: 0 }
    }

    /// Is there nothing more to be learnt from this answer? Then its chunks need not be handed over.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.unseen.is_some() || !self.rules.reads_bodies()
    }

    /// Reads the next bytes, which came this many milliseconds after the request began.
    pub fn chunk(&mut self, bytes: &[u8], at_ms: u64) {
        let _ = at_ms;
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.unseen.is_none() && self.bytes > self.rules.0.max_bytes {
            self.unseen = Some(Unseen::TooLarge);
        }
    }

    /// What was seen. `complete` says that the server ended the answer, in whatever way, and all of it was handed over; it is
    /// false where the client left before, of which nothing follows about the model.
    #[must_use]
    pub fn end(self, complete: bool) -> Observed {
        let truncated = (!complete).then_some(Unseen::Truncated);
        Observed { unseen: self.unseen.or(truncated), ..Observed::default() }
    }
}
