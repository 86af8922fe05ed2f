use std::io::Cursor;

/// Into how many groups keys are cut, for the variance between users.
pub const GROUPS: u8 = 100;

/// Where a key lies: its position in the key space, and its group, which is independent of the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The low 64 bits of the hash: what weights are compared with.
    pub position: u64,
    /// The high 64 bits modulo [`GROUPS`].
    pub group: u8,
}

impl Point {
    /// Hashes a key under a salt: murmur3 x64 128, seed 0, of both, each preceded by its length (u32, little endian),
    /// so that ("ab", "c") and ("a", "bc") differ. The result is part of the contract between versions: a changed
    /// hash would move every user (golden vectors in `tests/golden.json`).
    #[must_use]
    pub fn of(salt: &str, key: &[u8]) -> Self {
        let mut text = Vec::with_capacity(salt.len() + key.len() + 8);
        for part in [salt.as_bytes(), key] {
            // Longer than 4 GiB cannot come in: Envoy bounds headers far below.
            text.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            text.extend_from_slice(part);
        }
        // Reading from memory does not fail; were it ever to, the top of the key space is the last to be moved.
        let hash = murmur3::murmur3_x64_128(&mut Cursor::new(&text), 0).unwrap_or(u128::MAX);
        Self::from_hash(hash)
    }

    /// A point drawn at random; it belongs to no user, and its group means nothing.
    #[must_use]
    pub const fn drawn(position: u64) -> Self {
        Self { position, group: 0 }
    }

    #[allow(clippy::cast_possible_truncation)] // taking the halves is the point
    const fn from_hash(hash: u128) -> Self {
        let high = (hash >> 64) as u64;
        Self { position: hash as u64, group: (high % GROUPS as u64) as u8 }
    }
}
