//! How many tokens, as one of a few points.

use crate::bins::latency_upper_ms;

/// Points up to this one are that number of tokens.
const EXACT: u16 = 8;
/// Octaves above it: up to a million tokens.
const OCTAVES: u16 = 17;
/// Points an octave, so that they lie 19 % apart.
const AN_OCTAVE: u16 = 4;

/// How many points a number of tokens may be rounded to.
pub const TOKEN_POINTS: u16 = EXACT + OCTAVES * AN_OCTAVE + 1;

/// The number of tokens a point stands for: 0 to 8, then four points an octave, to 2^20.
#[must_use]
pub fn tokens_at(point: u16) -> f64 {
    if point <= EXACT {
        return f64::from(point);
    }
    // The edges of answer times are powers of two of sixteenths to the last bit, and the 53rd is 1.
    let sixteenths = (point.min(TOKEN_POINTS - 1) - EXACT) * (16 / AN_OCTAVE);
    // An octave above another is twice as much, exactly; so the table is asked for the first octave alone.
    latency_upper_ms(53 + sixteenths % 16) * f64::from(EXACT) * f64::from(1_u32 << (sixteenths / 16))
}

/// The point that a number of tokens is rounded to, by a draw from 0 to `u64::MAX`: to one of the two beside it, so that it is
/// right on average, and the mean of what was counted is the mean of what was used. More than the last point is the last.
#[must_use]
#[allow(clippy::cast_precision_loss)] // below 2^53
pub fn token_point(tokens: u64, draw: u64) -> u16 {
    let tokens = tokens as f64;
    let (mut low, mut high) = (0, TOKEN_POINTS - 1);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if tokens_at(middle) <= tokens { low = middle } else { high = middle - 1 }
    }
    let (below, above) = (tokens_at(low), tokens_at(low + 1));
    let up = above > below && (draw as f64) < (tokens - below) / (above - below) * u64::MAX as f64;
    (low + u16::from(up)).min(TOKEN_POINTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_tokens_are_exact_and_many_are_right_on_average() {
        for few in 0..=8_u16 {
            assert_eq!((token_point(few.into(), 0), token_point(few.into(), u64::MAX)), (few, few));
        }
        assert!((tokens_at(12) - 16.0).abs() < f64::EPSILON);
        assert!((tokens_at(TOKEN_POINTS - 1) - 1_048_576.0).abs() < f64::EPSILON);
        assert_eq!(token_point(u64::MAX, 0), TOKEN_POINTS - 1);
        for point in 1..TOKEN_POINTS {
            assert!(tokens_at(point) > tokens_at(point - 1), "{point}");
        }
        for tokens in [9, 100, 1_234, 70_000] {
            let draws = 10_000_u64;
            let sum: f64 =
                (0..draws).map(|draw| tokens_at(token_point(tokens, u64::MAX / draws * draw))).sum();
            let mean = sum / draws as f64;
            assert!((mean / tokens as f64 - 1.0).abs() < 1e-3, "{tokens}: {mean}");
        }
    }
}
