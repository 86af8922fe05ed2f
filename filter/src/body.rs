//! The body of an answer on its way to the client: watched, never held back and never changed.

use std::cell::Cell;

use answer::{Observed, Reader};
use split::Answers;

use crate::host::{self, Buffer, Map};

/// So much of a chunk is taken over at once: the memory of a VM grows by its largest allocation, and for good.
const PIECE: usize = 32 * 1024;

thread_local! {
    /// Answers that this VM reads now.
    static OPEN: Cell<u32> = const { Cell::new(0) };
}

/// A place among the answers that are read at once; it is free again when this goes.
struct Place;

impl Place {
    fn take(most: u32) -> Option<Self> {
        let open = OPEN.get();
        (open < most).then(|| {
            OPEN.set(open + 1);
            Self
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        OPEN.set(OPEN.get().saturating_sub(1));
    }
}

/// An answer's body.
pub enum Body {
    /// It is read.
    Open(Box<Watched>),
    /// Too many are: it is only counted.
    Crowded,
}

/// An answer that is read.
pub struct Watched {
    reader: Reader,
    /// When the request began, in nanoseconds by the steady clock.
    began_ns: u64,
    /// All of it was handed over.
    is_whole: bool,
    /// Kept while there is something to be learnt.
    place: Option<Place>,
}

impl Body {
    /// The body of the response whose headers are here, if it is a model's answer; `None`: an error, which says nothing of what
    /// the model would answer, or a status without a body.
    pub fn begin(rules: &Answers, began_ns: u64) -> Option<Self> {
        let status = host::header(Map::Response, ":status").ok()?;
        if !(status.len() == 3 && status.first() == Some(&b'2')) || matches!(&*status, b"204" | b"205") {
            return None;
        }
        let content_type = host::header(Map::Response, "content-type").ok();
        let encoding = host::header(Map::Response, "content-encoding").ok();
        let reader = Reader::new(&rules.read, content_type.as_deref(), encoding.as_deref());
        let place = match reader.is_done() {
            true => None,
            false => match Place::take(rules.max_open) {
                Some(place) => Some(place),
                None => return Some(Self::Crowded),
            },
        };
        Some(Self::Open(Box::new(Watched { reader, began_ns, is_whole: true, place })))
    }

    /// A chunk of `size` bytes is on its way.
    pub fn chunk(&mut self, size: usize) {
        let Self::Open(watched) = self else { return };
        let mut start = 0;
        let mut now = None;
        while start < size && !watched.reader.is_done() {
            let piece = host::part(Buffer::ResponseBody, start, PIECE.min(size - start)).unwrap_or_default();
            if piece.is_empty() {
                watched.is_whole = false;
                return;
            }
            // One moment for all of a chunk, however many pieces it has.
            let at_ns = *now.get_or_insert_with(|| host::steady().unwrap_or(watched.began_ns));
            let at_ms = at_ns.saturating_sub(watched.began_ns) / 1_000_000;
            watched.reader.chunk(&piece, at_ms);
            start += piece.len();
        }
        if watched.reader.is_done() {
            watched.place = None;
        }
    }

    /// What it said; `None`: it was not read.
    pub fn observed(self) -> Option<Observed> {
        match self {
            Self::Open(watched) => Some(watched.reader.end(watched.is_whole)),
            Self::Crowded => None,
        }
    }
}
