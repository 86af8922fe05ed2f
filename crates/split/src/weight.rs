use crate::Point;

/// Parts per million in a whole.
pub const MILLION: u32 = 1_000_000;

/// A share of the traffic in exact parts per million: 0 is nobody, 1,000,000 is everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Weight(u32);

impl Weight {
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// Everybody.
    pub const ALL: Self = Self(MILLION);

    /// A weight of `ppm` parts per million; `None` above 1,000,000.
    #[must_use]
    pub const fn from_ppm(ppm: u32) -> Option<Self> {
        if ppm <= MILLION { Some(Self(ppm)) } else { None }
    }

    /// The weight in parts per million.
    #[must_use]
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// Does the point lie in the share counted from the bottom of the key space? A larger weight holds every point
    /// a smaller one holds.
    #[must_use]
    pub const fn holds_from_bottom(self, point: Point) -> bool {
        (point.position as u128) < self.span()
    }

    /// Does the point lie in the share counted from the top of the key space?
    #[must_use]
    pub const fn holds_from_top(self, point: Point) -> bool {
        (point.position as u128) >= (1 << 64) - self.span()
    }

    /// Does the point lie in the share that begins at `start` and goes upwards, round the end of the key space?
    #[must_use]
    pub(crate) const fn holds_from(self, start: Self, point: Point) -> bool {
        #[allow(clippy::cast_possible_truncation)] // round the end is the point
        let first = start.span() as u64;
        (point.position.wrapping_sub(first) as u128) < self.span()
    }

    /// How many of the 2^64 positions the weight covers, rounded down; all of them at 100 %.
    const fn span(self) -> u128 {
        (self.0 as u128) * (1 << 64) / MILLION as u128
    }
}
