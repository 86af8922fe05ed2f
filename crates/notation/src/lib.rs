//! How are numbers written for people? Digits, shares and times, each said once for every program of this workspace.
//!
//! Texts that people write and documents hold are `manifest`'s amounts; these are for reading alone.

/// So many digits that tell something, without an exponent: `0.0148`, `20.4`, `1204`. Zeros at the end stay: they tell
/// how exactly it is known.
#[must_use]
#[allow(clippy::cast_possible_truncation)] // an exponent of ten
pub fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let places = (digits - 1 - value.abs().log10().floor() as i32).clamp(0, MOST_PLACES);
    fixed(value, places.unsigned_abs())
}

/// Places after the point beyond which nobody reads.
const MOST_PLACES: i32 = 12;

/// As `significant`, without zeros at the end.
#[must_use]
pub fn digits(value: f64, digits: i32) -> String {
    trimmed(significant(value, digits))
}

/// At most so many places after the point, without zeros at the end: `0.1`, `4.97`, `25`.
#[must_use]
pub fn decimal(value: f64, places: u32) -> String {
    trimmed(fixed(value, places))
}

/// A share of 1 as percent, with at most so many places: `25 %`, `4.97 %`, `0.1 %`.
#[must_use]
pub fn percent(share: f64, places: u32) -> String {
    format!("{} %", decimal(100.0 * share, places))
}

/// Parts per million as percent, exactly: `5 %`, `0.0001 %`.
#[must_use]
pub fn ppm(parts: u32) -> String {
    percent(f64::from(parts) / 1e6, 4)
}

/// Every digit, in groups of three: `1,234,567`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count, rounded up, with a letter for thousands (k), millions (M) and thousand millions (G): `850`, `12.9k`, `3.2M`, `1.1G`.
#[must_use]
pub fn count(value: f64) -> String {
    let value = value.ceil();
    match value {
        v if v < 10_000.0 => format!("{v:.0}"),
        v if v < 1e6 => format!("{:.1}k", v / 1e3),
        v if v < 1e9 => format!("{:.1}M", v / 1e6),
        v => format!("{:.1}G", v / 1e9),
    }
}

/// Units of time in milliseconds.
const UNITS: [(u64, &str); 5] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];

/// A time exactly, in falling units: `500ms`, `1h30m`, `12d4h`.
#[must_use]
pub fn span(ms: u64) -> String {
    in_units(ms, UNITS.len())
}

/// A time in seconds, rounded up to one, by its largest unit and the one below: `45s`, `8m30s`, `3h10m`, `12d4h`.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates, and is positive
pub fn duration(seconds: f64) -> String {
    in_units((seconds.ceil() as u64).saturating_mul(1_000), 2)
}

/// A time by its largest unit alone: `3d`, `5h`.
#[must_use]
pub fn roughly(ms: u64) -> String {
    in_units(ms, 1)
}

/// The largest unit that fits, and so many in all below one another; what is left out is cut off.
fn in_units(ms: u64, units: usize) -> String {
    let mut text = String::new();
    let mut rest = ms;
    for (unit, name) in UNITS.iter().skip_while(|(unit, _)| ms < *unit).take(units) {
        let count = rest / unit;
        if count > 0 {
            text.push_str(&format!("{count}{name}"));
        }
        rest %= unit;
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A time that was measured: milliseconds up to ten seconds, seconds beyond: `41 ms`, `41.2 s`.
#[must_use]
#[allow(clippy::cast_precision_loss)] // below a year
pub fn measured(ms: u64) -> String {
    if ms < 10_000 { format!("{ms} ms") } else { seconds(ms as f64 / 1e3) }
}

/// Seconds to a tenth: `41.2 s`.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

/// Milliseconds to a tenth: `3.4 ms`.
#[must_use]
pub fn milliseconds(ms: f64) -> String {
    format!("{ms:.1} ms")
}

fn fixed(value: f64, places: u32) -> String {
    format!("{value:.*}", places as usize)
}

fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<const N: usize>(known: [(String, &str); N]) {
        for (got, expected) in known {
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn digits_that_tell_something() {
        check([
            (significant(0.5, 3), "0.500"),
            (significant(20.43, 3), "20.4"),
            (significant(1204.4, 3), "1204"),
            (significant(-0.001_234, 3), "-0.00123"),
            (significant(0.0, 3), "0"),
            (significant(f64::INFINITY, 3), "inf"),
            (digits(0.5, 4), "0.5"),
            (digits(0.014_83, 3), "0.0148"),
            (digits(100.0, 3), "100"),
            (digits(1e-300, 3), "0"),
            (decimal(0.07 * 100.0, 4), "7"),
            (decimal(100.0, 2), "100"),
            (decimal(0.000_01, 4), "0"),
        ]);
    }

    #[test]
    fn shares_and_counts() {
        check([
            (percent(0.049_71, 2), "4.97 %"),
            (percent(0.25, 2), "25 %"),
            (percent(0.0, 2), "0 %"),
            (ppm(50_000), "5 %"),
            (ppm(1), "0.0001 %"),
            (thousands(0), "0"),
            (thousands(999), "999"),
            (thousands(1_000), "1,000"),
            (thousands(1_234_567), "1,234,567"),
            (count(849.2), "850"),
            (count(12_900.0), "12.9k"),
            (count(3.2e6), "3.2M"),
            (count(1.1e9), "1.1G"),
        ]);
    }

    #[test]
    fn times() {
        check([
            (span(0), "0s"),
            (span(500), "500ms"),
            (span(5_400_000), "1h30m"),
            (span(90_061_001), "1d1h1m1s1ms"),
            (duration(0.0), "0s"),
            (duration(44.2), "45s"),
            (duration(510.0), "8m30s"),
            (duration(11_430.0), "3h10m"),
            (duration(86_400.0 + 300.0), "1d"),
            (duration(12.2 * 86_400.0), "12d4h"),
            (roughly(5 * 3_600_000 + 59), "5h"),
            (measured(9_999), "9999 ms"),
            (measured(41_234), "41.2 s"),
            (seconds(41.234), "41.2 s"),
            (milliseconds(3.44), "3.4 ms"),
        ]);
    }
}
