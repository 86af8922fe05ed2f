//! Moments as people and spreadsheets read them: RFC 3339, in UTC.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use manifest::Span;

/// 2026-03-01T09:30:00.000Z.
pub fn moment(unix_ms: u64) -> String {
    let moment = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", moment.unwrap_or(Timestamp::MAX))
}

/// A day (2026-03-01, its beginning), a moment (2026-03-01T09:30:00Z), or a time back from now (30d).
///
/// # Errors
/// What would be understood.
pub fn instant(text: &str, now_ms: u64) -> Result<u64, String> {
    if let Ok(span) = text.parse::<Span>() {
        return Ok(now_ms.saturating_sub(span.ms()));
    }
    let moment = if text.contains(['T', 't', ' ']) {
        text.parse::<Timestamp>()
    } else {
        text.parse::<Date>().and_then(|day| TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)))
    };
    moment.ok().and_then(|moment| u64::try_from(moment.as_millisecond()).ok()).ok_or_else(|| {
        format!("{text:?} is no moment; write 2026-03-01, 2026-03-01T09:30:00Z, or 30d for 30 days ago")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_and_read() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(moment(unix_ms), text);
            assert_eq!(instant(text, 0), Ok(unix_ms));
        }
        assert_eq!(instant("2000-02-29", 0), Ok(951_782_400_000));
        assert_eq!(instant("2000-02-29T01:00:00+01:00", 0), Ok(951_782_400_000));
        let day_ms = 86_400_000;
        assert_eq!(instant("30d", 40 * day_ms), Ok(10 * day_ms));
        for wrong in [
            "",
            "yesterday",
            "2026-02-30",
            "2026-13-01",
            "2026-03-01T09:30:00",
            "2026-03-01T25:00:00Z",
            "1969-01-01",
        ] {
            let error = instant(wrong, 0).expect_err(wrong);
            assert!(error.contains("30d"), "{error}");
        }
    }
}
