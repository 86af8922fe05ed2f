//! Header maps: ordered, names in lower case, values as bytes, as Envoy holds them.

use std::fmt;

/// An ordered header or trailer map. A name may occur more than once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

/// The map that stands for one that never came.
pub(crate) static EMPTY: Headers = Headers(Vec::new());

impl Headers {
    /// An empty map.
    pub fn new() -> Headers {
        Headers::default()
    }

    /// The first value under `name`, which is all a filter can read through `get_header_map_value`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    /// The first value under `name` as text; bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Every value under `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter(move |(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// Adds a value and keeps those already there.
    pub fn add(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.0.push((name.to_ascii_lowercase(), value.into()));
    }

    /// Replaces every value under `name` by one.
    pub fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.remove(name);
        self.add(name, value);
    }

    /// Removes every value under `name`.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
    }

    /// [`Headers::add`] for building a map in one expression.
    pub fn with(mut self, name: &str, value: impl Into<Vec<u8>>) -> Headers {
        self.add(name, value);
        self
    }

    /// Name and value of each entry, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all names and values, as `get_header_map_size` counts them.
    pub fn byte_size(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// The map as the ABI carries it: count, sizes, then names and values each ended by a zero byte.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = Vec::with_capacity(4 + self.byte_size() + self.len() * 10);
        bytes.extend(size(self.len()));
        for (name, value) in self.iter() {
            bytes.extend(size(name.len()));
            bytes.extend(size(value.len()));
        }
        for (name, value) in self.iter() {
            bytes.extend(name.as_bytes());
            bytes.push(0);
            bytes.extend(value);
            bytes.push(0);
        }
        bytes
    }

    /// Reads what [`Headers::encode`] writes. Like Envoy, anything malformed counts as an empty map.
    pub(crate) fn decode(bytes: &[u8]) -> Headers {
        Headers::try_decode(bytes).unwrap_or_default()
    }

    fn try_decode(bytes: &[u8]) -> Option<Headers> {
        let (count, mut rest) = take_u32(bytes)?;
        let mut sizes = Vec::new();
        for _ in 0..count {
            let (name, after) = take_u32(rest)?;
            let (value, after) = take_u32(after)?;
            sizes.push((name, value));
            rest = after;
        }
        let mut headers = Headers::new();
        for (name_size, value_size) in sizes {
            let (name, after) = take_terminated(rest, name_size)?;
            let (value, after) = take_terminated(after, value_size)?;
            headers.add(&String::from_utf8_lossy(name), value);
            rest = after;
        }
        rest.is_empty().then_some(headers)
    }
}

/// A value as text for people: bytes that are not printable escaped, a long one cut.
fn shown(value: &[u8]) -> String {
    const LONGEST: usize = 200;
    match value.get(..LONGEST) {
        Some(start) => format!("{}... ({} bytes)", start.escape_ascii(), value.len()),
        None => value.escape_ascii().to_string(),
    }
}

fn take_u32(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*head)).ok()?, rest))
}

fn take_terminated(bytes: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(size)?;
    let (end, rest) = rest.split_first()?;
    (*end == 0).then_some((head, rest))
}

impl<N: AsRef<str>, V: Into<Vec<u8>>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in entries {
            headers.add(name.as_ref(), value);
        }
        headers
    }
}

impl<N: AsRef<str>, V: Into<Vec<u8>>, const COUNT: usize> From<[(N, V); COUNT]> for Headers {
    fn from(entries: [(N, V); COUNT]) -> Headers {
        entries.into_iter().collect()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (name, shown(value)))).finish()
    }
}
