//! Moments as others write them: ISO 8601 with or without a zone, or a number since 1970 in a unit told by its size.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

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

/// Why a text or a number is no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMoment {
    /// It is no time at all.
    Unreadable,
    /// It is outside 1990 to 2099, whatever the unit.
    Implausible,
}

/// A number since 1970, in seconds, milliseconds, microseconds or nanoseconds, as seconds.
///
/// # Errors
/// When it is outside 1990 to 2099 in each of them.
pub fn of_number(number: f64) -> Result<f64, NoMoment> {
    let units = [1.0, 1e3, 1e6, 1e9];
    let seconds = units.iter().map(|unit| number / unit).find(|seconds| PLAUSIBLE.contains(seconds));
    seconds.ok_or(NoMoment::Implausible)
}

/// Seconds since 1970.
///
/// # Errors
/// When the text is no time, or none from 1990 to 2099.
pub fn of_text(text: &str) -> Result<(f64, Zone), NoMoment> {
    if let Ok(number) = text.parse::<f64>() {
        return of_number(number).map(|seconds| (seconds, Zone::Said));
    }
    let (moment, zone) = iso(text).ok_or(NoMoment::Unreadable)?;
    #[allow(clippy::cast_precision_loss)] // seconds and parts of one
    let seconds = moment.as_second() as f64 + f64::from(moment.subsec_nanosecond()) / 1e9;
    if PLAUSIBLE.contains(&seconds) { Ok((seconds, zone)) } else { Err(NoMoment::Implausible) }
}

/// The `Date` of an answer over HTTP, in milliseconds since 1970.
#[must_use]
pub fn http_date_ms(text: &str) -> Option<u64> {
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    u64::try_from(date.timestamp().as_millisecond()).ok()
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

/// Why a text or number is refused where a time is asked for, as the end of a sentence, with what would be right.
#[must_use]
pub fn refusal(why: NoMoment) -> &'static str {
    match why {
        NoMoment::Unreadable => "is no time; give 2026-01-31T12:00:00Z, or a number since 1970",
        NoMoment::Implausible => {
            "is no time from 1990 to 2099, be it in seconds, milliseconds, microseconds or nanoseconds; give \
             2026-01-31T12:00:00Z, or a number since 1970"
        }
    }
}
