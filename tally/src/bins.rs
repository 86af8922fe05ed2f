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

/// How a model's confidence becomes whole numbers: 10,000 steps over the declared range, and 128 equal bins of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfidenceScale {
    min: f64,
    max: f64,
}

impl ConfidenceScale {
    /// Steps over the whole range; sums of steps and of their squares are exact.
    pub const STEPS: u64 = 10_000;
    /// Equal bins over the whole range.
    pub const BINS: u16 = 128;

    /// A scale from `min` to `max`; `None` unless both are finite and in that order.
    #[must_use]
    pub fn new(min: f64, max: f64) -> Option<Self> {
        (min.is_finite() && max.is_finite() && min < max).then_some(Self { min, max })
    }

    /// The value in steps, rounded to the nearest; `None` when it is not a number or outside the range.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // 0 to 10,000
    pub fn steps(&self, value: f64) -> Option<u64> {
        (value >= self.min && value <= self.max)
            .then(|| ((value - self.min) / (self.max - self.min) * Self::STEPS as f64).round() as u64)
    }

    /// The bin of a number of steps.
    #[must_use]
    pub fn bin(steps: u64) -> u16 {
        let bin = steps * u64::from(Self::BINS) / Self::STEPS;
        u16::try_from(bin).unwrap_or(u16::MAX).min(Self::BINS - 1)
    }

    /// The value a number of steps stands for.
    #[must_use]
    pub fn value(&self, steps: f64) -> f64 {
        #[allow(clippy::cast_precision_loss)] // 10,000
        let whole = Self::STEPS as f64;
        self.min + steps / whole * (self.max - self.min)
    }
}
