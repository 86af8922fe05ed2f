//! Moments as files hold them: ISO 8601 with or without a zone, or a number since 1970 in a unit told by its size.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::cell::with_comma;

/// What is taken for a time of measurement: 1990 up to 2100, in seconds since 1970. A thousand times as much or as little is
/// outside, so a number has one unit at most.
const PLAUSIBLE: std::ops::Range<f64> = 631_152_000.0..4_102_444_800.0;

/// How sure it is which moment is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// The text names its zone, or the number counts from 1970.
    Said,
    /// Read as UTC.
    Unsaid,
}

/// Why a cell is no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMoment {
    /// It is no time at all.
    Unreadable,
    /// It is outside 1990 to 2099, whatever the unit.
    Implausible,
}

/// Seconds since 1970.
pub fn moment(text: &str) -> Result<(f64, Zone), NoMoment> {
    if let Some(number) = text.parse::<f64>().ok().or_else(|| with_comma(text)) {
        let units = [1.0, 1e3, 1e6, 1e9];
        let seconds = units.iter().map(|unit| number / unit).find(|seconds| PLAUSIBLE.contains(seconds));
        return seconds.map(|seconds| (seconds, Zone::Said)).ok_or(NoMoment::Implausible);
    }
    let (moment, zone) = iso(text).ok_or(NoMoment::Unreadable)?;
    #[allow(clippy::cast_precision_loss)] // seconds and parts of one
    let seconds = moment.as_second() as f64 + f64::from(moment.subsec_nanosecond()) / 1e9;
    if PLAUSIBLE.contains(&seconds) { Ok((seconds, zone)) } else { Err(NoMoment::Implausible) }
}

/// `2026-01-31T12:00:00[.123456789](Z|+01:00)`, with a space for the T, `/` for `-`, and a zone set apart or left out.
fn iso(text: &str) -> Option<(Timestamp, Zone)> {
    let mut text = text.trim().to_owned();
    // Go writes `+0000 UTC`, R and databases `UTC`.
    for name in [" UTC", " GMT"] {
        if let Some(rest) = text.strip_suffix(name) {
            let has_offset = rest.rsplit(' ').next().is_some_and(|last| last.starts_with(['+', '-']));
            text = if has_offset { rest.to_owned() } else { format!("{rest}Z") };
        }
    }
    if let Some((rest, zone)) = text.rsplit_once(' ')
        && (zone == "Z" || zone.starts_with(['+', '-']))
    {
        text = format!("{rest}{zone}");
    }
    if text.as_bytes().get(4) == Some(&b'/') {
        text = text.replacen('/', "-", 2);
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some((moment, Zone::Said));
    }
    let local: DateTime = text.parse().ok()?;
    TimeZone::UTC.to_timestamp(local).ok().map(|moment| (moment, Zone::Unsaid))
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
