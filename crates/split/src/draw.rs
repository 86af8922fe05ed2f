/// A stream of draws for random assignment: `SplitMix64` (Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014). Whoever creates it brings the seed; clients can see the split but must not be able to
/// steer it, and for that 64 bits of time and context are enough.
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// A stream that is fully determined by the seed.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next draw, uniform over all 64 bits.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
