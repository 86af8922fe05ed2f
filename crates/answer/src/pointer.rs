//! RFC 6901: where in a document a value is.

use serde::{Deserialize, Serialize};

/// How many parts a pointer may have.
pub const MOST_SEGMENTS: usize = 16;

/// How long one part may be, in bytes.
pub const MOST_SEGMENT_BYTES: usize = 96;

/// How long a pointer may be, in bytes.
pub const MOST_POINTER_BYTES: usize = 256;

/// A JSON pointer, `/outputs/0/data/0`; the empty one is the whole document. `~0` stands for `~` and `~1` for `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pointer {
    written: String,
    segments: Vec<Segment>,
}

/// One part of a pointer: a member's name, and the place in a list it also is where it is a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Segment {
    pub key: Box<[u8]>,
    pub index: Option<u32>,
}

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// What is wrong with it, and what mends it.
    pub fn parse(written: &str) -> Result<Self, String> {
        if written.len() > MOST_POINTER_BYTES {
            return Err(format!("a pointer has at most {MOST_POINTER_BYTES} bytes"));
        }
        let Some(rest) = written.strip_prefix('/') else {
            return if written.is_empty() {
                Ok(Self { written: String::new(), segments: Vec::new() })
            } else {
                Err("a JSON pointer begins with `/`, as in `/predictions/0/score`; an empty one is the whole document".to_owned())
            };
        };
        let segments = rest.split('/').map(segment).collect::<Result<Vec<_>, _>>()?;
        if segments.len() > MOST_SEGMENTS {
            return Err(format!("a pointer has at most {MOST_SEGMENTS} parts"));
        }
        Ok(Self { written: written.to_owned(), segments })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

fn segment(text: &str) -> Result<Segment, String> {
    if text.len() > MOST_SEGMENT_BYTES {
        return Err(format!("one part of a pointer has at most {MOST_SEGMENT_BYTES} bytes"));
    }
    let mut key = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        key.push(match next {
            '~' => match rest.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err("`~` is written `~0` in a pointer, and `/` within a name `~1`".to_owned()),
            },
            other => other,
        });
    }
    // No leading zeros, no sign: `01` is a member's name alone.
    let is_index = key == "0" || (!key.starts_with('0') && key.bytes().all(|byte| byte.is_ascii_digit()));
    let index = if is_index { key.parse().ok() } else { None };
    Ok(Segment { key: key.into_bytes().into_boxed_slice(), index })
}

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        Self::parse(&written)
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> Self {
        pointer.written
    }
}

impl std::fmt::Display for Pointer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.written)
    }
}
