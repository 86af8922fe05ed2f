//! Chance that repeats: a generator for each (seed, what it is for, name).

use rand_pcg::Pcg64Mcg;

/// A 64-bit hash of a seed and a text; the same on every machine and in every version.
pub fn hash(seed: u64, text: &str) -> u64 {
    let mut bytes = Vec::with_capacity(8 + text.len());
    bytes.extend_from_slice(&seed.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    // Reading from memory cannot fail; the fallback only keeps the signature free of an error nobody can meet.
    murmur3::murmur3_x64_128(&mut bytes.as_slice(), 0).map_or(seed, |hash| (hash >> 64) as u64 ^ hash as u64)
}

/// A generator that depends on nothing but `seed` and `text`.
pub fn generator(seed: u64, text: &str) -> Pcg64Mcg {
    Pcg64Mcg::new(u128::from(hash(seed, text)) << 64 | u128::from(hash(!seed, text)))
}

/// A uniform number in [0, 1) from 53 bits of a hash.
pub fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}
