/// How many latency bins there are.
pub const LATENCY_BINS: u16 = 310;

/// The last bin: longer than the last edge, or never answered.
pub const LATENCY_TOP: u16 = LATENCY_BINS - 1;

/// The first edge is 2^(-53/16) ms, about 0.1 ms.
const FIRST_EDGE: i32 = -53;

/// 2^(k/16) for k = 0..16, to the last bit: edges are exact multiples by powers of two of these.
#[allow(clippy::excessive_precision)]
const SIXTEENTHS: [f64; 16] = [
    1.0,
    1.044_273_782_427_413_8,
    1.090_507_732_665_257_7,
    1.138_788_634_756_691_6,
    1.189_207_115_002_721,
    1.241_857_812_073_484,
    1.296_839_554_651_009_6,
    1.354_255_546_936_892_7,
    std::f64::consts::SQRT_2,
    1.476_826_145_939_499_3,
    1.542_210_825_407_940_7,
    1.610_490_331_949_254_3,
    1.681_792_830_507_429,
    1.756_252_160_373_299_5,
    1.834_008_086_409_342_4,
    1.915_206_561_397_147_3,
];

/// The upper edge of a latency bin in milliseconds: 2^((bin - 53)/16), so that edges lie 4.4 % apart; infinite for
/// [`LATENCY_TOP`] and above.
#[must_use]
pub fn latency_upper_ms(bin: u16) -> f64 {
    if bin >= LATENCY_TOP {
        return f64::INFINITY;
    }
    let sixteenths = i32::from(bin) + FIRST_EDGE;
    let part = usize::try_from(sixteenths.rem_euclid(16)).unwrap_or(0);
    SIXTEENTHS.get(part).copied().unwrap_or(1.0) * 2f64.powi(sixteenths.div_euclid(16))
}

/// The bin of a latency in nanoseconds: the first whose upper edge is not below it. Found by comparing with the exact
/// edges, never by a logarithm, so that every platform puts a value in the same bin.
#[must_use]
#[allow(clippy::cast_precision_loss)] // below 2^53 ns (104 days) exact
pub fn latency_bin(nanoseconds: u64) -> u16 {
    let ms = nanoseconds as f64 / 1e6;
    let (mut low, mut high) = (0, LATENCY_TOP);
    while low < high {
        let middle = low + (high - low) / 2;
        if ms <= latency_upper_ms(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

/// How a model's confidence becomes a whole number: 64 points over the declared range, the first at its least value,
/// the last at its largest.
///
/// A value between two points is rounded to either, by chance, so that it is right on average: the mean of what was
/// counted is the mean of what was said, to within (max - min) / 126 / sqrt(n). So one counter is enough for a value, and
/// count, sum and sum of squares belong together however a reader catches them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfidenceScale {
    min: f64,
    max: f64,
}

impl ConfidenceScale {
    /// Points over the range.
    pub const POINTS: u16 = 64;

    /// A scale from `min` to `max`; `None` unless both are finite and in that order.
    #[must_use]
    pub fn new(min: f64, max: f64) -> Option<Self> {
        (min.is_finite() && max.is_finite() && min < max).then_some(Self { min, max })
    }

    /// The point a value is rounded to, by a draw from 0 to `u64::MAX`; `None` when it is not a number or outside the
    /// range.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // 0 to 63
    pub fn point(&self, value: f64, draw: u64) -> Option<u16> {
        if !(value >= self.min && value <= self.max) {
            return None;
        }
        let at = (value - self.min) / (self.max - self.min) * f64::from(Self::POINTS - 1);
        let below = at.floor();
        let up = (draw as f64) < (at - below) * u64::MAX as f64;
        Some((below as u16 + u16::from(up)).min(Self::POINTS - 1))
    }

    /// The value of a point.
    #[must_use]
    pub fn value(&self, point: u16) -> f64 {
        self.min + f64::from(point) / f64::from(Self::POINTS - 1) * (self.max - self.min)
    }
}
