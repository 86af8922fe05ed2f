//! Moments as files hold them: as everywhere (`sources::moment`), and with a decimal comma.

pub use sources::moment::{NoMoment, Zone};
use sources::moment::{of_number, of_text};

use super::cell::with_comma;

/// Seconds since 1970.
pub fn moment(text: &str) -> Result<(f64, Zone), NoMoment> {
    match with_comma(text) {
        Some(number) => of_number(number).map(|seconds| (seconds, Zone::Said)),
        None => of_text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: f64 = 1_769_860_800.0;

    #[track_caller]
    fn check(text: &str, expected: Result<(f64, Zone), NoMoment>) {
        match (moment(text), expected) {
            (Ok((got, zone)), Ok((want, said))) => {
                assert!((got - want).abs() < 1e-6 && zone == said, "{text}: {got} {zone:?}");
            }
            (got, want) => assert_eq!(got, want, "{text}"),
        }
    }

    #[test]
    fn moments() {
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31 12:00:00+00:00",
            "2026-01-31T13:00:00+01:00",
            "2026-01-31T13:00:00+0100",
            "2026-01-31 13:00:00+01",
            "2026-01-31 13:00:00 +01:00",
            "2026-01-31 12:00:00 UTC",
            "2026-01-31 12:00:00 +0000 UTC",
            "2026-01-31 12:00:00.000000000 Z",
            "2026/01/31 12:00:00Z",
            "2026-01-31T12:00Z",
            "2026-01-31T13:00:00+01:00[Europe/Berlin]",
            "1769860800",
            "1769860800.0",
            "1769860800,0",
            "1769860800000",
            "1769860800000000",
            "1769860800000000000",
            "1.7698608e12",
        ] {
            check(text, Ok((NOON, Zone::Said)));
        }
        for text in
            ["2026-01-31T12:00:00", "2026-01-31 12:00:00", "2026-01-31 12:00", "2026/01/31 12:00:00.000"]
        {
            check(text, Ok((NOON, Zone::Unsaid)));
        }
        check("2026-01-31", Ok((NOON - 43_200.0, Zone::Unsaid)));
        check("2026-01-31T12:00:00.123456789Z", Ok((NOON + 0.123_456_789, Zone::Said)));
        check("2026-01-31 12:00:00,5", Ok((NOON + 0.5, Zone::Unsaid)));
        check("1769860800123456789", Ok((NOON + 0.123_456_789, Zone::Said)));
        for text in [
            "2026-02-31T12:00:00Z",
            "2026-01-31T25:99:00Z",
            "2026-13-01",
            "31/01/2026 12:00",
            "01/31/2026",
            "noon",
            "",
        ] {
            check(text, Err(NoMoment::Unreadable));
        }
        for text in [
            "0",
            "46053.5",
            "20260131",
            "17698608000",
            "-1769860800",
            "inf",
            "1970-01-01T00:00:00Z",
            "9998-12-31",
        ] {
            check(text, Err(NoMoment::Implausible));
        }
    }
}
